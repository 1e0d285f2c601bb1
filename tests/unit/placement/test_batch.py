"""Batches answer what single look-ups answer, bit for bit; without numpy they say how to get it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from ringleader.errors import UsageError
from ringleader.placement import JumpHash, KetamaRing, Maglev, Memento, MultiProbe, Placement, Rendezvous, Ring
from ringleader.placement.batch import hash_ints
from ringleader.placement.diff import sample_hashes

NAMES = [f"n{i}" for i in range(23)]
WEIGHTS = {n: 1 + i / 5 for i, n in enumerate(NAMES)}
PLACEMENTS: list[Placement] = [
    Ring(NAMES),
    Ring(WEIGHTS, vnodes=7),
    Ring(["one"], vnodes=1),
    Rendezvous(NAMES),
    Rendezvous(WEIGHTS),
    JumpHash(NAMES),
    Maglev(WEIGHTS),
    MultiProbe(NAMES),
    Memento(NAMES).remove("n3", "n22", "n7"),
    KetamaRing(NAMES),
]


@pytest.mark.parametrize("p", PLACEMENTS, ids=repr)
def test_hashes(p: Placement) -> None:
    hashes = [0, 1, 2**64 - 1, 2**63, *sample_hashes(1500)]
    if isinstance(p, KetamaRing):
        hashes = [h >> 32 for h in hashes]
    found = p.owner_batch_hashed(np.array(hashes, dtype=np.uint64))
    assert found.dtype == np.uint16
    assert found.tolist() == [p.owner_index(h) for h in hashes]


@pytest.mark.parametrize("p", PLACEMENTS, ids=repr)
def test_keys(p: Placement) -> None:
    for keys in (
        ["a", b"b", 3, -4, "ü"],
        np.array([1, -2, 3], dtype=np.int32),
        np.array([2**64 - 1, 5], dtype=np.uint64),
        np.array(["x", "y"]),
        np.array([b"x", b"y"]),
        [],
    ):
        plain: list[Any] = keys.tolist() if isinstance(keys, np.ndarray) else keys
        assert p.owner_batch(keys).tolist() == [p.nodes.index(p.owner(k)) for k in plain]


def test_int_hashes_are_xxh3_across_chunks_and_types() -> None:
    ring = Ring(["a"])
    for array in (
        np.arange(-40_000, 40_000),
        np.array([-1, 0, 1, 127], dtype=np.int8),
        np.array([0, 2**32, 2**64 - 1], dtype=np.uint64),
    ):
        step = max(1, len(array) // 400)
        assert hash_ints(array)[::step].tolist() == [ring.key_hash(int(k)) for k in array[::step]]


def test_a_batch_of_a_ring_at_its_bounds() -> None:
    ring = Ring(["a", "b", "c"], vnodes=40)
    edges = sorted({h % 2**64 for b in ring.cells.bounds for h in (b - 1, b, b + 1)})
    assert ring.owner_batch_hashed(np.array(edges, dtype=np.uint64)).tolist() == [ring.owner_index(h) for h in edges]


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring(["a"])
    with pytest.raises(UsageError, match="not of float64"):
        ring.owner_batch(np.array([1.0]))
    with pytest.raises(UsageError, match=r"shape \(1, 1\)"):
        ring.owner_batch(np.array([[1]]))
    with pytest.raises(UsageError, match="not str"):
        ring.owner_batch("abc")
    with pytest.raises(UsageError, match=r"not float: 1\.5"):
        ring.owner_batch([1.5])
    with pytest.raises(UsageError, match="uint64, not int64"):
        ring.owner_batch_hashed(np.array([1]))
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(UsageError, match=r'pip install "ringleader\[numpy\]"'):
        ring.owner_batch([1])
