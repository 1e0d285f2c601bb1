"""The keyspace with its history: every change has a revision, and the past can be read back to the last compaction.

The present is a dict of key to `KeyValue` and an ordered index. The past is one list, the *change log*: at position
`revision - first` stands what that revision changed, each change holding the version that it replaced. So an old
version costs one small object, a read of the past follows `prev` back from the present, and watches need nothing else.
Following a key back takes as many steps as it has newer versions; that is the price of keeping nothing per key.

A delete is a version with `version` 0, a *tombstone*. Keys that are dead now but were alive at a revision still
readable are kept in `dead`. A key changes at most once per revision (transactions see to that).

Compaction is decided at once and carried out bit by bit: `compact` moves the mark below which nothing can be read, and
`sweep` frees what lies behind it, so many revisions at a time that the loop never waits. What the store answers, what
a snapshot holds and what counts as used depend on the mark alone, so members may sweep at their own pace.

`used_bytes` is what all versions that can still be read (live, past, tombstones) take: key, value and `VERSION_BYTES`
each. It is exact and the same on every member, because the quota is decided by it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice

import msgspec

from ringleader.store.commands import KeyValue
from ringleader.store.index import KeyIndex

__all__ = ["FIRST_REVISION", "VERSION_BYTES", "Change", "Entry", "Mvcc", "changes_of"]

FIRST_REVISION = 2
"""The revision of the first write; the empty store is at 1, as in etcd."""
VERSION_BYTES = 256
"""What a version counts besides its key and value: about what CPython spends on it."""


class Change(msgspec.Struct, gc=False):
    """One key at one revision: `kv` as it became (`version` 0: deleted) and `prev` as it was, which may be a tombstone."""

    kv: KeyValue
    prev: KeyValue | None


Entry = Change | dict[bytes, Change]
"""What one revision changed: one key, or several in the order in which they changed."""

_SWEPT: Entry = {}
"""Stands in the change log where an entry has been freed already."""


def changes_of(entry: Entry) -> Iterator[Change]:
    """The changes of a revision, in order."""
    return iter((entry,)) if type(entry) is Change else iter(entry.values())  # type: ignore[union-attr]


def version_bytes(kv: KeyValue) -> int:
    """What a version counts."""
    return VERSION_BYTES + len(kv.key) + len(kv.value)


class Mvcc:
    """See the module. Keys and values are checked by the callers.

    `first`: the revision that `log[0]` stands for. What is below `start` cannot be read any more; it is freed up to
    `swept`, the first revision that `sweep` has not come to.
    """

    __slots__ = (
        "_holds",
        "_last_hold",
        "_open",
        "compact_revision",
        "current",
        "dead",
        "dead_index",
        "first",
        "index",
        "live_bytes",
        "log",
        "passed_bytes",
        "past_bytes",
        "replaced",
        "revision",
        "swept",
    )

    def __init__(self) -> None:
        self.revision = FIRST_REVISION - 1
        self.compact_revision = 0
        self.first = FIRST_REVISION
        self.swept = FIRST_REVISION
        self.log: list[Entry] = []
        self.live_bytes = 0  # of all versions in `current`
        self.past_bytes = 0  # of all versions ever replaced and all tombstones ever made
        self.replaced = array("Q")  # by position in `log`: past_bytes before that revision
        self.passed_bytes = 0  # past_bytes before `start`: compacted away
        self._holds: dict[int, int] = {}
        self._last_hold = 0
        self.current: dict[bytes, KeyValue] = {}
        self.index = KeyIndex()
        self.dead: dict[bytes, KeyValue] = {}
        self.dead_index = KeyIndex()
        self._open: dict[bytes, Change] | None = None

    @property
    def start(self) -> int:
        """The first revision whose changes are kept."""
        return max(self.compact_revision, FIRST_REVISION)

    @property
    def used_bytes(self) -> int:
        """What everything that can be read takes."""
        return self.live_bytes + self.past_bytes - self.passed_bytes

    @property
    def history_bytes(self) -> int:
        """The part of `used_bytes` that a compaction up to now would give back (but for the last revision's)."""
        return self.past_bytes - self.passed_bytes

    # -------------------------------------------------------------------------------------------------- writing

    def put(self, key: bytes, value: bytes, lease: int, old: KeyValue | None) -> int:
        """Set `key`, now at `old`, at a revision of its own; returns that revision."""
        revision = self.revision + 1
        self.replaced.append(self.past_bytes)
        if old is None:
            kv = KeyValue(key, value, revision, revision, 1, lease)
            self.index.add(key)
            self.log.append(Change(kv, self._revive(key) if self.dead else None))
            self.current[key] = kv
            self.live_bytes += VERSION_BYTES + len(key) + len(value)
        else:
            key = old.key  # one key object for all its versions
            kv = KeyValue(key, value, old.create_revision, revision, old.version + 1, lease)
            self.log.append(Change(kv, old))
            self.current[key] = kv
            before = len(old.value)
            self.live_bytes += len(value) - before
            self.past_bytes += VERSION_BYTES + len(key) + before
        self.revision = revision
        return revision

    def begin(self) -> None:
        """Start a revision of several changes; `commit` or `rollback` ends it."""
        self._open = {}

    @property
    def pending(self) -> int:
        """The revision as a reader inside the open one sees it: already the new one once something has changed."""
        return self.revision + 1 if self._open else self.revision

    def write(self, key: bytes, value: bytes, lease: int) -> None:
        """Set `key` within the open revision."""
        revision = self.revision + 1
        old = self.current.get(key)
        if old is None:
            kv = KeyValue(key, value, revision, revision, 1, lease)
            self.index.add(key)
            self._record(Change(kv, self._revive(key)))
        else:
            key = old.key
            kv = KeyValue(key, value, old.create_revision, revision, old.version + 1, lease)
            self._record(Change(kv, old))
        self.current[key] = kv

    def delete(self, key: bytes) -> None:
        """Delete the live `key` within the open revision."""
        old = self.current.pop(key)
        self.index.remove(key)
        tombstone = KeyValue(old.key, b"", 0, self.revision + 1, 0)
        self.dead[old.key] = tombstone
        self.dead_index.add(old.key)
        self._record(Change(tombstone, old))

    def commit(self) -> None:
        """End the open revision; without changes there is none."""
        changes = self._open
        self._open = None
        if changes:
            self.revision += 1
            self._count(changes.values())
            if len(changes) == 1:
                self.log[-1] = next(iter(changes.values()))

    def _count(self, changes: Iterable[Change]) -> None:
        """What a revision adds: to `live_bytes` what it wrote, to `past_bytes` what it replaced and its tombstones."""
        self.replaced.append(self.past_bytes)
        for change in changes:
            kv, prev = change.kv, change.prev
            if prev is not None and prev.version:
                size = version_bytes(prev)
                self.live_bytes -= size
                self.past_bytes += size
            if kv.version:
                self.live_bytes += version_bytes(kv)
            else:
                self.past_bytes += version_bytes(kv)

    def rollback(self) -> list[Change]:
        """Undo the open revision; returns what was undone, last change first."""
        changes = list((self._open or {}).values())[::-1]
        self._open = None
        for change in changes:
            key, prev = change.kv.key, change.prev
            if change.kv.version:
                del self.current[key]
                self.index.remove(key)
            else:
                del self.dead[key]
                self.dead_index.remove(key)
            if prev is not None:
                alive = prev.version > 0
                (self.current if alive else self.dead)[key] = prev
                (self.index if alive else self.dead_index).add(key)
        if changes:
            self.log.pop()
        return changes

    def _record(self, change: Change) -> None:
        changes = self._open
        assert changes is not None
        assert change.kv.key not in changes, "a key changed twice in one revision"
        if not changes:
            self.log.append(changes)
        changes[change.kv.key] = change

    def _revive(self, key: bytes) -> KeyValue | None:
        tombstone = self.dead.pop(key, None)
        if tombstone is not None:
            self.dead_index.remove(key)
        return tombstone

    # -------------------------------------------------------------------------------------------------- reading

    def at(self, key: bytes, revision: int) -> KeyValue | None:
        """`key` as it was at `revision`, which must lie between compaction and now; None when it did not exist."""
        kv = self.current.get(key) or self.dead.get(key)
        while kv is not None and kv.mod_revision > revision:
            entry = self.log[kv.mod_revision - self.first]
            kv = (entry if type(entry) is Change else entry[key]).prev  # type: ignore[index]
        return kv if kv is not None and kv.version else None

    def scan(self, low: bytes, high: bytes | None, reverse: bool = False) -> Iterator[KeyValue]:
        """What lives in [low, high) now, in key order. Nothing may be written while the iterator is in use."""
        return map(self.current.__getitem__, self.index.scan(low, high, reverse))

    def scan_at(self, low: bytes, high: bytes | None, revision: int, reverse: bool = False) -> Iterator[KeyValue]:
        """What lived in [low, high) at `revision`, in key order."""
        live = self.index.scan(low, high, reverse)
        gone = self.dead_index.scan(low, high, reverse)
        for key in merge(live, gone, reverse=reverse):
            kv = self.at(key, revision)
            if kv is not None:
                yield kv

    # ------------------------------------------------------------------------------------------------ compaction

    def compact(self, revision: int) -> None:
        """Nothing below `revision` can be read from now on; takes the same short time however much there is.

        The changes *at* `revision` stay: a watch may start there and must see its deletes.
        """
        assert self.compact_revision < revision <= self.revision
        if revision >= FIRST_REVISION:
            self.passed_bytes = self.replaced[revision - self.first]
        self.compact_revision = revision

    def hold(self, revision: int) -> int:
        """Keep the changes from `revision` on although compaction passes them; returns the number for `release`."""
        self._last_hold += 1
        self._holds[self._last_hold] = revision
        return self._last_hold

    def release(self, hold: int) -> None:
        """What `hold` kept may go; harmless when it was released before."""
        self._holds.pop(hold, None)

    @property
    def sweepable(self) -> int:
        """How many revisions `sweep` could free now."""
        return max(0, min([self.start, *self._holds.values()]) - self.swept)

    def sweep(self, revisions: int) -> int:
        """Free up to so many revisions that compaction has passed and nobody holds; returns how many it were."""
        count = min(revisions, self.sweepable)
        if not count:
            return 0
        log, dead = self.log, self.dead
        place = self.swept - self.first
        if dead:
            for entry in log[place : place + count]:
                for change in changes_of(entry):
                    kv = change.kv
                    if not kv.version and dead.get(kv.key) is kv:
                        del dead[kv.key]
                        self.dead_index.remove(kv.key)
        log[place : place + count] = [_SWEPT] * count
        self.swept += count
        gone = self.swept - self.first
        if gone * 2 >= len(log):  # moving the rest to the front costs less than what was freed since the last time
            del log[:gone]
            del self.replaced[:gone]
            self.first = self.swept
        return count

    # ----------------------------------------------------------------------------------------- taking it elsewhere

    def kept(self) -> Iterator[Entry]:
        """The changes of every revision that compaction has not passed, in order."""
        return islice(self.log, self.start - self.first, None)

    def base(self) -> list[KeyValue]:
        """The state just before the change log starts, in key order: with the log it makes up everything else."""
        first = self.start
        kvs = {kv.key: kv for kv in self.current.values() if kv.mod_revision < first}
        for entry in self.kept():
            for change in changes_of(entry):
                prev = change.prev
                if prev is not None and prev.version and prev.mod_revision < first:
                    kvs[prev.key] = prev
        return [kvs[key] for key in sorted(kvs)]

    @classmethod
    def rebuild(cls, compact_revision: int, base: list[KeyValue], changes: Iterator[KeyValue]) -> Mvcc:
        """The keyspace from `base()` and the `kv` of all changes since; raises `ValueError` when they do not fit."""
        self = cls()
        self.compact_revision = compact_revision
        self.first = self.swept = self.start
        self.revision = self.first - 1
        current = {kv.key: kv for kv in base}
        dead: dict[bytes, KeyValue] = {}
        log = self.log
        for kv in changes:
            key = kv.key
            prev = current.pop(key, None) or dead.pop(key, None)
            if prev is not None:
                kv.key = key = prev.key
            (current if kv.version else dead)[key] = kv
            change = Change(kv, prev)
            if kv.mod_revision == self.revision + 1:
                log.append(change)
                self.revision += 1
            elif kv.mod_revision == self.revision and log:
                entry = log[-1]
                if type(entry) is Change:
                    log[-1] = entry = {entry.kv.key: entry}
                entry[key] = change  # type: ignore[index]
            else:
                raise ValueError(f"change of revision {kv.mod_revision} follows revision {self.revision}")
        if compact_revision > self.revision:
            raise ValueError(f"compacted at {compact_revision}, but the last revision is {self.revision}")
        self.current = current
        self.index = KeyIndex(current)
        self.live_bytes = sum(map(version_bytes, base))
        for entry in log:
            self._count(changes_of(entry))
        # A key whose last change is its delete at the compaction itself can no longer be read at any revision.
        self.dead = {key: kv for key, kv in dead.items() if kv.mod_revision > compact_revision}
        self.dead_index = KeyIndex(self.dead)
        return self
