"""Members come and go in simulated worlds: grow, replace, shrink, hand over, under load, with and without other faults."""

from __future__ import annotations

import msgspec
import pytest

from ringleader.sim.options import Options, draw
from ringleader.sim.run import run_seed
from ringleader.sim.world import World


def churning(seed: int, **more: object) -> Options:
    options = Options(seed=seed, nodes=3, snapshot_every=100, keep_entries=20, churn=True)
    return msgspec.structs.replace(options, **more)


@pytest.mark.parametrize("seed", [1, 2])
def test_members_change_while_nothing_else_happens(seed: int) -> None:
    world = World(churning(seed, duration=25.0, faults_until=20.0))
    world.run()
    assert world.churn is not None
    assert world.churn.done >= 5
    assert world.churn.told >= 1
    assert max(world.truth.store.members.rows) > 4


@pytest.mark.parametrize("seed", [10, 11, 12, 13])
def test_members_change_among_crashes_and_partitions(seed: int) -> None:
    options = churning(
        seed,
        faults={
            "kill": 4.0,
            "power-cut": 6.0,
            "partition": 6.0,
            "isolate-leader": 6.0,
            "pause": 8.0,
            "crash-point": 4.0,
        },
    )
    report = run_seed(seed, options)
    assert report.ok, report.line()


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_members_change_in_a_drawn_world(seed: int) -> None:
    report = run_seed(seed, msgspec.structs.replace(draw(seed, nodes=3), churn=True))
    assert report.ok, report.line()
