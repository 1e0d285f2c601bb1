"""The bytes of a log segment: a header that says whose it is, then batches, each checked and chained to the one before.

    segment = header batch*  zeros     (zeros: room prepared for batches to come, so that a write need not grow it)
    header  = magic "RINGLOG\\n"  version u32  length u32  crc u32  body(msgpack SegmentHeader)
    batch   = magic "RLB\\x01"  crc u32  length u32  position u64  durable u64  chain u64  payload(msgpack Payload)

Numbers are little-endian. `crc` is CRC32C over all that follows it in the batch, started from a seed that differs for
every segment of every node, so that no copy of another segment, not even one stored as a value inside a payload, can
pass for a batch of this one. `position` counts batches from 1 through the whole life of the log. `chain` is the hash
of the batch before, which holds its own chain and so on back to the first. `durable` is the highest position that was
known to be on disk when the batch was written: it tells a torn tail from a damaged middle (see `log.recovery`).
"""

from __future__ import annotations

import struct

import google_crc32c
import msgspec
import xxhash

__all__ = [
    "BATCH_HEADER",
    "BATCH_MAGIC",
    "FORMAT_VERSION",
    "Batch",
    "Identity",
    "LogRecord",
    "Payload",
    "SegmentHeader",
    "decode_batch",
    "decode_header",
    "encode_batch",
    "encode_header",
    "encode_payload",
    "segment_name",
    "segment_number",
    "segment_seed",
]

FORMAT_VERSION = 1
HEADER_MAGIC = b"RINGLOG\n"
BATCH_MAGIC = b"RLB\x01"
_HEADER_START = struct.Struct("<8sIII")
_BATCH_START = struct.Struct("<4sIIQQQ")
_CHECKED = struct.Struct("<IQQQ")
BATCH_HEADER = _BATCH_START.size
"""Bytes of a batch before its payload."""

MAX_PAYLOAD = 2**31
"""The largest payload of a batch, in bytes."""


class Identity(msgspec.Struct, array_like=True, frozen=True):
    """Whose log it is. `incarnation` is new for every new life of the node's data (after a restore, clone or wipe)."""

    cluster: str
    node: int
    incarnation: str


class LogRecord(msgspec.Struct, array_like=True, gc=False):
    """One record of one consensus group; `kind` and `payload` mean something only to its core."""

    group: int
    kind: int
    payload: bytes


class Payload(msgspec.Struct, array_like=True):
    """What a batch carries: records, oldest first, and the highest entry index per group that they may hold."""

    records: list[LogRecord]
    last_index: dict[int, int] = {}


class SegmentHeader(msgspec.Struct, array_like=True, frozen=True):
    """Whose segment it is and where it goes on: the first batch has position `base`, chained to `chain`.

    All batches before `base` were durable before this segment got its name.
    """

    cluster: str
    node: int
    incarnation: str
    number: int
    base: int
    chain: int

    def identity(self) -> Identity:
        """Whose segment it is."""
        return Identity(self.cluster, self.node, self.incarnation)


class Batch(msgspec.Struct):
    """A batch whose checksum holds; `digest`: what the next one's `chain` must be; `end`: where the next one starts."""

    position: int
    durable: int
    chain: int
    digest: int
    payload: bytes
    end: int


_payload_encoder = msgspec.msgpack.Encoder()
_header_decoder = msgspec.msgpack.Decoder(SegmentHeader)


def segment_name(number: int) -> str:
    """The file name of segment `number`, such that names sort as numbers do."""
    return f"log-{number:016x}"


def segment_number(name: str) -> int | None:
    """The inverse of `segment_name`; `None` for other names."""
    if len(name) != 20 or not name.startswith("log-"):
        return None
    try:
        number = int(name[4:], 16)
    except ValueError:
        return None
    return number if segment_name(number) == name else None


def segment_seed(identity: Identity, number: int) -> int:
    """Where the checksums of that segment's batches start from."""
    return xxhash.xxh3_64_intdigest(msgspec.msgpack.encode((identity, number))) & 0xFFFFFFFF


def encode_header(header: SegmentHeader) -> bytes:
    """The bytes at the start of a segment."""
    body = msgspec.msgpack.encode(header)
    crc = google_crc32c.value(struct.pack("<II", FORMAT_VERSION, len(body)) + body)
    return _HEADER_START.pack(HEADER_MAGIC, FORMAT_VERSION, len(body), crc) + body


def decode_header(data: bytes) -> tuple[int, SegmentHeader | None, int]:
    """The (version, header, size in bytes) at the start of `data`; no header when it is of another format version.

    Raises `ValueError` saying what is wrong. Magic, version, length and checksum stay where they are in all versions.
    """
    if len(data) < _HEADER_START.size:
        raise ValueError("the segment is shorter than its header")
    magic, version, length, crc = _HEADER_START.unpack_from(data)
    end = _HEADER_START.size + length
    if magic != HEADER_MAGIC or end > len(data):
        raise ValueError("the segment does not start with a header")
    body = data[_HEADER_START.size : end]
    if google_crc32c.value(struct.pack("<II", version, length) + body) != crc:
        raise ValueError("the checksum of the segment's header does not match")
    if version != FORMAT_VERSION:
        return version, None, end
    return version, _header_decoder.decode(body), end


def encode_payload(payload: Payload) -> bytes:
    """The payload of a batch. Raises `ValueError` when it is too large."""
    data = _payload_encoder.encode(payload)
    if len(data) > MAX_PAYLOAD:
        raise ValueError(f"a batch of {len(data)} bytes is larger than the limit of {MAX_PAYLOAD}")
    return data


def encode_batch(seed: int, position: int, durable: int, chain: int, payload: bytes) -> tuple[bytes, int]:
    """The bytes of a batch and the digest that the next one has to name as its chain."""
    crc = google_crc32c.extend(seed, _CHECKED.pack(len(payload), position, durable, chain))
    crc = google_crc32c.extend(crc, payload)
    data = _BATCH_START.pack(BATCH_MAGIC, crc, len(payload), position, durable, chain) + payload
    return data, xxhash.xxh3_64_intdigest(data)


def decode_batch(data: bytes, offset: int, seed: int) -> Batch | None:
    """The batch at `offset` of a segment, or `None` when there is none whose checksum holds."""
    if len(data) - offset < BATCH_HEADER:
        return None
    magic, crc, length, position, durable, chain = _BATCH_START.unpack_from(data, offset)
    end = offset + BATCH_HEADER + length
    if magic != BATCH_MAGIC or length > MAX_PAYLOAD or end > len(data):
        return None
    checked = data[offset + 8 : end]
    if google_crc32c.extend(seed, checked) != crc:
        return None
    digest = xxhash.xxh3_64_intdigest(data[offset:end])
    return Batch(position, durable, chain, digest, checked[BATCH_HEADER - 8 :], end)
