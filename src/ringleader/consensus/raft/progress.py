"""What a leader knows of one other member: how far its log agrees, and what is on the way to it."""

from __future__ import annotations

from collections import deque
from enum import IntEnum

__all__ = ["Pace", "Progress"]


class Pace(IntEnum):
    """How entries are sent: one at a time until the logs are known to agree; then a pipeline; or a snapshot."""

    PROBE = 0
    REPLICATE = 1
    SNAPSHOT = 2


class Progress:
    """One member as the leader sees it.

    `match`: highest index known to agree durably, learnt during read round `match_round`.
    `next`: the index to send next. `flight`: (last index, bytes) of the
    appends on the way, oldest first. `heard`: time of its last answer, or when it was first sent to;
    `answered`: whether there was one. `round`: the latest read round it has answered.
    `commit_told`: the commit index last sent to it.
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
        "pace",
        "ping",
        "probing",
        "round",
        "snapshot_asked",
        "snapshot_index",
    )

    def __init__(self, next_index: int, now: float) -> None:
        self.match = self.match_round = 0
        self.next = next_index
        self.pace = Pace.PROBE
        self.flight: deque[tuple[int, int]] = deque()
        self.flight_bytes = 0
        self.heard = now
        self.answered = False
        self.round = 0
        self.commit_told = 0
        self.probing = False  # an unanswered probe is on the way
        self.ping = True  # a heartbeat is due whatever else there is to send
        self.snapshot_index = 0
        self.snapshot_asked = 0.0

    def probe(self, next_index: int) -> None:
        """Fall back to one append at a time from `next_index`; whatever was on the way is taken for lost."""
        self.pace = Pace.PROBE
        self.next = max(next_index, self.match + 1)
        self.flight.clear()
        self.flight_bytes = 0
        self.probing = False

    def sent(self, last: int, size: int) -> None:
        """An append that ends at `last`, of about `size` bytes, has left."""
        self.next = last + 1
        self.flight.append((last, size))
        self.flight_bytes += size

    def agreed(self, index: int) -> bool:
        """The member's log agrees up to `index`; returns whether that is news."""
        while self.flight and self.flight[0][0] <= index:
            self.flight_bytes -= self.flight.popleft()[1]
        news = index > self.match
        if news:
            self.match = index
        self.next = max(self.next, index + 1)
        if self.pace is Pace.PROBE or (self.pace is Pace.SNAPSHOT and index >= self.snapshot_index):
            self.pace = Pace.REPLICATE
            self.flight.clear()
            self.flight_bytes = 0
            self.probing = False
            self.next = self.match + 1
        return news
