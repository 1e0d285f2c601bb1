"""The acceptor: what one member has promised and accepted, and what it therefore knows to be chosen.

Its rules are those of "Paxos Made Simple" (section 2.2), for many slots at a time:

* P1a: it accepts in ballot b unless it has promised a higher one. Accepting in b promises b too: an acceptor that forgets
  that would answer a later, lower ballot as if nothing had happened.
* Nothing is taken back. In each slot stands the value of the highest ballot accepted there; a slot that is known to be
  chosen never changes.

The same object takes the events of a living member and, after a crash, its records: so what is rebuilt is what was there.

How it learns (section 2.3): the leader of ballot b says `told`, up to where all slots are chosen. A value accepted *in b
itself* is then the chosen one, for the leader proposes nothing else. `upto` is how far the slots are accepted in the ballot
that is promised now, without a hole; so `commit` is the smaller of both.
"""

from __future__ import annotations

from collections.abc import Sequence

from ringleader.consensus.paxos.slots import SlotLog
from ringleader.consensus.shape import Entry

__all__ = ["FAR", "Acceptor"]

ISLANDS = 64
"""Most runs beyond a hole; what would begin another one is treated as lost."""
FAR = 1 << 19
"""An accept so many slots beyond `upto` is treated as lost: more than any window holds, so it would be all holes."""


class Acceptor:
    """`promised`: the highest ballot promised. `told`: all slots up to here are chosen. `commit`: and known here.

    `upto`: each slot up to here is chosen and known, or accepted in the ballot `promised`. `islands`: runs [first, last]
    beyond it that are accepted in that ballot too, in order, not touching.
    """

    __slots__ = ("commit", "islands", "log", "promised", "told", "upto")

    def __init__(self, offset: int = 0, birth: int = 0) -> None:
        self.log = SlotLog(offset, birth)
        self.promised = 0
        self.told = self.commit = self.upto = offset
        self.islands: list[list[int]] = []

    def promise(self, ballot: int) -> None:
        """Take part in no ballot below `ballot` from now on."""
        assert ballot >= self.promised, (ballot, self.promised)
        if ballot > self.promised:
            self.promised = ballot
            self.upto = self.commit
            self.islands.clear()

    def accept(self, ballot: int, first: int, entries: Sequence[Entry]) -> tuple[int, int]:
        """Accept `entries` in the slots from `first` on, in the ballot promised; returns the first and last slot in which
        that is news, (0, -1) when nothing is.
        """
        assert ballot == self.promised, (ballot, self.promised)
        last = first + len(entries) - 1
        low = max(first, self.upto + 1)
        if low > last or not self._room(low, last):
            return 0, -1
        self.log.put(ballot, low, entries[low - first :] if low > first else entries)
        if low == self.upto + 1:
            self.upto = last
            if self.islands:
                self._absorb()
        else:
            self._island(low, last)
        return low, last

    def learn(self, first: int, entries: Sequence[Entry]) -> tuple[int, int]:
        """`entries` are what was chosen in the slots from `first` on; returns the first and last slot in which that is news.

        Those that do not follow on what is known to be chosen are ignored: returns (0, -1).
        """
        last = first + len(entries) - 1
        if first > self.commit + 1 or last <= self.commit:
            return 0, -1
        low = self.commit + 1
        self.log.put(max(self.promised, 1), low, entries[low - first :])  # 0 would say that nothing is held there
        self.reached(last)
        return low, last

    def tell(self, told: int) -> None:
        """A leader knows that all slots up to `told` are chosen."""
        if told > self.told:
            self.told = told
        commit = min(self.told, self.upto)
        if commit > self.commit:
            self.commit = commit

    def begin_after(self, slot: int, birth: int) -> None:
        """A snapshot stands for everything up to `slot`; what was accepted above it stays, for it may be chosen."""
        self.log.forget(slot, birth)
        self.reached(slot)

    def reached(self, slot: int) -> None:
        """Everything up to `slot` is chosen and known."""
        self.commit = max(self.commit, slot)
        self.upto = max(self.upto, slot)
        self._absorb()
        self.tell(slot)

    def _room(self, first: int, last: int) -> bool:
        near = last <= self.upto + FAR
        return near and (first == self.upto + 1 or len(self.islands) < ISLANDS)

    def _absorb(self) -> None:
        """Runs that `upto` has reached are no islands any more."""
        while self.islands and self.islands[0][0] <= self.upto + 1:
            self.upto = max(self.upto, self.islands.pop(0)[1])

    def _island(self, first: int, last: int) -> None:
        place = 0
        while place < len(self.islands) and self.islands[place][1] < first - 1:
            place += 1
        while place < len(self.islands) and self.islands[place][0] <= last + 1:
            other = self.islands.pop(place)
            first, last = min(first, other[0]), max(last, other[1])
        self.islands.insert(place, [first, last])
