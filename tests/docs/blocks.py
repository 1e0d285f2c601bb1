"""Fenced blocks of Markdown pages, and how Python ones are run: as a reader would, one after the other."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import CodeType
from typing import NamedTuple

import ringleader

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """`line`: of its first line of code, counted from 1."""

    path: Path
    line: int
    text: str


def blocks(path: Path, language: str) -> list[Block]:
    """All blocks of a page in that language."""
    page = path.read_text()
    return [
        Block(path, page.count("\n", 0, found.start()) + 2, found.group(2))
        for found in _FENCE.finditer(page)
        if found.group(1) == language
    ]


def compiled(block: Block) -> CodeType:
    """The block as code in which `await` may stand at top level; errors show the page and the line."""
    text = "\n" * (block.line - 1) + block.text
    code: CodeType = compile(text, str(block.path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


async def run_page(path: Path, endpoints: str, env: dict[str, str]) -> int:
    """Run all Python blocks of a page and return their number. Whole programs run on their own, as processes.

    The others share their names, with `db` connected to the cluster at `endpoints`.
    """
    ran = 0
    async with ringleader.connect(endpoints) as db:
        names: dict[str, object] = {"db": db, "ringleader": ringleader, "asyncio": asyncio}
        for block in blocks(path, "python"):
            if "asyncio.run(" in block.text:
                await asyncio.to_thread(run_program, block, env)
            else:
                result = eval(compiled(block), names)
                if inspect.isawaitable(result):
                    async with asyncio.timeout(60):
                        await result
            ran += 1
    return ran


def run_program(block: Block, env: dict[str, str]) -> None:
    """The block as a program of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text],
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{block.path}:{block.line}: {done.stderr}"
