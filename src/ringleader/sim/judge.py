"""Is what the clients were told linearizable? Judged by the revisions in the answers, in O(n log n) for any number of keys.

Every answer names the revision of the store that it speaks of: the claimed order. The check takes the claim at its word and
verifies it: (1) each answer is what a plain dictionary would say at that revision, and (2) the order of revisions agrees with
real time: a call that began after another had ended is not at a smaller revision, and at a larger one if it changed
something. Together these are strict serializability, with the revision as the witness. The same question is put to the
checkers of `sim.history`, which know nothing of what the nodes did, but only what the clients saw.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ringleader.sim.history import (
    Decision,
    History,
    RegisterModel,
    Verdict,
    check_linearizable,
    check_revisions,
    from_calls,
    without_revisions,
)
from ringleader.sim.history.revisions import revision_of, wrote
from ringleader.sim.record import Outcome, Record
from ringleader.sim.violation import Violation
from ringleader.store.commands import Delete, DeleteResult, Event, Put, PutResult, Range, RangeResult, Txn, TxnResult

if TYPE_CHECKING:
    from ringleader.sim.world import World

__all__ = ["KeyHistory", "check_history"]

SEARCHED = 3.0
"""Calls made in the first so many seconds are also given to the exact search, which believes no revision."""

SEARCH_STEPS = 20_000
"""The most steps that the exact search may take; beyond them it does not know, and is asked about half the time."""


class KeyHistory:
    """What every key held from which revision on, as a plain dictionary of lists."""

    def __init__(self) -> None:
        self._revisions: dict[bytes, list[int]] = {}
        self._values: dict[bytes, list[bytes | None]] = {}

    def note(self, key: bytes, value: bytes | None, revision: int) -> None:
        """`key` holds `value` (None: nothing) from `revision` on. Revisions must rise."""
        self._revisions.setdefault(key, []).append(revision)
        self._values.setdefault(key, []).append(value)

    def at(self, key: bytes, revision: int) -> bytes | None:
        """What `key` held at `revision`."""
        place = bisect_right(self._revisions.get(key, []), revision)
        return self._values[key][place - 1] if place else None


def check_history(world: World) -> int:
    """Raise `Violation` unless the calls of all clients are linearizable; returns how many calls the exact search decided."""
    answered = [record for record in world.log.records if record.outcome is Outcome.ANSWERED]
    own = [record for record in world.log.records if record.own]
    for record in answered:
        if record.own:
            _check_answer(record, world.truth.keys)
    _check_real_time(answered)
    history = from_calls(own)
    _note_log(world, history, lambda event: not event.kv.key.startswith(b"k"))
    verdict = check_revisions(history)
    if verdict.decision is Decision.UNDECIDED:  # then the log says which writes of unknown outcome came to be
        history = from_calls([record for record in own if record.outcome in (Outcome.ANSWERED, Outcome.NOT_APPLIED)])
        _note_log(world, history, lambda event: True)
        verdict = check_revisions(history)
    _decided(verdict)
    return _search(without_revisions(from_calls(own)))


def _note_log(world: World, history: History, which: Callable[[Event], bool]) -> None:
    """The log makes known what no answer has told of, for events such as `which` says.

    What leases and multi-key writes did appears as a write to a key that nobody reads, so that every revision has its maker.
    """
    told = {revision_of(op) for op in history if op.known and wrote(op)}
    for revision, events in enumerate(world.truth.chronicle.changes):
        if not events or revision in told or not any(map(which, events)):
            continue
        moment, event = world.truth.moments[revision], events[0]
        if len(events) > 1 or not event.kv.key.startswith(b"k"):
            op = history.call(0, "put", b"", b"revision %d" % revision, at=moment.born)
        elif event.deleted:
            op = history.call(0, "delete", event.kv.key, at=moment.born)
        else:
            op = history.call(0, "put", event.kv.key, event.kv.value, at=moment.born)
        history.returned(op, (revision, True) if op.name == "delete" else revision, moment.done)


def _decided(verdict: Verdict) -> None:
    """Whoever does not know has not said "in order"."""
    if verdict.decision is Decision.VIOLATION:
        raise Violation("linearizable", str(verdict))
    if verdict.decision is Decision.UNDECIDED:
        raise Violation("undecided", str(verdict))


def _search(history: History) -> int:
    """The exact search over the start of the run: as much of it as it can decide within its bound, but it must decide."""
    until = SEARCHED
    while True:
        part = _until(history, until)
        verdict = check_linearizable(part, RegisterModel(), budget=SEARCH_STEPS)
        if verdict.decision is not Decision.UNDECIDED or until < SEARCHED / 16:
            _decided(verdict)
            return len(part)
        until /= 2


def _until(history: History, moment: float) -> History:
    """What was known at `moment`: calls that had not ended by then may or may not have taken effect."""
    early = History()
    for op in history:
        if op.start < moment:
            copy = early.call(op.client, op.name, *op.arguments, at=op.start)
            if op.end < moment and op.known:
                early.returned(copy, op.result, op.end)
            elif op.end < moment:
                early.failed(copy, op.end)
    return early


def changed(op: Any, result: Any) -> bool:
    """Whether the call moved the store to the revision in its answer."""
    if type(result) is PutResult:
        return True
    if type(result) is DeleteResult:
        return result.deleted > 0
    return type(result) is TxnResult and result.succeeded


def _check_answer(record: Record, keys: KeyHistory) -> None:
    op, result = record.op, record.output
    if type(op) is Range and type(result) is RangeResult:
        _expect(record, keys.at(op.key, result.revision), _value(result))
    elif type(op) is Put and type(result) is PutResult:
        _expect(record, keys.at(op.key, result.revision), op.value)
    elif type(op) is Delete and type(result) is DeleteResult:
        before = keys.at(op.key, result.revision - 1 if result.deleted else result.revision)
        _expect(record, before is not None, result.deleted == 1)
        _expect(record, keys.at(op.key, result.revision), None)
    elif type(op) is Txn and type(result) is TxnResult:
        compare = op.compares[0]
        held = keys.at(compare.key, result.revision - 1 if result.succeeded else result.revision)
        met = held is None if compare.target == "version" else held == compare.value
        _expect(record, met, result.succeeded)
        if not result.succeeded:
            inner = result.results[0]
            assert type(inner) is RangeResult
            _expect(record, held, _value(inner))
    else:
        raise Violation("linearizable", f"{op!r} was answered with {result!r}")


def _value(result: RangeResult) -> bytes | None:
    return result.kvs[0].value if result.kvs else None


def _expect(record: Record, truth: object, told: object) -> None:
    if truth != told:
        raise Violation(
            "linearizable",
            f"{record.op!r} (called {record.call:.6f}, answered {record.end:.6f}) was answered with {record.output!r}, "
            f"but at that revision it should be {truth!r}, not {told!r}",
        )


def _check_real_time(answered: list[Record]) -> None:
    """No call sees less than what was answered before it began."""
    ended = sorted(answered, key=lambda record: record.end)
    place, newest = 0, 0
    latest: Record | None = None
    for record in sorted(answered, key=lambda record: record.call):
        while ended[place].end < record.call:
            if ended[place].output.revision > newest:
                latest, newest = ended[place], ended[place].output.revision
            place += 1
        revision = record.output.revision
        if revision < newest or (revision == newest and changed(record.op, record.output)):
            assert latest is not None
            raise Violation(
                "linearizable",
                f"{record.op!r} (called {record.call:.6f}) saw revision {revision}, but {latest.op!r} had been answered "
                f"at {latest.end:.6f} with revision {newest}",
            )
