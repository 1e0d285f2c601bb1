"""Progress of idle watches: now and then each is told up to which revision it has missed nothing.

Without it a watch of a quiet key stands, for its client, at the revision of its last event; after a failover it would ask
for history from there, which may be compacted by then, and end although nothing had happened to its key. It hears so even
when nothing at all has changed, so that a client can tell a quiet watch from a lost one. The frames are few: a watch hears
every `period` seconds, and one turn sends a bounded number of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from ringleader.store.watch import Watcher, WatchHub

__all__ = ["Progress"]

PER_TURN = 500
"""Most watches looked at in one turn."""


class _Place:
    __slots__ = ("due", "watcher")

    def __init__(self, watcher: Watcher, due: float) -> None:
        self.watcher = watcher
        self.due = due


class Progress:
    """All watches in the order in which they are due; `period` in seconds."""

    __slots__ = ("_period", "_queue")

    def __init__(self, period: float) -> None:
        self._period = period
        self._queue: deque[_Place] = deque()

    def add(self, watcher: Watcher, now: float) -> None:
        """A watch was set up; one that ends is forgotten by itself."""
        self._queue.append(_Place(watcher, now + self._period))

    def due(self, hub: WatchHub, now: float) -> Iterator[tuple[Watcher, int]]:
        """The watches to be told now, each with the revision up to which it has missed nothing."""
        queue = self._queue
        for _ in range(min(PER_TURN, len(queue))):
            if queue[0].due > now:
                return
            place = queue.popleft()
            if place.watcher.closed:
                continue
            revision = hub.caught_up(place.watcher)
            if revision >= 0:
                yield place.watcher, revision
            place.due = now + self._period
            queue.append(place)
