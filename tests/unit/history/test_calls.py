"""The store's own commands become histories: the right words, the right outcomes, and nothing that has no word."""

from __future__ import annotations

import pytest

from ringleader.sim.history import check_linearizable, check_revisions, from_calls, without_revisions
from ringleader.sim.history.models import RegisterModel, StoreModel
from ringleader.sim.record import CallLog
from ringleader.sim.timeline import Timeline
from ringleader.store.commands import (
    Compact,
    Compare,
    Delete,
    DeleteResult,
    KeyValue,
    Put,
    PutResult,
    Range,
    RangeResult,
    Txn,
    TxnResult,
)

A = KeyValue(b"k", b"a", 2, 2, 1)


def recorded() -> CallLog:
    timeline = Timeline()
    log = CallLog(timeline)
    swap = Txn([Compare(b"k", "value", "=", b"z")], [Put(b"k", b"b")], [Range(b"k")])
    create = Txn([Compare(b"k", "version", "=", 0)], [Put(b"k", b"c")], [Range(b"k")])
    for command, result in [
        (Put(b"k", b"a"), PutResult(2)),
        (Range(b"k"), RangeResult(2, [A], 1)),
        (swap, TxnResult(2, False, [RangeResult(2, [A], 1)])),
        (Delete(b"k"), DeleteResult(3, 1)),
        (create, TxnResult(4, True, [PutResult(4)])),
        (Put(b"k", b"never"), None),
        (Delete(b"k"), "unknown"),
        (Range(b"k"), RangeResult(5, [], 0)),
    ]:
        record = log.call(7, command)
        timeline.run_until(timeline.now + 1.0)
        if result is None:
            log.not_applied(record)
        elif result == "unknown":
            log.unknown(record)
        else:
            log.answered(record, result)
        timeline.run_until(timeline.now + 1.0)
    return log


def test_commands_become_operations() -> None:
    history = from_calls(recorded().records)
    assert [(op.name, op.outcome.value, op.result) for op in history] == [
        ("put", "ok", 2),
        ("get", "ok", (2, b"a", 2)),
        ("cas", "ok", (2, False)),
        ("get", "ok", (2, b"a", 2)),  # what the refused swap read
        ("delete", "ok", (3, True)),
        ("cas", "ok", (4, True)),
        ("put", "failed", None),
        ("delete", "unknown", None),
        ("get", "ok", (5, None, 0)),
    ]
    assert check_revisions(history).ok
    assert check_linearizable(history, StoreModel()).ok
    assert check_linearizable(without_revisions(history), RegisterModel()).ok


def test_a_lie_in_the_records_is_found_either_way() -> None:
    log = recorded()
    log.records[1].output = RangeResult(2, [], 0)
    history = from_calls(log.records)
    assert not check_revisions(history).ok
    assert not check_linearizable(without_revisions(history), RegisterModel()).ok


def test_what_has_no_word_is_refused() -> None:
    log = CallLog(Timeline())
    log.call(1, Compact(5))
    with pytest.raises(ValueError, match="no word for Compact"):
        from_calls(log.records)
