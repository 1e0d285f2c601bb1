"""`ringleader ring ...`: what it prints, what it draws, and one clear line for every mistake."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from ringleader.cli.ring import app


def run(*args: str) -> Result:
    return CliRunner().invoke(app, list(args), env={"COLUMNS": "120"})


def good(*args: str) -> str:
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result.output


def test_show() -> None:
    out = good("show", "a", "b=2@z1", "c@z2", "-k", "hello", "-n", "3")
    assert "peak to ideal: 1.0" in out
    line = next(x for x in out.splitlines() if x.startswith("b "))
    assert line.split()[1:3] == ["z1", "2"]
    assert sorted(out.splitlines()[-1].removeprefix("hello: ").split(", ")) == ["a", "b", "c"]
    assert "... and 5 more nodes" in good("show", *(f"n{i}" for i in range(45)))
    assert "(2 owners cannot be in 2 different zones" in good("show", "a@z", "b@z", "-k", "x", "-n", "2")


@pytest.mark.parametrize("algorithm", ["ring", "ketama", "rendezvous", "jump", "maglev", "multiprobe", "memento"])
def test_every_algorithm_shows_plans_and_plots(algorithm: str, tmp_path: Path) -> None:
    assert "peak to ideal" in good("show", "a", "b", "c", "-a", algorithm)
    assert "of all keys move" in good("plan", "a", "b", "c", "-a", algorithm, "--add", "d")
    good("plot", "a", "b", "c", "-a", algorithm, "--out", str(tmp_path / "x.svg"))
    ElementTree.parse(tmp_path / "x.svg")


def test_plan() -> None:
    out = good("plan", "a", "b", "c", "--add", "d", "--remove", "a")
    assert out.startswith("exactly ")
    assert "a -> d" in out
    assert "b -> c" not in out
    out = good("plan", "a", "b", "c", "d", "-q", "64", "--add", "e", "--remove", "b")
    assert "of 192 copies move" in out
    assert "e: 48 copies, 16 as primary" in out
    assert "violation (fallback)" in good("plan", "a", "b", "c", "-q", "16")


def test_compare() -> None:
    out = good("compare", "a", "b", "c", "d")
    assert [x.split()[0] for x in out.splitlines()[1:]] == [
        "ring",
        "ketama",
        "rendezvous",
        "jump",
        "maglev",
        "multiprobe",
        "memento",
    ]
    assert good("compare", "a", "b=2").count("has no weights") == 2


def test_plot(tmp_path: Path) -> None:
    file = tmp_path / "ring.svg"
    assert good("plot", "a", "b<&>", "--add", "c", "--out", str(file)) == f"wrote {file}\n"
    ElementTree.parse(file)
    assert "moves" in file.read_text(encoding="utf-8")
    good("plot", "a", "b=2", "--compare", "--out", str(file))
    assert "rendezvous" in file.read_text(encoding="utf-8")


@pytest.mark.peer("rsvg-convert")
def test_plot_as_png(tmp_path: Path) -> None:
    file = tmp_path / "ring.png"
    assert good("plot", "a", "b<&>", "--add", "c", "--out", str(file)) == f"wrote {file}\n"
    written = file.read_bytes()
    assert written.startswith(b"\x89PNG\r\n")
    width, height = (int.from_bytes(written[at : at + 4], "big") for at in (16, 20))
    good("plot", "a", "b<&>", "--add", "c", "--out", str(tmp_path / "ring.svg"))
    root = ElementTree.parse(tmp_path / "ring.svg").getroot()
    assert (width, height) == (2 * int(root.get("width", 0)), 2 * int(root.get("height", 0)))


@pytest.mark.parametrize(
    ("script", "message"),
    [(None, "needs rsvg-convert, which is not installed"), ("echo broken >&2; exit 3", "exit code 3; '{}' was not")],
)
def test_a_png_that_cannot_be_made(
    script: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script is not None:
        (tmp_path / "rsvg-convert").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "rsvg-convert").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    file = tmp_path / "ring.png"
    result = run("plot", "a", "b", "--out", str(file))
    assert result.exit_code == 2
    assert message.format(file) in result.stderr
    assert result.stderr.count("\n") == 1
    assert not file.exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["show", "a", "a"], "'a' is listed twice"),
        (["show", "a=0"], "weight must be a finite number above 0"),
        (["show", "a=nan"], "weight must be a finite number above 0"),
        (["show", "a=x"], "'x' is not a weight"),
        (["show", "a@"], "no zone after the @"),
        (["show", "a", "-a", "sha"], "there is no algorithm 'sha'"),
        (["show", "a", "-a", "jump", "--vnodes", "5"], "jump has no vnodes"),
        (["show", "a", "-k", "x", "-n", "2"], "2 distinct owners were asked for"),
        (["plan", "a", "--remove", "b"], "no node 'b'"),
        (["plan", "a", "-q", "3"], "power of two, not 3"),
        (["plan", "a", "-q", "4", "--remove", "b"], "no node 'b'"),
        (["compare", "a", "a"], "'a' is listed twice"),
        (["plot", "a", "--out", "x.gif"], "must end in .svg or .png"),
        (
            ["plot", "a", "--out", "/nowhere/at/all/x.svg"],
            "cannot write /nowhere/at/all/x.svg: No such file or directory",
        ),
    ],
)
def test_mistakes_are_one_line(args: list[str], message: str) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("ringleader: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
