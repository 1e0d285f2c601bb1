"""`ringleader dev` looks after its nodes: which of those that ended are started again."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ringleader.cli.dev import Cluster, LocalNode


@pytest.mark.parametrize(("code", "again"), [(0, True), (1, True), (2, False), (70, True)])
def test_a_node_whose_start_makes_no_sense_is_left_alone(code: int, again: bool, tmp_path: Path) -> None:
    node = LocalNode("n1", (1, 2, 3), tmp_path)
    node.process = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"])
    node.process.wait()
    cluster = Cluster([node], [], restart=True, json_=False)
    cluster._look_after()
    assert node.pid == 0
    assert (node.restart_at is not None) is again
    assert node.restart_at is None or node.restart_at > time.monotonic() - 60
