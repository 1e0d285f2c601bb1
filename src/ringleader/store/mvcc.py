"""The keyspace with its history: every change has a revision, and the past can be read back to the last compaction.

The present is a dict of key to `KeyValue` and an ordered index. The past is one list, the *change log*: at position
`revision - first` stands what that revision changed, each change holding the version that it replaced. So an old
version costs one small object, a read of the past follows `prev` back from the present, and watches need nothing else.
Following a key back takes as many steps as it has newer versions; that is the price of keeping nothing per key.

A delete is a version with `version` 0, a *tombstone*. Keys that are dead now but whose delete is still in the change log
are kept in `dead`. A key changes at most once per revision (transactions see to that).

Compaction has two halves. `compact` decides what can be read from now on; that is part of the state. `trim` then frees
what nobody can read any more, some at a time, since freeing a million versions at once would hold up everything else;
when it does so shows in no answer. While a snapshot is being made of the past (`hold`), nothing is freed.

The changes *at* the compacted revision stay, since a watch may begin there and must see its deletes; what they replaced
cannot be read any more, and goes.

`used_bytes` is what all versions that can still be read (live, past, later tombstones) take: key, value and `VERSION_BYTES`
each. So a compaction up to now leaves what is alive. It is exact and the same on every member, whatever each has trimmed,
because the quota is decided by it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice
from typing import final

import msgspec

from ringleader.store.commands import KeyValue
from ringleader.store.index import KeyIndex

__all__ = ["FIRST_REVISION", "VERSION_BYTES", "Change", "Entry", "Mvcc", "changes_of"]

FIRST_REVISION = 2
"""The revision of the first write; the empty store is at 1, as in etcd."""
VERSION_BYTES = 256
"""What a version counts besides its key and value: about what CPython spends on it."""


@final
class Change(msgspec.Struct, gc=False):
    """One key at one revision: `kv` as it became (`version` 0: deleted) and `prev` as it was, which may be a tombstone.

    Of a change at the compacted revision `prev` means nothing: it may be there still, or not.
    """

    kv: KeyValue
    prev: KeyValue | None


BATCH = 256
"""How many keys or steps back are looked at between two places to pause."""

Entry = Change | dict[bytes, Change]
"""What one revision changed: one key, or several in the order in which they changed."""

_TRIMMED: Entry = {}
"""Stands in the change log for an entry that has been freed already."""


def changes_of(entry: Entry) -> Iterator[Change]:
    """The changes of a revision, in order."""
    return iter((entry,)) if type(entry) is Change else iter(entry.values())


def version_bytes(kv: KeyValue) -> int:
    """What a version counts."""
    return VERSION_BYTES + len(kv.key) + len(kv.value)


class Mvcc:
    """See the module. Keys and values are checked by the callers."""

    __slots__ = (
        "_bared",
        "_baring",
        "_held",
        "_open",
        "compact_revision",
        "current",
        "dead",
        "dead_index",
        "first",
        "index",
        "log",
        "passed_bytes",
        "past_bytes",
        "replaced",
        "revision",
        "total_bytes",
        "trimmed",
    )

    def __init__(self) -> None:
        self.revision = FIRST_REVISION - 1
        self.compact_revision = 0
        self.first = FIRST_REVISION  # the revision that log[0] stands for; at most `readable`
        self.trimmed = FIRST_REVISION  # entries below it have been freed
        self.log: list[Entry] = []
        self.total_bytes = 0  # of all versions ever made
        self.past_bytes = 0  # of those of them that were replaced, and of all tombstones
        self.replaced = array("Q")  # by position in `log`: past_bytes before that revision
        self.passed_bytes = 0  # past_bytes just after the compacted revision: they cannot be read any more
        self.current: dict[bytes, KeyValue] = {}
        self.index = KeyIndex()
        self.dead: dict[bytes, KeyValue] = {}
        self.dead_index = KeyIndex()
        self._open: dict[bytes, Change] | None = None
        self._held = 0
        self._bared = 0  # the compacted revision whose changes have let go, or are letting go, of what they replaced
        self._baring: Iterator[Change] | None = None  # those that have not yet

    @property
    def readable(self) -> int:
        """The first revision whose changes belong to the state; older ones may linger until they are trimmed."""
        return max(self.compact_revision, FIRST_REVISION)

    @property
    def used_bytes(self) -> int:
        """What everything that can be read takes."""
        return self.total_bytes - self.passed_bytes

    @property
    def history_bytes(self) -> int:
        """The part of `used_bytes` that a compaction up to now would give back."""
        return self.past_bytes - self.passed_bytes

    # -------------------------------------------------------------------------------------------------- writing

    def put(self, key: bytes, value: bytes, lease: int, old: KeyValue | None) -> int:
        """Set `key`, now at `old`, at a revision of its own; returns that revision."""
        revision = self.revision + 1
        past = self.past_bytes
        self.replaced.append(past)
        self.total_bytes += VERSION_BYTES + len(key) + len(value)
        if old is None:
            kv = KeyValue(key, value, revision, revision, 1, lease)
            self.index.add(key)
            self.log.append(Change(kv, self._revive(key) if self.dead else None))
            self.current[key] = kv
        else:
            key = old.key  # one key object for all its versions
            kv = KeyValue(key, value, old.create_revision, revision, old.version + 1, lease)
            self.log.append(Change(kv, old))
            self.current[key] = kv
            self.past_bytes = past + VERSION_BYTES + len(key) + len(old.value)
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
            self.replaced.append(self.past_bytes)
            for change in changes.values():
                self._count(change)
            if len(changes) == 1:
                self.log[-1] = next(iter(changes.values()))

    def _count(self, change: Change) -> None:
        """Add to `total_bytes` what was written, and to `past_bytes` what was replaced, or the tombstone."""
        kv, prev = change.kv, change.prev
        size = version_bytes(kv)
        self.total_bytes += size
        if not kv.version:
            self.past_bytes += size
        if prev is not None and prev.version:
            self.past_bytes += version_bytes(prev)

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
            kv = (entry if type(entry) is Change else entry[key]).prev
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
        """From now on only revisions from `revision` on can be read; `trim` frees the rest."""
        assert self.compact_revision < revision <= self.revision
        self.compact_revision = revision
        self._count_passed()

    def _count_passed(self) -> None:
        if self.compact_revision >= FIRST_REVISION:
            after = self.compact_revision + 1 - self.first
            self.passed_bytes = self.replaced[after] if after < len(self.replaced) else self.past_bytes

    def trim(self, limit: int) -> bool:
        """Free up to `limit` revisions that can no longer be read; returns whether there are more to free now."""
        if self._held:
            return False
        count = min(self.readable - self.trimmed, limit)
        if count <= 0:
            return self._bare(limit)
        log, dead = self.log, self.dead
        place = self.trimmed - self.first
        if dead:
            for entry in log[place : place + count]:
                for change in changes_of(entry):
                    kv = change.kv
                    if not kv.version and dead.get(kv.key) is kv:
                        del dead[kv.key]
                        self.dead_index.remove(kv.key)
        log[place : place + count] = [_TRIMMED] * count
        self.trimmed += count
        gone = self.trimmed - self.first
        if gone * 2 >= len(log):  # to move the rest to the front at every trim would cost more than trimming itself
            del log[:gone]
            del self.replaced[:gone]
            self.first = self.trimmed
        return self.trimmed < self.readable or self._bare(limit)

    def _bare(self, limit: int) -> bool:
        """Let go of what up to `limit` changes at the compacted revision replaced; returns whether there are more."""
        revision = self.compact_revision
        if revision != self._bared and revision >= FIRST_REVISION:
            self._bared = revision
            self._baring = changes_of(self.log[revision - self.first])
        elif self._baring is None:
            return False
        some = 0
        for change in islice(self._baring or (), limit):
            change.prev = None
            some += 1
        if some < limit:
            self._baring = None
        return some == limit

    def hold(self) -> None:
        """Keep all that can be read now, whatever is compacted, until as many `release` as `hold`."""
        self._held += 1

    def release(self) -> None:
        """The end of a `hold`."""
        self._held -= 1

    # ----------------------------------------------------------------------------------------- taking it elsewhere

    def base(self, first: int) -> Iterator[KeyValue | None]:
        """The state just before revision `first`, in key order; now and then None, as a place to pause.

        What the changes at `first` replaced is left out. `first` must be `readable` at the start, and the history held. Then
        the state may change while this is under way: a key of the past is always found, alive or dead, and its history leads
        back to the same version.
        """
        if first <= FIRST_REVISION:
            return
        cursor = b""
        while keys := self._keys_after(cursor, BATCH):
            for kv in [self.current.get(key) or self.dead[key] for key in keys]:
                version: KeyValue | None = kv
                steps = 0
                while version is not None and version.mod_revision >= first:
                    if version.mod_revision == first:
                        version = None
                        break
                    entry = self.log[version.mod_revision - self.first]
                    version = (entry if type(entry) is Change else entry[kv.key]).prev
                    steps += 1
                    if not steps % BATCH:
                        yield None
                if version is not None and version.version:
                    yield version
            yield None
            cursor = keys[-1]

    def _keys_after(self, cursor: bytes, limit: int) -> list[bytes]:
        live = islice(self.index.after(cursor), limit)
        if not self.dead:
            return list(live)
        gone = islice(self.dead_index.after(cursor), limit)
        return list(islice(merge(live, gone), limit))

    @classmethod
    def empty(cls, compact_revision: int) -> Mvcc:
        """A keyspace to be loaded: first with `load_base`, then with `load_change`, then `loaded`."""
        self = cls()
        self.compact_revision = compact_revision
        self.first = self.trimmed = self.readable
        self.revision = self.first - 1
        return self

    def load_base(self, kvs: Iterable[KeyValue]) -> None:
        """Add the next of what `base` gave."""
        current, add = self.current, self.index.add
        for kv in kvs:
            if kv.version == 1:
                kv.create_revision = kv.mod_revision  # one object for both: a million keys make it worth while
            current[kv.key] = kv
            add(kv.key)
            self.total_bytes += version_bytes(kv)

    def load_change(self, kv: KeyValue) -> KeyValue | None:
        """Add the next change; returns the version that it replaces. Raises `ValueError` when it does not fit."""
        key = kv.key
        prev = self.current.get(key)
        if not self.log and kv.mod_revision == self.revision + 2:
            self.load_nothing()
        if kv.version:
            if kv.version == 1:
                kv.create_revision = kv.mod_revision
            if prev is None:
                prev = self._revive(key) if self.dead else None
                self.index.add(key)
            else:
                kv.key = key = prev.key
            self.current[key] = kv
        else:
            if prev is not None:
                kv.key = key = prev.key
                del self.current[key]
                self.index.remove(key)
            elif kv.mod_revision != self.compact_revision:
                raise ValueError(f"revision {kv.mod_revision} deletes a key that is not there")
            self.dead[key] = kv
            self.dead_index.add(key)
        change = Change(kv, prev)
        if kv.mod_revision == self.revision + 1:
            self.log.append(change)
            self.replaced.append(self.past_bytes)
            self.revision += 1
        elif kv.mod_revision == self.revision and self.log:
            entry = self.log[-1]
            if type(entry) is Change:
                self.log[-1] = entry = {entry.kv.key: entry}
            entry[key] = change
        else:
            raise ValueError(f"change of revision {kv.mod_revision} follows revision {self.revision}")
        self._count(change)
        return prev

    def load_nothing(self) -> None:
        """The next revision changed nothing: the one with which a restored back-up begins its own history."""
        self.log.append({})
        self.replaced.append(self.past_bytes)
        self.revision += 1

    def loaded(self, revision: int) -> None:
        """Everything is loaded. Raises `ValueError` when it does not lead to `revision`."""
        if not self.log and revision == self.revision + 1:
            self.load_nothing()
        if self.revision != revision:
            raise ValueError(f"the state says revision {revision}, but its changes end at {self.revision}")
        if self.compact_revision > self.revision:
            raise ValueError(f"compacted at {self.compact_revision}, but the last revision is {self.revision}")
        self._count_passed()

    def unload(self, limit: int) -> bool:
        """Let go of up to `limit` keys and changes of a state that is to be replaced; whether there are more."""
        self.index = self.dead_index = KeyIndex()
        del self.log[max(len(self.log) - limit, 0) :]
        for table in (self.current, self.dead):
            for _ in range(min(limit, len(table))):
                table.popitem()
        return bool(self.log or self.current or self.dead)
