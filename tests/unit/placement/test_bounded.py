"""Bounded loads: no node is ever above its bound, for any factor above one, any weights, any placement."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringleader.errors import UsageError
from ringleader.placement import BoundedLoads, Maglev, Memento, Node, Placement, Rendezvous, Ring


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([Ring, Rendezvous, Maglev, Memento]),
    st.integers(1, 8),
    st.floats(1, 4, exclude_min=True),
    st.lists(st.integers(0, 20), min_size=1, max_size=120),
)
def test_the_bound_is_never_exceeded(kind: type[Placement], count: int, c: float, keys: list[int]) -> None:
    placement = kind([f"n{i}" for i in range(count)])
    bounded = BoundedLoads(placement, c)
    for done, key in enumerate(keys, 1):
        node = bounded.acquire(key)
        assert bounded.loads[node.name] <= math.ceil(Fraction(c) * done / count)
    assert bounded.total == sum(bounded.loads.values()) == len(keys)
    assert all(load <= math.ceil(Fraction(c) * len(keys) / count) for load in bounded.loads.values())


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.1, 9), min_size=1, max_size=6), st.floats(1.001, 2))
def test_with_weights_the_bound_is_a_nodes_share(weights: list[float], c: float) -> None:
    bounded = BoundedLoads(Ring([Node(f"n{i}", w) for i, w in enumerate(weights)], vnodes=20), c)
    for _ in range(60):
        node = bounded.acquire("one hot key")
        assert bounded.loads[node.name] <= bounded.capacity(node.name)


def test_a_key_stays_with_its_owner_until_that_is_full_and_comes_back() -> None:
    ring = Ring(["a", "b", "c"])
    first, second = ring.owners("hot", 2)
    bounded = BoundedLoads(ring, 1.5)
    assert bounded.acquire("hot") == first
    assert bounded.acquire("hot") == second
    bounded.release(first)
    assert bounded.acquire("hot") == first


def test_mistakes_are_named() -> None:
    ring = Ring(["a"])
    c: Any
    for c in (1, 0.5, -1, float("nan"), float("inf"), "2", True):
        with pytest.raises(UsageError, match="c must be a finite number above 1"):
            BoundedLoads(ring, c)
    with pytest.raises(UsageError, match="'b'"):
        BoundedLoads(ring, loads={"b": 1})
    with pytest.raises(UsageError, match="'a' must be an int of at least 0, not -1"):
        BoundedLoads(ring, loads={"a": -1})
    with pytest.raises(UsageError, match="'a' carries nothing"):
        BoundedLoads(ring).release("a")
    assert BoundedLoads(ring, loads={"a": 3}).total == 3
