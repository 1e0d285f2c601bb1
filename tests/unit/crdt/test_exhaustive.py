"""Small-scope exhaustive: every history of 3 replicas with few operations, checked against the specification.

Five operations of all kinds take hours: `python -m tools.explore_crdt` does them piece by piece, `make soak` a share.
"""

from __future__ import annotations

import pytest

from crdtkit.kinds import BY_NAME, KINDS, Kind
from crdtkit.world import check, explore


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_history_of_three_operations(kind: Kind) -> None:
    count = 0
    for state in explore(kind, 3, kind.ops, alike=kind.alike):
        check(kind, state)
        count += 1
    assert count > 20


def test_every_history_of_five_operations_on_one_element() -> None:
    count = 0
    for state in explore(BY_NAME["ORSet"], 5, [("add", "x"), ("remove", "x")], alike=True):
        check(BY_NAME["ORSet"], state)
        count += 1
    assert count > 1000


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_history_of_four_operations_with_two_kinds_of_them(kind: Kind) -> None:
    alphabet = kind.ops[:2] if len(kind.ops) < 3 or kind.ops[1][0] != kind.ops[0][0] else [kind.ops[0], kind.ops[2]]
    for state in explore(kind, 4, alphabet, alike=kind.alike):
        check(kind, state)
