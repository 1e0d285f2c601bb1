"""What a watch must deliver: every change from its start on, once, in order, and no progress ahead of the changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.errors import RingleaderError
from ringleader.sim.oracle import Violation
from ringleader.sim.trace import name_of
from ringleader.wire.frames import WatchEvents

if TYPE_CHECKING:
    from ringleader.sim.truth import Truth

__all__ = ["Watching"]


class Watching:
    """One watch of a client: on `key` (b"": all keys), from revision `start` on (0: from when it is set up).

    `seen`: everything up to this revision has been delivered; -1 until the watch is set up.
    """

    __slots__ = ("client", "key", "seen", "truth")

    def __init__(self, truth: Truth, client: int, key: bytes, start: int) -> None:
        self.truth = truth
        self.client = client
        self.key = key
        self.seen = max(start - 1, 1) if start else -1

    def take(self, news: WatchEvents | RingleaderError) -> None:
        """Events, progress, or the end of the watch. Raises `Violation` when they are not what happened."""
        if isinstance(news, RingleaderError):
            raise Violation("watch", f"the watch of {name_of(self.client)} ended: {news}")
        if self.seen < 0:
            self.seen = news.events[0].kv.mod_revision - 1 if news.events else news.revision
        got = [
            (event.kv.mod_revision, event.kv.key, None if event.deleted else event.kv.value) for event in news.events
        ]
        due = [
            (revision, *self.truth.changes[revision])
            for revision in range(self.seen + 1, min(news.revision, len(self.truth.changes) - 1) + 1)
            if not self.key or self.truth.changes[revision][0] == self.key
        ]
        if got != due:
            raise Violation(
                "watch", f"after revision {self.seen} {name_of(self.client)} was given {got[:3]} instead of {due[:3]}"
            )
        self.seen = max(self.seen, news.revision)

    def compacted(self, revision: int) -> int:
        """The watch ended because history before `revision` is gone; returns where to start again."""
        if revision <= self.seen + 1 or revision > self.truth.store.compact_revision:
            text = f"a watch that had come to {self.seen} ended: {revision} is said to be the oldest revision there is"
            raise Violation("watch", f"{name_of(self.client)}: {text}")
        self.seen = revision - 1
        return revision

    def caught_up(self, newest: int) -> bool:
        """Whether everything up to revision `newest` has been delivered."""
        missing = self.truth.changes[self.seen + 1 : newest + 1] if self.seen >= 0 else [(b"", None)]
        return not any(not self.key or key == self.key for key, _ in missing)
