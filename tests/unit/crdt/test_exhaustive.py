"""Small-scope exhaustive: every history of 3 replicas with few operations, checked against the specification."""

from __future__ import annotations

from itertools import permutations

import pytest

from crdtkit.kinds import BY_NAME, KINDS, Kind
from crdtkit.world import State, explore
from ringleader.crdt import Crdt


def check(kind: Kind, state: State, *, orders: bool) -> None:
    """The writer shows what the specification says; all orders of merging end in the same bytes and the right value."""

    def expected(root: Crdt) -> object:
        version = root._doc.version
        return kind.spec([rec for rec in state.history if version.get(rec.replica, 0) >= rec.n])

    for root in state.replicas:
        if root._doc.me == state.history[-1].replica:
            assert root.value == expected(root), state.history
    results = set()
    for order in list(permutations(state.replicas)) if orders else [state.replicas, state.replicas[::-1]]:
        merged = kind.make(None)
        for root in order:
            merged.merge(root)
        results.add(merged.encode())
        assert merged.value == expected(merged), (state.steps, merged.explain())
    whole = kind.make(None)
    for root in state.replicas:
        whole.apply(root.delta_since(None))
    results.add(whole.encode())
    assert len(results) == 1, state.steps


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_history_of_three_operations(kind: Kind) -> None:
    count = 0
    for state in explore(kind, 3, kind.ops):
        check(kind, state, orders=True)
        count += 1
    assert count > 20


@pytest.mark.parametrize(
    ("name", "alphabet"),
    [
        ("ORSet", [("add", "x"), ("remove", "x")]),
        ("ORMap", [("inc", "x", 1), ("remove", "x")]),
    ],
)
def test_every_history_of_five_operations_on_one_element(name: str, alphabet: list[tuple[object, ...]]) -> None:
    kind = BY_NAME[name]
    count = 0
    for state in explore(kind, 5, alphabet):
        check(kind, state, orders=False)
        count += 1
    assert count > 1000


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_history_of_four_operations_with_two_kinds_of_them(kind: Kind) -> None:
    alphabet = kind.ops[:2] if len(kind.ops) < 3 or kind.ops[1][0] != kind.ops[0][0] else [kind.ops[0], kind.ops[2]]
    for state in explore(kind, 4, alphabet):
        check(kind, state, orders=False)
