"""Everything that can be done in a document can be undone and done again, and what others did meanwhile stays."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from ringleader.crdt import (
    HyperLogLog,
    JsonDocument,
    List,
    LWWMap,
    LWWRegister,
    ORMap,
    ORSet,
    PNCounter,
    ReplicaContext,
    RWSet,
    SortedSet,
)
from ringleader.errors import UsageError

ACTIONS: dict[str, Callable[[Any], object]] = {
    "remove a list": lambda doc: doc.__delitem__("todos"),
    "remove an element": lambda doc: doc["todos"].__delitem__(0),
    "remove elements": lambda doc: doc["todos"].__delitem__(slice(0, 2)),
    "pop": lambda doc: doc["todos"].pop(),
    "clear a list": lambda doc: doc["todos"].clear(),
    "remove inside an element": lambda doc: doc["todos"][0].__delitem__("tags"),
    "clear all": lambda doc: doc.clear(),
    "remove a text": lambda doc: doc.__delitem__("notes"),
    "remove a counter": lambda doc: doc.__delitem__("n"),
    "remove a map": lambda doc: doc.__delitem__("flat"),
    "a map for a map": lambda doc: doc["todos"].__setitem__(0, {"a": 1}),
    "a value for a map": lambda doc: doc["todos"].__setitem__(0, 5),
    "a list for a list": lambda doc: doc.__setitem__("todos", [1, 2]),
    "a map for a value": lambda doc: doc.__setitem__("plain", {"q": [1]}),
    "a value for a list": lambda doc: doc.__setitem__("todos", 4),
    "another document": lambda doc: doc._assign({"x": 1}),
    "move": lambda doc: doc["todos"].move(0, 1),
    "extend": lambda doc: doc["todos"].extend([{"n": 1}, [2]]),
    "forget a sketch": lambda doc: doc["sketch"].clear(),
    "clear scores": lambda doc: doc["scores"].clear(),
    "clear a set": lambda doc: doc["set"].clear(),
    "clear a flat map": lambda doc: doc["flat"].clear(),
    "edit a text": lambda doc: doc["notes"].replace(2, 5, "XY"),
    "clear a text": lambda doc: doc["notes"].clear(),
    "reset": lambda doc: doc["n"].reset(),
}


def furnished(name: str = "a") -> JsonDocument:
    doc = JsonDocument(ReplicaContext(name))
    doc["todos"] = [{"do": "milk", "tags": ["x", "y"]}, {"do": "eggs"}]
    doc.text("notes").insert(0, "hello world")
    doc.counter("n").increment(5)
    doc.create("set", ORSet).add("p")
    doc.create("rights", RWSet).add("r")
    doc.create("scores", SortedSet).add("m", 3)
    doc.create("sketch", HyperLogLog).add(1)
    doc.create("flat", LWWMap)["k"] = 1
    doc["plain"] = 7
    doc["empty"] = {"inner": []}
    return doc


@pytest.mark.parametrize("what", ACTIONS)
def test_whatever_is_done_is_undone_and_done_again(what: str) -> None:
    doc = furnished()
    other = doc.fork(ReplicaContext("b"))
    undo = doc.undo_stack()
    before = doc.value
    ACTIONS[what](doc)
    after = doc.value
    assert after != before
    for _ in range(2):
        assert undo.undo()
        assert doc.value == before
        assert undo.redo()
        assert doc.value == after
    assert undo.undo()
    other.merge(doc)
    assert other.value == before
    assert other.encode() == doc.encode()


@pytest.mark.parametrize("what", ACTIONS)
def test_an_exception_takes_it_back(what: str) -> None:
    doc = furnished()
    before = doc.value

    def spoiled() -> None:
        with doc.transaction():
            ACTIONS[what](doc)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        spoiled()
    assert doc.value == before
    assert not doc._doc.eager


@pytest.mark.parametrize("what", ACTIONS)
def test_what_others_did_at_the_same_time_stays(what: str) -> None:
    doc = furnished()
    other = doc.fork(ReplicaContext("b"))
    undo = doc.undo_stack()
    ACTIONS[what](doc)
    other["todos"][0]["do"] = "oat milk"
    other["todos"].append("bread")
    other["notes"].insert(0, "* ")
    other["n"].increment(2)
    other["set"].add("theirs")
    other["flat"]["theirs"] = True
    other["new"] = "new"
    doc.merge(other)
    assert undo.undo()
    other.merge(doc)
    assert other.encode() == doc.encode()
    assert doc.value == other.value
    assert doc["new"] == "new"
    assert "theirs" in doc["set"]
    assert doc["flat"]["theirs"] is True
    assert doc["n"].value == 7
    assert "bread" in doc["todos"].value
    assert str(doc["notes"]) == "* hello world"


def test_a_place_created_anew_by_somebody_else_is_not_written_over() -> None:
    doc = ORMap[str, Any](ReplicaContext("a"))
    doc["title"] = "mine"
    undo = doc.undo_stack()
    del doc["title"]
    other = doc.fork(ReplicaContext("b"))
    other["title"] = "theirs"
    doc.merge(other)
    assert undo.undo()
    assert doc.value == {"title": "theirs"}


@pytest.mark.parametrize("seed", range(25))
def test_undoing_all_of_a_random_session_leads_back(seed: int) -> None:
    rng = random.Random(seed)
    doc = furnished()
    undo = doc.undo_stack()
    seen = [doc.value]
    for _ in range(12):
        what = rng.choice(list(ACTIONS))
        try:
            with doc.transaction():
                ACTIONS[what](doc)
        except (KeyError, IndexError, TypeError, AttributeError, UsageError):
            continue  # it is not there any more; nothing has changed
        if doc.value != seen[-1]:
            seen.append(doc.value)
    values = list(seen)
    while undo.undo():
        values.append(doc.value)
    assert values[-1] == seen[0]
    while undo.redo():
        pass
    assert doc.value == seen[-1]


def test_a_counter_in_a_map_comes_back_with_what_it_had() -> None:
    stock: ORMap[str, PNCounter] = ORMap(ReplicaContext("a"), PNCounter)
    stock["apple"] += 3
    other = stock.fork(ReplicaContext("b"))
    undo = stock.undo_stack()
    del stock["apple"]
    other["apple"] += 2
    stock.merge(other)
    assert stock.value == {"apple": 2}
    undo.undo()
    assert stock.value == {"apple": 5}


def steps(root: Any, *changes: Callable[[], object]) -> None:
    """Make changes one by one, take all back step by step, and make them again: every value on the way is met again."""
    undo = root.undo_stack()
    values = [root.value]
    for change in changes:
        change()
        values.append(root.value)
    for _ in range(2):
        for value in reversed(values[:-1]):
            assert undo.undo()
            assert root.value == value
        for value in values[1:]:
            assert undo.redo()
            assert root.value == value
    assert not undo.redo()


def test_a_register_goes_back_step_by_step() -> None:
    register = LWWRegister[int](ReplicaContext("a"))
    steps(register, *[lambda i=i: register.set(i) for i in range(5)], register.clear, lambda: register.set(9))


@pytest.mark.parametrize("kind", [ORSet, RWSet])
def test_a_set_goes_back_step_by_step(kind: type[ORSet[str] | RWSet[str]]) -> None:
    tags = kind(ReplicaContext("a"))
    steps(tags, *[lambda: tags.add("x"), lambda: tags.discard("x")] * 3, lambda: tags.add("y"), tags.clear)


def test_a_sorted_set_goes_back_step_by_step() -> None:
    scores = SortedSet[str](ReplicaContext("a"))
    steps(
        scores,
        *[lambda: scores.add("m", 1), lambda: scores.increment("m", 4), lambda: scores.add("m", 2)],
        *[lambda: scores.discard("m"), lambda: scores.increment("m", 7), lambda: scores.add("m", 3), scores.clear],
    )


def test_a_list_goes_back_step_by_step() -> None:
    items = List(ReplicaContext("a"))
    items.extend([1, 2, 3, 4])
    steps(
        items,
        *[lambda: items.move(0, 2), lambda: items.move(0, 2), lambda: items.move(3, 0), lambda: items.append(5)],
        *[lambda: items.__delitem__(1), lambda: items.__setitem__(0, "x"), lambda: items.__setitem__(0, {"y": 1})],
        *[lambda: items.move(1, 0), items.clear],
    )


def test_types_at_one_key_go_back_step_by_step() -> None:
    doc = JsonDocument(ReplicaContext("a"))
    steps(
        doc,
        *[lambda v=v: doc.__setitem__("k", v) for v in (1, {}, 2, [], {"x": [1]}, 3, [4], {"x": 5})],
        lambda: doc.__delitem__("k"),
        *[lambda v=v: doc.__setitem__("k", v) for v in (6, {"z": 1})],
    )


def test_an_exception_takes_back_several_writes_of_one_place() -> None:
    register = LWWRegister[int](ReplicaContext("a"))
    register.set(0)

    def spoiled() -> None:
        with register.transaction():
            for i in (1, 2, 3):
                register.set(i)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        spoiled()
    assert register.value == 0


def test_undoing_an_increment_leaves_what_others_added() -> None:
    scores = SortedSet[str](ReplicaContext("a"))
    undo = scores.undo_stack()
    scores.increment("m", 4)
    other = scores.fork(ReplicaContext("b"))
    other.increment("m", 3)
    scores.merge(other)
    undo.undo()
    assert scores.value == [("m", 3)]
