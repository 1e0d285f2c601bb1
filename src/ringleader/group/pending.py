"""Writes taken in by this node and not answered yet, and when each of them can be answered without its result.

A write is proposed in one fixed term. Once an entry of a later term has been applied here, no entry of that term can follow:
a write of an older term that is still waiting was certainly not applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["PendingWrite", "PendingWrites"]


class PendingWrite:
    """`conn`, `frame`: whom to answer. `term`: in which it was proposed or forwarded. `deadline`: local seconds."""

    __slots__ = ("conn", "deadline", "frame", "size", "term")

    def __init__(self, conn: int, frame: int, term: int, deadline: float, size: int) -> None:
        self.conn = conn
        self.frame = frame
        self.term = term
        self.deadline = deadline
        self.size = size


class PendingWrites:
    """By origin, the number that travels with the envelope. `bytes`: the size of all that wait."""

    def __init__(self, first_origin: int) -> None:
        self._next = first_origin
        self._waiting: dict[int, PendingWrite] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, write: PendingWrite) -> int:
        """Remember a write; returns its origin."""
        self._next += 1
        self._waiting[self._next] = write
        self.bytes += write.size
        return self._next

    def get(self, origin: int) -> PendingWrite | None:
        """The write, still waiting, or None."""
        return self._waiting.get(origin)

    def take(self, origin: int) -> PendingWrite | None:
        """Forget and return the write, or None when it is not (or no longer) ours."""
        write = self._waiting.pop(origin, None)
        if write is not None:
            self.bytes -= write.size
        return write

    def take_all(self, origins: Iterable[int]) -> Iterator[PendingWrite]:
        """Forget and return those of `origins` that are ours."""
        for origin in list(origins):
            write = self.take(origin)
            if write is not None:
                yield write

    def older_than(self, term: int) -> list[int]:
        """Origins of writes proposed in a term before `term`."""
        return [origin for origin, write in self._waiting.items() if write.term < term]

    def overdue(self, now: float) -> list[int]:
        """Origins of writes whose deadline has passed."""
        return [origin for origin, write in self._waiting.items() if write.deadline <= now]
