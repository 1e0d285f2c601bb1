"""How replicated data has failed in the field (hazards 35-47, those that concern types), each as a test."""

from __future__ import annotations

import copy
import pickle
import random
import threading
from typing import Any

import pytest

from ringleader.clock import ClockDriftError, Stability, VersionVector
from ringleader.crdt import (
    Crdt,
    Delta,
    DuplicateIdentityError,
    EWFlag,
    GapError,
    LWWMap,
    LWWRegister,
    ORMap,
    ORSet,
    PNCounter,
    ReadOnlyCopyError,
    Replica,
    ReplicaContext,
    RWSet,
    SortedSet,
)
from ringleader.errors import UsageError


def replica(name: str, wall: Any = None) -> ReplicaContext:
    return ReplicaContext(name, wall)


def test_35_present_on_both_sides_is_judged_by_dots() -> None:
    a, b, c = ORSet[str](replica("a")), ORSet[str](replica("b")), ORSet[str](replica("c"))
    a.add("x")
    b.add("x")
    c.merge(a)
    a.remove("x")
    a.merge(b)
    b.remove("x")
    a.merge(c)
    b.merge(a)
    assert b.value == frozenset()
    c.merge(b)
    assert c.value == frozenset()


def test_35_the_same_for_flags() -> None:
    a, b, c = EWFlag(replica("a")), EWFlag(replica("b")), EWFlag(replica("c"))
    a.enable()
    b.enable()
    c.merge(a)
    a.disable()
    a.merge(b)
    b.disable()
    a.merge(c)
    b.merge(a)
    assert b.value is False
    c.merge(b)
    assert c.value is False


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), lambda x: x.fork()])
def test_36_a_copy_is_read_only_until_it_has_its_own_identity(how: Any) -> None:
    original = ORSet[int](replica("a"))
    original.add(1)
    twin = how(original)
    assert twin.value == {1}
    with pytest.raises(ReadOnlyCopyError, match="read-only copy"):
        twin.add(2)
    with pytest.raises(ReadOnlyCopyError):
        twin.discard(1)
    with pytest.raises(UsageError, match="already written"):
        twin.adopt(replica("a"))
    twin.adopt(replica("b"))
    twin.add(2)
    original.add(3)
    original.merge(twin)
    assert original.value == {1, 2, 3}


def test_36_every_mutator_of_a_copy_is_refused() -> None:
    refused = 0
    mutators: list[tuple[Any, Any]] = [
        (PNCounter, [("increment", ()), ("reset", ())]),
        (LWWRegister, [("set", (1,)), ("clear", ())]),
        (ORSet, [("add", (1,)), ("discard", (1,)), ("clear", ())]),
        (RWSet, [("add", (1,)), ("discard", (1,))]),
        (SortedSet, [("add", ("m", 1)), ("increment", ("m", 1)), ("discard", ("m",)), ("clear", ())]),
        (LWWMap, [("__setitem__", (1, 1))]),
        (ORMap, [("discard", (1,)), ("clear", ()), ("create", ("k", PNCounter))]),
    ]
    for kind, calls in mutators:
        for name, arguments in calls:
            with pytest.raises(ReadOnlyCopyError):
                getattr(kind(), name)(*arguments)
            refused += 1
    assert refused == 17


def test_36_an_identity_is_neither_copied_nor_pickled() -> None:
    with pytest.raises(UsageError, match="must not be copied"):
        pickle.dumps(replica("a"))
    with pytest.raises(UsageError, match="must not be copied"):
        copy.deepcopy(replica("a"))


def test_36_two_writers_under_one_identity_are_noticed() -> None:
    a, imposter, c = ORSet[int](replica("a")), ORSet[int](replica("a")), ORSet[int](replica("c"))
    a.add(1)
    imposter.add(2)
    with pytest.raises(DuplicateIdentityError, match="both sides"):
        a.merge(imposter)
    imposter.add(3)
    with pytest.raises(DuplicateIdentityError, match="only 1") as caught:
        a.apply(imposter.delta_since())
    assert caught.value.replica == b"a"
    assert a.value == {1}
    c.merge(a)
    c.merge(imposter.fork())
    assert 3 in c.value


def test_36_two_different_events_with_one_name_are_reported_by_third_parties() -> None:
    a, imposter = LWWRegister[str](replica("a")), LWWRegister[str](replica("a"))
    a.set("mine")
    imposter.set("theirs")
    b, c = LWWRegister[str](replica("b")), LWWRegister[str](replica("c"))
    b.merge(a)
    c.merge(imposter)
    b._doc.version[b"b"] = b._doc.n = 1  # an event of each, so that neither version covers the other
    c._doc.version[b"c"] = c._doc.n = 1
    b.apply(c.delta_since(None))
    c.apply(b.fork().delta_since(None))
    assert b.duplicates == {b"a"}
    assert b.value == "theirs"


def test_36_a_restored_backup_takes_a_new_identity_by_itself() -> None:
    rng = random.Random(1)
    made = Replica(ORSet[int], entropy=rng, wall=lambda: 0)
    made.root.add(1)
    backup = made.root.encode()
    made.root.add(2)
    restored = Replica(ORSet[int], entropy=rng, wall=lambda: 0, state=backup)
    assert restored.identity != made.identity
    restored.root.add(3)
    made.receive(restored.root.encode())
    assert made.root.value == {1, 2, 3}


def test_36_resuming_an_old_state_is_noticed_and_mended() -> None:
    rng = random.Random(1)
    made, peer = (Replica(ORSet[int], entropy=rng, wall=lambda: 0) for _ in range(2))
    made.root.add(1)
    identity, backup = made.identity, made.root.encode()
    made.root.add(2)
    peer.receive(made.root.encode())
    stale = Replica(ORSet[int], entropy=rng, wall=lambda: 0, state=backup, identity=identity)
    stale.receive(peer.root.encode())
    assert stale.identity != identity
    assert [alarm.kind for alarm in stale.alarms] == ["duplicate-identity"]
    stale.root.add(3)
    peer.receive(stale.root.encode())
    assert peer.root.value == stale.root.value == {1, 2, 3}


def test_37_a_restored_replica_gets_its_history_back_without_duplicates() -> None:
    scores, peer = SortedSet[str](replica("a")), SortedSet[str](replica("b"))
    scores.increment("x", 5)
    peer.merge(scores)
    empty = SortedSet[str](replica("a2"))
    empty.merge(peer)
    empty.increment("x", 1)
    peer.merge(empty)
    assert peer.value == [("x", 6)]


def test_38_tombstones_stay_while_a_member_is_away() -> None:
    a, away = RWSet[str](replica("a")), RWSet[str](replica("b"))
    members = Stability([b"b"])
    a.add("x")
    away.merge(a)
    members.acknowledge(b"b", away.version)
    away.add("x")  # on its own, before it hears of the removal
    a.remove("x")
    a.stabilize(members.stable(a.version))
    assert "removed" in a.explain()
    a.merge(away)
    assert "x" not in a
    away.merge(a)
    assert "x" not in away
    members.acknowledge(b"b", away.version)
    a.stabilize(members.stable(a.version))
    away.stabilize(a.version)
    assert a.encode() == away.encode()
    assert "removed" not in a.explain()
    assert not a.merge(away)


def test_39_a_clock_an_hour_ahead_does_not_win() -> None:
    now = [1_700_000_000_000]
    rng = random.Random(1)
    right = Replica(LWWRegister[str], entropy=rng, wall=lambda: now[0])
    wrong = Replica(LWWRegister[str], entropy=rng, wall=lambda: now[0] + 3_600_000)
    wrong.root.set("from the future")
    right.root.set("now")
    assert right.receive(wrong.root.delta_since()) is False
    assert right.root.value == "now"
    assert right.quarantined == 1
    assert [alarm.kind for alarm in right.alarms] == ["clock-drift"]
    right.root.set("still now")
    assert right.root._doc.clock is not None
    assert right.root._doc.clock.last >> 16 == now[0]
    assert right.retry() == 0
    now[0] += 3_600_000
    assert right.retry() == 1
    assert right.quarantined == 0
    assert len(right.root.conflicts()) == 2
    with pytest.raises(ClockDriftError, match="ahead of ours"):
        LWWRegister[str](replica("x", lambda: 0)).apply(Delta.decode(right.root.encode()))


def test_40_equal_stamps_have_one_winner_whatever_the_order() -> None:
    sets = [LWWRegister[str](replica(name, lambda: 5)) for name in "abc"]
    for register, value in zip(sets, ("one", "two", "three"), strict=True):
        register.set(value)
    assert len({register._cell[0][2] for register in sets}) == 1
    seen = set()
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        merged = LWWRegister[str]()
        for i in order:
            merged.merge(sets[i])
        seen.add((merged.value, merged.encode()))
    assert len(seen) == 1
    assert next(iter(seen))[0] == "three"


def test_42_a_gap_is_refused_and_asked_for_never_joined() -> None:
    a, b = ORSet[int](replica("a")), ORSet[int](replica("b"))
    a.add(1)
    lost = a.version
    a.add(2)
    a.discard(1)
    later = a.delta_since(lost)
    with pytest.raises(GapError) as caught:
        b.apply(later)
    assert caught.value.missing == {b"a": (1, 1)}
    assert b.value == frozenset()
    assert b.version == VersionVector()
    b.apply(a.delta_since(b.version))
    assert b.apply(later) is False
    assert b.value == {2}


@pytest.mark.parametrize("first", ["a", "b"])
def test_43_one_key_with_two_types_has_one_visible_everywhere(first: str) -> None:
    clocks = {"a": 1, "b": 1}
    clocks[first] = 2
    a = ORMap[str, Any](replica("a", lambda: clocks["a"]))
    b = ORMap[str, Any](replica("b", lambda: clocks["b"]))
    a.create("k", PNCounter).increment(3)
    b.create("k", ORSet).add("x")
    a.merge(b)
    b.merge(a)
    assert a.encode() == b.encode()
    shown, hidden = (PNCounter, ORSet) if first == "a" else (ORSet, PNCounter)
    assert type(a["k"]) is type(b["k"]) is shown
    assert [type(node) for node in a.conflicts("k")] == [hidden]
    del a["k"]
    b.merge(a)
    assert "k" not in b
    assert b.conflicts("k") == []


def test_44_a_counter_removed_and_incremented_at_the_same_time_keeps_exactly_the_increment() -> None:
    a: ORMap[str, PNCounter] = ORMap(replica("a"), PNCounter)
    b: ORMap[str, PNCounter] = ORMap(replica("b"), PNCounter)
    a["k"] += 10
    b.merge(a)
    b["k"] += 5
    a.merge(b)
    del a["k"]
    b["k"] += 2
    a["other"] += 1
    a.merge(b)
    b.merge(a)
    assert a.value == b.value == {"k": 2, "other": 1}
    a["k"] += 1
    b.merge(a)
    assert b.value == {"k": 3, "other": 1}


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (0.0, -0.0), ("1", b"1"), ((1,), (True,))])
def test_45_values_that_python_calls_equal_stay_apart(one: Any, other: Any) -> None:
    a, b = ORSet[Any](replica("a")), ORSet[Any](replica("b"))
    a.add(one)
    b.add(other)
    a.merge(b)
    b.merge(a)
    assert a.encode() == b.encode()
    assert len(a) == 2


def test_45_the_same_state_has_the_same_bytes_whatever_the_order() -> None:
    rng = random.Random(3)
    items: list[Any] = ["a", "b", 3, -1, b"x", 2.5, None, True, ("t", 1), float("nan")]
    writers = [ORSet[Any](replica(f"r{i}")) for i in range(4)]
    for writer in writers:
        for item in rng.sample(items, 6):
            writer.add(item)
    states = set()
    for _ in range(6):
        rng.shuffle(writers)
        merged = ORSet[Any]()
        for writer in writers:
            merged.merge(writer)
        states.add(merged.encode())
    assert len(states) == 1


def test_46_fifty_writers_of_a_hundred_increments_are_five_thousand() -> None:
    """Threads share nothing here: each node is guarded by its own lock, as a server would."""
    nodes = [PNCounter(replica(f"node{i}")) for i in range(3)]
    locks = [threading.Lock() for _ in nodes]

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(100):
            i = rng.randrange(3)
            with locks[i]:
                nodes[i].increment()
            if rng.random() < 0.05:
                j = rng.randrange(3)
                with locks[j]:
                    delta = nodes[j].delta_since()
                with locks[i]:
                    nodes[i].apply(delta.encode())

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(2):
        for one in nodes:
            for other in nodes:
                one.merge(other)
    assert [node.value for node in nodes] == [5000] * 3


def test_47_a_replica_never_shows_a_later_event_without_the_earlier() -> None:
    a, b = LWWMap[str, int](replica("a")), LWWMap[str, int](replica("b"))
    a["x"] = 1
    middle = a.version
    a["y"] = 2
    with pytest.raises(GapError):
        b.apply(a.delta_since(middle))
    assert "y" not in b
    b.apply(a.delta_since(b.version))
    assert b.value == {"x": 1, "y": 2}


def test_bytes_do_not_contain_the_identity_of_a_reader() -> None:
    writer = ORSet[str](replica("writer"))
    writer.add("x")
    reader = ORSet[str](replica("secret-reader"))
    reader.merge(writer)
    assert b"secret-reader" not in reader.encode()
    assert reader.encode() == writer.encode()


def test_every_type_says_why() -> None:
    root: Crdt = ORMap(replica("a"), PNCounter)
    assert isinstance(root, ORMap)
    root["apples"] += 2
    assert "'apples' as PNCounter, created by a:1" in root.explain()
