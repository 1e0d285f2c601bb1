"""Carrying out the operations that change keys, with the leases they hang on: put, delete, transaction, end of a lease."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from ringleader.errors import Reason
from ringleader.store.commands import (
    Delete,
    DeleteResult,
    Failure,
    KeyValue,
    Put,
    PutResult,
    Range,
    RangeResult,
    Result,
    Txn,
    TxnResult,
)
from ringleader.store.index import interval
from ringleader.store.lease import Leases
from ringleader.store.limits import Limits
from ringleader.store.mvcc import VERSION_BYTES, Mvcc
from ringleader.store.quota import Quota
from ringleader.store.ranges import Budget, check_range, check_revision, evaluate, is_plain, size_of
from ringleader.store.refusal import Refusal, invalid, show
from ringleader.store.txn import check_delete, check_put, check_txn, execute, is_read_only, plan

__all__ = ["Writer"]

_T = TypeVar("_T")
_R = TypeVar("_R")


class Writer:
    """The keyspace, the leases, and the rules by which commands change them together."""

    __slots__ = ("_asked", "_key_bytes", "_limits", "_value_bytes", "budget", "leases", "mvcc", "quota")

    def __init__(self, limits: Limits, mvcc: Mvcc, leases: Leases, quota: Quota) -> None:
        self._limits = limits
        self._key_bytes = limits.key_bytes
        self._value_bytes = limits.value_bytes
        self.mvcc = mvcc
        self.leases = leases
        self.quota = quota
        self._asked = 0  # bytes of new versions that the command being checked would write
        self.budget = Budget(limits.result_bytes)

    # ---------------------------------------------------------------------------------- commands of their own

    def put(self, op: Put) -> Result:
        """One put at a revision of its own: the hottest path of the store."""
        key, value, lease = op.key, op.value, op.lease
        if (
            not key
            or len(key) > self._key_bytes
            or len(value) > self._value_bytes
            or lease
            or op.ignore_value
            or op.ignore_lease
            or (mvcc := self.mvcc).total_bytes > self.quota.ceiling
        ):
            return self._careful_put(op)
        old = mvcc.current.get(key)
        if old is not None and old.lease:
            self.leases.move(key, old.lease, 0)
        return PutResult(mvcc.put(key, value, 0, old), old if op.prev_kv else None)

    def _careful_put(self, op: Put) -> Result:
        check_put(op, self._limits)
        self._asked = 0
        self.check_state(op)
        mvcc = self.mvcc
        old = mvcc.current.get(op.key)
        value, lease = self._resolve(op, old)
        return PutResult(mvcc.put(op.key, value, lease, old), old if op.prev_kv else None)

    def delete(self, op: Delete) -> DeleteResult:
        """One delete at a revision of its own, if there is anything to delete. Raises `Refusal`."""
        check_delete(op)
        return self._atomic(self.remove, op)

    def txn(self, op: Txn) -> TxnResult:
        """A transaction. Raises `Refusal`, and then has changed nothing."""
        check_txn(op, self._limits)
        self._asked = 0
        way = plan(self, op)
        return self._atomic(partial(execute, self, op), way)

    def _atomic(self, work: Callable[[_T], _R], argument: _T) -> _R:
        """Do `work` at one revision, or undo it when it is refused on the way."""
        mvcc = self.mvcc
        self.budget = Budget(self._limits.result_bytes)
        mvcc.begin()
        try:
            result = work(argument)
        except Refusal:
            for change in mvcc.rollback():
                self.leases.move(change.kv.key, change.kv.lease, change.prev.lease if change.prev else 0)
            raise
        mvcc.commit()
        return result

    def end_lease(self, lease_id: int) -> None:
        """End a lease: delete its keys at one revision, in key order."""
        mvcc = self.mvcc
        mvcc.begin()
        for key in sorted(self.leases.by_id[lease_id].keys):
            mvcc.delete(key)
        mvcc.commit()
        self.leases.end(lease_id)

    # ------------------------------------------------------------------------------------------------- reading

    def read_range(self, op: Range) -> RangeResult:
        """A range of the present or the past. Raises `Refusal`."""
        if is_plain(op):
            kv = self.mvcc.current.get(op.key)
            if kv is None:
                return RangeResult(self.mvcc.pending, [], 0)
            if size_of(kv) <= self._limits.result_bytes:
                return RangeResult(self.mvcc.pending, [kv], 1)
        check_range(op)
        check_revision(self.mvcc, op.revision)
        return evaluate(self.mvcc, op, Budget(self._limits.result_bytes))

    def read_txn(self, op: Txn) -> TxnResult:
        """A transaction without writes. Raises `Refusal`."""
        check_txn(op, self._limits)
        if not is_read_only(op):
            raise Refusal(invalid("a transaction that writes cannot be served as a read"))
        self.budget = Budget(self._limits.result_bytes)
        return execute(self, op, plan(self, op))

    # ------------------------------------------------------------------------------- parts of an open revision

    def check_state(self, op: Put) -> None:
        """Refuse a put whose lease or key, where it needs one, is not there, or for which there is no room."""
        if op.lease and op.lease not in self.leases.by_id:
            raise Refusal(Failure(Reason.LEASE_NOT_FOUND, f"there is no lease {op.lease}"))
        if (op.ignore_value or op.ignore_lease) and op.key not in self.mvcc.current:
            message = f"there is no key {show(op.key)} whose value or lease could be kept"
            raise Refusal(Failure(Reason.KEY_NOT_FOUND, message))
        value = self.mvcc.current[op.key].value if op.ignore_value else op.value
        self._asked += VERSION_BYTES + len(op.key) + len(value)
        self.quota.demand(self._asked)

    def _resolve(self, op: Put, old: KeyValue | None) -> tuple[bytes, int]:
        """The value and lease that a checked put gives its key; attaches the lease."""
        value, lease, before = op.value, op.lease, 0
        if old is not None:
            before = old.lease
            value = old.value if op.ignore_value else value
            lease = before if op.ignore_lease else lease
        self.leases.move(op.key, before, lease)
        return value, lease

    def write(self, op: Put) -> PutResult:
        """A checked put within the open revision."""
        mvcc = self.mvcc
        old = mvcc.current.get(op.key)
        if op.prev_kv and old is not None:
            self.budget.spend(old)
        value, lease = self._resolve(op, old)
        mvcc.write(op.key, value, lease)
        return PutResult(mvcc.pending, old if op.prev_kv else None)

    def remove(self, op: Delete) -> DeleteResult:
        """A checked delete within the open revision."""
        mvcc = self.mvcc
        if op.range_end:
            gone = list(mvcc.scan(*interval(op.key, op.range_end)))
        else:
            kv = mvcc.current.get(op.key)
            gone = [] if kv is None else [kv]
        if op.prev_kv:
            for kv in gone:
                self.budget.spend(kv)
        for kv in gone:
            if kv.lease:
                self.leases.move(kv.key, kv.lease, 0)
            mvcc.delete(kv.key)
        return DeleteResult(mvcc.pending, len(gone), gone if op.prev_kv else [])
