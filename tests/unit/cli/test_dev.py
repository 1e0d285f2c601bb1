"""`ringleader dev` and its nodes: what they are told, and which of those that ended are started again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ringleader.cli.dev import Cluster, LocalNode, _environment


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


def test_what_a_shell_has_set_for_another_cluster_is_not_for_its_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RINGLEADER_")]:
        monkeypatch.delenv(name)
    for name in ("CA", "CERT", "KEY", "CONFIG", "JOIN", "ADVERTISE_CLIENT", "LOG_LEVEL"):
        monkeypatch.setenv(f"RINGLEADER_{name}", "x")
    assert [name for name in _environment() if name.startswith("RINGLEADER_")] == ["RINGLEADER_LOG_LEVEL"]
