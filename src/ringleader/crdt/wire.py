"""The bytes of states and deltas: deterministic, versioned, and safe to read from a stranger.

Layout (docs/crdt.md has it in full): `RLC`, one byte of format version, a msgpack body, CRC-32C of all before it (4
bytes, big-endian). The body is the array `[tag, replicas, upto, since, part]`: the type's tag; the replica ids that
occur, sorted; for each of them how many of its events are included; the same for what the receiver must have already
(nil for a whole state); and the type's own part. A dot travels as one int, `n * len(replicas) + index of its
replica`.

Reading is in two steps, so that a bad message changes nothing: `parse` checks every shape and bound and turns
the message into the same plain objects that a merge in memory uses; only then is it joined, and joining cannot fail.
"""

from __future__ import annotations

from typing import Any, NoReturn

import google_crc32c
import msgspec

from ringleader.clock.hlc import MAX_STAMP
from ringleader.clock.version import ReplicaId, VersionVector
from ringleader.crdt.values import key_from_wire, thaw_wire
from ringleader.errors import Reason, UsageError

__all__ = ["DecodeError", "Decoder", "Encoder", "Limits", "bad"]

MAGIC = b"RLC"
FORMAT = 1
MAX_EVENTS = 1 << 50
MAX_ID = 64

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


class DecodeError(UsageError):
    """These bytes are not one of our messages; nothing was changed."""


def bad(message: str) -> NoReturn:
    """Refuse the message being read."""
    raise DecodeError(message, reason=Reason.DATA_CORRUPT)


class Limits(msgspec.Struct, frozen=True):
    """How much a message may ask of its reader.

    `bytes`: its length. `replicas`: how many replica ids. `depth`: how deep containers nest. `items`: elements, entries
    and nested values in total.
    """

    bytes: int = 64 << 20
    replicas: int = 4096
    depth: int = 64
    items: int = 4_000_000


DEFAULT_LIMITS = Limits()


class Encoder:
    """Turns dots into ints while a message is packed."""

    __slots__ = ("_index", "_width", "replicas")

    def __init__(self, upto: VersionVector) -> None:
        self.replicas = sorted(upto)
        self._index = {replica: i for i, replica in enumerate(self.replicas)}
        self._width = len(self.replicas)

    def dot(self, replica: ReplicaId, n: int) -> int:
        """One dot as one int. `n` 0 is allowed ("none of this replica's events")."""
        return n * self._width + self._index[replica]

    def replica(self, replica: ReplicaId) -> int:
        """A replica id as its index."""
        return self._index[replica]


class Decoder:
    """Checks and turns back what an `Encoder` made. `stamp`: the greatest hybrid clock stamp seen so far."""

    __slots__ = ("_counts", "_depth", "_items", "_limits", "_replicas", "_width", "stamp")

    def __init__(self, replicas: list[ReplicaId], upto: list[int], limits: Limits) -> None:
        self._replicas = replicas
        self._counts = upto
        self._width = len(replicas)
        self._limits = limits
        self._items = 0
        self._depth = 0
        self.stamp = 0

    def dot(self, raw: Any) -> tuple[ReplicaId, int]:
        """The (replica, n) of a packed dot, n >= 1 and included in the message's version."""
        if type(raw) is not int or raw < self._width or not self._width:
            bad("a dot is not a positive integer")
        n, index = divmod(raw, self._width)
        if n > self._counts[index]:
            bad("a dot lies beyond the message's version")
        return self._replicas[index], n

    def dot_or_zero(self, raw: Any) -> tuple[ReplicaId, int]:
        """Like `dot`, n >= 0."""
        if type(raw) is int and 0 <= raw < self._width:
            return self._replicas[raw], 0
        return self.dot(raw)

    def replica(self, raw: Any) -> ReplicaId:
        """The replica id of an index."""
        if type(raw) is not int or not 0 <= raw < self._width:
            bad("a replica index is out of range")
        return self._replicas[raw]

    def at_stamp(self, raw: Any) -> int:
        """A hybrid clock stamp."""
        if type(raw) is not int or not 0 <= raw <= MAX_STAMP:
            bad("a stamp is not an unsigned 64-bit integer")
        if raw > self.stamp:
            self.stamp = raw
        return raw

    def array(self, raw: Any, length: int | None = None) -> list[Any]:
        """A list, of exactly `length` items when given; counts against the limit of items."""
        if type(raw) is not list or (length is not None and len(raw) != length):
            bad("a list is missing or has the wrong length")
        self._items += len(raw)
        if self._items > self._limits.items:
            bad(f"more than {self._limits.items} items")
        return raw

    def integer(self, raw: Any, low: int, high: int) -> int:
        """An int (no bool) within bounds, both inclusive."""
        if type(raw) is not int or not low <= raw <= high:
            bad("an integer is missing or out of range")
        return raw

    def flag(self, raw: Any) -> bool:
        """True or false."""
        if type(raw) is not bool:
            bad("a flag is not a boolean")
        return raw

    def value(self, raw: Any) -> Any:
        """A user's value."""
        try:
            return thaw_wire(raw)
        except ValueError as error:
            bad(str(error))

    def key(self, raw: Any) -> Any:
        """A user's value as a dictionary key."""
        try:
            return key_from_wire(raw)
        except ValueError as error:
            bad(str(error))

    def enter(self) -> None:
        """Go one container deeper."""
        self._depth += 1
        if self._depth > self._limits.depth:
            bad(f"containers nested more than {self._limits.depth} deep")

    def leave(self) -> None:
        """Come back from `enter`."""
        self._depth -= 1


def seal(body: list[Any]) -> bytes:
    """The bytes of a message: header, body, checksum."""
    data: bytes = MAGIC + bytes((FORMAT,)) + _pack(body)
    checksum: int = google_crc32c.value(data)
    return data + checksum.to_bytes(4, "big")


def unseal(data: bytes | bytearray | memoryview, limits: Limits) -> list[Any]:
    """The body of a message. Raises `DecodeError`."""
    if len(data) > limits.bytes:
        raise DecodeError(f"a message of {len(data)} bytes; at most {limits.bytes}", reason=Reason.TOO_LARGE)
    data = bytes(data)
    if len(data) < 9 or data[:3] != MAGIC:
        bad("this is no replicated state or delta")
    if data[3] != FORMAT:
        raise DecodeError(
            f"format {data[3]} is not known here (this release reads format {FORMAT})",
            reason=Reason.VERSION,
            hint="Upgrade this side first",
        )
    if google_crc32c.value(data[:-4]) != int.from_bytes(data[-4:], "big"):
        bad("the checksum does not match")
    try:
        body = _unpack(memoryview(data)[4:-4])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise DecodeError(f"the body is not msgpack: {error}", reason=Reason.DATA_CORRUPT) from None
    if type(body) is not list or len(body) != 5:
        bad("the body is not an array of five")
    return body


def read_versions(body: list[Any], limits: Limits) -> tuple[list[ReplicaId], list[int], list[int] | None]:
    """The replicas, the version, and the version presumed at the receiver (None: nothing presumed)."""
    _, replicas, upto, since, _ = body
    if type(replicas) is not list or len(replicas) > limits.replicas:
        bad(f"the replicas are not a list of at most {limits.replicas}")
    last = b""
    for replica in replicas:
        if type(replica) is not bytes or not last < replica or len(replica) > MAX_ID:
            bad("the replica ids are not distinct, sorted and of 1 to 64 bytes")
        last = replica
    for counts, low in ((upto, 1), (since, 0)) if since is not None else ((upto, 1),):
        if type(counts) is not list or len(counts) != len(replicas):
            bad("a version does not match the list of replicas")
        for n in counts:
            if type(n) is not int or not low <= n <= MAX_EVENTS:
                bad("a version's count is out of range")
    if since is not None and any(a > b for a, b in zip(since, upto, strict=True)):
        bad("a delta that ends before it begins")
    return replicas, upto, since
