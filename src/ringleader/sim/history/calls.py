"""From calls of the store's own commands, as the simulated clients record them, to histories that the checkers judge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ringleader.sim.history.operations import History, Operation, Outcome
from ringleader.sim.record import Outcome as CallOutcome
from ringleader.sim.record import Record
from ringleader.store.commands import Compare, Delete, DeleteResult, Put, PutResult, Range, RangeResult, Txn, TxnResult

__all__ = ["from_calls", "without_revisions"]


def from_calls(records: Iterable[Record]) -> History:
    """The history of single-key puts, gets, deletes and compare-and-set transactions, for `StoreModel` and `check_revisions`.

    A refused compare-and-set that reads the key in its failure branch also counts as a get. Raises `ValueError` for a
    command or a result that has no such meaning.
    """
    history = History()
    for record in records:
        op = history.call(record.client, *_question(record.op), at=record.call)
        if record.outcome is CallOutcome.ANSWERED:
            history.returned(op, _answer(record.op, record.output), record.end)
            if type(record.op) is Txn and not record.output.succeeded and record.output.results:
                seen = history.call(record.client, "get", op.arguments[0], at=record.call)
                history.returned(seen, _answer(record.op.failure[0], record.output.results[0]), record.end)
        elif record.outcome is CallOutcome.NOT_APPLIED:
            history.failed(op, record.end)
        elif record.outcome is CallOutcome.UNKNOWN:
            history.unknown(op, record.end)
    return history


def _question(command: Any) -> tuple[Any, ...]:
    """Name and arguments."""
    match command:
        case Put(key=key, value=value):
            return "put", key, value
        case Range(key=key, range_end=b"", revision=0):
            return "get", key
        case Delete(key=key, range_end=b""):
            return "delete", key
        case Txn(compares=[Compare(key=key) as compare], success=[Put(key=target, value=value)]) if key == target:
            if compare.op == "=" and compare.target == "version" and compare.value == 0:
                return "cas", key, None, value
            if compare.op == "=" and compare.target == "value":
                return "cas", key, compare.value, value
    raise ValueError(f"a history has no word for {command!r}")


def _answer(command: Any, result: Any) -> Any:
    match command, result:
        case Put(), PutResult(revision=revision):
            return revision
        case Range(), RangeResult(revision=revision, kvs=[]):
            return revision, None, 0
        case Range(), RangeResult(revision=revision, kvs=[kv]):
            return revision, kv.value, kv.mod_revision
        case Delete(), DeleteResult(revision=revision, deleted=deleted):
            return revision, deleted > 0
        case Txn(), TxnResult(revision=revision, succeeded=succeeded):
            return revision, succeeded
    raise ValueError(f"{result!r} is no answer to {command!r}")


def without_revisions(history: Iterable[Operation]) -> History:
    """The same calls for `RegisterModel`: what the store claims of its revisions is left out, only values count."""
    bare = History()
    for op in history:
        copy = bare.call(op.client, op.name, *op.arguments, at=op.start)
        if op.known:
            bare.returned(copy, None if op.name == "put" else op.result[1], op.end)
        elif op.outcome is Outcome.FAILED:
            bare.failed(copy, op.end)
    return bare
