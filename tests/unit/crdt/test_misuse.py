"""Adversaries: wrong arguments to every method, values that are deep or contain themselves, parts that cannot be joined.

Whatever happens, the error is one that says so, and the document is as good as before: it encodes, a reader takes it,
and it shows there what it shows here.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from ringleader.clock import VersionVector
from ringleader.crdt import (
    BoundedCounter,
    Crdt,
    DecodeError,
    Delta,
    DWFlag,
    EWFlag,
    GCounter,
    GSet,
    HyperLogLog,
    JsonDocument,
    List,
    LWWMap,
    LWWRegister,
    Model,
    MVRegister,
    ORMap,
    ORSet,
    PNCounter,
    ReplicaContext,
    RWSet,
    SortedSet,
    Text,
    TwoPhaseSet,
)
from ringleader.crdt.sequence.order import id_of
from ringleader.errors import NotAppliedError, Reason, RingleaderError, UsageError


class Cart(Model):
    items: ORMap[str, PNCounter]
    owner: LWWRegister[str]


def deep(levels: int, wrap: Callable[[Any], Any]) -> Any:
    value = None
    for _ in range(levels):
        value = wrap(value)
    return value


def self_containing() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    table: dict[str, Any] = {}
    table["a"] = table
    return [items, table]


WEIRD: list[Any] = [
    *[None, True, False, 0, 1, -1, 2**63, 2**64, -(2**63) - 1, 10**400, 1.5, float("nan"), float("inf"), -0.0, 3 + 4j],
    *["", "\ud800", "x\udfff", "😀", "a\x00b", "x" * 10_000, b"", b"\xff" * 70, (), (1, (2,)), [], {}, {1: 2}, set()],
    *[object(), ReplicaContext, ReplicaContext("z"), slice(0, 1), slice(None, None, 2), slice(5, 1), range(3), len],
    *[ORSet, PNCounter(ReplicaContext("q")), JsonDocument, int, type, VersionVector({b"a": 99}), VersionVector()],
    *[deep(100, lambda v: (v,)), deep(3000, lambda v: [v]), deep(3000, lambda v: {"k": v}), *self_containing()],
]
SIMPLE: list[type[Crdt]] = [
    GCounter,
    PNCounter,
    BoundedCounter,
    LWWRegister,
    MVRegister,
    EWFlag,
    DWFlag,
    GSet,
    TwoPhaseSet,
]
SIMPLE += [ORSet, RWSet, LWWMap, ORMap, SortedSet, HyperLogLog, Text, List, JsonDocument, Cart]
SPECIAL = [
    "setitem",
    "getitem",
    "delitem",
    "iadd",
    "isub",
    "ior",
    "contains",
    "len",
    "iter",
    "bool",
    "int",
    "str",
    "repr",
]
# Those that take a `ReplicaContext`, another replica or a callback, or give up this one, have tests of their own.
ELSEWHERE = {"adopt", "resume", "fork", "merge", "apply", "transaction", "observe", "stream", "decode", "mro"}


@pytest.mark.parametrize("kind", SIMPLE, ids=lambda kind: kind.name if kind is not Cart else "Cart")
def test_wrong_arguments_get_an_error_and_change_nothing_by_halves(kind: type[Crdt]) -> None:
    methods = [name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name, None))]
    methods += [f"__{name}__" for name in SPECIAL if hasattr(kind, f"__{name}__")]
    methods = [name for name in methods if name not in ELSEWHERE]
    for seed in range(6):
        rng = random.Random(f"{kind.__name__} {seed}")
        root = kind(ReplicaContext("a"))
        if seed % 2:
            root.undo_stack()
            root.observe(lambda change: (change.old, change.new, change.edits, repr(change)))
        for _ in range(60):
            name, arguments = rng.choice(methods), [rng.choice(WEIRD) for _ in range(rng.choice((0, 1, 1, 2, 2, 3)))]
            before, n = root.encode(), root._doc.n
            try:
                getattr(root, name)(*arguments)
            except (RingleaderError, KeyError, IndexError, ValueError, TypeError):
                pass  # as Python's own types say it
            assert root._doc._depth == 0
            state = root.encode()
            assert root._doc.n > n or state == before, f"{name} changed something without an event"
            copy = kind()
            copy.apply(state)
            assert copy.encode() == state
            assert repr(sort(copy.value)) == repr(sort(root.value))
            assert root._doc.watchers is None or not root._doc.watchers.errors
        if root._doc.undo is not None:
            while root._doc.undo.undo():
                pass
            while root._doc.undo.redo():
                pass
            root.encode()


def sort(value: Any) -> Any:
    return sorted(map(repr, value)) if isinstance(value, frozenset) else value


@pytest.mark.parametrize("value", [deep(3000, lambda v: [v]), deep(70, lambda v: {"k": v}), *self_containing()])
def test_a_value_too_deep_or_that_contains_itself_is_refused_whole(value: Any) -> None:
    doc = JsonDocument(ReplicaContext("a"))
    doc["k"] = [1]
    with pytest.raises(UsageError, match="nested at most 64 deep") as refused:
        doc["k"].append(value)
    assert refused.value.reason is Reason.TOO_LARGE
    with pytest.raises(UsageError, match="nested at most 64 deep"):
        doc["other"] = value
    assert doc.value == {"k": [1]}
    assert JsonDocument.decode(doc.encode()).value == {"k": [1]}


def test_as_deep_as_allowed_can_be_read_by_others() -> None:
    doc = JsonDocument(ReplicaContext("a"))
    doc["k"] = deep(63, lambda v: {"k": v} if v is not None else {})

    def dig(node: JsonDocument) -> None:
        node["x"] = 1
        dig(node.map("k"))

    with pytest.raises(UsageError, match="nested at most"):
        dig(doc)
    assert JsonDocument.decode(doc.encode()).value == doc.value
    assert doc.explain()


# ---- parts that cannot be joined: all of a delta or nothing --------------------------------------------------------


def two_documents() -> tuple[JsonDocument, JsonDocument]:
    a = JsonDocument(ReplicaContext("a"))
    a["first"] = 1
    a["items"] = ["x"]
    a.text("text").insert(0, "hello")
    a["zlast"] = 1
    return a, a.fork(ReplicaContext("b"))


def unchanged_by(victim: Any, delta: Delta, error: type[Exception]) -> None:
    before, version, value = victim.encode(), victim.version, victim.value
    with pytest.raises(error):
        victim.apply(delta)
    assert victim.version == version
    assert victim.encode() == before
    assert victim.value == value
    assert type(victim).decode(before).value == value


def test_a_list_part_that_hangs_on_nothing_takes_nothing_of_the_delta_in() -> None:
    a, b = two_documents()
    since = a.version
    b["first"] = 2
    b.text("text").insert(5, "!")
    b["items"].append("y")
    b["zlast"] = 2
    delta = b.delta_since(since)
    (slot,) = [slot for slot in delta.part[1] if slot[0] == "items"]
    rows, _ = delta.part[1][slot][2]
    for places, _ in rows.values():
        for place, (_, side) in list(places.items()):
            places[place] = (id_of(b"b", 1), side)
    unchanged_by(a, delta, DecodeError)
    a.merge(b)
    assert a.value == b.value
    assert a.encode() == b.encode()


def test_a_text_part_beyond_the_end_takes_nothing_of_the_delta_in() -> None:
    a, b = two_documents()
    since = a.version
    b["first"] = 2
    b["items"].append("y")
    b.text("other").insert(0, "fine")
    b.text("text").insert(5, "!")
    b["zlast"] = 2
    delta = b.delta_since(since)
    (slot,) = [slot for slot in delta.part[1] if slot[0] == "text"]
    delta.part[1][slot][2].log.positions[0] = 500
    unchanged_by(a, delta, DecodeError)
    a.merge(b)
    assert a.value == b.value
    assert a["other"].verify()
    assert a["text"].verify()


def test_a_text_with_edits_too_old_for_the_sender_takes_nothing_of_the_delta_in() -> None:
    a, b = two_documents()
    a["text"].insert(0, "unsent: ")
    a["first"] = 5
    b["text"].insert(5, "!")
    b["text"].keep_history = False
    b["first"] = 2
    b.stabilize(b.version)
    unchanged_by(a, b.delta_since(None), NotAppliedError)
