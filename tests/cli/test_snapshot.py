"""`ringleader snapshot save` against a running cluster."""

from __future__ import annotations

from pathlib import Path

from cli.harness import Shell


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
