"""How far another member has accepted what the leader proposes, holes included, and what of it got lost on the way."""

from __future__ import annotations

from collections import deque

from ringleader.consensus.peer import Peer

__all__ = ["Progress"]


class Progress(Peer):
    """`match`: every slot up to here is accepted by it in this ballot, or known to it as chosen. `islands`: runs (first, last)
    beyond that. `known`: it has told where it stands; until then it gets heartbeats only. `snapshot`: it needs one, up to this
    slot at least; 0: it does not.

    `pings`: (round, `next` then) of the heartbeats on the way: the answer to one shows whether what left before it has arrived.
    """

    __slots__ = ("islands", "known", "pings", "snapshot")

    def __init__(self, now: float) -> None:
        super().__init__(1, now)
        self.islands: list[tuple[int, int]] = []
        self.known = False
        self.pings: deque[tuple[int, int]] = deque()
        self.snapshot = 0

    def go_back(self) -> None:
        """Begin anew after `match`: whatever was on the way is taken for lost."""
        self.next = self.match + 1
        self.nothing_on_the_way()
        self.pings.clear()

    def pinged(self, round: int) -> None:
        """A heartbeat of `round` has left.

        Of those before which nothing else had left since, the first says it all: so there are no more of them than the
        window has room for, however long nobody answers.
        """
        if not self.pings or (self.pings[-1][0] < round and self.pings[-1][1] != self.next):
            self.pings.append((round, self.next))

    def reached(self, upto: int) -> None:
        """The member has accepted every slot up to `upto`."""
        self.arrived(upto)
        if upto > self.match:
            self.match = upto
        if upto >= self.next:
            self.next = upto + 1

    def lost(self, round: int) -> bool:
        """Whether something that left before the heartbeat of `round`, which is answered now, has not arrived."""
        if not self.pings:
            return False
        expected = 0
        while self.pings and self.pings[0][0] <= round:
            expected = self.pings.popleft()[1]
        return expected > self.match + 1

    def skip(self, slot: int) -> int:
        """The first slot from `slot` on that it has not told to have accepted."""
        for first, last in self.islands:
            if first <= slot <= last:
                return last + 1
        return slot

    def limit(self, slot: int, last: int) -> int:
        """The last slot up to `last` to be sent together with `slot`: an island ends it."""
        for first, _ in self.islands:
            if slot < first <= last:
                return first - 1
        return last
