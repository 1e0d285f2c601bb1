"""A back-up of a running cluster, and a new cluster of three from it, on real sockets and disks."""

from __future__ import annotations

import asyncio
import errno
import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

import ringleader
from node.test_cluster import configs, keys, put
from ringleader.cli.main import app
from ringleader.client.backup import snapshot_parts
from ringleader.errors import Reason, RingleaderError
from ringleader.node import Node, NodeConfig
from ringleader.node.identity import IDENTITY_FILE
from ringleader.node.restore import read_backup, restore_backup
from ringleader.runtime.lock import FolderLock


async def saved(folder: Path, writes: int = 50) -> Path:
    """A back-up of an embedded node, taken while it is written to."""
    file = folder / "backup"
    async with ringleader.embedded(folder / "old") as db:
        for number in range(writes):
            await db.kv.put(f"k{number}", "v" * 20_000)
        data = b""
        async for part in snapshot_parts(db, 60.0):
            data += part
            await db.kv.put(f"later{len(data)}", "v")
        file.write_bytes(data)
    return file


def snapshot(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["snapshot", *arguments])


async def test_a_new_cluster_of_three_from_one_file(tmp_path: Path) -> None:
    file = await saved(tmp_path)
    held = read_backup(file)
    assert held.keys == 50, "as of one moment: nothing that was written while it was taken"
    settings = configs(tmp_path / "new")
    made = [restore_backup(file, config) for config in settings]
    assert len({cluster for _, cluster, _ in made}) == 1
    assert made[0][1] != settings[0].cluster_id
    nodes = [Node(config) for config in settings]
    for node in nodes:
        await node.start()
    for node in nodes:
        await node.ready(60)
    await put(nodes[0], b"new", b"v")
    assert await keys(nodes[1]) == {b"new", *(b"k%d" % number for number in range(50))}
    for node in nodes:
        await node.stop()
    with pytest.raises(RingleaderError) as refused:  # as a member of the cluster that the configuration alone describes
        await Node(msgspec.structs.replace(settings[0], cluster_token="other")).start()
    assert refused.value.reason is Reason.WRONG_CLUSTER


def test_the_commands(tmp_path: Path) -> None:
    file = asyncio.run(saved(tmp_path, 3))
    shown = snapshot("status", str(file))
    assert shown.exit_code == 0, shown.output
    assert "3 keys" in shown.output
    body = json.loads(snapshot("status", str(file), "--json").output)
    assert (body["keys"], body["revision"], body["size"]) == (3, 4, file.stat().st_size)
    made = snapshot("restore", str(file), "--data-dir", str(tmp_path / "n1"))
    assert made.exit_code == 0, made.output
    assert "3 keys" in made.output
    again = snapshot("restore", str(file), "--data-dir", str(tmp_path / "n1"))
    assert again.exit_code == 2


def test_a_damaged_file_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    file = asyncio.run(saved(tmp_path, 3))
    good = file.read_bytes()
    for place in range(0, len(good), 1777):
        file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        shown = snapshot("status", str(file))
        assert shown.exit_code == 1, place
        assert not shown.stdout
    file.write_bytes(good[:-3])
    assert snapshot("restore", str(file), "--data-dir", str(tmp_path / "n1")).exit_code == 1
    assert not list(tmp_path.glob("n1*"))
    assert snapshot("status", str(tmp_path / "none")).exit_code == 2


def test_a_folder_that_is_there_is_filled_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = asyncio.run(saved(tmp_path, 3))
    mounted = tmp_path / "mounted"
    (mounted / "lost+found").mkdir(parents=True)
    kept = mounted.stat().st_ino
    monkeypatch.chdir(mounted)
    config = NodeConfig(data_dir=".", listen_client="127.0.0.1:0", http="", listen_peer="")
    lock = FolderLock(mounted)
    with pytest.raises(RingleaderError) as refused:
        restore_backup(file, config)
    assert refused.value.reason is Reason.DATA_IN_USE
    lock.release()
    good = file.read_bytes()
    file.write_bytes(good[:-3])
    with pytest.raises(RingleaderError):
        restore_backup(file, config)
    assert {path.name for path in mounted.iterdir()} == {"lost+found", "LOCK"}
    file.write_bytes(good)
    restore_backup(file, config)
    assert mounted.stat().st_ino == kept
    assert not list(mounted.glob(".restoring*"))

    async def held() -> int:
        node = Node(config)
        await node.start()
        await node.ready(60)
        try:
            return len(await keys(node))
        finally:
            await node.stop()

    assert asyncio.run(held()) == 3
    with pytest.raises(RingleaderError, match="not empty"):
        restore_backup(file, config)


def test_what_cannot_be_moved_into_a_folder_leaves_it_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = asyncio.run(saved(tmp_path, 3))
    folder = tmp_path / "n1"
    folder.mkdir()
    real = Path.rename

    def fails_last(self: Path, target: Path) -> Path:
        if self.name == IDENTITY_FILE:
            raise OSError(errno.EIO, "the disk is bad")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fails_last)
    config = NodeConfig(data_dir=str(folder), listen_client="127.0.0.1:0", http="", listen_peer="")
    with pytest.raises(RingleaderError, match="the disk is bad"):
        restore_backup(file, config)
    assert [path.name for path in folder.iterdir()] == ["LOCK"]
    monkeypatch.undo()
    restore_backup(file, config)


@pytest.mark.parametrize("moved", [0, 1, 2])
async def test_no_node_starts_from_a_restore_that_was_killed(moved: int, tmp_path: Path) -> None:
    file = await saved(tmp_path, 3)
    config = NodeConfig(data_dir=str(tmp_path / "n1"), listen_client="127.0.0.1:0", http="", listen_peer="")
    restore_backup(file, config)
    folder = tmp_path / "n1"
    begun = folder / ".restoring-x"
    begun.mkdir()
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    assert names[0] == IDENTITY_FILE
    for name in [*names[1 + moved :], IDENTITY_FILE]:
        (folder / name).rename(begun / name)
    with pytest.raises(RingleaderError, match="was not finished"):
        await Node(config).start()
    restore_backup(file, config)
    async with Node(config) as node:
        await node.ready(60)
        assert len(await keys(node)) == 3
