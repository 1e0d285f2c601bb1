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
async def test_nothing_acknowledged_is_lost_when_nodes_are_killed_and_paused() -> None:
    report = await chaos(Plan(leader_kills=2, pauses=1, cluster_kills=1))
    found = report.judgement
    assert found.problems == []
    assert {fault: len(each) for fault, each in report.outages.items()} == {
        "leader kill": 2,
        "leader pause": 1,
        "cluster kill": 1,
    }
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
