"""One watch as the client sees it: what was asked, how far events have come, and where it goes on after a failover."""

from __future__ import annotations

from ringleader.client.failures import show_key
from ringleader.store.commands import Event
from ringleader.wire.frames import WatchCreate, WatchEvents

__all__ = ["Watch"]


class Watch:
    """A watch that outlives connections. No revision is handed on twice and none is left out.

    `seen`: the revision up to which everything has been handed on, -1 before the node confirmed a watch "from now on".
    """

    __slots__ = ("_floor", "failures", "link", "number", "retry_at", "seen", "spec", "up", "wire")

    def __init__(self, number: int, spec: WatchCreate, floor: int) -> None:
        self.number = number
        self.spec = spec
        self.seen = spec.start_revision - 1 if spec.start_revision > 0 else -1
        self._floor = floor  # the newest revision this client knew when it asked: "now" is never before that
        self.link = 0
        self.wire = 0
        self.retry_at: float | None = None
        self.failures = 0
        self.up = False  # some node has confirmed it

    def what(self) -> str:
        """The watch in a few words."""
        return f"watch of {show_key(self.spec.key)}" + (" (a range)" if self.spec.range_end else "")

    @property
    def known(self) -> bool:
        """Whether the revision to go on from is one that some node has told of, so that it cannot lie in the future."""
        start = self.spec.start_revision
        return start <= self._floor + 1 or self.seen >= start

    def request(self, wire: int) -> WatchCreate:
        """The frame that sets the watch up again from where it stands."""
        spec = self.spec
        start = self.seen + 1 if self.seen >= 0 else 0
        return WatchCreate(wire, spec.key, spec.range_end, start, spec.prev_kv, spec.no_put, spec.no_delete)

    def take(self, frame: WatchEvents) -> WatchEvents | None:
        """What of `frame` is new: events above `seen`, or news of progress; None when nothing is."""
        self.failures = 0
        self.up = True
        if not frame.events:
            if self.seen < 0:
                self.seen = max(frame.revision, self._floor)
            elif frame.revision > self.seen:
                self.seen = frame.revision
            elif frame.revision < self.seen:
                return None
            return WatchEvents(self.number, self.seen, [])
        events: list[Event] = frame.events
        if self.seen < 0:
            self.seen = self._floor
        if events[0].kv.mod_revision <= self.seen:
            events = [event for event in events if event.kv.mod_revision > self.seen]
            if not events:
                return None
        self.seen = events[-1].kv.mod_revision
        return WatchEvents(self.number, self.seen, events)
