"""Dots and dotted causal contexts: sets of events that may have gaps, kept as small as they can be.

Almeida et al., "Scalable and Accurate Causality Tracking for Eventually Consistent Stores" (2014). A *dot* names one
event: (replica, n). A context is a version vector plus a cloud of dots beyond it; whatever in the cloud has become
contiguous moves into the vector at once, so the form is canonical: equal sets of events are equal objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ringleader.clock.version import ReplicaId, VersionVector, short
from ringleader.errors import Reason, UsageError

__all__ = ["Dot", "DotContext"]


class Dot(NamedTuple):
    """One event: the `n`-th of `replica`, counted from 1."""

    replica: ReplicaId
    n: int

    def __repr__(self) -> str:
        return f"{short(self.replica)}:{self.n}"


class DotContext:
    """A set of events with gaps. `limit` bounds how many dots may lie beyond a gap (`UsageError`, TOO_LARGE)."""

    __slots__ = ("_cloud", "_version", "limit")

    def __init__(self, version: VersionVector | None = None, dots: Iterable[Dot] = (), *, limit: int = 100_000) -> None:
        self._version = VersionVector() if version is None else version.copy()
        self._cloud: dict[ReplicaId, set[int]] = {}
        self.limit = limit
        for dot in dots:
            self.add(dot)

    @property
    def version(self) -> VersionVector:
        """The gapless part; a copy."""
        return self._version.copy()

    @property
    def cloud(self) -> list[Dot]:
        """The dots beyond a gap, sorted."""
        return [Dot(replica, n) for replica in sorted(self._cloud) for n in sorted(self._cloud[replica])]

    def __contains__(self, dot: tuple[ReplicaId, int]) -> bool:
        replica, n = dot
        return n <= self._version.get(replica, 0) or n in self._cloud.get(replica, ())

    def add(self, dot: tuple[ReplicaId, int]) -> None:
        """Include one event. Raises `UsageError` for n < 1 or when too many dots lie beyond gaps."""
        replica, n = dot
        if n < 1:
            raise UsageError(f"events are counted from 1, not {n}", reason=Reason.INVALID_ARGUMENT)
        base = self._version.get(replica, 0)
        if n <= base:
            return
        if n > base + 1:
            cloud = self._cloud.setdefault(replica, set())
            if n not in cloud and sum(map(len, self._cloud.values())) >= self.limit:
                if not cloud:
                    del self._cloud[replica]
                raise UsageError(f"more than {self.limit} events lie beyond gaps", reason=Reason.TOO_LARGE)
            cloud.add(n)
            return
        self._version[replica] = n
        self._absorb(replica)

    def _absorb(self, replica: ReplicaId) -> None:
        """Move what has become contiguous from the cloud into the vector."""
        cloud = self._cloud.get(replica)
        if cloud is None:
            return
        n = self._version.get(replica, 0)
        while n + 1 in cloud:
            n += 1
            cloud.remove(n)
        if n:
            self._version[replica] = n
        stale = [old for old in cloud if old <= n]
        cloud.difference_update(stale)
        if not cloud:
            del self._cloud[replica]

    def join(self, other: DotContext) -> DotContext:
        """The union of two sets of events."""
        joined = DotContext(self._version.join(other._version), limit=max(self.limit, other.limit))
        for source in (self, other):
            for replica, dots in source._cloud.items():
                joined._cloud.setdefault(replica, set()).update(dots)
        for replica in list(joined._cloud):
            joined._absorb(replica)
        return joined

    def covers(self, other: DotContext) -> bool:
        """Whether every event of `other` is included here."""
        mine = self._cloud
        for replica, n in other._version.items():
            base = self._version.get(replica, 0)
            if n > base and not mine.get(replica, set()).issuperset(range(base + 1, n + 1)):
                return False
        return all(Dot(replica, n) in self for replica, dots in other._cloud.items() for n in dots)

    def gaps(self) -> dict[ReplicaId, list[tuple[int, int]]]:
        """What is missing before the dots beyond gaps: replica -> [(first, last)], both inclusive, sorted."""
        found: dict[ReplicaId, list[tuple[int, int]]] = {}
        for replica in sorted(self._cloud):
            expected = self._version.get(replica, 0) + 1
            for n in sorted(self._cloud[replica]):
                if n > expected:
                    found.setdefault(replica, []).append((expected, n - 1))
                expected = n + 1
        return found

    def __iter__(self) -> Iterator[Dot]:
        for replica in sorted({*self._version, *self._cloud}):
            yield from (Dot(replica, n) for n in range(1, self._version.get(replica, 0) + 1))
            yield from (Dot(replica, n) for n in sorted(self._cloud.get(replica, ())))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DotContext):
            return NotImplemented
        return self._version == other._version and self._cloud == other._cloud

    __hash__ = None  # type: ignore[assignment]  # it can change: no dictionary key

    def __repr__(self) -> str:
        return f"DotContext({self._version!r}, {self.cloud!r})"
