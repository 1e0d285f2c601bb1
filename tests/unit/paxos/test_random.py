"""Paxos in a hostile world: whatever happens, what was promised holds; and when the faults stop, it goes on."""

from __future__ import annotations

import pytest

from unit.paxos.walk import walk
from unit.paxos.world import World


@pytest.mark.parametrize("first", range(0, 48, 12))
def test_anything_at_any_time(first: int) -> None:
    chosen = sum(len(walk(seed).ledger) for seed in range(first, first + 12))
    assert chosen > 100


@pytest.mark.parametrize("seed", range(12))
def test_faults(seed: int) -> None:
    world = World(seed, size=[3, 5, 1, 4][seed % 4])
    world.run(10)
    world.heal()


@pytest.mark.parametrize("seed", range(10))
def test_faults_with_other_quorums(seed: int) -> None:
    world = World(seed, size=5, phase2=[2, 4, 1, 3, 5][seed % 5])
    world.run(8)
    world.heal()


@pytest.mark.parametrize("seed", range(15))
def test_faults_while_members_change(seed: int) -> None:
    size = [3, 1, 5][seed % 3]
    world = World(seed, size=size, total=[5, 4, 6][seed % 3], phase2=[0, 0, 2][seed % 3])
    world.run(10, changes=True, founders=size)
    world.heal()
