"""Members come and go in simulated worlds: grow, replace, shrink, hand over, under load, alone and among other faults."""

from __future__ import annotations

import pytest

from ringleader.sim.choice import stream
from ringleader.sim.options import Options
from ringleader.sim.run import run_seed
from ringleader.sim.world import World

OTHERS = {"kill": 4.0, "power-cut": 6.0, "partition": 6.0, "isolate-leader": 6.0, "pause": 8.0, "crash-point": 4.0}


def churning(seed: int, faults: dict[str, float]) -> Options:
    """Changes of members about every second, and snapshots often, so that learners catch up by them."""
    return Options(seed=seed, snapshot_every=100, keep_entries=20, faults={"churn": 0.8, **faults})


@pytest.mark.parametrize("seed", [1, 2])
def test_members_change_while_nothing_else_happens(seed: int) -> None:
    world = World(churning(seed, {}))
    world.run()
    members = world.truth.store.members
    assert len(members.rows) >= 6, "some joined"
    assert any(not row.active for row in members.rows.values()), "some were removed"
    assert world.probes.counts["expelled node stopped"] >= 1
    assert world.probes.counts["configuration changed"] >= 5


@pytest.mark.parametrize("seed", [10, 11, 12])
def test_members_change_among_crashes_and_partitions(seed: int) -> None:
    report = run_seed(seed, churning(seed, OTHERS))
    assert report.ok, report.line()


@pytest.mark.parametrize("seed", [45, 49])
def test_a_wiped_node_that_runs_on_keeps_nobody_waiting(seed: int) -> None:
    """It knows of no cluster and is let into none, but answers clients: their watches must not stay there."""
    report = run_seed(seed, churning(seed, {}))
    assert report.ok, report.line()


def test_no_voter_is_lost_for_good_while_a_removal_may_leave_too_few() -> None:
    """Found by the soak: with a removal under way the operator lost another of three voters, and one of two was left."""
    for pending, may_go in (({}, {1, 2, 3}), ({2: 1}, {2}), ({1: 1, 2: 1}, set())):
        lost = set()
        for attempt in range(6):
            world = World(Options(seed=attempt, duration=2.0, faults_until=1.5))
            world.run()
            world.churn.removals.update(pending)
            for number in range(40):
                world.churn.strike(stream(attempt, f"strike {number}"))
            lost |= {id for id, machine in world.machines.items() if machine.lost}
        assert lost <= may_go
        assert bool(lost) == bool(may_go)
