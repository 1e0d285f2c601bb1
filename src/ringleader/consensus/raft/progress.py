"""How far the log of another member agrees with the leader's, and therefore how it is sent entries."""

from __future__ import annotations

from enum import IntEnum

from ringleader.consensus.peer import Peer

__all__ = ["PROBE", "REPLICATE", "SNAPSHOT", "Pace", "Progress"]


class Pace(IntEnum):
    """How entries are sent: one at a time until the logs are known to agree; then a pipeline; or a snapshot."""

    PROBE = 0
    REPLICATE = 1
    SNAPSHOT = 2


PROBE, REPLICATE, SNAPSHOT = Pace
"""As `consensus.shape` does with its own."""


class Progress(Peer):
    """`match`: highest index known to agree. `probing`: an unanswered probe is on the way. `snapshot_index`: that of the
    snapshot that it needs, or was offered last.
    """

    __slots__ = ("pace", "probing", "snapshot_index")

    def __init__(self, next_index: int, now: float) -> None:
        super().__init__(next_index, now)
        self.pace = PROBE
        self.probing = False
        self.snapshot_index = 0

    def probe(self, next_index: int) -> None:
        """Fall back to one append at a time from `next_index`; whatever was on the way is taken for lost."""
        self.pace = PROBE
        self.next = max(next_index, self.match + 1)
        self.nothing_on_the_way()
        self.probing = False

    def agreed(self, index: int) -> bool:
        """The member's log agrees up to `index`; returns whether that is news."""
        self.arrived(index)
        news = index > self.match
        if news:
            self.match = index
        self.next = max(self.next, index + 1)
        if self.pace is PROBE or (self.pace is SNAPSHOT and index >= self.snapshot_index):
            self.pace = REPLICATE
            self.nothing_on_the_way()
            self.probing = False
            self.next = self.match + 1
        return news
