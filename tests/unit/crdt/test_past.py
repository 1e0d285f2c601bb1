"""Looking back: what a place was before a change, the whole document at a version, and what changed between two."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from crdtkit.kinds import KINDS, Kind
from crdtkit.sequences import SEQUENCES
from crdtkit.world import World
from ringleader.crdt import (
    Change,
    Difference,
    JsonDocument,
    LWWMap,
    LWWRegister,
    ORSet,
    PNCounter,
    ReplicaContext,
    SortedSet,
    Text,
)
from ringleader.crdt.places import Places
from ringleader.errors import Reason, UsageError


def told(root: Any, change: Callable[[], object]) -> list[tuple[Any, Any, Any]]:
    """(key, old, new) of each place that observers of `root` hear of."""
    heard: list[Change] = []
    end = root.observe(heard.append)
    change()
    end()
    return [(item.key, item.old, item.new) for item in heard]


def test_a_change_says_what_was_and_what_is() -> None:
    register = LWWRegister[str](ReplicaContext("a"))
    assert told(register, lambda: register.set("x")) == [(None, None, "x")]
    assert told(register, lambda: register.set("y")) == [(None, "x", "y")]
    tags = ORSet[str](ReplicaContext("a"))
    assert told(tags, lambda: tags.add("x")) == [("x", False, True)]
    assert told(tags, tags.clear) == [("x", True, False)]
    flat = LWWMap[str, int](ReplicaContext("a"))
    assert told(flat, lambda: flat.update({"k": 1, "l": 2})) == [("k", None, 1), ("l", None, 2)]
    assert told(flat, lambda: flat.__delitem__("k")) == [("k", 1, None)]
    count = PNCounter(ReplicaContext("a"))
    count += 3
    other = count.fork(ReplicaContext("b"))
    other += 4
    assert told(count, lambda: count.merge(other)) == [(b"b", 3, 7)]
    assert {item[1:] for item in told(count, count.reset)} == {(7, 0)}
    scores = SortedSet[str](ReplicaContext("a"))
    assert told(scores, lambda: scores.add("m", 2)) == [("m", None, 2)]
    assert told(scores, lambda: scores.increment("m", 2)) == [("m", 2, 4)]


def test_a_change_of_a_text_carries_its_edits() -> None:
    a = Text(ReplicaContext("a"))
    a.insert(0, "hello world")
    b = a.fork(ReplicaContext("b"))
    heard: list[Change] = []
    a.observe(heard.append)
    b.replace(0, 5, "goodbye")
    a.merge(b)
    assert heard[0].old == "hello world"
    assert heard[0].new == "goodbye world"
    assert heard[0].edits == [(0, "hello", "goodbye")]
    assert not heard[0].local


def test_a_removed_container_is_told_with_what_was_in_it() -> None:
    doc = JsonDocument(ReplicaContext("a"))
    doc["todo"] = {"do": ["milk"]}
    other = doc.fork(ReplicaContext("b"))
    assert told(doc, lambda: doc.__delitem__("todo")) == [("todo", {"do": ["milk"]}, None)]
    assert ("todo", {"do": ["milk"]}, None) in told(other, lambda: other.merge(doc))


def test_a_transaction_is_told_from_its_beginning_and_a_failed_one_not_at_all() -> None:
    flat = LWWMap[str, int](ReplicaContext("a"))
    flat["k"] = 0

    def several(*, fail: bool = False) -> None:
        with flat.transaction():
            for value in (1, 2, 3):
                flat["k"] = value
            if fail:
                raise ZeroDivisionError

    assert told(flat, several) == [("k", 0, 3)]

    def failing() -> None:
        with pytest.raises(ZeroDivisionError):
            several(fail=True)

    assert told(flat, failing) == []
    assert flat.value == {"k": 3}


def test_a_stream_that_coalesces_keeps_the_oldest_value() -> None:
    flat = LWWMap[str, int](ReplicaContext("a"))
    flat["k"] = 0
    stream = flat.stream()
    for value in (1, 2, 3):
        flat["k"] = value
    (change,) = stream.take()
    assert (change.old, change.new) == (0, 3)


@pytest.mark.parametrize("kind", [*KINDS, *SEQUENCES], ids=lambda kind: kind.name)
def test_old_and_new_are_true_under_any_change(kind: Kind) -> None:
    """The old value told is what stood at the place when observers last heard of it."""
    rng = random.Random(kind.name)
    world = World(kind)
    last: list[Any] = [root.value for root in world.replicas]

    def listen(i: int, root: Any) -> None:
        mirror: dict[Any, Any] = {}

        def hear(change: Change) -> None:
            if isinstance(root, Places):  # what is at a key also changes with what is below it
                if change.node is root and isinstance(last[i], dict):
                    assert change.old == last[i].get(change.key)
                    assert change.new == root.value.get(change.key)
                return
            place = None if root.one_place else change.key
            assert change.old == mirror.get(place, change.old) or mirror[place] == change.new
            mirror[place] = change.new

        root.observe(hear)

    for i, root in enumerate(world.replicas):
        listen(i, root)
    for _ in range(60):
        i, j = rng.randrange(3), rng.randrange(3)
        if rng.random() < 0.6 or i == j:
            world.do(i, rng.choice(kind.ops))
        else:
            world.replicas[i].merge(world.replicas[j])
        last[i] = world.replicas[i].value
        watchers = world.replicas[i]._doc.watchers
        assert watchers is not None
        assert not watchers.errors, watchers.errors
        assert not watchers._old


# ---- time travel -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*KINDS, *SEQUENCES], ids=lambda kind: kind.name)
def test_every_version_that_was_can_be_seen_again(kind: Kind) -> None:
    rng = random.Random(kind.name)
    world = World(kind)
    for root in world.replicas:
        if not isinstance(root, Text):
            root.record_history()
    seen: list[tuple[int, Any, Any]] = []
    for _ in range(60):
        i, j = rng.randrange(3), rng.randrange(3)
        if rng.random() < 0.6 or i == j:
            world.do(i, rng.choice(kind.ops))
        else:
            world.replicas[i].merge(world.replicas[j])
        seen.append((i, world.replicas[i].version, world.replicas[i].value))
    for i, version, value in seen:
        past = world.replicas[i].at(version)
        assert (past if isinstance(past, str) else past.value) == value
        world.replicas[i].diff(version)


def test_differences_of_a_document() -> None:
    doc = JsonDocument(ReplicaContext("a"))
    doc["todos"] = [{"do": "milk"}, {"do": "eggs"}, {"do": "tea"}]
    doc.text("notes").insert(0, "hello")
    doc["gone"] = 1
    doc.create("tags", ORSet).add("x")
    history = doc.record_history()
    before = doc.version
    doc["todos"].move(0, 2)
    doc["todos"][0]["done"] = True
    del doc["todos"][1]
    doc["todos"].append("bread")
    doc["notes"].insert(5, "!")
    del doc["gone"]
    doc["tags"].add("y")
    doc["new"] = {"a": [1]}
    after = doc.version
    doc["new"] = 5
    assert doc.diff(before, after) == [
        Difference("removed", ("gone",), 1, None),
        Difference("added", ("new",), None, {"a": [1]}),
        Difference("edited", ("notes",), "hello", "hello!"),
        Difference("added", ("tags", "y"), None, True),
        Difference("removed", ("todos", 2), {"do": "tea"}, None),
        Difference("moved", ("todos", 0), 1, 0),
        Difference("added", ("todos", 0, "done"), None, True),
        Difference("added", ("todos", 2), None, "bread"),
    ]
    assert doc.diff(after) == [Difference("changed", ("new",), {"a": [1]}, 5)]
    assert doc.diff(doc.version) == []
    past = doc.at(before)
    assert past["todos"][2]["do"] == "tea"
    assert not past.writable
    assert next(history.versions()) == before


def test_a_past_that_is_not_kept_is_refused_with_the_reason() -> None:
    doc = JsonDocument(ReplicaContext("a"))
    doc["k"] = 0
    first = doc.version
    doc["k"] = 1
    with pytest.raises(UsageError, match="keeps no history") as refused:
        doc.at(first)
    assert refused.value.reason is Reason.COMPACTED
    history = doc.record_history(limit=10)
    with pytest.raises(UsageError, match="older than the history"):
        doc.at(first)
    versions = []
    for value in range(100):
        doc["k"] = value
        versions.append(doc.version)
    assert len(history) <= 20
    assert doc.at(versions[-10]).value == {"k": 90}
    with pytest.raises(UsageError, match="older than the history"):
        doc.at(versions[0])
    other = doc.fork(ReplicaContext("b"))
    other["x"] = 1
    half = other.version
    other["x"] = 2
    with pytest.raises(UsageError, match="not here"):
        doc.at(half)
    doc.merge(other)
    with pytest.raises(UsageError, match="never stood"):
        doc.at(half)
    history.close()
    with pytest.raises(UsageError, match="keeps no history"):
        doc.at(versions[-1])
    with pytest.raises(UsageError):
        doc.record_history(0)
    with pytest.raises(UsageError, match="part of a document"):
        doc.map("m").record_history()
