"""What a leader knows of one other member: how far it has accepted, and what is on the way to it."""

from __future__ import annotations

from collections import deque

__all__ = ["Progress"]


class Progress:
    """One member as the leader sees it.

    `match`: every slot up to here is accepted by it in this ballot, durably, or known to it as chosen; learnt during read
    round `match_round`. `islands`: runs (first, last) beyond that. `next`: the slot to send next. `flight`: (last slot,
    bytes) of the accepts on the way, oldest first. `pings`: (round, `next` then) of the heartbeats on the way: the answer to
    one shows whether what left before it has arrived. `known`: it has told where it stands; until then it gets heartbeats only.
    `heard`: time of its last answer, or when it was first sent to; `answered`: whether there was one. `round`: the latest
    read round it has answered. `commit_told`: the commit index last sent to it.
    `snapshot`: it needs one, up to this slot at least; 0: it does not.
    """

    __slots__ = (
        "answered",
        "commit_told",
        "flight",
        "flight_bytes",
        "heard",
        "islands",
        "known",
        "match",
        "match_round",
        "next",
        "ping",
        "pings",
        "round",
        "snapshot",
        "snapshot_asked",
    )

    def __init__(self, now: float) -> None:
        self.match = self.match_round = 0
        self.islands: list[tuple[int, int]] = []
        self.next = 1
        self.known = False
        self.flight: deque[tuple[int, int]] = deque()
        self.flight_bytes = 0
        self.pings: deque[tuple[int, int]] = deque()
        self.heard = now
        self.answered = False
        self.round = 0
        self.commit_told = 0
        self.ping = True  # a heartbeat is due whatever else there is to send
        self.snapshot = 0
        self.snapshot_asked = 0.0

    def sent(self, last: int, size: int) -> None:
        """An accept that ends at `last`, of about `size` bytes, has left."""
        self.next = last + 1
        self.flight.append((last, size))
        self.flight_bytes += size

    def go_back(self) -> None:
        """Begin anew after `match`: whatever was on the way is taken for lost."""
        self.next = self.match + 1
        self.flight.clear()
        self.flight_bytes = 0
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
        while self.flight and self.flight[0][0] <= upto:
            self.flight_bytes -= self.flight.popleft()[1]
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
