"""What flexible quorums are for: with a phase-2 quorum of two, three slow followers of four keep nobody waiting."""

from __future__ import annotations

import statistics

from tools.slow_nodes import ENGINES, latencies


def test_who_writes_with_two_does_not_wait_for_three_slow_followers() -> None:
    healthy = {name: statistics.median(latencies(*engine, 0)) for name, engine in ENGINES.items()}
    slow = {name: statistics.median(latencies(*engine, 3)) for name, engine in ENGINES.items()}
    assert max(healthy.values()) < 1.5 * min(healthy.values()), "all the same while nothing is slow"
    for name in ("Raft", "Paxos, majorities"):
        assert slow[name] > 3 * healthy[name]
    assert slow["Paxos, phase-2 quorum 2"] < 2 * healthy["Paxos, phase-2 quorum 2"]
