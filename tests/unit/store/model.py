"""A naive model of the store: every revision a whole dict, every result ever kept. Slow, plain, and hoped to be right."""

from __future__ import annotations

import itertools

from ringleader.errors import Reason
from ringleader.store.commands import (
    Command,
    Compact,
    CompactResult,
    Compare,
    Delete,
    DeleteResult,
    Event,
    ExpireLeases,
    Failure,
    KeyValue,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseListResult,
    LeaseResult,
    LeaseRevoke,
    Op,
    Put,
    PutResult,
    Range,
    RangeResult,
    Result,
    Txn,
    TxnResult,
)

State = dict[bytes, KeyValue]


class No(Exception):
    def __init__(self, reason: Reason) -> None:
        self.reason = reason


def inside(key: bytes, low: bytes, range_end: bytes) -> bool:
    if not range_end:
        return key == low
    return key >= low and (range_end == b"\0" or key < range_end)


def ways(ops: list[Put | Delete | Range | Txn]) -> list[list[Put | Delete]]:
    """Every sequence of writes that these operations can amount to."""
    choices: list[list[list[Put | Delete]]] = []
    for op in ops:
        if isinstance(op, Put | Delete):
            choices.append([[op]])
        elif isinstance(op, Txn):
            choices.append(ways(op.success) + ways(op.failure))
    return [list(itertools.chain(*way)) for way in itertools.product(*choices)]


def writes_twice(way: list[Put | Delete]) -> bool:
    for one, other in itertools.combinations(way, 2):
        if isinstance(one, Put) and isinstance(other, Put):
            if one.key == other.key:
                return True
        else:
            for put, delete in ((one, other), (other, one)):
                if (
                    isinstance(put, Put)
                    and isinstance(delete, Delete)
                    and inside(put.key, delete.key, delete.range_end)
                ):
                    return True
    return False


class Model:
    """`states[r]` is the keyspace at revision r, `events[r]` what r changed."""

    def __init__(self, lease_ttl_min_ms: int) -> None:
        self.states: list[State] = [{}, {}]
        self.events: list[list[Event]] = [[], []]
        self.compact_revision = 0
        self.time_ms = 0
        self.leases: dict[int, tuple[int, int]] = {}  # id -> ttl, deadline
        self.granted = 0
        self.lease_ttl_min_ms = lease_ttl_min_ms

    @property
    def revision(self) -> int:
        return len(self.states) - 1

    def used_bytes(self, version_bytes: int) -> int:
        """All versions that can still be read, by looking at every state, and later deletes: the naive sum."""
        start = max(self.compact_revision, 1)
        kept = {(key, kv.mod_revision): kv for state in self.states[start:] for key, kv in state.items()}
        used = sum(version_bytes + len(kv.key) + len(kv.value) for kv in kept.values())
        for before, after in itertools.pairwise(self.states[start:]):
            used += sum(version_bytes + len(key) for key in before if key not in after)
        return used

    def run(self, command: Command | Op) -> Result:
        try:
            return self._run(command)
        except No as no:
            return Failure(no.reason, "")

    def _run(self, command: Command | Op) -> Result:
        if isinstance(command, Put | Delete | Txn):
            work = _Work(self)
            self._check(command)
            result = work.do(command)
            if work.events:
                self.states.append(work.state)
                self.events.append(work.events)
            return result
        if isinstance(command, Range):
            self._check(command)
            return _Work(self).do(command)
        if isinstance(command, Compact):
            if command.revision > self.revision:
                raise No(Reason.FUTURE_REVISION)
            if command.revision <= self.compact_revision:
                raise No(Reason.COMPACTED)
            self.compact_revision = command.revision
            return CompactResult(self.revision)
        if isinstance(command, LeaseGrant):
            return self._grant(command)
        if isinstance(command, LeaseRevoke | LeaseKeepAlive):
            if command.id not in self.leases:
                raise No(Reason.LEASE_NOT_FOUND)
            ttl_ms, _ = self.leases[command.id]
            if isinstance(command, LeaseRevoke):
                self._end(command.id)
            else:
                self.leases[command.id] = (ttl_ms, self.time_ms + ttl_ms)
            return LeaseResult(self.revision, command.id, ttl_ms)
        assert isinstance(command, ExpireLeases)
        ended = [
            one for one in dict.fromkeys(command.ids) if one in self.leases and self.leases[one][1] <= self.time_ms
        ]
        for one in ended:
            self._end(one)
        return LeaseListResult(self.revision, ended)

    def _grant(self, command: LeaseGrant) -> Result:
        lease_id = command.id
        if lease_id in self.leases:
            raise No(Reason.LEASE_EXISTS)
        if not lease_id:
            self.granted += 1
            while self.granted in self.leases:
                self.granted += 1
            lease_id = self.granted
        ttl_ms = max(command.ttl_ms, self.lease_ttl_min_ms)
        self.leases[lease_id] = (ttl_ms, self.time_ms + ttl_ms)
        return LeaseResult(self.revision, lease_id, ttl_ms)

    def _end(self, lease_id: int) -> None:
        work = _Work(self)
        for key in sorted(work.state):
            if work.state[key].lease == lease_id:
                work.delete(key)
        if work.events:
            self.states.append(work.state)
            self.events.append(work.events)
        del self.leases[lease_id]

    def _check(self, op: Put | Delete | Range | Txn) -> None:
        """Everything that may be refused, before anything is done."""
        if isinstance(op, Txn):
            if any(writes_twice(way) for way in ways(op.success) + ways(op.failure)):
                raise No(Reason.DUPLICATE_KEY)
            for inner in op.success if self.holds(op) else op.failure:
                self._check(inner)
        elif isinstance(op, Put):
            if op.lease and op.lease not in self.leases:
                raise No(Reason.LEASE_NOT_FOUND)
            if (op.ignore_value or op.ignore_lease) and op.key not in self.states[-1]:
                raise No(Reason.KEY_NOT_FOUND)
        elif isinstance(op, Range) and op.revision > 0:
            if op.revision > self.revision:
                raise No(Reason.FUTURE_REVISION)
            if op.revision < self.compact_revision:
                raise No(Reason.COMPACTED)

    def holds(self, txn: Txn) -> bool:
        return all(self._compare(compare) for compare in txn.compares)

    def _compare(self, compare: Compare) -> bool:
        state = self.states[-1]
        kvs: list[KeyValue | None] = [kv for key, kv in state.items() if inside(key, compare.key, compare.range_end)]
        return all(self._meets(kv, compare) for kv in kvs or [None])

    def _meets(self, kv: KeyValue | None, compare: Compare) -> bool:
        if kv is None and compare.target == "value":
            return False
        kv = kv or KeyValue(b"", b"", 0, 0, 0)
        have = {
            "version": kv.version,
            "create": kv.create_revision,
            "mod": kv.mod_revision,
            "lease": kv.lease,
            "value": kv.value,
        }[compare.target]
        order = (have > compare.value) - (have < compare.value)  # type: ignore[operator]  # `target` says of which type both are
        return {"=": order == 0, "!=": order != 0, "<": order < 0, ">": order > 0}[compare.op]

    def wanted(
        self, key: bytes, range_end: bytes, prev_kv: bool, no_put: bool, no_delete: bool, first: int, last: int
    ) -> list[Event]:
        """What a watcher has to get for the revisions from `first` to `last`."""
        return [
            Event(event.deleted, event.kv, event.prev_kv if prev_kv and revision > self.compact_revision else None)
            for revision in range(first, min(last, self.revision) + 1)
            for event in self.events[revision]
            if inside(event.kv.key, key, range_end) and not (no_delete if event.deleted else no_put)
        ]


class _Work:
    """A revision in the making."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.state = dict(model.states[-1])
        self.events: list[Event] = []

    @property
    def revision(self) -> int:
        return self.model.revision + bool(self.events)

    def delete(self, key: bytes) -> KeyValue:
        old = self.state.pop(key)
        self.events.append(Event(True, KeyValue(key, b"", 0, self.model.revision + 1, 0), old))
        return old

    def do(self, op: Put | Delete | Range | Txn) -> PutResult | DeleteResult | RangeResult | TxnResult:
        if isinstance(op, Put):
            return self._put(op)
        if isinstance(op, Delete):
            gone = [self.delete(key) for key in sorted(self.state) if inside(key, op.key, op.range_end)]
            return DeleteResult(self.revision, len(gone), gone if op.prev_kv else [])
        if isinstance(op, Range):
            return self._range(op)
        succeeded = self.model.holds(op)
        results = [self.do(inner) for inner in (op.success if succeeded else op.failure)]
        return TxnResult(self.revision, succeeded, results)

    def _put(self, op: Put) -> PutResult:
        old = self.state.get(op.key)
        value, lease = op.value, op.lease
        new = self.model.revision + 1
        if old:
            value = old.value if op.ignore_value else value
            lease = old.lease if op.ignore_lease else lease
            kv = KeyValue(op.key, value, old.create_revision, new, old.version + 1, lease)
        else:
            kv = KeyValue(op.key, value, new, new, 1, lease)
        self.state[op.key] = kv
        self.events.append(Event(False, kv, old))
        return PutResult(self.revision, old if op.prev_kv else None)

    def _range(self, op: Range) -> RangeResult:
        past = 0 < op.revision <= self.model.revision and (self.events or op.revision < self.model.revision)
        state = self.model.states[op.revision] if past else self.state
        kvs = [state[key] for key in sorted(state) if inside(key, op.key, op.range_end)]
        count = len(kvs)
        if op.count_only:
            return RangeResult(self.revision, [], count)
        if op.min_mod_revision:
            kvs = [kv for kv in kvs if kv.mod_revision >= op.min_mod_revision]
        if op.max_mod_revision:
            kvs = [kv for kv in kvs if kv.mod_revision <= op.max_mod_revision]
        if op.min_create_revision:
            kvs = [kv for kv in kvs if kv.create_revision >= op.min_create_revision]
        if op.max_create_revision:
            kvs = [kv for kv in kvs if kv.create_revision <= op.max_create_revision]
        field = {"create": "create_revision", "mod": "mod_revision"}.get(op.sort_target, op.sort_target)
        kvs.sort(key=lambda kv: getattr(kv, field), reverse=op.sort_order == "descend")
        more = 0 < op.limit < len(kvs)
        kvs = kvs[: op.limit] if more else kvs
        if op.keys_only:
            kvs = [KeyValue(kv.key, b"", kv.create_revision, kv.mod_revision, kv.version, kv.lease) for kv in kvs]
        return RangeResult(self.revision, kvs, count, more)
