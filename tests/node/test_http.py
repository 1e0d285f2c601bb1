"""Health, readiness and metrics answer beside the loop, with bounded threads."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from node.wireclient import WireClient, single, until
from ringleader.client.steady import steady
from ringleader.node import Node, http
from ringleader.node.http import HttpServer, health, readiness
from ringleader.node.stats import Histogram, Stats


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for it; the test's own time limit bounds that."""
    while not holds():
        time.sleep(0.01)


def get(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def test_a_node_tells_how_it_is(tmp_path: Path) -> None:
    async with Node(single(tmp_path, http="127.0.0.1:0")) as node:
        await node.ready(60)
        client = await WireClient(node.client_address).open()
        await client.put(b"k", b"v")
        await client.close()
        await until(lambda: node.stats.status is not None and node.stats.status.revision == 2)
        ask = asyncio.to_thread
        for path in ("/healthz", "/readyz"):
            while await ask(get, node.http_address, path) != (200, "ok\n"):  # a turn may be late on a busy machine
                await asyncio.sleep(0.05)
        assert (await ask(get, node.http_address, "/"))[0] == 404
        status = json.loads((await ask(get, node.http_address, "/status"))[1])
        assert (status["role"], status["leader"], status["ready"], status["revision"]) == ("leader", 1, True, 2)
        code, metrics = await ask(get, node.http_address, "/metrics")
        assert code == 200
        lines = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
        assert lines['ringleader_is_leader{group="0"}'] == "1.0"
        assert lines['ringleader_revision{group="0"}'] == "2.0"
        assert float(lines["ringleader_client_frames_total"]) >= 2
        assert float(lines["ringleader_disk_work_seconds_count"]) >= 1
        assert float(lines["ringleader_disk_written_bytes_total"]) > 50


def test_what_makes_a_node_unready() -> None:
    now = 1000.0
    stats = Stats(last_turn=now)
    assert health(stats, now) == ""
    assert readiness(stats, now) == "no leader is known"
    assert "3.0 s late" in readiness(stats, now + 3)
    assert health(stats, now + 3) == ""
    assert "stood still for 11.0 s" in health(stats, now + 11)
    stats.catching_up = True
    assert "replaced by a snapshot" in readiness(stats, now)
    assert not health(stats, now)
    stats.catching_up = False
    stats.stopping = True
    assert readiness(stats, now) == "the node is stopping"
    stats.failure = "the disk failed"
    assert health(stats, now) == readiness(stats, now) == "the disk failed"


def test_slow_callers_do_not_take_all_threads_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    address = "{}:{}".format(*sock.getsockname())
    monkeypatch.setattr(http, "SLOW", 3600.0)
    server = HttpServer(sock, Stats(last_turn=float("inf")), threads=2, timeout=60)
    server.start()
    slow = [socket.create_connection(sock.getsockname()) for _ in range(2)]
    for each in slow:
        each.sendall(b"GET /heal")
    eventually(lambda: len(server._server.begun) == 2)
    assert get(address, "/healthz")[0] == 503
    server._server.request_timeout = 0.0  # the time of those two is over
    eventually(lambda: not server._server.begun)
    server._server.request_timeout = 60.0
    eventually(lambda: get(address, "/healthz") == (200, "ok\n"))
    for each in slow:
        each.close()
    server.close()


def test_slow_callers_give_way_to_one_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SLOW", 0.0)
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    address = "{}:{}".format(*sock.getsockname())
    server = HttpServer(sock, Stats(last_turn=float("inf")), threads=2, timeout=60)
    server.start()
    slow = [socket.create_connection(sock.getsockname()) for _ in range(2)]
    eventually(lambda: len(server._server.begun) == 2)
    for _ in range(3):
        eventually(lambda: get(address, "/healthz") == (200, "ok\n"))
    assert slow[0].recv(1) == b""
    for each in slow:
        each.close()
    server.close()


def test_a_caller_who_drips_is_hung_up_on() -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = HttpServer(sock, Stats(last_turn=steady()), threads=1, timeout=0.2)
    server.start()
    with socket.create_connection(sock.getsockname()) as slow, contextlib.suppress(ConnectionError):
        slow.settimeout(0.05)
        answer = None
        while answer is None:
            slow.sendall(b"G")
            with contextlib.suppress(TimeoutError):
                answer = slow.recv(100)
        assert answer == b""
    server.close()


def test_histogram() -> None:
    histogram = Histogram()
    for seconds in (0.00005, 0.0001, 0.3, 99.0):
        histogram.add(seconds)
    samples = {
        str(sample.labels.get("le", sample.name)): sample.value for sample in histogram.family("h", "text").samples
    }
    assert (samples["0.0001"], samples["0.25"], samples["0.5"], samples["+Inf"]) == (2, 2, 3, 4)
    assert samples["h_count"] == 4
