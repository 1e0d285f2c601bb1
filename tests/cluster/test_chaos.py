"""Short runs of `tools.chaos`: real nodes are hurt under load, and the clients' history is judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tools.chaos import WRITES_AGAIN_WITHIN, Plan, chaos

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "plan",
    [
        Plan(leader_kills=2, pauses=1, cluster_kills=1),
        Plan(leader_kills=1, pauses=1, cluster_kills=1, consensus="paxos"),
        Plan(leader_kills=1, cluster_kills=1, rate=300, nodes=5, consensus="paxos", phase2_quorum=2),
    ],
    ids=["raft", "paxos", "paxos, five nodes, two accept"],
)
async def test_nothing_acknowledged_is_lost_when_nodes_are_killed_and_paused(plan: Plan) -> None:
    report = await chaos(plan)
    found = report.judgement
    assert found.problems == []
    wanted = {"leader kill": plan.leader_kills, "leader pause": plan.pauses, "cluster kill": plan.cluster_kills}
    assert {fault: len(each) for fault, each in report.outages.items()} == {k: n for k, n in wanted.items() if n}
    assert max(map(max, report.outages.values())) < WRITES_AGAIN_WITHIN, "writes did not come back"
    assert found.acknowledged > 100
    assert found.reads > 10


@pytest.mark.slow
@pytest.mark.peer("iptables")
@pytest.mark.peer("nsenter")
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_nothing_acknowledged_is_lost_when_the_leader_is_cut_off() -> None:
    """In a process of its own: it runs itself again in a network namespace."""
    command = [sys.executable, "-m", "tools.chaos", "--nodes", "5", "--partitions", "4"]
    command += ["--leader-kills", "0", "--cluster-kills", "0", "--rate", "300"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert set(found["writes again"]) == {"cut: alone", "cut: minority", "cut: hears only", "cut: speaks only"}
    assert all(each["worst s"] < WRITES_AGAIN_WITHIN for each in found["writes again"].values())
    assert found["acknowledged"] > 100
