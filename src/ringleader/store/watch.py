"""Watches: every watcher gets the changes of its keys, each once, in order, a whole revision at a time.

Nothing is pushed and nothing is buffered: a watcher is a place in the change log, `next`, the revision from which on it
has seen nothing. It is *ready* when there may be something for it, else it *rests* in the group of all that watch the
same interval. `ready()` looks at the changes since it last looked and wakes the groups they touch: by key, by prefix
(one lookup for each length of prefix there is), or one by one for intervals that are neither. So changes cost nothing
while nobody watches, a change costs the same for one watcher as for a thousand already awake, and a slow consumer costs
nothing at all: when compaction passes its place, its next poll says so.
"""

from __future__ import annotations

from collections.abc import Collection

from ringleader.errors import Reason
from ringleader.store.commands import Event, Failure
from ringleader.store.index import interval, prefix_of
from ringleader.store.limits import Limits
from ringleader.store.mvcc import Change, Entry, Mvcc, changes_of
from ringleader.store.refusal import compacted, invalid

__all__ = ["WatchHub", "Watcher"]

_OVERHEAD = 32
_MAX_SCAN = 20_000
"""How many revisions one poll looks at, at most: bounds its time when nothing in them matches."""


class _Group:
    """All watchers of one interval; `resting` have seen everything so far."""

    __slots__ = ("high", "low", "members", "prefix", "resting")

    def __init__(self, low: bytes, high: bytes | None, prefix: bytes | None) -> None:
        self.low = low
        self.high = high
        self.prefix = prefix
        self.members = 0
        self.resting: dict[int, Watcher] = {}


class Watcher:
    """One watch. `number` is unique within the hub; `next`: all its events below this revision have been polled."""

    __slots__ = ("_group", "closed", "key", "next", "no_delete", "no_put", "number", "prev_kv", "range_end")

    def __init__(
        self, number: int, group: _Group, key: bytes, range_end: bytes, prev_kv: bool, no_put: bool, no_delete: bool
    ) -> None:
        self.number = number
        self._group = group
        self.key = key
        self.range_end = range_end
        self.prev_kv = prev_kv
        self.no_put = no_put
        self.no_delete = no_delete
        self.next = 0
        self.closed = False


class WatchHub:
    """All watchers of one store. Use from one thread; it never changes the store."""

    __slots__ = (
        "_by_key",
        "_by_length",
        "_future",
        "_limits",
        "_mvcc",
        "_number",
        "_others",
        "_ready",
        "_resting",
        "_seen",
    )

    def __init__(self, mvcc: Mvcc, limits: Limits) -> None:
        self._mvcc = mvcc
        self._limits = limits
        self._seen = mvcc.revision  # the groups have been told of all changes up to here
        self._number = 0
        self._resting = 0
        self._ready: dict[int, Watcher] = {}
        self._future: dict[int, Watcher] = {}  # they wait for a revision that has not happened
        self._by_key: dict[bytes, _Group] = {}
        self._by_length: dict[int, dict[bytes, _Group]] = {}  # length of prefix -> prefix -> group
        self._others: dict[tuple[bytes, bytes | None], _Group] = {}

    def __len__(self) -> int:
        return len(self._ready) + len(self._future) + self._resting

    # --------------------------------------------------------------------------------------- what consumers call

    def create(
        self, key: bytes, range_end: bytes, start_revision: int, prev_kv: bool, no_put: bool, no_delete: bool
    ) -> Watcher | Failure:
        """Watch `key` or [key, range_end) from `start_revision` (0 or less: from the next change) on.

        A start in the future waits for it. `Failure`: COMPACTED (with the oldest revision still there),
        INVALID_ARGUMENT (empty key) or OVERLOADED (too many watches).
        """
        mvcc = self._mvcc
        if not key:
            return invalid("the key of the watch is empty")
        if len(self) >= self._limits.watches:
            return Failure(Reason.OVERLOADED, f"{len(self)} watches are open, which is the limit")
        if 0 < start_revision < mvcc.compact_revision:
            return compacted(start_revision, mvcc.compact_revision)
        self._look()
        self._number += 1
        watcher = Watcher(self._number, self._join(key, range_end), key, range_end, prev_kv, no_put, no_delete)
        if start_revision <= 0:
            self._rest(watcher)
        else:
            watcher.next = max(start_revision, mvcc.readable)
            (self._ready if watcher.next <= mvcc.revision else self._future)[watcher.number] = watcher
        return watcher

    def cancel(self, watcher: Watcher) -> None:
        """Stop a watch; harmless when it has ended already."""
        if watcher.closed:
            return
        watcher.closed = True
        group = watcher._group
        if group.resting.pop(watcher.number, None) is not None:
            self._resting -= 1
        self._ready.pop(watcher.number, None)
        self._future.pop(watcher.number, None)
        group.members -= 1
        if not group.members:
            self._leave(group)

    @property
    def behind(self) -> bool:
        """Whether watchers may have something to be polled; what has happened since the last `ready` aside."""
        return bool(self._ready)

    def ready(self) -> Collection[Watcher]:
        """The watchers that may have something to be polled, the longest ready first."""
        self._look()
        return list(self._ready.values())

    def poll(self, watcher: Watcher, max_bytes: int) -> tuple[int, list[Event]] | Failure:
        """Take the next events: (revision up to which all has now been delivered, events).

        Stops before the revision with which the keys and values would exceed `max_bytes`, but takes at least one whole
        revision; the watcher is then still ready. `Failure` (COMPACTED) ends the watch.
        """
        if watcher.closed:
            return Failure(Reason.CLOSED, "the watch has ended")
        self._look()
        number = watcher.number
        if number not in self._ready:
            return max(watcher.next - 1, self._seen), []
        mvcc = self._mvcc
        if watcher.next < mvcc.compact_revision:
            self.cancel(watcher)
            return compacted(watcher.next, mvcc.compact_revision)
        revision = max(watcher.next, mvcc.readable)
        end = min(mvcc.revision + 1, revision + _MAX_SCAN)
        events: list[Event] = []
        size = 0
        while revision < end:
            # What a change at the compacted revision replaced lies before it, and is gone.
            prev_kv = watcher.prev_kv and revision > mvcc.compact_revision
            picked = _pick(mvcc.log[revision - mvcc.first], watcher, prev_kv)
            if picked:
                size += sum([_size(event) for event in picked])
                if events and size > max_bytes:
                    break
                events += picked
            revision += 1
        watcher.next = revision
        del self._ready[number]
        if revision > mvcc.revision:
            self._rest(watcher)
        else:
            self._ready[number] = watcher  # behind the others that wait
        return revision - 1, events

    def caught_up(self, watcher: Watcher) -> int:
        """Up to which revision a watcher that has nothing to be polled missed nothing; -1 when it may have something."""
        self._look()
        number = watcher.number
        if watcher.closed or number in self._ready:
            return -1
        if number in self._future:
            return watcher.next - 1
        return max(watcher.next - 1, self._seen)

    # ------------------------------------------------------------------------------------- what the store calls

    def before_compaction(self) -> None:
        """History is about to go: learn first whom it concerns."""
        self._look()

    def restored(self, mvcc: Mvcc) -> None:
        """The store's state was replaced: every watcher goes on from its place, or is told that history is gone."""
        groups = [*self._by_key.values(), *self._others.values()]
        for table in self._by_length.values():
            groups += table.values()
        everyone = {**self._ready, **self._future}
        for group in groups:
            for watcher in group.resting.values():
                watcher.next = max(watcher.next, self._seen + 1)
                everyone[watcher.number] = watcher
            group.resting.clear()
        self._mvcc = mvcc
        self._seen = mvcc.revision
        self._resting = 0
        self._ready = {}
        self._future = {}
        for number in sorted(everyone):
            watcher = everyone[number]
            (self._ready if watcher.next <= mvcc.revision else self._future)[number] = watcher

    # ------------------------------------------------------------------------------------------------- groups

    def _join(self, key: bytes, range_end: bytes) -> _Group:
        low, high = interval(key, range_end)
        if not range_end:
            group = self._by_key.get(low) or self._by_key.setdefault(low, _Group(low, high, None))
        elif (prefix := prefix_of(low, high)) is not None:
            table = self._by_length.setdefault(len(prefix), {})
            group = table.get(prefix) or table.setdefault(prefix, _Group(low, high, prefix))
        else:
            group = self._others.get((low, high)) or self._others.setdefault((low, high), _Group(low, high, None))
        group.members += 1
        return group

    def _leave(self, group: _Group) -> None:
        if group.prefix is not None:
            table = self._by_length[len(group.prefix)]
            del table[group.prefix]
            if not table:
                del self._by_length[len(group.prefix)]
        elif self._by_key.get(group.low) is group:
            del self._by_key[group.low]
        else:
            del self._others[group.low, group.high]

    def _rest(self, watcher: Watcher) -> None:
        watcher.next = self._seen + 1
        watcher._group.resting[watcher.number] = watcher
        self._resting += 1

    def _wake(self, group: _Group, revision: int) -> None:
        for number, watcher in group.resting.items():
            watcher.next = revision
            self._ready[number] = watcher
        self._resting -= len(group.resting)
        group.resting.clear()

    def _look(self) -> None:
        """Tell the groups of the changes since the last look."""
        mvcc = self._mvcc
        seen, revision = self._seen, mvcc.revision
        if seen == revision:
            return
        self._seen = revision
        due = self._due(revision) if self._future else []
        while seen < revision and (self._resting or due):
            seen += 1
            while due and due[-1].next == seen:
                watcher = due.pop()
                watcher._group.resting[watcher.number] = watcher
                self._resting += 1
            for change in changes_of(mvcc.log[seen - mvcc.first]):
                self._tell(change.kv.key, seen)

    def _due(self, revision: int) -> list[Watcher]:
        """Take out those who waited for a revision that has now happened, the earliest last."""
        due = [watcher for watcher in self._future.values() if watcher.next <= revision]
        for watcher in due:
            del self._future[watcher.number]
        return sorted(due, key=lambda watcher: -watcher.next)

    def _tell(self, key: bytes, revision: int) -> None:
        group = self._by_key.get(key)
        if group is not None and group.resting:
            self._wake(group, revision)
        for length, table in self._by_length.items():
            group = table.get(key[:length])
            if group is not None and group.resting:
                self._wake(group, revision)
        for group in self._others.values():
            if group.resting and group.low <= key and (group.high is None or key < group.high):
                self._wake(group, revision)


def _pick(entry: Entry, watcher: Watcher, prev_kv: bool) -> list[Event]:
    """The events of one revision that the watcher asked for; with `prev_kv` also what was there before."""
    low, high = watcher._group.low, watcher._group.high
    return [
        _event(change, prev_kv)
        for change in changes_of(entry)
        if low <= change.kv.key
        and (high is None or change.kv.key < high)
        and not (watcher.no_put if change.kv.version else watcher.no_delete)
    ]


def _event(change: Change, prev_kv: bool) -> Event:
    kv, prev = change.kv, change.prev
    return Event(not kv.version, kv, prev if prev_kv and prev is not None and prev.version else None)


def _size(event: Event) -> int:
    size = _OVERHEAD + len(event.kv.key) + len(event.kv.value)
    if event.prev_kv is not None:
        size += _OVERHEAD + len(event.prev_kv.key) + len(event.prev_kv.value)
    return size
