"""The part of a replicated log that is held in memory: the entries after the last snapshot, found by index.

Protocols differ in how entries get there and whether they ever go again (`raft.entries`, `paxos.slots`), not in how they are
found, sent and forgotten.
"""

from __future__ import annotations

from ringleader.consensus.shape import Entry

__all__ = ["ENTRY_OVERHEAD", "LogTail"]

ENTRY_OVERHEAD = 16
"""Bytes counted for an entry in a message beside its data."""
CHUNK_ENTRIES = 1024
"""Most entries in one message."""


class LogTail:
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

    def term(self, index: int) -> int:
        """The term of the entry at `index`, or -1 when it is not known here (compacted away, a hole, or beyond the end)."""
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

    def chunk(self, first: int, last: int, room: int) -> tuple[list[Entry], int]:
        """For one message: as many entries from `first` to `last` as have `room` bytes, at least one; and their size."""
        entries = self.slice(first, min(last, first + CHUNK_ENTRIES - 1))
        size = 0
        for position, entry in enumerate(entries):
            more = len(entry.data) + ENTRY_OVERHEAD
            if position and size + more > room:
                return entries[:position], size
            size += more
        return entries, size

    def tail_start(self, index: int, entries: int, size: int) -> int:
        """The index after which the last `entries` up to `index` begin, or fewer, so that they have `size` bytes at most."""
        start = index
        while start > self.offset and index - start < entries:
            size -= len(self.entries[start - self.offset - 1].data)
            if size < 0:
                break
            start -= 1
        return start

    def forget(self, index: int, term: int) -> None:
        """Begin after `index`, whose entry has `term`; what is above stays."""
        del self.entries[: index - self.offset]
        self.offset, self.offset_term = index, term
