"""`ringleader ring workers`, beside the example that divides work over processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.harness import PATIENCE, Shell, environment, eventually
from ringleader.cli.ring import _ranges

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "shards.py"


def owned(cli: Shell) -> dict[str, int]:
    """How many shards each worker of the example owns; nothing while there is no such group."""
    done = cli("ring", "workers", "example", "--json")
    if done.returncode:
        return {}
    seen = json.loads(done.stdout)
    if seen["unowned"] or seen["moving"]:
        return {}
    return {worker["name"]: len(worker["shards"]) for worker in seen["workers"]}


def start(cli: Shell, name: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(EXAMPLE), name]
    return subprocess.Popen(command, env=environment(cli.endpoints), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_the_example_divides_its_work(cli: Shell) -> None:
    assert cli.json("ring", "workers", "example", code=1) == {"group": None}
    done = cli("ring", "workers", "example")
    assert (done.returncode, done.stderr) == (1, b"ringleader: there is no group of shards 'example'\n")
    processes = [start(cli, "alice"), start(cli, "bob")]
    try:
        eventually(lambda: owned(cli) == {"alice": 8, "bob": 8}, "both work")
        says = "16 of 16 shards owned by 2 workers"
        eventually(lambda: says in cli.ok("ring", "workers", "example"), "it does not say so to people")
        assert cli.json("ring", "workers", "example")["count"] == 16
        processes[0].send_signal(signal.SIGINT)
        out_bytes, err = processes[0].communicate(timeout=PATIENCE)
        assert (processes[0].returncode, err) == (0, b"")
        assert out_bytes.count(b"alice has shard") >= 8
        eventually(lambda: owned(cli) == {"bob": 16}, "bob has it all")
        eventually(lambda: len(cli.json("kv", "range", "example/", "--prefix")["kvs"]) == 16, "all was worked on")
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)
    assert "0 of 16 shards owned by 0 workers\nwithout an owner: 0-15" in cli.ok("ring", "workers", "example")


def test_runs_of_numbers() -> None:
    assert _ranges([]) == "-"
    assert _ranges([1, 2, 3, 5, 7, 8]) == "1-3 5 7-8"
