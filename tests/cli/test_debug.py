"""`ringleader debug log`: on a folder of a real node, of a running one, of a damaged one, of none."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner, Result

import ringleader
from ringleader.cli.main import app
from ringleader.client.backup import snapshot_parts
from ringleader.node import Node, NodeConfig
from ringleader.runtime.lock import FolderLock


def debug(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["debug", "log", *arguments])


def filled(folder: Path) -> None:
    async def fill() -> None:
        async with ringleader.embedded(folder) as db:
            for number in range(5):
                await db.kv.put(f"k{number}", "v")

    asyncio.run(fill())


def test_a_folder_of_a_node(tmp_path: Path) -> None:
    filled(tmp_path / "n1")
    shown = debug(str(tmp_path / "n1"), "--batches")
    assert shown.exit_code == 0, shown.output
    assert "no damage found" in shown.output
    assert "group 0 (raft): term 1, vote 1" in shown.output
    body = json.loads(debug(str(tmp_path / "n1"), "--json").output)
    (group,) = body["groups"]
    assert group["entries"]["command"] >= 5
    assert group["last_index"] == sum(group["entries"].values())
    assert (body["damage"], body["running"]) == ([], "")
    lock = FolderLock(tmp_path / "n1")
    assert "has this folder open" in debug(str(tmp_path / "n1")).output
    lock.release()


def test_a_folder_of_a_node_on_paxos(tmp_path: Path) -> None:
    async def fill() -> None:
        config = NodeConfig(data_dir=str(tmp_path / "n1"), listen_client="127.0.0.1:0", http="", consensus="paxos")
        async with Node(config) as node:
            await node.ready(60)

    asyncio.run(fill())
    shown = debug(str(tmp_path / "n1"))
    assert shown.exit_code == 0, shown.output
    assert "group 0 (paxos): term 1000001, promised, slots known to be chosen up to" in shown.output
    (group,) = json.loads(debug(str(tmp_path / "n1"), "--json").output)["groups"]
    assert group["records"].keys() >= {"accepted slots", "promise"}
    assert group["last_index"] == sum(group["entries"].values())


def test_a_folder_on_paxos_that_holds_no_record_yet(tmp_path: Path) -> None:
    """As one that was just made from a back-up."""

    async def save() -> None:
        config = NodeConfig(data_dir=str(tmp_path / "old"), listen_client="127.0.0.1:0", http="")
        async with Node(config) as node:
            await node.ready(60)
            async with await ringleader.connect(node.client_address) as client:
                (tmp_path / "b.snap").write_bytes(b"".join([part async for part in snapshot_parts(client, 30)]))

    asyncio.run(save())
    made = CliRunner().invoke(
        app,
        ["snapshot", "restore", str(tmp_path / "b.snap"), "--data-dir", str(tmp_path / "n1"), "--consensus", "paxos"],
    )
    assert made.exit_code == 0, made.output
    assert "group 0 (paxos): " in debug(str(tmp_path / "n1")).output
    (tmp_path / "n1" / "identity.json").write_bytes(b"{")
    assert "identity: {" in debug(str(tmp_path / "n1")).output


def test_damage_names_the_file_the_offset_and_the_remedy(tmp_path: Path) -> None:
    filled(tmp_path / "n1")
    segment = next((tmp_path / "n1").glob("log-*"))
    data = bytearray(segment.read_bytes())
    data[200] ^= 1
    segment.write_bytes(data)
    shown = debug(str(tmp_path / "n1"))
    assert shown.exit_code == 1
    assert f"DAMAGE in {segment.name} at offset" in shown.output
    assert "add it again" in shown.output
    assert segment.read_bytes() == data


def test_no_folder_and_an_empty_one(tmp_path: Path) -> None:
    assert debug(str(tmp_path / "none")).exit_code != 0
    assert not (tmp_path / "none").exists()
    shown = debug(str(tmp_path))
    assert shown.exit_code == 0
    assert "there is no log here" in shown.output
    assert list(tmp_path.iterdir()) == []
