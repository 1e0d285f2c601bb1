"""Transactions in three steps: is it well formed, which way does it go, do it.

As in etcd, all compares, those of nested transactions too, are decided before anything is written; the ranges inside then
see the writes that stand before them, and everything happens at one revision. Whatever can refuse the transaction is
found before the first write, but for the size of the result, which undoes it.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from ringleader.errors import Reason
from ringleader.store.commands import (
    Compare,
    Delete,
    DeleteResult,
    Failure,
    KeyValue,
    Put,
    PutResult,
    Range,
    RangeResult,
    Txn,
    TxnResult,
)
from ringleader.store.index import interval
from ringleader.store.limits import Limits
from ringleader.store.mvcc import Mvcc
from ringleader.store.ranges import check_range, check_revision, evaluate
from ringleader.store.refusal import Refusal, invalid, show

if TYPE_CHECKING:
    from ringleader.store.writes import Writer

__all__ = ["Plan", "check_txn", "execute", "is_read_only", "plan"]

_TARGETS = ("version", "create", "mod", "lease", "value")
_COMPARES = ("=", "!=", "<", ">")
_ABSENT = KeyValue(b"", b"", 0, 0, 0, 0)

Plan = tuple[bool, list["Plan | None"]]
"""Whether the compares held, and for each operation of the branch taken its own plan when it is a transaction."""


# ------------------------------------------------------------------------------------------------- well formed


class _Check:
    """Walks the whole tree once: sizes, numbers, and that no key is written twice on any way through it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._total = 0
        self._bytes = 0

    def txn(self, txn: Txn, depth: int) -> None:
        limits = self._limits
        if depth > limits.txn_depth:
            raise Refusal(_too_many(f"transactions nest deeper than {limits.txn_depth}"))
        for part in (txn.compares, txn.success, txn.failure):
            if len(part) > limits.txn_ops:
                raise Refusal(
                    _too_many(f"{len(part)} operations or compares in one list; {limits.txn_ops} are allowed")
                )
            self._total += len(part)
        if self._total > limits.txn_total:
            raise Refusal(_too_many(f"more than {limits.txn_total} operations and compares in all"))
        for compare in txn.compares:
            self._compare(compare)
        for op in (*txn.success, *txn.failure):
            if type(op) is Txn:
                self.txn(op, depth + 1)
            else:
                self._op(op)

    def _op(self, op: Put | Delete | Range | Txn) -> None:
        if type(op) is Put:
            check_put(op, self._limits)
            self._size(len(op.key) + len(op.value))
        elif type(op) is Range:
            check_range(op)
            self._size(len(op.key) + len(op.range_end))
        elif type(op) is Delete:
            check_delete(op)
            self._size(len(op.key) + len(op.range_end))

    def _compare(self, compare: Compare) -> None:
        if not compare.key:
            raise Refusal(invalid("the key of a compare is empty"))
        if compare.target not in _TARGETS or compare.op not in _COMPARES:
            raise Refusal(invalid(f"a compare {compare.target[:32]!r} {compare.op[:32]!r} is not known"))
        wanted = bytes if compare.target == "value" else int
        if type(compare.value) is not wanted:
            raise Refusal(invalid(f"a compare of {compare.target} needs {wanted.__name__}"))
        value = compare.value
        self._size(len(compare.key) + len(compare.range_end) + (len(value) if isinstance(value, bytes) else 8))

    def _size(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._limits.request_bytes:
            message = f"the transaction is larger than {self._limits.request_bytes} bytes"
            raise Refusal(Failure(Reason.TOO_LARGE, message))


def check_put(op: Put, limits: Limits) -> None:
    """Refuse a put that makes no sense whatever the state is."""
    if not op.key:
        raise Refusal(invalid("the key is empty"))
    if len(op.key) > limits.key_bytes:
        message = f"the key {show(op.key)} is longer than {limits.key_bytes} bytes"
        raise Refusal(Failure(Reason.TOO_LARGE, message))
    if len(op.value) > limits.value_bytes:
        message = f"the value of {show(op.key)} has {len(op.value)} bytes; {limits.value_bytes} are allowed"
        raise Refusal(Failure(Reason.TOO_LARGE, message))
    if op.ignore_value and op.value:
        raise Refusal(invalid("a value is given, and also that it be ignored"))
    if op.ignore_lease and op.lease:
        raise Refusal(invalid("a lease is given, and also that it be ignored"))


def check_delete(op: Delete) -> None:
    """Refuse a delete that makes no sense whatever the state is."""
    if not op.key:
        raise Refusal(invalid("the key is empty"))


Writes = tuple[set[bytes], list[tuple[bytes, bytes | None]]]
"""The keys put and the intervals deleted somewhere in a list of operations."""


def _check_overlaps(ops: list[Put | Delete | Range | Txn]) -> Writes:
    """Refuse operations, any two of which could both be done, that put a key twice or put and delete it.

    The two branches of a nested transaction exclude each other, so those may overlap.
    """
    puts: set[bytes] = set()
    deletes: list[tuple[bytes, bytes | None]] = []
    own_puts: set[bytes] = set()
    for op in ops:
        if type(op) is Put:
            if op.key in own_puts:
                raise Refusal(_duplicate(op.key))
            own_puts.add(op.key)
        elif type(op) is Delete:
            deletes.append(interval(op.key, op.range_end))
    _check_disjoint(own_puts, deletes)
    puts |= own_puts
    for op in ops:
        if type(op) is Txn:
            then_puts, then_deletes = _check_overlaps(op.success)
            else_puts, else_deletes = _check_overlaps(op.failure)
            for more_puts, more_deletes in ((then_puts, then_deletes), (else_puts, else_deletes)):
                twice = puts & more_puts
                if twice:
                    raise Refusal(_duplicate(min(twice)))
                _check_disjoint(more_puts, deletes)
                _check_disjoint(puts, more_deletes)
            puts |= then_puts | else_puts
            deletes += then_deletes + else_deletes
    return puts, deletes


def _check_disjoint(puts: set[bytes], deletes: list[tuple[bytes, bytes | None]]) -> None:
    if not puts or not deletes:
        return
    ordered = sorted(puts)
    for low, high in deletes:
        place = bisect_left(ordered, low)
        if place < len(ordered) and (high is None or ordered[place] < high):
            raise Refusal(_duplicate(ordered[place]))


def _duplicate(key: bytes) -> Failure:
    return Failure(Reason.DUPLICATE_KEY, f"the transaction writes {show(key)} more than once")


def _too_many(message: str) -> Failure:
    return Failure(Reason.TOO_MANY_OPERATIONS, message)


def check_txn(txn: Txn, limits: Limits) -> None:
    """Refuse a transaction that is too large, malformed, or writes a key twice, whatever the state is."""
    _Check(limits).txn(txn, 1)
    for ops in (txn.success, txn.failure):
        if len(ops) > 1 or (ops and type(ops[0]) is Txn):
            _check_overlaps(ops)


def is_read_only(txn: Txn) -> bool:
    """Whether no way through the transaction writes. The depth must have been checked."""
    return all(
        is_read_only(op) if type(op) is Txn else type(op) is Range for ops in (txn.success, txn.failure) for op in ops
    )


# ------------------------------------------------------------------------------------------------ which way


def plan(writer: Writer, txn: Txn) -> Plan:
    """Decide the compares of the whole tree against the state as it is, and check the operations that will be done."""
    succeeded = all(_holds(writer.mvcc, compare) for compare in txn.compares)
    plans: list[Plan | None] = []
    for op in txn.success if succeeded else txn.failure:
        plans.append(plan(writer, op) if type(op) is Txn else None)
        if type(op) is Put:
            writer.check_state(op)
        elif type(op) is Range:
            check_revision(writer.mvcc, op.revision)
    return succeeded, plans


def _holds(mvcc: Mvcc, compare: Compare) -> bool:
    if not compare.range_end:
        return _meets(mvcc.current.get(compare.key), compare)
    low, high = interval(compare.key, compare.range_end)
    found = False
    for kv in mvcc.scan(low, high):
        found = True
        if not _meets(kv, compare):
            return False
    return found or _meets(None, compare)


def _meets(kv: KeyValue | None, compare: Compare) -> bool:
    target = compare.target
    have: int | bytes
    if target == "value":
        if kv is None:
            return False
        have = kv.value
    else:
        kv = kv or _ABSENT
        if target == "version":
            have = kv.version
        elif target == "create":
            have = kv.create_revision
        elif target == "mod":
            have = kv.mod_revision
        else:
            have = kv.lease
    wanted = compare.value
    if compare.op == "=":
        return have == wanted
    if compare.op == "!=":
        return have != wanted
    if compare.op == "<":
        return have < wanted  # type: ignore[operator]  # both of the kind of `target`: checked
    return have > wanted  # type: ignore[operator]  # both of the kind of `target`: checked


# ------------------------------------------------------------------------------------------------------ do it


def execute(writer: Writer, txn: Txn, way: Plan) -> TxnResult:
    """Carry out the branch that was planned, within the open revision."""
    succeeded, plans = way
    results: list[PutResult | DeleteResult | RangeResult | TxnResult] = []
    for op, inner in zip(txn.success if succeeded else txn.failure, plans, strict=True):
        if type(op) is Put:
            results.append(writer.write(op))
        elif type(op) is Delete:
            results.append(writer.remove(op))
        elif type(op) is Range:
            results.append(evaluate(writer.mvcc, op, writer.budget))
        elif inner is not None:
            results.append(execute(writer, op, inner))
    return TxnResult(writer.mvcc.pending, succeeded, results)
