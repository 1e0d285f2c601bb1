"""Clocks, version vectors, dotted contexts and causal stability."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringleader.clock import (
    ClockDriftError,
    Dot,
    DotContext,
    HybridClock,
    Order,
    Stability,
    VersionVector,
    format_stamp,
    pack_stamp,
    unpack_stamp,
)
from ringleader.errors import UsageError

names = st.sampled_from([b"a", b"b", b"c"])
vectors = st.dictionaries(names, st.integers(0, 5)).map(VersionVector)
dots = st.lists(st.tuples(names, st.integers(1, 8)), max_size=20)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 160) | st.none()), max_size=40))
def test_stamps_only_grow_whatever_the_wall_does(steps: list[tuple[int, int | None]]) -> None:
    now = [0]
    clock = HybridClock(lambda: now[0], max_drift_ms=50)
    last = -1
    for wall, remote in steps:
        now[0] = wall
        if remote is not None:
            if remote > wall + 50 and pack_stamp(remote) > clock.last:
                with pytest.raises(ClockDriftError):
                    clock.observe(pack_stamp(remote))
            else:
                clock.observe(pack_stamp(remote))
                last = max(last, pack_stamp(remote))
        stamp = clock.stamp()
        assert stamp > last
        assert stamp >= pack_stamp(wall)
        last = stamp


def test_drift_is_bounded_and_counted() -> None:
    clock = HybridClock(lambda: 1000, max_drift_ms=60_000)
    clock.observe(pack_stamp(61_000))
    with pytest.raises(ClockDriftError, match="60001 ms ahead") as caught:
        clock.observe(pack_stamp(61_001))
    assert caught.value.drift_ms == 60_001
    assert clock.refused == 1
    assert unpack_stamp(clock.stamp()) == (61_000, 1)
    with pytest.raises(UsageError):
        HybridClock(lambda: 0, max_drift_ms=-1)


def test_the_logical_part_carries_into_the_milliseconds() -> None:
    clock = HybridClock(lambda: 5, last=pack_stamp(5, 0xFFFF))
    assert unpack_stamp(clock.stamp()) == (6, 0)
    assert format_stamp(pack_stamp(1234, 7)) == "1.234+7"
    for wrong in (-1, 1 << 48):
        with pytest.raises(UsageError):
            pack_stamp(wrong)


@given(vectors, vectors, vectors)
def test_version_vectors_are_a_lattice(a: VersionVector, b: VersionVector, c: VersionVector) -> None:
    assert a.join(b) == b.join(a)
    assert a.join(b.join(c)) == a.join(b).join(c)
    assert a.join(a) == a.meet(a) == a
    assert a.meet(a.join(b)) == a == a.join(a.meet(b))
    assert a.join(b).covers(a)
    assert a.covers(a.meet(b))
    order = a.compare(b)
    assert (order is Order.EQUAL) == (a == b)
    assert (order is Order.BEFORE) == (a != b and b.covers(a))
    assert (order is Order.CONCURRENT) == (not a.covers(b) and not b.covers(a))
    missing = a.missing(b)
    assert sum(last - first + 1 for first, last in missing.values()) == a.join(b).events() - a.events()
    assert 0 not in a.values(), "canonical: no zero entries"


def test_a_version_vector_is_no_dictionary_key() -> None:
    with pytest.raises(TypeError):
        hash(VersionVector())
    assert repr(VersionVector({b"a": 2, bytes(16): 1})) == "{00000000:1, a:2}"


@given(dots, dots)
def test_dotted_contexts_are_sets(one: list[tuple[bytes, int]], other: list[tuple[bytes, int]]) -> None:
    a, b = (DotContext(dots=[Dot(*dot) for dot in dots]) for dots in (one, other))
    assert set(a) == set(one)
    joined = a.join(b)
    assert set(joined) == set(one) | set(other)
    assert joined == DotContext(dots=[Dot(*dot) for dot in reversed(one + other)]), "canonical"
    assert joined.covers(a)
    assert a.covers(b) == (set(other) <= set(one))
    for replica in (b"a", b"b", b"c"):
        top = joined.version.get(replica, 0)
        assert (replica, top + 1) not in set(joined), "what is contiguous is in the vector"
    holes = {(r, n) for r, spans in joined.gaps().items() for first, last in spans for n in range(first, last + 1)}
    assert not holes & set(joined)
    filled = DotContext(dots=[*joined, *(Dot(*hole) for hole in holes)])
    assert filled.cloud == []


def test_a_context_is_bounded() -> None:
    context = DotContext(limit=2)
    context.add((b"a", 3))
    context.add((b"a", 5))
    context.add((b"a", 5))
    with pytest.raises(UsageError, match="more than 2"):
        context.add((b"b", 9))
    with pytest.raises(UsageError, match="counted from 1"):
        context.add((b"a", 0))
    context.add((b"a", 1))
    context.add((b"a", 2))
    assert repr(context) == "DotContext({a:3}, [a:5])"


def test_stability_waits_for_what_a_member_had_when_it_spoke() -> None:
    own = VersionVector({b"me": 3})
    tracker = Stability([b"x", b"y"])
    tracker.acknowledge(b"x", VersionVector({b"me": 3, b"x": 2}))
    tracker.acknowledge(b"y", VersionVector({b"me": 2}))
    assert tracker.stable(own) == {}, "x spoke after its own events 1 and 2, which may still be on their way to us"
    own[b"x"] = 2
    assert tracker.stable(own) == {b"me": 2}
    tracker.acknowledge(b"y", VersionVector({b"me": 3, b"x": 1}))
    assert tracker.stable(own) == {b"me": 3, b"x": 1}
    tracker.add(b"z")
    assert tracker.stable(own) == {}
    tracker.remove(b"z")
    assert tracker.stable(own) == {b"me": 3, b"x": 1}
    assert tracker.members == [b"x", b"y"]
    with pytest.raises(UsageError, match="no member"):
        tracker.acknowledge(b"stranger", VersionVector())
