"""The slots of a Paxos log that are held in memory: for each the entry that was accepted last, and in which ballot.

Slots may be filled in any order, so there may be holes. Nothing is ever cut off at the end; a value gives way only to one
accepted in a higher ballot.
"""

from __future__ import annotations

from collections.abc import Sequence

from ringleader.consensus.paxos.messages import Run
from ringleader.consensus.shape import NOOP, Entry
from ringleader.consensus.tail import ENTRY_OVERHEAD, LogTail

__all__ = ["HOLE", "SlotLog"]

HOLE = Entry(-1, int(NOOP), b"")
"""Stands where nothing has been accepted; its ballot is 0."""


class SlotLog(LogTail):
    """Slots `first` to `last`, what stands in each of them and since which ballot.

    `entries[i]` and `ballots[i]` belong to slot `offset + 1 + i`; both lists are equally long.
    """

    __slots__ = ("ballots",)

    def __init__(self, offset: int = 0, birth: int = 0) -> None:
        super().__init__(offset, birth)
        self.ballots: list[int] = []

    def birth(self, slot: int) -> int:
        """The ballot in which the entry in `slot` was born, or -1 when there is none or it is not known here any more."""
        return self.term(slot)

    def ballot(self, slot: int) -> int:
        """The ballot in which the value in `slot` was accepted; 0 when there is none."""
        position = slot - self.offset - 1
        return self.ballots[position] if 0 <= position < len(self.ballots) else 0

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
            room -= len(entry.data) + ENTRY_OVERHEAD
            if found and found[-1].ballot == ballot and found[-1].first + len(found[-1].entries) == slot:
                found[-1].entries.append(entry)
            else:
                found.append(Run(ballot, slot, [entry]))
        return found, 0

    def forget(self, slot: int, birth: int) -> None:
        """See `LogTail.forget`."""
        del self.ballots[: slot - self.offset]
        super().forget(slot, birth)
