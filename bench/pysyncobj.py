"""PySyncObj, the pure-Python Raft that people compare with: puts from inside its leader, three processes on loopback.

It has no client protocol of its own, so the calls are made inside the leader's process, and it does not sync its journal:
its figures are the upper end of what it can show. "tuned": its thread looks for work without a pause in between.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.cluster import cpu_seconds
from ringleader.cli.freeports import free_ports

__all__ = ["TITLES", "measure"]

TITLES = {
    "put, from inside the leader, no fsync, window 1": 1,
    "put, from inside the leader, no fsync, window 256": 256,
}
Row = dict[str, float]


def measure(seconds: float) -> dict[str, dict[str, Row]]:
    """A row for each window, by title; empty, with a word why, when PySyncObj is not installed."""
    if importlib.util.find_spec("pysyncobj") is None:
        print("pysyncobj is missing (pip install -r requirements/bench.txt)")
        return {}
    return {title: {"pysyncobj": _run(window, seconds)} for title, window in TITLES.items()}


def _run(window: int, seconds: float) -> Row:
    ports = free_ports(3)
    with tempfile.TemporaryDirectory(prefix="ringleader-bench-") as folder:
        nodes = []
        for place in range(3):
            words = [",".join(map(str, ports)), str(place), str(window), str(seconds)]
            command = [sys.executable, str(Path(__file__).parent / "peers" / "pysyncobj_node.py"), *words]
            nodes.append(subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stdin=subprocess.PIPE))
        try:
            for node in nodes:
                _line(node)  # it knows a leader
            before = cpu_seconds([node.pid for node in nodes])
            answers = [line for node in nodes if (line := _line(node))]
            used = cpu_seconds([node.pid for node in nodes]) - before
        finally:
            for node in nodes:
                node.kill()
                node.communicate()
    if len(answers) != 1:
        raise RuntimeError(f"{len(answers)} nodes of pysyncobj led")
    answer: Row = json.loads(answers[0])
    return {**answer, "server_us": used / max(answer["rps"] * seconds, 1) * 1e6, "client_us": 0.0}


def _line(node: subprocess.Popen[bytes]) -> bytes:
    """The next line that the node prints, without its end."""
    assert node.stdout is not None
    return node.stdout.readline().strip()
