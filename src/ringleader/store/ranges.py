"""Answering a range: which keys, at which revision, in which order, how many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ringleader.errors import Reason
from ringleader.store.commands import Failure, KeyValue, Range, RangeResult
from ringleader.store.index import interval
from ringleader.store.mvcc import Mvcc
from ringleader.store.refusal import Refusal, compacted, future_revision, invalid

__all__ = ["Budget", "check_range", "check_revision", "evaluate"]

_SORT_KEYS: dict[str, Callable[[KeyValue], Any]] = {
    "key": lambda kv: kv.key,
    "version": lambda kv: kv.version,
    "create": lambda kv: kv.create_revision,
    "mod": lambda kv: kv.mod_revision,
    "value": lambda kv: kv.value,
}
_ORDERS = ("none", "ascend", "descend")
_OVERHEAD = 32


class Budget:
    """How many bytes a command may still answer with; `spend` raises `Refusal` when it is over."""

    __slots__ = ("_left", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = self._left = limit

    def spend(self, kv: KeyValue) -> None:
        self._left -= size_of(kv)
        if self._left < 0:
            message = f"the result would be larger than {self._limit} bytes; ask for less at a time (limit, keys_only)"
            raise Refusal(Failure(Reason.TOO_LARGE, message))


def is_plain(op: Range) -> bool:
    """Whether `op` asks for one key as it is now, whole: by far the most frequent read, which needs nothing of the rest."""
    return bool(
        op.key
        and not op.range_end
        and op.revision <= 0
        and op.sort_target == "key"
        and op.sort_order == "none"
        and not (op.keys_only or op.count_only)
        and not _filters(op)
    )


def size_of(kv: KeyValue) -> int:
    """About how many bytes `kv` takes in a result."""
    return _OVERHEAD + len(kv.key) + len(kv.value)


def check_range(op: Range) -> None:
    """Refuse a range that makes no sense whatever the state is."""
    if not op.key:
        raise Refusal(invalid("the key is empty"))
    if op.sort_order not in _ORDERS or op.sort_target not in _SORT_KEYS:
        raise Refusal(invalid(f"sort {op.sort_order[:32]!r} by {op.sort_target[:32]!r} is not known"))


def check_revision(mvcc: Mvcc, revision: int) -> None:
    """Refuse a revision (0 or less: now) that is compacted or has not happened."""
    if revision > 0:
        if revision > mvcc.revision:
            raise Refusal(future_revision(revision, mvcc.revision))
        if revision < mvcc.compact_revision:
            raise Refusal(compacted(revision, mvcc.compact_revision))


def evaluate(mvcc: Mvcc, op: Range, budget: Budget) -> RangeResult:
    """The result of a checked range. A sort by something other than the key is ascending unless said otherwise.

    Equal ones stay in key order. Raises `Refusal` when the result would be too large.
    """
    now = mvcc.pending
    past = op.revision if 0 < op.revision < now else 0
    limit = max(op.limit, 0)
    if not op.range_end:
        kv = mvcc.at(op.key, past) if past else mvcc.current.get(op.key)
        found = [] if kv is None else [kv]
        count = len(found)
    else:
        low, high = interval(op.key, op.range_end)
        if op.count_only:
            count = sum(1 for _ in mvcc.scan_at(low, high, past)) if past else mvcc.index.count(low, high)
            return RangeResult(now, [], count)
        if op.sort_target == "key":
            return _in_key_order(mvcc, op, low, high, past, limit, budget)
        found = list(mvcc.scan_at(low, high, past) if past else mvcc.scan(low, high))
        count = len(found)
    if op.count_only:
        return RangeResult(now, [], count)
    found = list(_filtered(op, found))
    if op.sort_target != "key":
        found.sort(key=_SORT_KEYS[op.sort_target], reverse=op.sort_order == "descend")
    more = 0 < limit < len(found)
    if more:
        del found[limit:]
    return RangeResult(now, [_shown(op, kv, budget) for kv in found], count, more)


def _in_key_order(
    mvcc: Mvcc, op: Range, low: bytes, high: bytes | None, past: int, limit: int, budget: Budget
) -> RangeResult:
    """Looks at no more keys than it takes to fill the limit, or to see that the result would be too large."""
    backwards = op.sort_order == "descend"
    kvs = mvcc.scan_at(low, high, past, backwards) if past else mvcc.scan(low, high, backwards)
    found: list[KeyValue] = []
    more = False
    for kv in _filtered(op, kvs):
        if limit and len(found) == limit:
            more = True
            break
        found.append(_shown(op, kv, budget))
    if not past:
        count = mvcc.index.count(low, high)
    elif more or _filters(op):
        count = sum(1 for _ in mvcc.scan_at(low, high, past))
    else:
        count = len(found)
    return RangeResult(mvcc.pending, found, count, more)


def _shown(op: Range, kv: KeyValue, budget: Budget) -> KeyValue:
    """As it stands in the result. Raises `Refusal` when that becomes too large."""
    if op.keys_only:
        kv = KeyValue(kv.key, b"", kv.create_revision, kv.mod_revision, kv.version, kv.lease)
    budget.spend(kv)
    return kv


def _filters(op: Range) -> bool:
    return bool(op.min_mod_revision or op.max_mod_revision or op.min_create_revision or op.max_create_revision)


def _filtered(op: Range, kvs: Iterable[KeyValue]) -> Iterable[KeyValue]:
    if not _filters(op):
        return kvs
    lowest_mod, highest_mod = op.min_mod_revision, op.max_mod_revision or float("inf")
    lowest_create, highest_create = op.min_create_revision, op.max_create_revision or float("inf")
    return (
        kv
        for kv in kvs
        if lowest_mod <= kv.mod_revision <= highest_mod and lowest_create <= kv.create_revision <= highest_create
    )
