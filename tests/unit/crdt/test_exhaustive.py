"""Small-scope exhaustive: every history of 3 replicas with few operations, however it is passed on, as specified.

Five operations of all kinds take minutes to an hour each: `python -m tools.explore_crdt` does them piece by piece, and
`make soak` a share.
"""

from __future__ import annotations

from itertools import permutations

import pytest

from crdtkit.kinds import BY_NAME, KINDS, Kind
from crdtkit.search import Counts, check, explore, normal
from crdtkit.sequences import SEQUENCES
from ringleader.crdt.entries import join_entries
from ringleader.crdt.sequence.order import Order

# How many histories there are, so that a search that leaves some out is noticed.
LAST = {"LWWRegister": 2, "LWWMap": 1, "SortedSet": 2}  # setting and removing
FIVE = {"GSet": 112, "TwoPhaseSet": 1_224}
FOUR = {
    "BoundedCounter": 1_636,
    "EWFlag": 2_414,
    "HyperLogLog": 761,
    "ORSet": 3_592,
    "PNCounter": 2_414,
    "RWSet": 1_852,
}


def search(kind: Kind, ops: int) -> Counts:
    counts = Counts()
    for history in explore(kind, ops):
        check(history, counts)
    return counts


@pytest.mark.parametrize("kind", [*KINDS, *SEQUENCES], ids=lambda kind: kind.name)
def test_every_history_of_three_operations(kind: Kind) -> None:
    counts = search(kind._replace(ops=kind.ops[:3]) if kind.name == "JsonDocument" else kind, 3)
    assert counts.deliveries > 5 * counts.histories > 100


@pytest.mark.parametrize("name", FOUR)
def test_every_history_of_four_operations(name: str) -> None:
    assert search(BY_NAME[name], 4).histories == FOUR[name]


@pytest.mark.parametrize("name", FIVE)
def test_every_history_of_five_operations(name: str) -> None:
    assert search(BY_NAME[name], 5).histories == FIVE[name]


@pytest.mark.parametrize("name", LAST)
def test_every_history_of_four_operations_with_two_kinds_of_them(name: str) -> None:
    kind = BY_NAME[name]
    alphabet = [kind.ops[0], kind.ops[LAST[name]]]
    assert search(kind._replace(ops=alphabet), 4).histories > 100


def test_no_history_is_met_twice_or_left_out() -> None:
    """Compared with making histories blindly and throwing the equal ones away."""
    kind = BY_NAME["EWFlag"]
    names = tuple(permutations(range(3)))
    met = [normal(history.events, names) for history in explore(kind, 3)]
    assert len(met) == len(set(met))
    blind: set[object] = set()
    for history in explore(kind._replace(alike=False), 3):
        blind.add(normal(history.events, names))
    assert set(met) == blind


def _bad_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep_what_both_have(mine, theirs, my_version, their_version, duplicates):  # type: ignore[no-untyped-def]  # a patch
        return mine if mine and theirs else join_entries(mine, theirs, my_version, their_version, duplicates)

    monkeypatch.setattr("ringleader.crdt.cells.join_entries", keep_what_both_have)


def _bad_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Order, "after", lambda self, left: (left, 1))  # never a left child


@pytest.mark.parametrize(
    ("bug", "name"), [(_bad_sets, "ORSet"), (_bad_sets, "EWFlag"), (_bad_order, "List")], ids=["set", "flag", "list"]
)
def test_the_search_finds_a_bug(bug, name: str, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]  # a function of the list above
    bug(monkeypatch)
    kind = {**BY_NAME, **{kind.name: kind for kind in SEQUENCES}}[name]
    with pytest.raises(AssertionError):
        search(kind, 4)
