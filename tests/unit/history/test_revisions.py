"""The fast checker by claimed revisions against the exact one on random stores, and the single things it must notice."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ringleader.sim.history import (
    Decision,
    History,
    Operation,
    RegisterModel,
    StoreModel,
    check_linearizable,
    check_revisions,
    check_sessions,
    without_revisions,
)


def random_store(choice: random.Random, calls: int, lie: float, unknown: float, clients: int = 4) -> History:
    """Clients of a store that is honest but for a share `lie` of its answers; `unknown` of them are lost."""
    history, model = History(), StoreModel()
    state: Any = model.initial()
    states = [state]
    busy: dict[int, tuple[Operation, Any, bool]] = {}
    made = 0
    for time in range(40 * calls):
        if made == calls and not busy:
            break
        client = choice.randrange(clients)
        if client not in busy:
            if made < calls:
                made += 1
                busy[client] = (history.call(client, *question(choice, state, made), at=time), None, False)
            continue
        op, result, done = busy[client]
        if not done and choice.random() < 0.7:
            stale = choice.random() < lie
            seen = choice.choice(states[-6:]) if stale else state
            result = answer(op, seen)
            if not (stale and choice.random() < 0.5):
                state = model.step(state, op)[1]
                states.append(state)
            busy[client] = (op, result, True)
        else:
            del busy[client]
            if choice.random() < unknown:
                history.unknown(op, time)
            elif done:
                history.returned(op, result, time)
            else:
                history.failed(op, time)
    return history


def question(choice: random.Random, state: Any, number: int) -> tuple[Any, ...]:
    key = choice.choice("xy")
    held = {name: value for name, value, _ in state[1]}
    return choice.choice(
        [
            ("get", key),
            ("get", key),
            ("put", key, number),
            ("delete", key),
            ("cas", key, held.get(key), number),
            ("cas", key, choice.choice([None, number - 1]), number),
        ]
    )


def answer(op: Operation, state: Any) -> Any:
    revision = StoreModel().step(state, op)[1][0]
    key = op.arguments[0]
    value, mod = next(((value, mod) for name, value, mod in state[1] if name == key), (None, 0))
    return {
        "get": (revision, value, mod),
        "put": revision,
        "delete": (revision, value is not None),
        "cas": (revision, op.name == "cas" and value == op.arguments[1]),
    }[op.name]


@pytest.mark.parametrize("unknown", [0.0, 0.15, 0.4])
def test_it_agrees_with_the_exact_search(unknown: float) -> None:
    choice, seen = random.Random(int(unknown * 100)), dict.fromkeys(Decision, 0)
    for _ in range(2500):
        history = random_store(choice, choice.randint(3, 12), choice.choice([0, 0, 0.2]), unknown)
        exact = check_linearizable(history, StoreModel())
        fast = check_revisions(history)
        seen[fast.decision] += 1
        assert exact.decision is not Decision.UNDECIDED
        shown = "\n".join([*map(repr, history), "fast " + str(fast), "exact " + str(exact)])
        assert fast.decision in (exact.decision, Decision.UNDECIDED), shown
        if exact.ok:
            assert check_linearizable(without_revisions(history), RegisterModel()).ok, shown
            assert check_sessions(history).ok, shown
    assert seen[Decision.UNDECIDED] <= 500 * unknown, seen
    assert min(seen[Decision.OK], seen[Decision.VIOLATION]) > 100, seen


def told(*calls: tuple[Any, ...]) -> History:
    """Calls as (client, name, arguments, result, start, end); a result "unknown" or "failed" is an outcome."""
    history = History()
    for client, name, arguments, result, start, end in calls:
        op = history.call(client, name, *arguments, at=start)
        if result in ("unknown", "failed"):
            getattr(history, result)(op, end)
        else:
            history.returned(op, result, end)
    return history


PUT = ("a", "put", ("x", 1), 2, 0, 1)

VIOLATIONS: dict[str, tuple[str, History]] = {
    "an acknowledged write is lost": (
        "no write of unknown outcome explains",
        told(PUT, ("b", "get", ("x",), (2, None, 0), 2, 3)),
    ),
    "a stale read": ("real time", told(PUT, ("b", "get", ("x",), (1, None, 0), 2, 3))),
    "a write is overtaken": ("real time", told(("a", "put", ("x", 1), 3, 0, 1), ("b", "put", ("y", 2), 2, 2, 3))),
    "a revision is claimed twice": ("two writes claim", told(PUT, ("b", "put", ("y", 2), 2, 0, 1))),
    "a write is applied twice": (
        "took effect twice",
        told(
            ("a", "put", ("x", 1), "unknown", 0, 1),
            ("b", "get", ("x",), (2, 1, 2), 2, 3),
            ("b", "get", ("x",), (3, 1, 3), 4, 5),
        ),
    ),
    "a write was reported at another revision": (
        "took effect twice",
        told(PUT, ("b", "get", ("x",), (3, 1, 3), 4, 5)),
    ),
    "a failed write is seen": (
        "never applied has been seen",
        told(("a", "put", ("x", 1), "failed", 0, 1), ("b", "get", ("x",), (2, 1, 2), 2, 3)),
    ),
    "a value out of thin air": ("never written", told(("b", "get", ("x",), (2, 7, 2), 2, 3))),
    "a swap of a wrong value": ("a swap found", told(PUT, ("b", "cas", ("x", 9, 3), (3, True), 2, 3))),
    "a swap refused for nothing": ("found something else", told(PUT, ("b", "cas", ("x", 1, 3), (2, False), 2, 3))),
    "a revision made by nobody": ("made by nobody", told(("a", "put", ("x", 1), 4, 0, 1))),
    "a read from before the write": (
        "read at revision 2 saw",
        told(
            ("a", "put", ("x", 1), 3, 0, 9),
            ("c", "put", ("y", 2), 2, 0, 9),
            ("b", "get", ("x",), (2, 1, 3), 0, 9),
        ),
    ),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_it_names_the_violation(name: str) -> None:
    words, history = VIOLATIONS[name]
    verdict = check_revisions(history)
    assert verdict.decision is Decision.VIOLATION
    assert words in verdict.reason
    assert not check_linearizable(history, StoreModel()).ok


def test_values_must_be_unique() -> None:
    with pytest.raises(ValueError, match="written twice"):
        check_revisions(told(PUT, ("b", "put", ("y", 1), 3, 2, 3)))


def test_writers_outside_the_history_are_allowed_when_told_so() -> None:
    history = told(("a", "put", ("x", 1), 4, 0, 1))
    assert check_revisions(history, complete=False).ok
    assert not check_revisions(history).ok


def test_session_guarantees() -> None:
    assert check_sessions(told(PUT, ("b", "get", ("x",), (1, None, 0), 2, 3))).ok  # another client may be behind
    for guarantee, history in {
        "read your writes": told(PUT, ("a", "get", ("x",), (1, None, 0), 2, 3)),
        "monotonic reads": told(("a", "get", ("x",), (5, 1, 2), 0, 1), ("a", "get", ("x",), (4, 1, 2), 2, 3)),
        "monotonic writes": told(PUT, ("a", "put", ("x", 2), 2, 2, 3)),
    }.items():
        verdict = check_sessions(history)
        assert verdict.decision is Decision.VIOLATION
        assert verdict.reason.startswith(guarantee)
        assert len(verdict.culprits) == 2


def test_a_history_keeps_its_own_rules() -> None:
    history = History()
    op = history.call("a", "get", "x", at=5)
    with pytest.raises(ValueError, match="before it started"):
        history.returned(op, None, 4)
    history.returned(op, None, 6)
    with pytest.raises(ValueError, match="has ended already"):
        history.unknown(op, 7)


def test_a_long_history_takes_linear_work() -> None:
    verdict = check_revisions(random_store(random.Random(9), 5000, 0.0, 0.0, clients=16))
    assert (verdict.decision, verdict.steps) == (Decision.OK, 5000)
