"""The parts that people touch: operators, models, transactions, observers, streams, undo, the façade."""

from __future__ import annotations

import asyncio
import copy
import gc
import math
import os
import pickle
import random
from typing import Any

import pytest

import ringleader
from ringleader.clock import Stability
from ringleader.crdt import (
    BoundedCounter,
    CausalBuffer,
    Change,
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
    Replica,
    ReplicaContext,
    RWSet,
    SortedSet,
    TwoPhaseSet,
)
from ringleader.crdt.document import Document
from ringleader.errors import NotAppliedError, UsageError


class Cart(Model):
    items: ORMap[str, PNCounter]
    owner: LWWRegister[str]
    tags: ORSet[str]


class NewCart(Cart):
    note: LWWRegister[str]


def ctx(name: str = "a") -> ReplicaContext:
    return ReplicaContext(name)


def sync(*roots: Any) -> None:
    for _ in range(2):
        for one in roots:
            for other in roots:
                one.merge(other)


# ---- models, nesting, operators ---------------------------------------------------------------------------------


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
    for wrong in ("1", None, True, 1 << 60, math.nan, math.inf):
        with pytest.raises(UsageError):
            counter.increment(wrong)  # type: ignore[arg-type]
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


# ---- transactions, undo, observers ------------------------------------------------------------------------------


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


def test_a_transaction_is_one_delta_and_an_exception_takes_it_back() -> None:
    cart = Cart(ctx())
    list(cart.ops())
    with cart.transaction():
        cart.items["apple"] += 2
        cart.tags.add("x")
        with cart.transaction():
            cart.owner.set("ann")
    assert len(list(cart.ops())) == 1
    before = cart.value

    def fail() -> None:
        with cart.transaction():
            cart.items["apple"] += 5
            cart.items["pear"] += 1
            cart.tags.discard("x")
            cart.owner.set("bob")
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        fail()
    assert cart.value == before
    assert len(list(cart.ops())) == 1
    with cart.transaction(), pytest.raises(UsageError, match="inside a transaction"):
        cart.apply(Cart(ctx("b")).delta_since())


def test_undo_takes_back_ones_own_changes_only() -> None:
    a, b = Cart(ctx("a")), Cart(ctx("b"))
    history = a.undo_stack()
    a.items["apple"] += 2
    a.owner.set("ann")
    a.tags.add("x")
    b.merge(a)
    b.items["apple"] += 10
    b.owner.set("bob")
    a.merge(b)
    assert history.undo()
    assert a.tags.value == frozenset()
    assert history.undo()
    assert a.owner.value == "bob", "somebody has written since: their value stays"
    assert history.undo()
    assert a.items.value == {"apple": 10}
    assert not history.undo()
    while history.redo():
        pass
    sync(a, b)
    assert a.items["apple"].value == 12
    assert a.tags.value == {"x"}
    assert a.encode() == b.encode()


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (PNCounter, lambda x: x.reset()),
        (LWWRegister, lambda x: x.set("new")),
        (LWWRegister, lambda x: x.clear()),
        (EWFlag, lambda x: x.disable()),
        (ORSet, lambda x: x.discard("one")),
        (ORSet, lambda x: x.clear()),
        (RWSet, lambda x: x.discard("one")),
        (LWWMap, lambda x: x.__delitem__("one")),
        (SortedSet, lambda x: x.discard("one")),
        (SortedSet, lambda x: x.increment("one", 4)),
        (SortedSet, lambda x: x.clear()),
        (BoundedCounter, lambda x: x.decrement(2)),
    ],
)
def test_undo_and_redo_of_each_type(make: Any, change: Any) -> None:
    root = make(ctx())
    fill(root)
    history = root.undo_stack()
    before = root.value
    change(root)
    after = root.value
    assert before != after
    for _ in range(3):
        assert history.undo()
        assert root.value == before
        assert history.redo()
        assert root.value == after


def fill(root: Any) -> None:
    if isinstance(root, (PNCounter, BoundedCounter)):
        root.increment(3)
    elif isinstance(root, EWFlag):
        root.enable()
    elif isinstance(root, LWWRegister):
        root.set("old")
    elif isinstance(root, LWWMap):
        root["one"] = 1
    elif isinstance(root, SortedSet):
        root.add("one", 1)
    else:
        root.add("one")


def test_observers_hear_each_change_once_with_its_origin() -> None:
    a, b = Cart(ctx("a")), Cart(ctx("b"))
    seen: list[Change] = []
    end = a.items.observe(seen.append)
    a.observe(lambda change: 1 / 0)  # must not disturb the others
    a.items["apple"] += 1
    a.tags.add("elsewhere")
    assert {(change.path, change.local) for change in seen} == {(("items",), True), (("items", "apple"), True)}
    seen.clear()
    b.items["pear"] += 1
    a.apply(b.delta_since(), origin="from b")
    assert {change.origin for change in seen} == {"from b"}
    assert ("items", "pear") in {change.path for change in seen}
    assert not any(change.local for change in seen)
    seen.clear()
    a.apply(b.delta_since(), origin="again")
    assert seen == []
    with a.transaction():
        a.items["x"] += 1
        assert seen == []
        a.items["x"] += 1
    assert [change.value for change in seen if change.path == ("items", "x")] == [2]
    end()
    a.items["y"] += 1
    assert not any(change.path == ("items", "y") for change in seen)
    assert a._doc.watchers is not None
    assert isinstance(a._doc.watchers.errors[0], ZeroDivisionError)


def test_bound_methods_are_held_weakly() -> None:
    class Listener:
        heard = 0

        def hear(self, change: Change) -> None:
            Listener.heard += 1

    root = ORSet[int](ctx())
    listener = Listener()
    root.observe(listener.hear)
    root.add(1)
    del listener
    gc.collect()
    root.add(2)
    assert Listener.heard == 1


def test_streams_are_bounded_and_coalesce() -> None:
    root = LWWMap[int, int](ctx())
    stream = root.stream(limit=3)
    for value in range(10):
        root[1] = value
    changes = stream.take()
    assert [change.key for change in changes] == [1]
    assert stream.take() == []
    for key in range(4):
        root[key] = 0
    lagging = stream.take()
    assert [(change.key, change.node) for change in lagging] == [(None, root)]
    with pytest.raises(UsageError):
        root.stream(0)


async def test_async_changes() -> None:
    root = ORSet[str](ctx())
    heard = []

    async def listen() -> None:
        async for change in ringleader.changes(root):
            heard.append(change.key)
            if len(heard) == 2:
                return

    task = asyncio.create_task(listen())
    await asyncio.sleep(0)
    root.add("x")
    await asyncio.sleep(0)
    root.add("y")
    await asyncio.wait_for(task, 60)
    assert heard == ["x", "y"]


# ---- the façade, styles, journal --------------------------------------------------------------------------------


def pair() -> tuple[Replica[ORSet[int]], Replica[ORSet[int]]]:
    rng = random.Random(5)
    one, two = (Replica(ORSet[int], entropy=rng, wall=lambda: 0) for _ in range(2))
    return one, two


def test_two_messages_bring_both_sides_together() -> None:
    one, two = pair()
    one.root.add(1)
    two.root.add(2)
    first = one.ask("two")
    second = two.answer(first)
    assert one.finish("two", second)
    assert one.root.value == two.root.value == {1, 2}
    one.root.add(3)
    third = one.ask("two")
    assert len(third) < len(first) + 80
    two.answer(third)  # the answer is lost
    two.answer(third)  # and the question comes twice
    assert two.root.value == {1, 2, 3}
    assert one.finish("two", two.answer(one.ask("two")))


def test_a_peer_that_lost_its_memory_is_brought_up_in_the_next_round() -> None:
    one, two = pair()
    one.root.add(1)
    one.finish("two", two.answer(one.ask("two")))
    one.root.add(2)
    _, amnesic = pair()
    answer = amnesic.answer(one.ask("two"))
    assert amnesic.root.value == frozenset()
    one.finish("two", answer)
    amnesic.answer(one.ask("two"))
    assert amnesic.root.value == {1, 2}


def test_the_facade_copies_under_a_new_identity() -> None:
    one, _ = pair()
    one.root.add(1)
    for twin in (copy.copy(one), copy.deepcopy(one)):
        assert twin.identity != one.identity
        twin.root.add(2)
    with pytest.raises(UsageError, match="not pickled"):
        pickle.dumps(one)


def test_a_forked_process_writes_under_another_identity() -> None:
    made = ringleader.replica(ORSet[str])
    made.root.add("parent")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            made.root.add("child")
            os.write(writer, made.root.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    made.root.add("parent again")
    assert made.receive(data)
    assert made.root.value == {"parent", "child", "parent again"}
    assert not made.alarms


def test_the_causal_buffer_is_bounded_and_says_what_is_missing() -> None:
    a, b = ORSet[int](ctx("a")), ORSet[int]()
    list(a.ops())
    for i in range(5):
        a.add(i)
    ops = list(a.ops())
    buffer = CausalBuffer(b, limit=3)
    for op in (ops[4], ops[2], ops[1]):
        assert buffer.receive(op) == 0
    assert buffer.missing() == {b"a": [(1, 1), (4, 4)]}
    with pytest.raises(NotAppliedError, match="already wait"):
        buffer.receive(ops[3])
    assert buffer.receive(ops[0]) == 3
    assert buffer.receive(ops[3]) == 2
    assert b.encode() == a.encode()


def test_the_outbox_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nobody takes the operations, they become one delta: nothing is lost, and no write is refused."""
    monkeypatch.setattr("ringleader.crdt.document.OUTBOX", 3)
    root, peer = ORSet[int](ctx()), ORSet[int]()
    list(root.ops())
    for i in range(10):
        root.add(i)
        root.discard(i - 1)
    waiting = list(root.ops())
    assert len(waiting) <= 3
    for op in waiting:
        peer.apply(op.encode())
    assert peer.encode() == root.encode()


def test_a_copy_remembers_the_stamps_it_has_seen() -> None:
    """Else a write after a restart could be stamped before what it overwrites, and lose to what that had beaten."""
    ahead = LWWRegister[str](ReplicaContext("a", lambda: 100_000))
    ahead.set("one")
    copy_ = LWWRegister[str].decode(ahead.encode())
    copy_.adopt(ReplicaContext("b", lambda: 95_000))
    copy_.set("two")
    middle = LWWRegister[str](ReplicaContext("c", lambda: 97_000))
    middle.set("beaten by one")
    copy_.merge(middle)
    assert copy_.value == "two"
    assert copy_.fork().delta_since().stamp == copy_.delta_since().stamp
    far_behind = LWWRegister[str].decode(ahead.encode())
    far_behind.adopt(ReplicaContext("d", lambda: 0))
    far_behind.set("still writable")
    assert far_behind._cell[0][2] >> 16 <= 60_001, "but no further ahead of its own clock than allowed"


def test_a_delta_costs_what_changed() -> None:
    root, peer = ORSet[int](ctx("a")), ORSet[int](ctx("b"))
    root.update(range(10_000))
    peer.merge(root)
    root.add(-1)
    root.discard(5)
    delta = root.delta_since(peer.version)
    assert not delta.whole
    assert len(delta.encode()) < 60
    peer.apply(delta.encode())
    assert peer.encode() == root.encode()


def test_a_journal_that_has_forgotten_gives_the_whole_state() -> None:
    root, peer = ORSet[int](ctx("a")), ORSet[int](ctx("b"))
    root._doc.journal.limit = 5000
    root.add(0)
    peer.merge(root)
    for i in range(20_000):
        root.add(i)
    root.discard(0)
    delta = root.delta_since(peer.version)
    assert delta.whole
    peer.apply(delta)
    assert peer.encode() == root.encode()
    assert not root.delta_since(root.version).whole
    assert root.delta_since(root.version).empty


def test_stable_history_leaves_the_journal() -> None:
    a, b = RWSet[int](ctx("a")), RWSet[int](ctx("b"))
    members = Stability([b"b"])
    for i in range(50):
        a.add(i)
        a.discard(i)
    b.merge(a)
    members.acknowledge(b"b", b.version)
    a.stabilize(members.stable(a.version))
    assert a.encode() == RWSet.decode(a.encode()).encode()
    assert len(a._cells) == 0
    with pytest.raises(UsageError, match="ahead of our own"):
        a.stabilize(b.version.join({b"zz": 1}))


def test_two_phase_set_does_not_take_back() -> None:
    root = TwoPhaseSet[str](ctx())
    root.add("x")
    root.remove("x")
    with pytest.raises(UsageError, match="cannot come back"):
        root.add("x")
    with pytest.raises(UsageError, match="only grows"):
        GSet(ctx("b")).clear()


def test_identities_are_checked() -> None:
    for wrong in ("", b"x" * 65, 5):
        with pytest.raises(UsageError, match="an identity is"):
            ReplicaContext(wrong)  # type: ignore[arg-type]
    root = ORSet[int](ctx("a"))
    root.add(1)
    assert isinstance(root._doc, Document)
    with pytest.raises(UsageError, match="no replicated type"):
        ORMap(ctx("b"), int)  # type: ignore[type-var]


def test_golden_bytes() -> None:
    """The format is a promise: these bytes were written by format 1 and must be read, and written again, for ever."""
    cart = Cart(ReplicaContext("a", lambda: 1000))
    cart.items["apple"] += 2
    cart.owner.set("ann")
    cart.tags.add("vip")
    assert cart.encode().hex() == GOLDEN
    assert Cart.decode(bytes.fromhex(GOLDEN)).value == cart.value


GOLDEN = (
    "524c43019514"  # RLC, format 1, an array of five, tag 20
    "91c401619107c0"  # replicas [a], upto [7], a whole state
    "92c39395a56974656d730c9201ce03e80000c392c39195a56170706c65029202ce03e80001c392c3919303020395a56f776e6572049204ce03"
    "e80003c39305ce03e80002a3616e6e95a4746167730a9206ce03e80004c393c391a37669709107"
    "c0fa8560"  # CRC-32C
)
