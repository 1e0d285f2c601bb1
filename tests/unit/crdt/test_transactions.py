"""Transactions, undo and observers."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

import ringleader
from ringleader.crdt import (
    BoundedCounter,
    Change,
    EWFlag,
    LWWMap,
    LWWRegister,
    ORSet,
    PNCounter,
    RWSet,
    SortedSet,
)
from ringleader.errors import UsageError
from unit.crdt.apikit import Cart, ctx, sync


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
