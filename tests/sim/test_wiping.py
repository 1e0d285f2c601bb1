"""A voter that is wiped just when it is needed: it comes back, is not let in, and nothing is lost."""

from __future__ import annotations

import pytest

from ringleader.consensus.protocols import PROTOCOLS
from ringleader.sim.options import Options
from ringleader.sim.run import run_seed
from sim.bugs import BUGS

WELCOME = next(bug for bug in BUGS if bug.name == "wiped-is-welcome")


def world(seed: int, protocol: str) -> Options:
    """A short one of three nodes; slow links see to it that somebody lags."""
    return Options(
        seed=seed, protocol=protocol, duration=12.0, faults_until=10.0, faults={"wipe": 1.0, "slow-link": 1.0}
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_cluster_waits_for_its_leader(protocol: str) -> None:
    report = run_seed(1, world(1, protocol))
    assert report.ok, report.line()
    assert report.probes["needed voter wiped"] == 1, "no second one while the first is not removed"
    assert report.probes["link refused"]


@pytest.mark.parametrize(("protocol", "invariant"), [("raft", "leader completeness"), ("paxos", "chosen stays chosen")])
def test_what_it_forgot_would_be_lost(protocol: str, invariant: str) -> None:
    with WELCOME.planted():
        failures = [run_seed(seed, world(seed, protocol)).failure for seed in range(1, 4)]
    assert {failure.invariant for failure in failures if failure is not None} == {invariant}
