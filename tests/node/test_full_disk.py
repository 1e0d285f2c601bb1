"""A real node on a real file system of a few MiB that fills up and gets room again."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.test_run import address, process
from node.wireclient import WireClient
from ringleader.cli.main import app
from ringleader.errors import Reason
from ringleader.store.commands import Range, RangeResult
from ringleader.wire.frames import Query, Refused, Results


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs Linux and the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def keys(client: WireClient) -> set[bytes]:
    answer = await client.query(Query(1, 60_000, "linearizable", [Range(b"\0", b"\0", keys_only=True)]))
    assert isinstance(answer, Results), answer
    (result,) = answer.results
    assert isinstance(result, RangeResult)
    return {kv.key for kv in result.kvs}


async def fill(client: WireClient, acknowledged: set[bytes], prefix: bytes) -> Refused:
    for number in range(500):
        key = prefix + b"%d" % number
        answer = await client.put(key, bytes(20_000))
        if isinstance(answer, Refused):
            return answer
        acknowledged.add(key)
    raise AssertionError("it was never refused")


def take_all(file: Path) -> None:
    """Leave not a byte."""
    with contextlib.suppress(OSError), open(file, "wb", buffering=0) as target:
        while target.write(bytes(4096)):
            pass


async def until_taken(client: WireClient, key: bytes) -> None:
    async with asyncio.timeout(60):
        while not isinstance(await client.put(key, bytes(20_000)), Results):
            await asyncio.sleep(0.05)


async def test_it_fills_up_and_gets_room_again(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGLEADER_RESERVE_BYTES", str(1 << 20))
    ballast = small / "ballast"
    ballast.write_bytes(bytes(3 << 20))
    acknowledged: set[bytes] = set()
    with process(small / "n1") as child:
        client = await WireClient(address(child)).open()
        await until_taken(client, b"first")
        refused = await fill(client, acknowledged, b"a")
        assert refused.reason is Reason.NO_SPACE
        assert await keys(client) >= acknowledged, "reads go on"
        ballast.unlink()
        await until_taken(client, b"room")
        ballast.write_bytes(bytes(1 << 20))
        refused = await fill(client, acknowledged, b"b")
        assert refused.reason is Reason.NO_SPACE
        await client.close()
        child.kill()
    ballast.unlink()
    take_all(ballast)
    with process(small / "n1") as child:
        client = await WireClient(address(child)).open()
        async with asyncio.timeout(60):
            while not isinstance(await client.query(Query(1, 60_000, "linearizable", [])), Results):
                await asyncio.sleep(0.05)
        assert await keys(client) >= {b"first", b"room", *acknowledged}
        assert isinstance(await client.put(b"x", b""), Refused)
        ballast.unlink()
        await until_taken(client, b"end")
        await client.close()
        child.terminate()
        child.wait(60)
    shown = CliRunner().invoke(app, ["debug", "log", str(small / "n1")])
    assert shown.exit_code == 0, shown.output
