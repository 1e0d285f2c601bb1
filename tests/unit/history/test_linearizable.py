"""The exact checker against a brute force, against an independent checker, and on histories whose verdict is known."""

from __future__ import annotations

import random
from itertools import permutations
from typing import Any

import detangle
from detangle import lin

from ringleader.sim.history import Decision, History, Model, Operation, RegisterModel, StoreModel, check_linearizable


def random_history(choice: random.Random, clients: int, calls: int, keys: int, lie: float) -> History:
    """Clients of a register that is honest but for a share `lie` of its answers; some outcomes are unknown or failed."""
    history, state = History(), dict.fromkeys(range(keys))
    busy: dict[int, tuple[Operation, Any, bool]] = {}  # client -> its call, its result, whether it took effect
    made = 0
    for time in range(10_000):
        if made == calls and not busy:
            return history
        client = choice.randrange(clients)
        if client not in busy:
            if made < calls:
                key = choice.randrange(keys)
                name = choice.choice(["get", "get", "put", "cas", "delete"])
                values = {"get": (), "put": (choice.randrange(3),), "delete": ()}
                arguments = values.get(name, (choice.choice([None, 0, 1, 2]), choice.randrange(3)))
                busy[client] = (history.call(client, name, key, *arguments, at=time), None, False)
                made += 1
            continue
        op, result, done = busy[client]
        model = RegisterModel()
        if not done and choice.random() < 0.7:
            before = state[op.arguments[0]]
            state[op.arguments[0]] = model.step(before, op)[1]
            result = {"get": before, "put": None, "delete": before is not None}.get(
                op.name, op.name == "cas" and before == op.arguments[1]
            )
            busy[client] = (op, result, True)
            continue
        del busy[client]
        if choice.random() < 0.15:
            history.unknown(op, time)
        elif not done:
            history.failed(op, time)
        else:
            if op.name == "get" and choice.random() < lie:
                result = choice.choice([None, 0, 1, 2])
            history.returned(op, result, time)
    raise AssertionError("the history never ended")


def brute_force(history: History, model: Model) -> bool:
    """Try every order of every subset of the unknown calls."""
    known = [op for op in history if op.known]
    unknown = [op for op in history if op.outcome.value in ("open", "unknown")]
    for chosen in range(1 << len(unknown)):
        calls = [*known, *(op for place, op in enumerate(unknown) if chosen >> place & 1)]
        for order in permutations(calls):
            if any(later.end < op.start for place, op in enumerate(order) for later in order[place + 1 :]):
                continue
            state, legal = model.initial(), True
            for op in order:
                legal, state = model.step(state, op)
                if not legal:
                    break
            if legal:
                return True
    return False


class _Peer(lin.KV):
    """The other checker's model, told that a delete answers whether there was something to delete."""

    def step(self, state: Any, op: Any) -> tuple[bool, Any]:
        present = state != self.init() and state is not None
        if op.f == "delete" and op.status == "ok" and op.output != present:
            return False, state
        legal, after = super().step(state, op)
        return bool(legal), after


def independent(history: History) -> bool:
    """The verdict of PyPI's detangle."""
    events = [(op.start, 0, op.number, op) for op in history] + [(op.end, 1, op.number, op) for op in history]
    other, made = detangle.History(), {}
    for _, is_end, number, op in sorted(events, key=lambda event: event[:3]):
        if not is_end:
            made[number] = other.invoke(op.client, op.name, op.arguments)
        elif op.known:
            other.ok(made[number], op.result)
        elif op.outcome.value == "failed":
            other.fail(made[number])
        else:
            other.info(made[number])
    return bool(other.check(_Peer()).ok)


def test_it_agrees_with_a_brute_force() -> None:
    choice, verdicts = random.Random(1), {True: 0, False: 0}
    for _ in range(1200):
        history = random_history(choice, clients=3, calls=choice.randint(2, 6), keys=1, lie=0.4)
        verdict = check_linearizable(history, RegisterModel())
        assert verdict.decision is not Decision.UNDECIDED
        assert verdict.ok == brute_force(history, RegisterModel()), verdict
        verdicts[verdict.ok] += 1
    assert min(verdicts.values()) > 200, verdicts


def test_it_agrees_with_an_independent_checker() -> None:
    choice, verdicts = random.Random(2), {True: 0, False: 0}
    for _ in range(3000):
        history = random_history(
            choice, clients=4, calls=choice.randint(4, 24), keys=2, lie=choice.choice([0, 0.1, 0.3])
        )
        verdict = check_linearizable(history, RegisterModel())
        assert verdict.ok == independent(history), "\n".join([*map(repr, history), str(verdict)])
        verdicts[verdict.ok] += 1
    assert min(verdicts.values()) > 500, verdicts


def test_the_explanation_is_itself_a_violation_and_short() -> None:
    choice, found = random.Random(3), 0
    while found < 100:
        history = random_history(choice, clients=4, calls=30, keys=2, lie=0.2)
        verdict = check_linearizable(history, RegisterModel())
        if verdict.ok:
            continue
        found += 1
        assert 0 < len(verdict.culprits) <= 30
        assert len({op.arguments[0] for op in verdict.culprits}) == 1
        assert not check_linearizable(verdict.culprits, RegisterModel()).ok


def test_a_stale_read_is_explained_by_few_calls() -> None:
    history = History()
    for time in range(0, 200, 2):
        history.returned(history.call("a", "put", "k", time, at=time), None, at=time + 1)
        history.returned(history.call("b", "get", "k", at=time), time, at=time + 1)
    history.returned(history.call("b", "get", "k", at=300), 100, at=301)
    verdict = check_linearizable(history, RegisterModel())
    assert verdict.decision is Decision.VIOLATION
    assert len(verdict.culprits) <= 4
    assert "get('k') -> 100 [300, 301]" in verdict.reason


def test_an_unknown_write_may_take_effect_late_or_never_a_failed_one_never() -> None:
    cases: list[tuple[str, list[int | None], bool]] = [
        ("unknown", [None, None, 1], True),
        ("unknown", [None, None], True),
        ("unknown", [None, 1, None], False),
        ("failed", [None], True),
        ("failed", [1], False),
    ]
    for outcome, reads, fine in cases:
        history = History()
        write = history.call("a", "put", "k", 1, at=0)
        getattr(history, outcome)(write, at=1)
        for place, value in enumerate(reads):
            history.returned(history.call("b", "get", "k", at=10 + 2 * place), value, at=11 + 2 * place)
        assert check_linearizable(history, RegisterModel()).ok is fine, (outcome, reads)


def test_many_unknown_writes_do_not_explode() -> None:
    history = History()
    for number in range(60):
        history.unknown(history.call(number, "put", "k", number, at=number), at=number + 1)
    for place, number in enumerate([3, 50, 7, 41]):
        history.returned(history.call("r", "get", "k", at=100 + 2 * place), number, at=101 + 2 * place)
    assert check_linearizable(history, RegisterModel(), budget=100_000).ok
    history.returned(history.call("r", "get", "k", at=200), 3, at=201)
    assert check_linearizable(history, RegisterModel(), budget=1_000_000).decision is Decision.VIOLATION


def test_a_budget_that_ends_is_not_a_verdict() -> None:
    history = History()
    for client in range(9):
        history.returned(history.call(client, "put", "k", client, at=0), None, at=100)
    history.returned(history.call("r", "get", "k", at=200), 99, at=201)
    assert check_linearizable(history, RegisterModel(), budget=50).decision is Decision.UNDECIDED
    assert check_linearizable(history, RegisterModel()).decision is Decision.VIOLATION


def test_the_store_model_couples_keys_by_the_revision() -> None:
    history = History()
    history.returned(history.call("a", "put", "x", 1, at=0), 2, at=10)
    history.returned(history.call("b", "put", "y", 2, at=0), 2, at=10)
    assert check_linearizable(history, RegisterModel()).ok
    assert not check_linearizable(history, StoreModel()).ok
