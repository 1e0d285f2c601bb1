"""Events of one revision that are too many, or too large, for one frame: they travel in parts, a few MiB at a time.

A transaction writes what fits into a call, but what it replaces, and what the end of a lease or of a whole prefix deletes, has
no such bound; with what was there before it can be more than a connection may have waiting at once.
"""

from __future__ import annotations

from collections.abc import Iterator

from ringleader.store.commands import Event
from ringleader.store.watch import Watcher

__all__ = ["Parts"]

_OVERHEAD = 96
"""Bytes that an event takes at most besides keys and values."""


class Parts:
    """`most`: bytes of a part, but for its last event. `rest`: what is still to be sent of revisions that were begun, by watch:
    which one, the parts after the next, and the next.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.rest: dict[Watcher, tuple[int, Iterator[list[Event]], list[Event]]] = {}

    def begin(self, watcher: Watcher, revision: int, events: list[Event]) -> bool:
        """Take over what was polled for a watch, if it is too large for one frame; whether it was."""
        if len(events) < 2 or events[0].kv.mod_revision != events[-1].kv.mod_revision:
            return False  # of several revisions as many are polled as fit
        parts = self._cut(events)
        first = next(parts)
        if len(first) == len(events):
            return False
        self.rest[watcher] = (revision, parts, first)
        return True

    def take(self, watcher: Watcher) -> tuple[int, list[Event], bool]:
        """The next part of a revision that was begun: which one, its events, and whether there are more."""
        revision, parts, events = self.rest.pop(watcher)
        following = next(parts, None)
        if following is not None:
            self.rest[watcher] = (revision, parts, following)
        return revision, events, following is not None

    def forget(self, watcher: Watcher) -> None:
        """The watch has ended."""
        self.rest.pop(watcher, None)

    def _cut(self, events: list[Event]) -> Iterator[list[Event]]:
        start = size = 0
        for end, event in enumerate(events, 1):
            size += _OVERHEAD + len(event.kv.key) + len(event.kv.value)
            if event.prev_kv is not None:
                size += _OVERHEAD + len(event.prev_kv.key) + len(event.prev_kv.value)
            if size >= self._most and end < len(events):
                yield events[start:end]
                start, size = end, 0
        yield events[start:]
