"""What the documents show is run; what their tables say is compared with the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import msgspec
import pytest
from tools import docs_reference

from cli.harness import environment
from docs.blocks import ROOT, blocks, run_page
from ringleader import sync
from ringleader.client import connect
from ringleader.errors import Reason
from ringleader.node.config import load_config
from ringleader.store.limits import Limits

STORE = ROOT / "docs" / "store.md"


@pytest.mark.parametrize(
    ("page", "at_least"), [("README.md", 1), ("docs/store.md", 10), ("docs/recipes.md", 8), ("docs/operations.md", 1)]
)
async def test_python_examples(page: str, at_least: int, endpoints: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGLEADER_ENDPOINTS", endpoints)
    async with connect(endpoints) as db:  # every page begins with an empty store
        await db.kv.delete("", prefix=True)
    assert await run_page(ROOT / page, endpoints, environment(endpoints)) >= at_least


def test_shell_examples(endpoints: str, tmp_path: Path) -> None:
    ringleader = tmp_path / "ringleader"
    ringleader.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ringleader "$@"\n')
    ringleader.chmod(0o755)
    env = environment(endpoints)
    env["PATH"] = f"{tmp_path}{os.pathsep}{env['PATH']}"
    (block,) = blocks(STORE, "sh")
    done = subprocess.run(
        ["sh", "-eu", "-c", block.text], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "I alone\n" in done.stdout


def test_the_configuration_of_the_page_is_one(tmp_path: Path) -> None:
    (block,) = blocks(STORE, "toml")
    file = tmp_path / "ringleader.toml"
    file.write_text(block.text)
    config = load_config({}, {}, file)
    assert config.members == {"n1": 1, "n2": 2, "n3": 3}
    assert msgspec.to_builtins(config).items() >= tomllib.loads(block.text).items()


def rows(heading: str) -> list[list[str]]:
    """The cells of the last table under a heading."""
    section = STORE.read_text().split(f"\n{heading}\n")[1].split("\n## ")[0]
    table = section.strip().split("\n\n")
    lines = [part for part in table if part.startswith("|")][-1].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_reference_is_complete() -> None:
    assert docs_reference.filled() == docs_reference.PAGE.read_text(), "run `make docs`"
    for reason in Reason:
        assert f"| `{reason}` |" in docs_reference.PAGE.read_text()


def test_the_limits_are_those_of_the_store() -> None:
    units = {"": 1, "KiB": 1024, "MiB": 1024 * 1024, "s": 1000}
    told = {}
    for _, value, name in rows("## Limits"):
        number, _, unit = value.partition(" ")
        told[name.strip("`")] = float(number.replace(",", "")) * units[unit]
    assert told == msgspec.structs.asdict(Limits())


def test_the_metrics_exist(endpoints: str) -> None:
    with sync.connect(endpoints) as db:
        address = db.status().nodes[0].http
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
        exposed = answer.read().decode()
    names = [name for row in rows("## Health and metrics") for name in re.findall(r"`(\w+)`", row[0])]
    assert len(names) > 8
    assert [name for name in names if f"\n# TYPE {name} " not in exposed] == []
