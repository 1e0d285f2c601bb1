"""`ringleader dev`: one command, three durable nodes; they survive kill -9 and never outlive it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from cli.harness import Dev, Running, Shell, alive, eventually, failure, run


def test_the_first_line_and_what_it_names(dev: Dev, cli: Shell) -> None:
    assert [list(node) for node in dev.nodes] == [["name", "pid", "client", "http", "peer"]] * 3
    assert [node["name"] for node in dev.nodes] == ["n1", "n2", "n3"]
    assert all(alive(pid) for pid in dev.pids)
    for place, node in enumerate(dev.nodes):
        Shell(node["client"]).ok("kv", "put", f"through/{place}", node["name"])
        for path in ("healthz", "readyz"):
            eventually(partial(_says_ok, f"http://{node['http']}/{path}"), f"{node['name']} is not well")
        with urllib.request.urlopen(f"http://{node['http']}/metrics", timeout=60) as answer:
            assert b'ringleader_term{group="0"}' in answer.read()
    assert cli.ok("kv", "range", "through/", "--prefix") == "through/0\tn1\nthrough/1\tn2\nthrough/2\tn3\n"


def _says_ok(url: str) -> bool:
    """A node whose machine is busy may be late, and say so."""
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(url, timeout=60) as answer:
        return bool(answer.read() == b"ok\n")
    return False


def leader(cli: Shell) -> str:
    """Who leads; not in the middle of a change of leader."""
    while True:
        leaders = [node["name"] for node in cli.json("status")["nodes"] if node["role"] == "leader"]
        if len(leaders) == 1:
            return str(leaders[0])


def test_a_killed_node_comes_back_and_nothing_is_lost(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    with Dev("--data-dir", data) as dev:
        cli = Shell(dev.endpoints)
        revisions = [cli.json("kv", "put", f"kept/{place}", "x")["revision"] for place in range(5)]
        killed = leader(cli)
        pid = next(node["pid"] for node in dev.nodes if node["name"] == killed)
        os.kill(pid, signal.SIGKILL)
        revisions.append(cli.json("kv", "put", "kept/5", "x")["revision"])
        assert dev.json() == {"event": "exited", "name": killed, "pid": 0, "how": "signal 9"}
        started = dev.json()
        assert (started["event"], started["name"]) == ("started", killed)
        eventually(lambda: cli("status").returncode == 0, "it does not come back")
        back = next(node for node in dev.nodes if node["name"] == killed)
        found = Shell(back["client"]).json("kv", "range", "kept/", "--prefix")["kvs"]
        assert [kv["mod_revision"] for kv in found] == revisions
        dev.signal(signal.SIGINT)
        assert dev.wait() == 0
        assert not any(map(alive, [*dev.pids, started["pid"]]))
        assert (dev.rest(), dev.errors) == ([], "")
    with Dev("--data-dir", data) as dev:
        found = Shell(dev.endpoints).json("kv", "range", "kept/", "--prefix")["kvs"]
        assert [kv["mod_revision"] for kv in found] == revisions
        message = failure(run("dev", "--data-dir", data, "--nodes", "1", "--base-port", "0"), 1)
        assert "in use" in message
        dev.signal(signal.SIGTERM)
        assert dev.wait() == 0
        assert not any(map(alive, dev.pids))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's parent-death signal is Linux's")
def test_no_node_outlives_a_killed_dev(tmp_path: Path) -> None:
    with Dev("--data-dir", str(tmp_path)) as dev:
        assert all(map(alive, dev.pids))
        dev.signal(signal.SIGKILL)
        assert dev.wait() == -signal.SIGKILL
        eventually(lambda: not any(map(alive, dev.pids)), "a node is left behind")


def test_taken_ports_and_folders_that_cannot_be(dev: Dev, tmp_path: Path) -> None:
    port = dev.nodes[0]["client"].rpartition(":")[2]
    env = {"TMPDIR": str(tmp_path)}
    message = failure(run("dev", "--base-port", port, env=env), 1)
    assert f"127.0.0.1:{port} is taken" in message
    assert list(tmp_path.iterdir()) == []
    done = run("dev", "--data-dir", "/proc/nothing", "--base-port", "0", "--json")
    assert (done.returncode, done.stderr) == (2, b"")
    assert "/proc/nothing" in json.loads(done.stdout)["error"]["message"]


def test_for_people(tmp_path: Path) -> None:
    env = {"TMPDIR": str(tmp_path)}
    with Running("dev", "--nodes", "1", "--base-port", "0", env=env) as dev:
        lines = [dev.line()]
        while "Ctrl-C" not in lines[-1]:
            lines.append(dev.line())
        text = "\n".join(lines)
        endpoint = text.split("--endpoints ")[1].split()[0]
        assert "ringleader kv put greeting hello" in text
        assert endpoint in text.split("Try")[0]
        Shell(endpoint).ok("kv", "put", "greeting", "hello")
        joining = text.split("ringleader start ")[1].split("#")[0].split()
        with Running("start", *joining):
            shell = Shell(endpoint)
            eventually(
                lambda: b'"role":"voter"' in shell("cluster", "members", "--json").stdout,
                "what `dev` says adds no node",
            )
            shell.ok("cluster", "remove", "n2")
        dev.signal(signal.SIGINT)
        assert dev.wait() == 0
    assert list(tmp_path.iterdir()) == []
