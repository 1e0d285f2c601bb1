"""The reading side: tell a torn tail, which is cut off, from damage, which stops the node.

After a crash, pages that were not synced may be on disk in any subset: the last batches may be torn, missing, or whole
behind a missing one. None of them was acknowledged, so the first batch that does not hold ends the log and all that
follows goes, be it valid or not. But if a valid batch further on says that the bad one was durable when it was written,
or if a newer segment exists (which got its name only after this one was synced), then durable bytes were lost: the node
refuses to start, and says where.

The cut bytes are overwritten with zeros and synced before the log is used again. Otherwise a discarded batch could
become the valid successor of a new batch that happens to equal the one before it. Everything that was read is synced
too: after a mere process crash the pages may live in the page cache alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ringleader.errors import Reason
from ringleader.log.errors import LogCorruptError, WrongIdentityError
from ringleader.log.format import (
    BATCH_MAGIC,
    FORMAT_VERSION,
    Batch,
    Identity,
    LogRecord,
    Payload,
    SegmentHeader,
    decode_batch,
    decode_header,
    encode_batch,
    encode_header,
    encode_payload,
    segment_name,
    segment_number,
    segment_seed,
)
from ringleader.log.writer import LogOptions, LogWriter, Segment, new_segment_ops
from ringleader.ports import Disk, DiskOp, Sync, SyncFolder, Unlink, Write

__all__ = ["Recovery", "Tail", "create", "exists", "find_tail", "recover"]

_payload_decoder = msgspec.msgpack.Decoder(Payload)


@dataclass
class Recovery:
    """What was found: all records, oldest first, and the writer that goes on after them.

    `batches`: how many hold. `cut_bytes`: how many bytes of a torn tail went, from `cut_offset` of `cut_file` on.
    """

    records: list[LogRecord]
    writer: LogWriter
    identity: Identity
    batches: int
    segments: int
    cut_bytes: int = 0
    cut_file: str = ""
    cut_offset: int = 0

    @property
    def report(self) -> str:
        """One sentence for the node's log."""
        text = f"recovered {len(self.records)} records in {self.batches} batches from {self.segments} segments"
        if self.cut_bytes:
            text += (
                f"; cut {self.cut_bytes} bytes of an unfinished write at offset {self.cut_offset} of {self.cut_file}"
            )
        return text


def exists(disk: Disk) -> bool:
    """Whether the folder holds a log (one whose creation was interrupted does not count)."""
    return any(segment_number(name) is not None for name in disk.names())


def create(identity: Identity, options: LogOptions, disk: Disk) -> LogWriter:
    """Make the first segment, durably. Raises `LogCorruptError` when the folder already holds a log."""
    if exists(disk):
        raise LogCorruptError(
            "a new log was to be made where there is one", file=segment_name(1), offset=0, hint="Open it instead"
        )
    first, chain = encode_batch(segment_seed(identity, 1), 1, 0, 0, encode_payload(Payload([])))
    header = SegmentHeader(identity.cluster, identity.node, identity.incarnation, 1, 1, 0)
    ops = _leftovers(disk)
    ops += new_segment_ops(header, first, options.runway_bytes)
    disk.execute(ops)
    offset = len(encode_header(header)) + len(first)
    return LogWriter(
        identity,
        options,
        segments=[Segment(1)],
        position=1,
        chain=chain,
        offset=offset,
        allocated=offset + options.runway_bytes,
    )


def recover(disk: Disk, identity: Identity | None, options: LogOptions) -> Recovery:
    """Read the log, repair its end, and return what it holds. `identity` `None` accepts whatever the log says.

    Raises `LogCorruptError` when durable bytes are damaged, `WrongIdentityError` when the log is someone else's,
    `OSError` when the disk fails.
    """
    headers = _read_headers(disk, identity)
    identity = headers[0].identity()
    records: list[LogRecord] = []
    segments: list[Segment] = []
    position, chain, batches = headers[0].base - 1, headers[0].chain, 0
    tail = Tail(0, 0, 0)
    for place, header in enumerate(headers):
        name = segment_name(header.number)
        if (header.base, header.chain) != (position + 1, chain):
            raise LogCorruptError("the segment does not continue the one before it", file=name, offset=0)
        data = disk.read(name)
        segment = Segment(header.number)
        offset, found = _scan(data, name, identity, header)
        for batch in found:
            payload = _decode_payload(batch, name)
            records += payload.records
            segment.note(payload.last_index)
            position, chain = batch.position, batch.digest
        batches += len(found)
        segments.append(segment)
        newer = headers[place + 1] if place + 1 < len(headers) else None
        if newer is not None and position + 1 != newer.base:
            raise LogCorruptError(f"batch {position + 1} was durable and cannot be read back", file=name, offset=offset)
        if newer is None:
            tail = find_tail(data, name, identity, header.number, offset, position + 1)
    name = segment_name(headers[-1].number)
    disk.execute([*_leftovers(disk), *tail.erase(name), Sync(name), SyncFolder()])
    writer = LogWriter(
        identity,
        options,
        segments=segments,
        position=position,
        chain=chain,
        offset=tail.offset,
        allocated=tail.size,
    )
    return Recovery(
        records, writer, identity, batches, len(segments), tail.garbage, name if tail.garbage else "", tail.offset
    )


# ------------------------------------------------------------------------------------------------------------ headers


def _read_headers(disk: Disk, identity: Identity | None) -> list[SegmentHeader]:
    """The headers of all segments, oldest first, checked for identity and for gaps."""
    numbers = sorted(number for name in disk.names() if (number := segment_number(name)) is not None)
    if not numbers:
        raise LogCorruptError("the folder holds no log", file=segment_name(1), offset=0)
    for number, expected in zip(numbers, range(numbers[0], numbers[0] + len(numbers)), strict=True):
        if number != expected:
            raise LogCorruptError("a segment of the log is missing", file=segment_name(expected), offset=0)
    headers: list[SegmentHeader] = []
    for number in numbers:
        header = _read_header(disk, number)
        identity = identity or header.identity()
        _check_identity(header, identity, number)
        headers.append(header)
    return headers


def _read_header(disk: Disk, number: int) -> SegmentHeader:
    name = segment_name(number)
    try:
        version, header, _ = decode_header(disk.read(name, 0, 64 * 1024))
    except ValueError as error:
        raise LogCorruptError(str(error), file=name, offset=0) from None
    if header is None:
        raise WrongIdentityError(
            f"segment {name} has format version {version}, this release reads version {FORMAT_VERSION}",
            reason=Reason.VERSION,
            hint="Start the release that wrote it, or a newer one",
        )
    if header.number != number:
        raise LogCorruptError(f"the file holds segment {segment_name(header.number)}", file=name, offset=0)
    return header


def _check_identity(header: SegmentHeader, identity: Identity, number: int) -> None:
    name = segment_name(number)
    if header.cluster != identity.cluster:
        raise WrongIdentityError(
            f"{name} belongs to cluster {header.cluster!r}, this node to {identity.cluster!r}",
            reason=Reason.WRONG_CLUSTER,
            hint="Give the node its own data folder",
        )
    if (header.node, header.incarnation) != (identity.node, identity.incarnation):
        raise WrongIdentityError(
            f"{name} belongs to node {header.node} (incarnation {header.incarnation!r}), "
            f"this is node {identity.node} (incarnation {identity.incarnation!r})",
            reason=Reason.WRONG_NODE,
            hint="Give the node its own data folder; a copied folder needs a new identity",
        )


# ------------------------------------------------------------------------------------------------------------ batches


def _scan(data: bytes, name: str, identity: Identity, header: SegmentHeader) -> tuple[int, list[Batch]]:
    """All batches from the start that hold and continue one another, and where they end."""
    seed = segment_seed(identity, header.number)
    _, _, offset = decode_header(data)
    position, chain = header.base, header.chain
    found: list[Batch] = []
    while (batch := decode_batch(data, offset, seed)) is not None:
        if batch.position != position or batch.chain != chain:
            break
        found.append(batch)
        offset, position, chain = batch.end, batch.position + 1, batch.digest
    if not found:  # the first batch was durable before the segment got its name
        raise LogCorruptError(f"batch {position} was durable and cannot be read back", file=name, offset=offset)
    return offset, found


def _decode_payload(batch: Batch, name: str) -> Payload:
    try:
        return _payload_decoder.decode(batch.payload)
    except ValueError as error:
        raise LogCorruptError(
            f"batch {batch.position} is whole but not understood: {error}",
            file=name,
            offset=batch.end - len(batch.payload),
            hint="It was probably written by a newer release: start that one",
        ) from None


@dataclass
class Tail:
    """The end of the newest segment: valid up to `offset`, then `garbage` bytes, then zeros up to `size`."""

    offset: int
    garbage: int
    size: int

    def erase(self, name: str) -> list[DiskOp]:
        return [Write(name, self.offset, bytes(self.garbage))] if self.garbage else []


def find_tail(data: bytes, name: str, identity: Identity, number: int, offset: int, position: int) -> Tail:
    """What lies behind the last good batch. Raises when something there proves that batch `position` was durable."""
    end = len(data.rstrip(b"\0"))
    if end <= offset:
        return Tail(offset, 0, len(data))
    seed = segment_seed(identity, number)
    place = data.find(BATCH_MAGIC, offset)
    while place >= 0:
        later = decode_batch(data, place, seed)
        if later is not None and later.position > later.durable >= position:
            raise LogCorruptError(
                f"batch {position} cannot be read back, but batch {later.position} at {place} says it was durable",
                file=name,
                offset=offset,
            )
        place = data.find(BATCH_MAGIC, place + 1)
    return Tail(offset, end - offset, len(data))


def _leftovers(disk: Disk) -> list[DiskOp]:
    """Removes segments that never got their name."""
    return [Unlink(name) for name in disk.names() if name.endswith(".tmp") and segment_number(name[:-4]) is not None]
