"""The slots of a Paxos log that are held in memory: for each the entry that was accepted last, and in which ballot.

Slots may be filled in any order, so there may be holes. Nothing is ever cut off at the end; a value gives way only to one
accepted in a higher ballot.
"""

from __future__ import annotations

from collections.abc import Sequence

from ringleader.consensus.paxos.messages import Run
from ringleader.consensus.shape import Entry, EntryKind

__all__ = ["HOLE", "SlotLog"]

HOLE = Entry(-1, int(EntryKind.NOOP), b"")
"""Stands where nothing has been accepted; its ballot is 0."""


class SlotLog:
    """Slots `first` to `last`; of the one before `first` (the snapshot's) only the birth of its entry is known.

    `entries[i]` and `ballots[i]` belong to slot `offset + 1 + i`; both lists are equally long.
    """

    __slots__ = ("ballots", "entries", "offset", "offset_birth")

    def __init__(self, offset: int = 0, offset_birth: int = 0) -> None:
        self.entries: list[Entry] = []
        self.ballots: list[int] = []
        self.offset = offset
        self.offset_birth = offset_birth

    @property
    def first(self) -> int:
        """The lowest slot held; `last + 1` when there is none."""
        return self.offset + 1

    @property
    def last(self) -> int:
        """The highest slot in which anything was accepted, or the snapshot's."""
        return self.offset + len(self.entries)

    def birth(self, slot: int) -> int:
        """The ballot in which the entry in `slot` was born, or -1 when there is none or it is not known here any more."""
        position = slot - self.offset - 1
        if position >= 0:
            return self.entries[position].term if position < len(self.entries) else -1
        return self.offset_birth if position == -1 else -1

    def ballot(self, slot: int) -> int:
        """The ballot in which the value in `slot` was accepted; 0 when there is none."""
        position = slot - self.offset - 1
        return self.ballots[position] if 0 <= position < len(self.ballots) else 0

    def at(self, slot: int) -> Entry:
        """The entry in `slot`, which must be held; `HOLE` where nothing was accepted."""
        assert slot > self.offset, slot
        return self.entries[slot - self.offset - 1]

    def slice(self, first: int, last: int) -> list[Entry]:
        """Slots `first` to `last`, both included."""
        assert first > self.offset, (first, self.offset)
        return self.entries[first - self.offset - 1 : last - self.offset]

    def put(self, ballot: int, first: int, entries: Sequence[Entry]) -> None:
        """Values accepted in `ballot` take the slots from `first` on."""
        place = first - self.offset - 1
        assert place >= 0, (first, self.offset)
        gap = place - len(self.entries)
        if gap > 0:
            self.entries.extend([HOLE] * gap)
            self.ballots.extend([0] * gap)
        end = place + len(entries)
        self.entries[place:end] = entries
        self.ballots[place:end] = [ballot] * len(entries)

    def missing(self, first: int, last: int) -> int:
        """The lowest slot from `first` to `last` in which nothing is held, or 0."""
        for slot in range(first, last + 1):
            if not self.ballot(slot):
                return slot
        return 0

    def runs(self, first: int, room: int) -> tuple[list[Run], int]:
        """What was accepted from slot `first` on, of about `room` bytes; and where the rest begins, 0: this is all."""
        found: list[Run] = []
        for slot in range(max(first, self.first), self.last + 1):
            ballot = self.ballot(slot)
            if not ballot:
                continue
            entry = self.at(slot)
            if room < 0:
                return found, slot
            room -= len(entry.data) + 16
            if found and found[-1].ballot == ballot and found[-1].first + len(found[-1].entries) == slot:
                found[-1].entries.append(entry)
            else:
                found.append(Run(ballot, slot, [entry]))
        return found, 0

    def tail_start(self, slot: int, entries: int, size: int) -> int:
        """The slot after which the last `entries` up to `slot` begin, or fewer, so that they have `size` bytes at most."""
        start = slot
        while start > self.offset and slot - start < entries:
            size -= len(self.entries[start - self.offset - 1].data)
            if size < 0:
                break
            start -= 1
        return start

    def forget(self, slot: int, birth: int) -> None:
        """Begin after `slot`, whose entry was born in `birth`; what is above stays."""
        del self.entries[: slot - self.offset]
        del self.ballots[: slot - self.offset]
        self.offset, self.offset_birth = slot, birth
