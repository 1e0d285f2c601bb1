"""A failing run becomes a small one that breaks the same invariant, and its file replays it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ringleader.cli.sim import app
from ringleader.errors import UsageError
from ringleader.sim.options import draw
from ringleader.sim.run import run_seed
from ringleader.sim.shrink import load_replay, save_replay, shrink
from sim.bugs import BUGS

FOUND = sorted((Path(__file__).parent / "found").glob("*.json"))
"""Runs in which the simulator once found a bug of ours, made small."""


@pytest.mark.parametrize("name", ["old-term-by-counting", "sessions-forget"])
def test_a_failing_run_becomes_small_and_replays(name: str, tmp_path: Path) -> None:
    bug = next(bug for bug in BUGS if bug.name == name)
    path = tmp_path / "small.json"
    with bug.planted():
        seed = next(seed for seed in range(1, 30) if not run_seed(seed).ok)
        told: list[str] = []
        found = shrink(draw(seed), 60, told.append)
        assert found is not None
        before, after = found
        assert before.report.failure is not None
        assert after.report.failure is not None
        assert after.report.failure.invariant == before.report.failure.invariant
        assert len(after.calls) <= len(before.calls) // 4, after.line()
        assert told
        save_replay(path, after.report, after.options)
        again = run_seed(seed, load_replay(path).options)
        assert again.failure == after.report.failure
        done = CliRunner().invoke(app, ["replay", str(path)])
        assert done.exit_code == 1
        assert "VIOLATION" in done.output
    assert run_seed(seed, load_replay(path).options).ok, "without the bug it is clean"


def test_a_run_that_does_not_fail_cannot_be_made_smaller() -> None:
    assert shrink(draw(3), 1) is None


def test_a_file_that_is_no_replay_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    path.write_text('{"options": {}}')
    with pytest.raises(ValueError, match=r"notes\.json is not a replay file"):
        load_replay(path)
    done = CliRunner().invoke(app, ["replay", str(path)])
    assert isinstance(done.exception, UsageError)
    done = CliRunner().invoke(app, ["replay", str(tmp_path / "missing.json")])
    assert isinstance(done.exception, UsageError)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_was_found_once_stays_repaired(path: Path) -> None:
    options = load_replay(path).options
    report = run_seed(options.seed, options)
    assert report.ok, report.line()
