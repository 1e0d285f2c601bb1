"""The page on security: its commands and its program are run, on a node of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from cli.harness import environment
from docs.blocks import ROOT, blocks
from ringleader.cli.freeports import free_ports
from ringleader.node import NodeConfig

PAGE = ROOT / "docs" / "security.md"


def test_the_page_works(tmp_path: Path) -> None:
    """The program is run where the commands end, with the node that they have started."""
    (shell,), (program,) = blocks(PAGE, "sh"), blocks(PAGE, "python")
    (tmp_path / "program.py").write_text(program.text)
    command = tmp_path / "bin" / "ringleader"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ringleader "$@"\n')
    command.chmod(0o755)
    text = f"""trap 'echo "end: $?"' EXIT\n{shell.text}"{sys.executable}" -W error program.py\n"""
    for port, free in zip(("4600", "4602"), free_ports(2), strict=True):
        text = text.replace(port, str(free))
    env = environment()
    env["PATH"] = f"{command.parent}{os.pathsep}{env['PATH']}"
    done = subprocess.Popen(
        ["sh", "-eu", "-c", text], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    said: list[str] = []
    try:
        assert done.stdout is not None
        while not said or not said[-1].startswith("end: "):  # the node goes on, with the same standard output
            said.append(done.stdout.readline().rstrip("\n"))
    finally:
        os.killpg(done.pid, signal.SIGTERM)  # the node that the page started
        _, errors = done.communicate(timeout=60)
    assert said[-1] == "end: 0", errors
    for line in (
        "auth is on",
        "ann: app",
        "refused, as it should be",
        "auth is on; you are ann, with app",
        "permission-denied",
        "report",
    ):
        assert line in said, said
    for secret in ("a long sentence for root", "ann's own sentence"):
        assert secret not in errors
        found = subprocess.run(
            ["grep", "-rlF", secret, str(tmp_path / "data")], capture_output=True, text=True, check=False
        )
        assert found.stdout == ""
    assert "Traceback" not in errors


def test_the_table_of_fields_is_that_of_the_node() -> None:
    section = PAGE.read_text().split("\n## TLS\n")[1].split("\n* ")[0]
    told = [
        name.strip("` ")
        for row in section.splitlines()
        if row.startswith("| `")
        for name in row.split("|")[1].split(",")
    ]
    assert set(told) <= set(NodeConfig.__struct_fields__)
    assert {"cert", "key", "ca", "insecure", "client_cert_required"} <= set(told)
