"""`ringleader sim check` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.harness import Shell
from ringleader.sim.check import SCOPES, Counterexample, text_of
from sim.check.bugs import BUGS


def test_the_list_names_every_scope() -> None:
    """With its bounds; of one protocol when asked."""
    page = Shell("").ok("sim", "check", "--list")
    for scope in SCOPES:
        assert f"{scope.protocol} {scope.name}: {scope.says}" in page
        assert scope.bounds.words() in page
    assert "raft" not in Shell("").ok("sim", "check", "--list", "--protocol", "paxos")


def test_a_scope_is_searched() -> None:
    """To its end, or honestly not."""
    arguments = ("sim", "check", "--protocol", "raft", "--config", "elections")
    whole = Shell("").ok(*arguments, "--bounds", "term=1")
    assert "complete: 1," in whole
    assert "all complete, no invariant broke" in whole
    part = Shell("").ok(*arguments, "--states", "3000")
    assert "cut off at 3,000 states" in part
    assert "nothing breaks within" in part
    assert "1 of 1 cut off: not all was seen" in part


def test_a_counterexample_is_replayed_and_drawn(tmp_path: Path) -> None:
    """On cores without the bug it breaks nothing; with it, it is told and drawn."""
    bug = next(bug for bug in BUGS if bug.name == "votes-twice")
    path, svg = tmp_path / "found.txt", tmp_path / "found.svg"
    with bug.planted():
        result = bug.scope.check()
        path.write_text(text_of(Counterexample(bug.scope, result.violation, result.lines)), encoding="utf-8")
        told = Shell("")("sim", "check", "--replay", str(path), "--svg", str(svg))
        assert told.returncode == 1
        assert b"it still breaks: election safety" in told.stdout
        assert f"drew {svg}" in told.stderr.decode()
    drawn = svg.read_text(encoding="utf-8")
    assert drawn.startswith("<svg")
    assert "leads term 1" in drawn
    assert "election safety" in drawn
    assert "no invariant breaks any more" in Shell("").ok("sim", "check", "--replay", str(path))


def test_what_makes_no_sense_is_said(tmp_path: Path) -> None:
    """And what would."""
    shell = Shell("")
    assert "Known: raft elections" in shell.fails(2, "sim", "check", "--config", "nothing")
    assert "needs --config" in shell.fails(2, "sim", "check", "--bounds", "term=1")
    assert "term=x" in shell.fails(2, "sim", "check", "--config", "elections", "--bounds", "term=x")
    assert "cannot read" in shell.fails(2, "sim", "check", "--replay", str(tmp_path / "none"))
    path = tmp_path / "x.txt"
    path.write_text("what?\n")
    assert "line 1" in shell.fails(2, "sim", "check", "--replay", str(path))
    for bound in ("term=²", "term=0", "values=0", "values=27", "term=-1", "term=" + "9" * 5000):
        told = shell.fails(2, "sim", "check", "--config", "elections", "--bounds", bound)
        assert "makes no sense" in told
    assert "neither a seed nor a file" in shell.fails(2, "sim", "replay", "²")


def test_nothing_is_never_told_as_complete() -> None:
    """A configuration that takes minutes, asked for together with the wish to leave such out."""
    assert "--quick leaves nothing" in Shell("").fails(2, "sim", "check", "--config", "leftovers", "--quick")


@pytest.mark.parametrize(
    ("scope", "event", "told"),
    [
        ('"protocol":"zab"', "n1 time", "'zab'"),
        ('"protocol":"raft","options":{"nope":1}', "n1 time", "nope"),
        ('"protocol":"paxos","options":{"phase2":9}', "n1 time", "phase-2 quorum of 9"),
        ('"protocol":"paxos","members":1000', "n1 time", "1000 members"),
        ('"protocol":"raft"', "n1 transfer x", "'x' is no number"),
        ('"protocol":"raft"', "n1 change 5", "0 changes"),
    ],
)
def test_a_counterexample_that_somebody_has_changed_is_read_with_care(
    tmp_path: Path, scope: str, event: str, told: str
) -> None:
    path = tmp_path / "x.txt"
    path.write_text(f'scope: {{"name":"a","says":"b","bounds":{{}},{scope}}}\nviolation: x\n\n  1  {event}\n')
    assert told in Shell("").fails(2, "sim", "check", "--replay", str(path))


def test_what_is_no_text_is_no_counterexample(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"\xff\xfe")
    assert f"{path} is no counterexample" in Shell("").fails(2, "sim", "check", "--replay", str(path))
