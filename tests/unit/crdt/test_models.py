"""Models, nesting, operators, values and conflicts, as a user's code meets them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ringleader.crdt import (
    BoundedCounter,
    DWFlag,
    EWFlag,
    GCounter,
    GSet,
    HyperLogLog,
    InsufficientRightsError,
    JsonDocument,
    LWWMap,
    LWWRegister,
    Model,
    MVRegister,
    ORMap,
    ORSet,
    PNCounter,
    RWSet,
    SortedSet,
    TwoPhaseSet,
)
from ringleader.errors import UsageError
from unit.crdt.apikit import Cart, NewCart, ctx, sync


def test_a_model_reads_like_python() -> None:
    a, b = Cart(ctx("a")), Cart(ctx("b"))
    a.items["apple"] += 2
    a.owner.set("ann")
    b.items["apple"] += 1
    b.items["pear"] += 1
    b.tags.add("vip")
    sync(a, b)
    assert a.value == b.value == {"items": {"apple": 3, "pear": 1}, "owner": "ann", "tags": frozenset({"vip"})}
    del a.items["apple"]
    a.tags |= ["x"]
    sync(a, b)
    assert b.items.value == {"pear": 1}
    assert b.tags.value == {"vip", "x"}
    assert a.encode() == b.encode()


def test_a_field_unknown_here_is_kept_and_passed_on() -> None:
    new, old = NewCart(ctx("new")), Cart(ctx("old"))
    new.note.set("hi")
    old.merge(new)
    old.owner.set("bob")
    later = NewCart()
    later.apply(old.delta_since())
    assert later.note.value == "hi"
    assert later.owner.value == "bob"


def test_a_field_may_not_hide_a_method() -> None:
    with pytest.raises(UsageError, match=r"Bad\.value"):
        type("Bad", (Model,), {"__annotations__": {"value": "LWWRegister"}})


def test_handles_stay_good_through_removal_and_return() -> None:
    a: ORMap[str, PNCounter] = ORMap(ctx("a"), PNCounter)
    b: ORMap[str, PNCounter] = ORMap(ctx("b"), PNCounter)
    handle = a["k"]
    assert "k" not in a
    assert a["k"] is handle
    handle.increment()
    assert a.value == {"k": 1}
    sync(a, b)
    del b["k"]
    a.merge(b)
    assert "k" not in a
    handle.increment(5)
    sync(a, b)
    assert b.value == {"k": 5}
    assert a["k"] is handle


def test_an_empty_container_is_still_the_same_container() -> None:
    root = ORMap[str, Any](ctx())
    made = root.create("k", ORSet)
    assert root["k"] is made
    assert root.child("k", ORSet) is made
    root.child("k", ORSet).add(1)
    assert made.value == root["k"].value == {1}


def test_any_type_nests_in_any_map() -> None:
    root = ORMap[str, Any](ctx())
    for kind in (GCounter, PNCounter, LWWRegister, MVRegister, EWFlag, DWFlag, GSet, TwoPhaseSet, ORSet, RWSet):
        root.create(kind.name, kind)
    for other_kind in (LWWMap, SortedSet, HyperLogLog, ORMap, BoundedCounter):
        root.create(other_kind.name, other_kind)
    root["plain"] = "text"
    root["ORMap"].create("deep", ORMap).create("deeper", ORSet).add(1)
    assert len(root) == 16
    other = ORMap[str, Any](ctx("b"))
    other.merge(root)
    assert other.value == root.value
    assert other.encode() == root.encode()
    assert other["ORMap"].value == {"deep": {"deeper": frozenset({1})}}
    with pytest.raises(UsageError, match="bounded counter cannot be removed"):
        root.clear()
    assert len(root) == 16
    with pytest.raises(UsageError, match="part of a document"):
        root["ORSet"].merge(ORSet())
    with pytest.raises(UsageError, match="from elsewhere"):
        root["x"] = PNCounter(ctx("c"))
    with pytest.raises(KeyError):
        root["nothing"]
    assert root.get("nothing") is None


def test_assigning_plain_values() -> None:
    root: ORMap[str, ORSet[int]] = ORMap(ctx(), ORSet)
    root["k"] = {1, 2}
    root["k"] = {2, 3}
    assert root.value == {"k": frozenset({2, 3})}
    counters: ORMap[str, PNCounter] = ORMap(ctx("b"), PNCounter)
    counters["k"] = 7
    counters["k"] = 3
    assert counters.value == {"k": 3}
    sketches: ORMap[str, HyperLogLog] = ORMap(ctx("c"), HyperLogLog)
    with pytest.raises(UsageError, match="cannot be assigned"):
        sketches["k"] = 1


@pytest.mark.parametrize("value", [[1], {1: 2}, {1}, object(), 1 << 64, -(1 << 63) - 1, "\ud800", ([],)])
def test_what_cannot_be_replicated_is_refused_before_anything_changes(value: Any) -> None:
    register, collection, table = LWWRegister[Any](ctx()), ORSet[Any](ctx()), LWWMap[Any, Any](ctx())
    with pytest.raises(UsageError):
        register.set(value)
    with pytest.raises(UsageError):
        table["k"] = value
    if getattr(value, "__hash__", None) is not None:
        with pytest.raises(UsageError):
            collection.add(value)
    assert not register.version
    assert not table.version
    assert not collection.version


def test_values_survive_the_wire_exactly() -> None:
    values = [None, True, 0, -(1 << 63), (1 << 64) - 1, 1.5, -0.0, math.inf, "é\n", b"\x00", (1, ("x", None), b"")]
    table = LWWMap[int, Any](ctx())
    for i, value in enumerate(values):
        table[i] = value
    again: LWWMap[int, Any] = LWWMap.decode(table.encode())
    assert list(again.value.values()) == values
    assert [type(value) for value in again.value.values()] == [type(value) for value in values]
    assert math.copysign(1, again.value[6]) == -1


def test_counters_refuse_what_they_cannot_count() -> None:
    counter = PNCounter(ctx())
    wrong: Any
    for wrong in ("1", None, True, 1 << 60, math.nan, math.inf):
        with pytest.raises(UsageError):
            counter.increment(wrong)
    counter += 1 << 59
    with pytest.raises(UsageError, match=r"2\*\*59"):
        counter += 1
    with pytest.raises(UsageError, match="only grows"):
        GCounter(ctx()).increment(-1)
    assert int(counter) == 1 << 59


def test_bounded_counter_transfers_rights() -> None:
    a, b = BoundedCounter(ctx("a")), BoundedCounter(ctx("b"))
    a += 10
    sync(a, b)
    with pytest.raises(InsufficientRightsError, match="may take 0, not 1") as caught:
        b.decrement()
    assert caught.value.available == 0
    a.transfer("b", 4)
    sync(a, b)
    b -= 4
    a -= 6
    sync(a, b)
    assert a.value == b.value == 0
    assert "gave 4 to b" in a.explain()
    with pytest.raises(UsageError):
        a.transfer("a", 1)
    with pytest.raises(UsageError):
        a.increment(0)


def test_hyperloglog_estimates() -> None:
    a, b = HyperLogLog(ctx("a")), HyperLogLog(ctx("b"))
    assert a.value == 0
    for i in range(20_000):
        (a if i % 3 else b).add(i)
        if i % 5 == 0:
            (b if i % 3 else a).add(i)
    sync(a, b)
    assert abs(a.value - 20_000) < 20_000 * 0.03
    assert len(a.encode()) < 17_000
    assert HyperLogLog.decode(a.encode()).value == a.value == len(b)
    small = HyperLogLog(ctx("c"))
    for i in range(50):
        small.add(f"item {i}")
    assert 48 <= small.value <= 52


def test_sorted_set_queries() -> None:
    board = SortedSet[str](ctx())
    for name, score in (("ann", 3), ("bob", 1), ("cat", 2), ("dan", 2)):
        board[name] = score
    assert board.value == [("bob", 1), ("cat", 2), ("dan", 2), ("ann", 3)]
    assert [board.rank(name) for name in ("bob", "dan", "ann", "nobody")] == [0, 2, 3, None]
    assert board.range(-2) == [("dan", 2), ("ann", 3)]
    assert board.range_by_score(2, 2.5) == [("cat", 2), ("dan", 2)]
    board.remove("ann")
    with pytest.raises(KeyError):
        board["ann"]
    with pytest.raises(KeyError):
        board.remove("ann")
    with pytest.raises(UsageError):
        board.add("x", math.nan)
    assert len(board) == 3


def test_conflicts_are_shown() -> None:
    a, b = LWWRegister[str](ctx("a")), LWWRegister[str](ctx("b"))
    a.set("one")
    b.set("two")
    sync(a, b)
    assert [(c.value, c.replica) for c in a.conflicts()] == [("two", b"b"), ("one", b"a")]
    a.set("three")
    assert a.conflicts() == []
    many = MVRegister[int](ctx("c"))
    many.set(1)
    assert many.value == [1]
    flag, other = EWFlag(ctx("a")), EWFlag(ctx("b"))
    flag.enable()
    other.disable()
    sync(flag, other)
    assert flag
    assert flag.conflicts() == [True, False]
    table, far = LWWMap[str, int](ctx("a")), LWWMap[str, int](ctx("b"))
    table["k"] = 1
    far["k"] = 2
    sync(table, far)
    assert [c.value for c in table.conflicts("k")] == [2, 1]


def test_conflicts_in_documents_and_sorted_sets_are_shown() -> None:
    a = JsonDocument(ctx("a"))
    scores = SortedSet[str](ctx("a"))
    b, others = a.fork(ctx("b")), scores.fork(ctx("b"))
    a["title"], b["title"] = "one", "two"
    a["kind"], b["kind"] = 1, {"nested": True}
    scores["m"], others["m"] = 1, 2
    a.merge(b)
    scores.merge(others)
    assert [conflict.value for conflict in a.conflicts("title")] == ["two", "one"]
    assert [hidden.value for hidden in a.conflicts("kind")] == [1]
    assert a.conflicts("nothing") == []
    assert [conflict.value for conflict in scores.conflicts("m")] == [2, 1]
    scores["m"] = 3
    a["title"] = "three"
    assert scores.conflicts("m") == scores.conflicts("nobody") == a.conflicts("title") == []


def test_two_phase_set_does_not_take_back() -> None:
    root = TwoPhaseSet[str](ctx())
    root.add("x")
    root.remove("x")
    with pytest.raises(UsageError, match="cannot come back"):
        root.add("x")
    with pytest.raises(UsageError, match="only grows"):
        GSet(ctx("b")).clear()
