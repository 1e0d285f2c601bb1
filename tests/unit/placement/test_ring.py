"""The ring itself: cells against a slow definition, splicing against a full build, exact arcs and diffs, the index."""

from __future__ import annotations

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringleader.placement import Maglev, Node, Ring
from ringleader.placement.cells import EARLY_SHARE, slice_bits
from ringleader.placement.keys import SPACE
from ringleader.placement.points import node_points, sorted_points

few = settings(max_examples=40, deadline=None)
names = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=10, unique=True)
hashes = st.integers(0, SPACE - 1)


def slow_owner(ring: Ring, h: int) -> set[str]:
    """All nodes with a point at the smallest distance, by looking at every point."""
    by_distance: dict[int, set[str]] = {}
    for p, node in ring.points():
        by_distance.setdefault(min((p - h) % SPACE, (h - p) % SPACE), set()).add(node.name)
    return by_distance[min(by_distance)]


@few
@given(names, st.integers(1, 9), st.lists(hashes, max_size=20))
def test_a_key_belongs_to_the_nearest_point(nodes: list[str], vnodes: int, some: list[int]) -> None:
    ring = Ring(nodes, vnodes=vnodes)
    for p, _ in ring.points():
        some += [p, (p + 1) % SPACE, (p - 1) % SPACE]
    bounds = ring.cells.bounds
    some += [0, SPACE - 1, *bounds, *((b + 1) % SPACE for b in bounds)]
    for h in some:
        name = ring.nodes[ring.owner_index(h)].name
        assert name in slow_owner(ring, h)
        assert ring.nodes[next(ring.walk(h))].name in slow_owner(ring, h)


@few
@given(names, st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=3), st.integers(1, 12), st.booleans())
def test_adding_gives_what_a_full_build_gives(old: list[str], new: set[str], vnodes: int, looked_up: bool) -> None:
    fresh = sorted(new - set(old))
    ring = Ring(old, vnodes=vnodes)
    if looked_up:
        ring.cells.make_index()  # which `add` then patches
    grown = ring.add(*fresh)
    full = Ring([*old, *fresh], vnodes=vnodes)
    assert grown.cells.bounds == full.cells.bounds
    assert grown.cells.owners == full.cells.owners
    assert list(grown.points()) == list(full.points())
    assert grown.cells.make_index() == full.cells.make_index()
    assert grown == full


def test_a_patched_index_is_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring([f"n{i}" for i in range(40)], vnodes=30)
    ring.cells.make_index()
    grown = ring.add("m")
    assert slice_bits(len(ring.cells.bounds)) == slice_bits(len(grown.cells.bounds))
    assert grown.cells.index is not None, "it was patched, not left to be made"
    assert grown.cells.index == Ring(grown.nodes, vnodes=30).cells.make_index()


def looked_up(ring: Ring, count: int) -> list[str]:
    return [ring.owner(key).name for key in (f"key-{i}" for i in range(count))]


def test_the_index_is_made_when_it_pays_and_changes_no_answer() -> None:
    ring, indexed = Ring(["a", "b", "c"], vnodes=100), Ring(["a", "b", "c"], vnodes=100)
    indexed.cells.make_index()
    early = len(ring.cells.bounds) // EARLY_SHARE
    assert looked_up(indexed, 1)
    assert indexed.cells.parts is not None, "an index that is there is used at once"
    assert looked_up(ring, early) == looked_up(indexed, early)
    assert ring.cells.index is None, "so few look-ups do not pay for it"
    assert looked_up(ring, 2 * early) == looked_up(indexed, 2 * early)
    assert ring.cells.index == indexed.cells.index is not None
    for key in ("ü", "\ud800", b"x", 7, -1):
        assert ring.owner(key) == indexed.owner(key) == Ring(["a", "b", "c"], vnodes=100).owner(key)


def test_what_a_copy_or_a_size_needs_makes_no_index() -> None:
    ring = Ring(["a", "b", "c"], vnodes=100)
    size = ring.nbytes()
    assert ring.cells.index is None
    ring.cells.make_index()
    looked_up(ring, 1)
    assert (
        ring.nbytes()
        == size
        == sum(len(a.tobytes()) for a in (ring.cells.bounds, ring.cells.owners))
        + (len(ring.cells.make_index().tobytes()) + 8 * len(list(ring.points())))
    )
    for copy in (pickle.loads(pickle.dumps(ring)), deepcopy(ring)):
        assert copy == ring
        assert copy.cells.index is None
        assert looked_up(copy, 500) == looked_up(ring, 500)
        assert looked_up(copy.add("d"), 500) == looked_up(ring.add("d"), 500)


def test_threads_that_share_a_ring_while_its_index_is_made() -> None:
    """Eight threads run through the switch together, with a thread switch every few microseconds, ring after ring."""
    expected = looked_up(Ring(["a", "b", "c"], vnodes=20), 60)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(40):
            ring = Ring(["a", "b", "c"], vnodes=20)
            with ThreadPoolExecutor(8) as pool:
                assert all(found == expected for found in pool.map(looked_up, [ring] * 8, [60] * 8))
            assert ring.cells.index is not None
    finally:
        sys.setswitchinterval(before)


@few
@given(names, st.integers(1, 9))
def test_arcs_cover_the_circle_once(nodes: list[str], vnodes: int) -> None:
    ring = Ring(nodes, vnodes=vnodes)
    at = 0
    for start, end, node in ring.arcs():
        assert start == at < end
        assert ring.nodes[ring.owner_index(start)] == ring.nodes[ring.owner_index(end - 1)] == node
        at = end
    assert at == SPACE
    assert sum(ring.shares().values()) == pytest.approx(1)


@few
@given(names, names, st.integers(1, 6), st.lists(hashes, max_size=30))
def test_a_diff_is_exact(before: list[str], after: list[str], vnodes: int, some: list[int]) -> None:
    a, b = Ring(before, vnodes=vnodes), Ring(after, vnodes=vnodes)
    diff = a.diff(b)
    assert diff.exact
    for h in some:
        source, target = a.nodes[a.owner_index(h)].name, b.nodes[b.owner_index(h)].name
        found = [(m.source, m.target) for m in diff.moves if any(s <= h < e for s, e in m.ranges)]
        assert found == ([(source, target)] if source != target else [])
    assert diff.share == pytest.approx(sum(diff.gained().values()))
    assert diff.share == pytest.approx(sum(diff.lost().values()))


def test_the_default_ring_is_balanced_whatever_the_names() -> None:
    """The peak share of 100 nodes is at most 1.12 for each of 40 sets of names, as is promised."""
    peaks = sorted(100 * max(Ring([f"set{s}-{i}" for i in range(100)]).shares().values()) for s in range(40))
    assert peaks[-1] <= 1.12
    assert peaks[20] < 1.08


weights = st.lists(st.sampled_from([0.001, 0.3, 1.0, 1.0, 1.5, 2.0, 2.7]), min_size=1, max_size=8)


@few
@given(weights, st.integers(1, 13))
def test_sorted_points_are_those_of_each_node(some: list[float], vnodes: int) -> None:
    nodes = tuple(Node(f"n{i}", w) for i, w in enumerate(some))
    points, owners = sorted_points(nodes, vnodes)
    slow = sorted((p, i) for i, n in enumerate(nodes) for p in node_points(n, vnodes))
    assert list(zip(points, owners, strict=True)) == slow
    assert all(p % 2 == 0 and 0 <= p < SPACE for p in points)


@given(st.integers(1, 40), st.integers(1, 99), st.integers(1, 50))
def test_more_weight_only_adds_points_and_spreads_them(vnodes: int, count: int, more: int) -> None:
    before = node_points(Node("n", count / vnodes), vnodes)
    after = node_points(Node("n", (count + more) / vnodes), vnodes)
    assert len(before) == count
    assert len(after) == count + more
    assert set(before) <= set(after)
    for points in (before, after):
        held = [0] * vnodes
        for p in points:
            held[p * vnodes // SPACE] += 1
        assert max(held) - min(held) <= 1, "one point in each stratum before any has two"


def test_half_a_layer_is_everywhere() -> None:
    quarters = [0] * 4
    for p in node_points(Node("n", 0.5), 200):
        quarters[p >> 62] += 1
    assert min(quarters) >= 23


def test_nearest_points_halve_the_variance_of_the_next_point_clockwise() -> None:
    ring = Ring([f"n{i}" for i in range(300)], vnodes=50)
    points = list(ring.points())
    clockwise = dict.fromkeys((n.name for n in ring.nodes), 0)
    for (a, _), (b, node) in zip(points[-1:] + points[:-1], points, strict=True):
        clockwise[node.name] += (b - a) % SPACE

    def variance(shares: list[float]) -> float:
        return sum((x * 300 - 1) ** 2 for x in shares) / 300

    ratio = variance(list(ring.shares().values())) / variance([x / SPACE for x in clockwise.values()])
    assert 0.35 < ratio < 0.65


def test_weights_are_points() -> None:
    ring = Ring([Node("a", 0.5), Node("b", 2.0)], vnodes=10)
    owners = [n.name for _, n in ring.points()]
    assert owners.count("a") == 5
    assert owners.count("b") == 20
    assert ring.nbytes() < 2000
    assert repr(ring) == "Ring(2 nodes, vnodes=10)"


def test_removing_from_a_small_ring_whose_index_exists() -> None:
    """Found by hypothesis: cells that merged left fewer bounds below a slice than the patched index could say."""
    names = ["0", "1", "2", "00", "000", "§0f31Rq", "00000000"]
    ring = Ring(names)
    ring.cells.make_index()
    smaller = ring.remove("§0f31Rq")
    fresh = Ring([name for name in names if name != "§0f31Rq"])
    assert [smaller.owner(str(i)).name for i in range(2000)] == [fresh.owner(str(i)).name for i in range(2000)]


def test_many_nodes_at_once_and_beyond_the_lanes() -> None:
    """`add` renumbers owners in lanes for a few newcomers and one by one for many; both give the full build."""
    old = [f"n{i:03d}" for i in range(0, 300, 3)]
    for fresh in ([f"n{i:03d}" for i in range(1, 90, 3)], [f"n{i:03d}" for i in range(1, 300, 3)], ["a", "n150x", "z"]):
        ring = Ring(old, vnodes=3)
        assert list(ring.add(*fresh).points()) == list(Ring([*old, *fresh], vnodes=3).points())
        assert ring.add(*fresh).cells.owners == Ring([*old, *fresh], vnodes=3).cells.owners


def test_a_lone_surrogate_is_a_key_like_any_other() -> None:
    ring = Ring(["a", "b", "c"])
    for p in (ring, Maglev(["a", "b", "c"])):
        assert p.owner("\ud800") == p.nodes[p.owner_index(p.key_hash("\ud800"))]
