"""The in-memory part of a Raft log: it grows at its end, and gives way there to what a newer leader has."""

from __future__ import annotations

from collections.abc import Sequence

from ringleader.consensus.shape import Entry
from ringleader.consensus.tail import LogTail

__all__ = ["EntryLog"]


class EntryLog(LogTail):
    """Entries without a hole, each appended in its own term."""

    __slots__ = ()

    @property
    def last_term(self) -> int:
        """The term of the entry at `last`."""
        return self.entries[-1].term if self.entries else self.offset_term

    def append(self, entries: Sequence[Entry]) -> None:
        """Add at the end."""
        self.entries.extend(entries)

    def truncate(self, first: int) -> None:
        """Remove the entry at `first` and all that follow."""
        assert first > self.offset, (first, self.offset)
        del self.entries[first - self.offset - 1 :]

    def reset(self, index: int, term: int) -> None:
        """Become the empty log after a snapshot at `index`."""
        self.entries.clear()
        self.offset, self.offset_term = index, term

    def agree_by_term(self, index: int, term: int) -> tuple[int, int]:
        """The largest (index, term) held with index <= `index` and term <= `term`: beyond it the logs cannot agree.

        The term is -1 where compaction has taken it away.
        """
        index = min(index, self.last)
        while index > self.offset and self.entries[index - self.offset - 1].term > term:
            index -= 1
        return index, self.term(index)
