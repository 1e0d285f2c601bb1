"""The conflict examples that Redis documents for its Active-Active types, for the types that are here."""

from __future__ import annotations

from ringleader.crdt import Crdt, HyperLogLog, LWWRegister, ORMap, ORSet, PNCounter, ReplicaContext, SortedSet


def both(one: Crdt, other: Crdt) -> None:
    one.merge(other)
    other.merge(one)
    assert one.encode() == other.encode()


def test_string_the_later_write_wins() -> None:
    a, b = LWWRegister[str](ReplicaContext("1", lambda: 1)), LWWRegister[str](ReplicaContext("2", lambda: 2))
    a.set("a")
    b.set("b")
    both(a, b)
    assert a.value == "b"


def test_counter_accumulates() -> None:
    a, b = PNCounter(ReplicaContext("1")), PNCounter(ReplicaContext("2"))
    a += 7
    b += 3
    both(a, b)
    assert a.value == 10
    a -= 3
    b += 6
    both(a, b)
    assert a.value == b.value == 13


def test_set_removes_only_what_was_observed() -> None:
    a, b = ORSet[str](ReplicaContext("1")), ORSet[str](ReplicaContext("2"))
    a.update(["a", "b"])
    both(a, b)
    a.discard("a")
    a.discard("c")
    b.add("c")
    both(a, b)
    assert a.value == b.value == {"b", "c"}


def test_hash_fields_merge() -> None:
    a: ORMap[str, LWWRegister[int]]
    b: ORMap[str, LWWRegister[int]]
    a, b = ORMap(ReplicaContext("1"), LWWRegister), ORMap(ReplicaContext("2"), LWWRegister)
    a["f1"] = 1
    b["f2"] = 2
    both(a, b)
    assert a.value == {"f1": 1, "f2": 2}


def test_sorted_set() -> None:
    a, b = SortedSet[str](ReplicaContext("1", lambda: 1)), SortedSet[str](ReplicaContext("2", lambda: 2))
    a.add("x", 1.1)
    b.add("x", 2.1)
    both(a, b)
    assert a["x"] == 2.1
    a.add("y", 1.1)
    both(a, b)
    a.increment("y", 1)
    b.increment("y", 1)
    both(a, b)
    assert a["y"] == 3.1
    a.add("z", 4.1)
    both(a, b)
    a.discard("z")
    b.increment("z", 2.0)
    both(a, b)
    assert a["z"] == b["z"] == 2.0


def test_hyperloglog_deletion_wins() -> None:
    a, b = HyperLogLog(ReplicaContext("1")), HyperLogLog(ReplicaContext("2"))
    a.add("e1")
    both(a, b)
    a.add("e2")
    b.clear()
    both(a, b)
    assert a.value == b.value == 0
