"""A node as a process of its own, on uvloop: killed without warning it loses nothing acknowledged; asked to stop it does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.wireclient import WireClient
from ringleader.store.commands import Range, RangeResult
from ringleader.wire.frames import Query, Results

PROGRAM = """
import asyncio
from ringleader.errors import RingleaderError
from ringleader.node import load_config, run, setup_logging

config = load_config()
setup_logging(config.log_level)
try:
    failure = run(config, lambda node: print(node.client_address, type(asyncio.get_running_loop()).__module__, flush=True))
except RingleaderError as error:
    raise SystemExit(str(error))
raise SystemExit(str(failure) if failure else 0)
"""


@contextmanager
def process(folder: Path, program: str = PROGRAM, **more: str) -> Iterator[subprocess.Popen[str]]:
    settings = {"RINGLEADER_DATA_DIR": str(folder), "RINGLEADER_LISTEN_CLIENT": "127.0.0.1:0", "RINGLEADER_HTTP": ""}
    settings |= more
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def address(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    where, _, module = child.stdout.readline().strip().partition(" ")
    assert module.startswith("uvloop")
    return where


async def test_kill_restart_stop(tmp_path: Path) -> None:
    with process(tmp_path) as child:
        client = await WireClient(address(child)).open()
        async with asyncio.timeout(60):
            while not isinstance(await client.put(b"k00", bytes(300)), Results):
                await asyncio.sleep(0.02)  # it does not lead yet
        for number in range(1, 50):
            assert isinstance(await client.put(b"k%02d" % number, bytes(300)), Results)
        with process(tmp_path) as second:
            assert second.wait(60) == 1
            assert second.stderr is not None
            assert f"in use by process {child.pid}" in second.stderr.read()
        child.send_signal(signal.SIGKILL)
        assert child.wait(60) == -signal.SIGKILL
        await client.close()
    with process(tmp_path) as child:
        client = await WireClient(address(child)).open()
        while not isinstance(
            answer := await client.query(Query(1, 60_000, "linearizable", [Range(b"k", b"l")])), Results
        ):
            pass
        result = answer.results[0]
        assert isinstance(result, RangeResult)
        assert result.count == 50
        await client.close()
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0


async def test_strangers_who_take_every_descriptor_do_not_stop_a_node(tmp_path: Path) -> None:
    """It has to open a new segment of its log now and then, while more come than the system lets it have open."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))\n"
    with process(tmp_path, limit + PROGRAM, RINGLEADER_SEGMENT_BYTES="16384") as child:
        client = await WireClient(where := address(child)).open()
        strangers = []
        async with asyncio.timeout(60):
            while not isinstance(await client.put(b"k", b""), Results):
                await asyncio.sleep(0.02)  # it does not lead yet
        for number in range(60):
            assert isinstance(await client.put(b"k%d" % number, bytes(3000)), Results)
            if number < 30:
                strangers += [await WireClient(where).open(hello=False) for _ in range(10)]
        assert child.poll() is None
        for stranger in [client, *strangers]:
            await stranger.close()
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
        assert child.stderr is not None
        assert "max_connections" in child.stderr.read()
