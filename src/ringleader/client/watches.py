"""Watches as the client sees them: what was asked, how far events have come, and where each goes on after a failover."""

from __future__ import annotations

from collections.abc import Callable

from ringleader.client.failures import show_key
from ringleader.client.links import Link
from ringleader.store.commands import Event
from ringleader.wire.frames import ClientFrame, WatchCancel, WatchCreate, WatchEvents

__all__ = ["Watch", "Watches"]

_LATE = 1.0  # a look at silent watches that comes so much later than it should, seconds, gives them as much again
_GRAIN = 0.1  # between two such looks, seconds: each goes over all watches


class Watch:
    """A watch that outlives connections. No revision is handed on twice and none is left out.

    `seen`: the revision up to which everything has been handed on, -1 before the node confirmed a watch "from now on".
    """

    __slots__ = ("_floor", "_parts", "failures", "heard_at", "link", "number", "retry_at", "seen", "spec", "up", "wire")

    def __init__(self, number: int, spec: WatchCreate, floor: int) -> None:
        self.number = number
        self.spec = spec
        self.seen = spec.start_revision - 1 if spec.start_revision > 0 else -1
        self._floor = floor  # the newest revision this client knew when it asked: "now" is never before that
        self._parts: list[Event] = []  # of a revision that comes in several frames
        self.link: Link | None = None
        self.wire = 0
        self.retry_at = 0.0
        self.failures = 0
        self.up = False  # some node has confirmed it
        self.heard_at = 0.0  # the last frame of it, or when it was last asked for

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
        self._parts = []  # what was begun begins anew
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
        if frame.more:
            self._parts += frame.events
            return None
        events: list[Event] = frame.events
        if self._parts:
            events, self._parts = self._parts + events, []
        if self.seen < 0:
            self.seen = self._floor
        if events[0].kv.mod_revision <= self.seen:
            events = [event for event in events if event.kv.mod_revision > self.seen]
            if not events:
                return None
        self.seen = events[-1].kv.mod_revision
        return WatchEvents(self.number, self.seen, events)


class Watches:
    """All watches of a client, each on one connection at most, or waiting to be tried again.

    `silence`: seconds after which a watch that hears nothing is taken for lost.
    """

    def __init__(
        self, send: Callable[[Link, ClientFrame], None], next_number: Callable[[], int], silence: float
    ) -> None:
        self._send = send
        self._next_number = next_number
        self._silence = silence
        self._look_at = float("inf")  # no watch can be found silent before
        self._by_number: dict[int, Watch] = {}
        self._retrying: dict[int, Watch] = {}

    def add(self, number: int, spec: WatchCreate, floor: int) -> Watch:
        """A new watch, on no connection yet."""
        watch = self._by_number[number] = Watch(number, spec, floor)
        return watch

    def remove(self, number: int) -> bool:
        """Forget a watch, and tell the node that has it; whether there was one."""
        watch = self._by_number.pop(number, None)
        if watch is None:
            return False
        self._retrying.pop(number, None)
        self._unplace(watch)
        return True

    def clear(self) -> list[Watch]:
        """Forget all, without a word to any node; returns them."""
        gone = list(self._by_number.values())
        self._by_number.clear()
        self._retrying.clear()
        return gone

    def of(self, link: Link, wire: int) -> Watch | None:
        """The watch that has the number `wire` on `link`."""
        return self._by_number.get(link.watches.get(wire, 0))

    def place(self, watch: Watch, link: Link, now: float) -> None:
        """Set `watch` up on `link`, from where it stands."""
        watch.heard_at = now
        self._look_at = min(self._look_at, now + self._silence)
        self._retrying.pop(watch.number, None)
        watch.link = link
        watch.wire = self._next_number()
        link.watches[watch.wire] = watch.number
        self._send(link, watch.request(watch.wire))

    def move(self, link: Link, now: float) -> None:
        """Have all watches on `link` from now on."""
        for watch in self._by_number.values():
            self._unplace(watch)
            self.place(watch, link, now)

    def renew_silent(self, now: float) -> Link | None:
        """Set those up anew that have heard nothing for too long; returns the connection that kept silent about one.

        A look that comes late says nothing: this process stood still, and what was sent to it is still to be read.
        """
        if now < self._look_at:
            return None
        late = now > self._look_at + _LATE
        silent = None
        for watch in self._by_number.values():
            link = watch.link
            if link is None:
                continue
            if late:
                watch.heard_at = max(watch.heard_at, now + _LATE - self._silence)
            elif now >= watch.heard_at + self._silence:
                self._unplace(watch)
                self.place(watch, link, now)
                silent = link
        first = min([watch.heard_at for watch in self._by_number.values() if watch.link], default=float("inf"))
        self._look_at = max(first + self._silence, now + _GRAIN)
        return silent

    def lost(self, link: Link) -> None:
        """`link` is gone; its watches wait for another."""
        for number in link.watches.values():
            watch = self._by_number.get(number)
            if watch is not None and watch.link is link:
                watch.link = None

    def ended(self, link: Link, wire: int) -> Watch | None:
        """The node has ended the watch `wire` of `link`; returns it if it is one that we still want."""
        watch = self._by_number.get(link.watches.pop(wire, 0))
        if watch is not None:
            watch.link = None
        return watch

    def retry_later(self, watch: Watch, when: float) -> None:
        """Set `watch` up again at `when`, on whatever connection there is then."""
        watch.retry_at = when
        self._retrying[watch.number] = watch

    def retry(self, now: float, link: Link) -> None:
        """Set those up again whose time has come."""
        for watch in list(self._retrying.values()):
            if watch.retry_at <= now:
                self.place(watch, link, now)

    def next_look(self) -> float:
        """When `retry` or `renew_silent` is due."""
        return min([self._look_at, *(watch.retry_at for watch in self._retrying.values())])

    def _unplace(self, watch: Watch) -> None:
        link, watch.link = watch.link, None
        if link is not None and link.watches.pop(watch.wire, None) is not None:
            self._send(link, WatchCancel(watch.wire))
