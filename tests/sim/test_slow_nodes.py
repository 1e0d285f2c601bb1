"""What flexible quorums are for: with a phase-2 quorum of two, three slow followers of four keep nobody waiting."""

from __future__ import annotations

import statistics

from tools.slow_nodes import ENGINES, latencies


def test_who_writes_with_two_does_not_wait_for_three_slow_followers() -> None:
    healthy, slow = (
        {name: statistics.median(latencies(*engine, count)) for name, engine in ENGINES.items()} for count in (0, 3)
    )
    assert max(healthy.values()) < 1.5 * min(healthy.values()), "all the same while nothing is slow"
    for name in ("Raft", "Paxos, majorities"):
        assert slow[name] > 3 * healthy[name]
    assert slow["Paxos, phase-2 quorum 2"] < 2 * healthy["Paxos, phase-2 quorum 2"]
