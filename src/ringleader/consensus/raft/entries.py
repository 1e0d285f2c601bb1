"""The in-memory part of a Raft log: entries after the last snapshot, found by index."""

from __future__ import annotations

from collections.abc import Sequence

from ringleader.consensus.shape import Entry

__all__ = ["EntryLog"]


class EntryLog:
    """Entries `first` to `last`; of the one before `first` (the snapshot's) only the term is known.

    `entries`: list of `Entry`; `entries[i]` has index `offset + 1 + i`.
    """

    __slots__ = ("entries", "offset", "offset_term")

    def __init__(self, offset: int = 0, offset_term: int = 0) -> None:
        self.entries: list[Entry] = []
        self.offset = offset
        self.offset_term = offset_term

    @property
    def first(self) -> int:
        """The lowest index held; `last + 1` when empty."""
        return self.offset + 1

    @property
    def last(self) -> int:
        """The highest index held, or the snapshot's."""
        return self.offset + len(self.entries)

    @property
    def last_term(self) -> int:
        """The term of the entry at `last`."""
        return self.entries[-1].term if self.entries else self.offset_term

    def term(self, index: int) -> int:
        """The term of the entry at `index`, or -1 when it is not known here (compacted away or beyond the end)."""
        position = index - self.offset - 1
        if position >= 0:
            return self.entries[position].term if position < len(self.entries) else -1
        return self.offset_term if position == -1 else -1

    def at(self, index: int) -> Entry:
        """The entry at `index`, which must be held."""
        assert index > self.offset, index
        return self.entries[index - self.offset - 1]

    def slice(self, first: int, last: int) -> list[Entry]:
        """Entries `first` to `last`, both included."""
        assert first > self.offset, (first, self.offset)
        return self.entries[first - self.offset - 1 : last - self.offset]

    def append(self, entries: Sequence[Entry]) -> None:
        """Add at the end."""
        self.entries.extend(entries)

    def truncate(self, first: int) -> None:
        """Remove the entry at `first` and all that follow."""
        assert first > self.offset, (first, self.offset)
        del self.entries[first - self.offset - 1 :]

    def tail_start(self, index: int, entries: int, size: int) -> int:
        """The index after which the last `entries` up to `index` begin, or fewer, so that they have `size` bytes at most."""
        start = index
        while start > self.offset and index - start < entries:
            size -= len(self.entries[start - self.offset - 1].data)
            if size < 0:
                break
            start -= 1
        return start

    def compact(self, index: int) -> None:
        """Remove entries up to `index`, which must be held or be the snapshot's."""
        term = self.term(index)
        assert term >= 0, index
        del self.entries[: index - self.offset]
        self.offset, self.offset_term = index, term

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
