"""`ringleader snapshot save` against a running cluster."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.harness import Shell, run
from ringleader.client import Client, backup
from ringleader.errors import Reason


def test_save_and_status(cli: Shell, tmp_path: Path) -> None:
    cli.ok("kv", "put", "backup/a", "v")
    file = tmp_path / "backup"
    done = cli.json("snapshot", "save", str(file))
    held = cli.json("snapshot", "status", str(file))
    assert (held["size"], held["digest"], held["index"]) == (done["size"], done["digest"], done["index"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert held["keys"] >= 1
    assert "Check space" in cli.fails(1, "snapshot", "save", str(tmp_path / "no" / "folder"))
    assert list(tmp_path.iterdir()) == [file]


def test_a_back_up_takes_the_place_of_a_file_alone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for place, says in (
        (".", "is a folder"),
        ("/", "is a folder"),
        (str(tmp_path), "is a folder"),
        (str(pipe), "ordinary"),
    ):
        assert says in Shell("127.0.0.1:1").fails(2, "snapshot", "save", place), place
    assert list(tmp_path.iterdir()) == [pipe]
    assert pipe.is_fifo()


def test_two_who_save_to_one_place_at_once_do_not_mix_their_back_ups(
    cli: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, file = backup.snapshot_parts, tmp_path / "backup"
    for number in range(8):
        cli.ok("kv", "put", f"mixed/{number}", "-", stdin=b"v" * 100_000)

    async def with_another(client: Client, timeout: float) -> AsyncIterator[bytes]:
        begun = False
        async for part in real(client, timeout):
            yield part
            if not begun:  # in the middle of ours
                begun = True
                await client.kv.delete("mixed/", prefix=True)
                other = await asyncio.to_thread(run, "snapshot", "save", str(file), endpoints=cli.endpoints)
                assert other.returncode == 0, other

    monkeypatch.setattr(backup, "snapshot_parts", with_another)
    done = cli.json("snapshot", "save", str(file))
    assert cli.json("snapshot", "status", str(file))["digest"] == done["digest"]
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_no_backup_is_not_taken_for_a_nodes_file(tmp_path: Path) -> None:
    file = tmp_path / "text"
    for content, says in (("no snapshot" * 10, "this is not a snapshot"), ("", "the snapshot is cut off")):
        file.write_text(content)
        for command in (["status", str(file)], ["restore", str(file), "--data-dir", str(tmp_path / "made")]):
            message = Shell("").fails(1, "snapshot", *command)
            assert says in message
            assert "take another back-up" in message
            assert "remove this member" not in message
    assert list(tmp_path.iterdir()) == [file]


def test_a_back_up_whose_node_is_lost_on_the_way_begins_anew(
    cli: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = backup.snapshot_parts
    attempts = []

    async def lost_once(client: Client, timeout: float) -> AsyncIterator[bytes]:
        attempts.append(timeout)
        async for part in real(client, timeout):
            yield part[: len(part) // 2] if len(attempts) == 1 else part
            if len(attempts) == 1:
                raise backup.BackupLostError("gone", reason=Reason.UNSUPPORTED)

    monkeypatch.setattr(backup, "snapshot_parts", lost_once)
    file = tmp_path / "backup"
    done = cli.json("snapshot", "save", str(file))
    assert len(attempts) >= 2, "once it is lost on purpose; the client may also move to the leader meanwhile"
    assert cli.json("snapshot", "status", str(file))["digest"] == done["digest"]
