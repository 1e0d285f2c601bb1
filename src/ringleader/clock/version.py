"""A version vector: for each replica, how many of its events are included. It names a causally closed set of events.

Parker et al., "Detection of Mutual Inconsistency in Distributed Systems" (1983). Event n of a replica is included if
and only if n <= vector[replica]: no gaps, which is what makes it small. Canonical: a replica with no events does not
appear, so equal sets of events are equal vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

__all__ = ["Order", "ReplicaId", "VersionVector"]

# A replica's identity: 1 to 64 opaque bytes, compared as bytes. 16 random bytes unless the user brings their own.
ReplicaId = bytes


class Order(Enum):
    """How two versions stand to each other."""

    EQUAL = "equal"
    BEFORE = "before"
    AFTER = "after"
    CONCURRENT = "concurrent"


class VersionVector(dict[ReplicaId, int]):
    """Replica -> number of its events included (>= 1). A dict: `get(replica, 0)` asks for one replica.

    The methods never change the vector, except `include` and `join_in`, which say so.
    """

    __slots__ = ()

    def __init__(self, entries: Mapping[ReplicaId, int] | Iterable[tuple[ReplicaId, int]] = ()) -> None:
        super().__init__(entries)
        if not all(self.values()):
            for replica in [replica for replica, n in self.items() if n == 0]:
                del self[replica]

    def copy(self) -> VersionVector:
        """An independent copy."""
        return VersionVector(self)

    def covers(self, other: Mapping[ReplicaId, int]) -> bool:
        """Whether every event of `other` is included here (other <= self)."""
        get = self.get
        return all(get(replica, 0) >= n for replica, n in other.items())

    def includes(self, replica: ReplicaId, n: int) -> bool:
        """Whether event `n` of `replica` is included."""
        return self.get(replica, 0) >= n

    def compare(self, other: VersionVector) -> Order:
        """Where this version stands relative to `other`."""
        forward, backward = self.covers(other), other.covers(self)
        if forward:
            return Order.EQUAL if backward else Order.AFTER
        return Order.BEFORE if backward else Order.CONCURRENT

    def join(self, other: Mapping[ReplicaId, int]) -> VersionVector:
        """The union of the two sets of events."""
        joined = self.copy()
        joined.join_in(other)
        return joined

    def meet(self, other: Mapping[ReplicaId, int]) -> VersionVector:
        """The intersection of the two sets of events."""
        return VersionVector((replica, min(n, other.get(replica, 0))) for replica, n in self.items())

    def join_in(self, other: Mapping[ReplicaId, int]) -> None:
        """Include all events of `other`: changes this vector."""
        for replica, n in other.items():
            if n > self.get(replica, 0):
                self[replica] = n

    def include(self, replica: ReplicaId, n: int) -> None:
        """Include the events of `replica` up to `n`: changes this vector."""
        if n > self.get(replica, 0):
            self[replica] = n

    def missing(self, other: Mapping[ReplicaId, int]) -> dict[ReplicaId, tuple[int, int]]:
        """What `other` has and this version lacks: replica -> (first, last) event, both inclusive, sorted."""
        get = self.get
        return {r: (get(r, 0) + 1, n) for r, n in sorted(other.items()) if n > get(r, 0)}

    def events(self) -> int:
        """How many events are included."""
        return sum(self.values())

    def __repr__(self) -> str:
        inner = ", ".join(f"{short(replica)}:{n}" for replica, n in sorted(self.items()))
        return "{" + inner + "}"

    def __hash__(self) -> int:  # type: ignore[override]  # a dict has none; this says why
        raise TypeError("a version vector can change, so it is no dictionary key; use tuple(sorted(v.items()))")


def short(replica: ReplicaId) -> str:
    """A replica id for people: as text when it is short and printable, else the first 4 bytes in hex."""
    if len(replica) <= 12 and replica.isascii():
        text = replica.decode("ascii")
        if text.isprintable():
            return text
    return replica[:4].hex()
