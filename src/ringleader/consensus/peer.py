"""What a leader knows of one other member, whatever the protocol: how far it holds the log, what is on the way to it, and when
it answered last.

How the leader finds out where a member stands, and what it does about losses, is each protocol's own (`raft.progress`,
`paxos.progress`).
"""

from __future__ import annotations

from collections import deque

from ringleader.consensus.shape import ConsensusOptions

__all__ = ["SNAPSHOT_PATIENCE", "Peer"]

SNAPSHOT_PATIENCE = 1
"""Election times after which an offer of a snapshot that was not answered is repeated: the other end may be a new one."""


class Peer:
    """One member as the leader sees it.

    `match`: it holds everything up to here, durably; learnt during read round `match_round`. `next`: the index to send next.
    `flight`: (last index, bytes) of what is on the way, oldest first. `heard`: time of its last answer, or when it was first
    sent to; `answered`: whether there was one. `round`: the latest read round it has answered. `ping`: a heartbeat is due,
    whatever else there is to send. `commit_told`: the commit index last sent to it. `snapshot_asked`: when the world was last
    asked for a snapshot for it.
    """

    __slots__ = (
        "answered",
        "commit_told",
        "flight",
        "flight_bytes",
        "heard",
        "match",
        "match_round",
        "next",
        "ping",
        "round",
        "snapshot_asked",
    )

    def __init__(self, next_index: int, now: float) -> None:
        self.match = self.match_round = 0
        self.next = next_index
        self.flight: deque[tuple[int, int]] = deque()
        self.flight_bytes = 0
        self.heard = now
        self.answered = False
        self.round = 0
        self.ping = True
        self.commit_told = 0
        self.snapshot_asked = 0.0

    def window_full(self, options: ConsensusOptions) -> bool:
        """Whether as much is on the way as may be."""
        return self.flight_bytes >= options.window_bytes or len(self.flight) >= options.window_messages

    def sent(self, last: int, size: int) -> None:
        """Entries up to `last`, of about `size` bytes, have left."""
        self.next = last + 1
        self.flight.append((last, size))
        self.flight_bytes += size

    def arrived(self, index: int) -> None:
        """What was on the way up to `index` has arrived."""
        while self.flight and self.flight[0][0] <= index:
            self.flight_bytes -= self.flight.popleft()[1]

    def nothing_on_the_way(self) -> None:
        """Whatever was on the way is taken for lost."""
        self.flight.clear()
        self.flight_bytes = 0

    def has_answered(self, now: float, round: int, newest: int) -> bool:
        """It has answered, and named a read round; returns whether that is news. No round is above the `newest`."""
        self.heard, self.answered = now, True
        news = self.round < round <= newest
        if news:
            self.round = round
        return news
