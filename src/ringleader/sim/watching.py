"""What a watch must deliver, held against the model's own account of every change.

The guarantees are those that etcd's robustness tests check, by the same names: events fit the *filter*; they are *ordered*
and *unique*; a revision comes whole (*atomic*); what is said to be delivered was delivered, progress does not run ahead
(*bookmarkable*); a watch set up from some revision begins right there (*resumable*); nothing is left out (*reliable*); and an
event says rightly whether the key was created (*creation*) and what it held before (*previous value*). To be told that
history is gone, or that a revision lies in the future, is an answer too; to hear nothing for ever is not (*liveness*).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ringleader.errors import RingleaderError
from ringleader.sim.trace import name_of
from ringleader.sim.violation import Violation
from ringleader.store.commands import Event
from ringleader.wire.frames import WatchEvents

if TYPE_CHECKING:
    from ringleader.sim.truth import Truth

__all__ = ["Watching", "Wish"]


class Wish(msgspec.Struct, frozen=True):
    """What a watch is asked for: `key`, or [key, range_end), from revision `start` on (0: from when it is set up)."""

    key: bytes
    range_end: bytes = b""
    start: int = 0
    prev_kv: bool = False
    no_put: bool = False
    no_delete: bool = False

    def wants(self, event: Event) -> bool:
        """Whether the event is one of those asked for."""
        key = event.kv.key
        inside = self.key <= key < self.range_end if self.range_end else key == self.key
        return inside and not (self.no_delete if event.deleted else self.no_put)


class Watching:
    """One watch of a client. `seen`: all up to this revision has been delivered; -1 until the watch is set up."""

    __slots__ = ("client", "seen", "truth", "up", "wish")

    def __init__(self, truth: Truth, client: int, wish: Wish) -> None:
        self.truth = truth
        self.client = client
        self.wish = wish
        self.seen = wish.start - 1 if wish.start else -1
        self.up = False

    def take(self, news: WatchEvents | RingleaderError) -> None:
        """Events, progress, or the end of the watch. Raises `Violation` when they are not what happened."""
        if isinstance(news, RingleaderError):
            raise Violation("watch", f"the watch of {name_of(self.client)} ended: {news}")
        self.up = True
        changes = self.truth.chronicle.changes
        if self.seen < 0:
            self.seen = news.events[0].kv.mod_revision - 1 if news.events else news.revision
        last = min(news.revision, len(changes) - 1)
        due = [event for events in changes[self.seen + 1 : last + 1] for event in events if self.wish.wants(event)]
        gone = self.truth.store.compact_revision
        if len(due) != len(news.events) or not all(map(self._same, news.events, due, [gone] * len(due))):
            raise Violation("watch", f"{name_of(self.client)}: {self._diagnose(news, due)}")
        if news.revision > len(changes) - 1 and news.revision >= self.wish.start:
            raise Violation(
                "watch",
                f"{name_of(self.client)}: not bookmarkable: told that all is delivered up to revision {news.revision} "
                f"when there were {len(changes) - 1}",
            )
        self.seen = max(self.seen, news.revision)

    def _same(self, told: Event, true: Event, gone: int) -> bool:
        """Whether an event is the true one. What the key held before may be forgotten once it lies in compacted history."""
        if told.deleted is not true.deleted or told.kv != true.kv:
            return False
        before = true.prev_kv if self.wish.prev_kv else None
        return told.prev_kv == before or (told.prev_kv is None and before is not None and true.kv.mod_revision <= gone)

    def _diagnose(self, news: WatchEvents, due: list[Event]) -> str:
        """Which guarantee is broken, in words."""
        got = news.events
        revisions = [event.kv.mod_revision for event in got]
        places = [(event.kv.mod_revision, event.kv.key) for event in got]
        wanted = [(event.kv.mod_revision, event.kv.key) for event in due]
        what = "not reliable"
        if not all(map(self.wish.wants, got)):
            what = "not filtered"
        elif revisions != sorted(revisions) or any(revision <= self.seen for revision in revisions):
            what = "not ordered"
        elif len(set(places)) < len(places):
            what = "not unique"
        elif places == wanted:
            created = [(event.kv.version == 1) == (true.kv.version == 1) for event, true in zip(got, due, strict=True)]
            same = [event.kv == true.kv for event, true in zip(got, due, strict=True)]
            what = "wrong creation flag" if not all(created) else "wrong previous value" if all(same) else what
        elif not places:
            what = "not bookmarkable"
        elif {revision for revision, _ in wanted} == set(revisions):
            what = "not atomic"
        elif not self.up:
            what = "not resumable"
        shown = [f"{event.kv.mod_revision} {event.kv.key!r}" for event in got[:4]]
        true = [f"{event.kv.mod_revision} {event.kv.key!r}" for event in due[:4]]
        return (
            f"{what}: after revision {self.seen}, up to {news.revision}, it was given {len(got)} events {shown} instead of "
            f"{len(due)} {true}"
        )

    def compacted(self, revision: int) -> Wish:
        """The watch ended because history before `revision` is gone; returns what to watch instead."""
        if revision <= max(self.seen, 0) + 1 or revision > self.truth.store.compact_revision:
            text = f"a watch that had come to {self.seen} ended: {revision} is said to be the oldest revision there is"
            raise Violation("watch", f"{name_of(self.client)}: {text}")
        self.seen = revision - 1
        self.wish = msgspec.structs.replace(self.wish, start=revision)
        return self.wish

    def caught_up(self, newest: int) -> bool:
        """Whether the watch is set up, and everything up to revision `newest` has been delivered."""
        if not self.up or self.seen < 0:
            return False
        missing = self.truth.chronicle.changes[self.seen + 1 : newest + 1]
        return not any(self.wish.wants(event) for events in missing for event in events)
