"""500 writes a second from 8 clients while all power fails again and again: nothing acknowledged is lost.

The real log code on the simulated disk, which forgets unsynced pages in any subset; and the same with the sync taken out,
which must be caught, or this test would prove nothing.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from ringleader.consensus.protocols import PROTOCOLS
from ringleader.sim.options import LoadOptions, Options
from ringleader.sim.run import run_seed
from sim.bugs_durability import no_sync


def storm(seed: int, protocol: str) -> Options:
    """Power cuts of one node every two seconds, of all nodes every five."""
    load = LoadOptions(clients=8, rate=625.0, keys=40, reads=0.2, timeout=5.0)
    return Options(
        seed=seed,
        protocol=protocol,
        duration=20.0,
        faults_until=16.0,
        load=load,
        faults={"power-cut": 2.0, "power-cut-all": 5.0},
    )


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "seed"), [("raft", 1), ("raft", 3), ("paxos", 1), ("paxos", 3)])
def test_nothing_acknowledged_is_lost_when_power_fails(protocol: str, seed: int) -> None:
    report = run_seed(seed, storm(seed, protocol))
    assert report.ok, report.line()
    assert report.calls["answered"] > 3000
    assert report.probes["all nodes down at once"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_the_sync_it_is_caught(protocol: str) -> None:
    with ExitStack() as stack:
        no_sync(stack)
        reports = [run_seed(seed, storm(seed, protocol)) for seed in (1, 2)]
    assert not any(report.ok for report in reports), "a build without fdatasync must not pass"
