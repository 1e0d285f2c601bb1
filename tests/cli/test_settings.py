"""`ringleader settings` and what a full store says, from the shell."""

from __future__ import annotations

import pytest

from cli.harness import Shell, eventually
from ringleader.cli.settings import parse_size, show_settings, show_size
from ringleader.client import ClusterSettings
from ringleader.errors import UsageError


def test_show_set_fill_and_make_room(cli: Shell) -> None:
    assert "compaction periodic" in cli.ok("settings", "show")
    before = cli.json("settings", "show")
    cli.ok("settings", "set", "--compaction", "off")  # else a full store soon makes room by forgetting history
    cli.ok("kv", "put", "room/a", "x" * 5000)
    quota = cli.json("settings", "show")["used_bytes"] + 100
    try:
        assert cli.json("settings", "set", "--quota", str(quota))["quota_bytes"] == quota
        refused = cli.fails(1, "kv", "put", "room/b", "x" * 5000)
        assert "the store is full" in refused
        assert "ringleader settings set --quota" in refused
        assert "FULL" in cli.ok("settings", "show")
        eventually(lambda: "FULL" in cli.ok("status"), "each node says what it has applied")
        assert cli.ok("kv", "get", "room/a") == "x" * 5000 + "\n"
        cli.ok("kv", "delete", "room/a")
        cli.fails(1, "kv", "put", "room/b", "small")
        cli.ok("kv", "delete", "room/", "--prefix")
        cli.ok("settings", "set", "--quota", str(quota + 100_000))
        cli.ok("kv", "put", "room/b", "small")
        assert "compacted at" in cli.ok("kv", "compact")
        assert cli.json("settings", "show")["used_bytes"] < quota - 3000, "what was deleted is gone"
    finally:
        cli.ok("settings", "set", "--quota", str(before["quota_bytes"]), "--compaction", "periodic")


def test_wrong_settings_are_told(cli: Shell) -> None:
    assert "periodic, revisions, off" in cli.fails(2, "settings", "set", "--compaction", "never")
    assert "nothing to set" in cli.fails(2, "settings", "set")
    assert "--quota must be a size" in cli.fails(2, "settings", "set", "--quota", "much")


def test_sizes() -> None:
    assert [parse_size(text, "it") for text in ("0", "4096", "4k", "2 MiB", "1G")] == [0, 4096, 4096, 2 << 20, 1 << 30]
    assert [show_size(size) for size in (0, 1023, 1536, 2 << 30)] == ["0 B", "1023 B", "1.5 KiB", "2 GiB"]
    for wrong in ("", "-1", "1.5G", "1T", "G"):
        with pytest.raises(UsageError):
            parse_size(wrong, "it")


def test_history_goes_by_itself(cli: Shell) -> None:
    try:
        cli.ok("settings", "set", "--retention", "1")
        first = cli.json("kv", "put", "history", "first")["revision"]

        def gone() -> bool:
            cli.ok("kv", "put", "history", "more")
            return "compacted" in cli("kv", "get", "history", "--revision", str(first)).stderr.decode()

        eventually(gone, "nothing was compacted")
    finally:
        cli.ok("settings", "set", "--retention", "300")


def test_a_quota_below_what_is_used_is_told_before_a_put_finds_out(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    for quota, says in ((2000, b"FULL: puts are refused"), (0, b"puts are taken"), (200_000, b"puts are taken")):
        show_settings(
            ClusterSettings(
                quota_bytes=quota, used_bytes=100_000, history_bytes=500, full=False,
                compaction="periodic", retention=300.0, retention_revisions=100_000,
            ),
            False,
        )  # fmt: skip
        assert says in capfdbinary.readouterr().out
