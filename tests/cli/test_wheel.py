"""The wheel as a stranger meets it: built from the tree, in a virtual environment of its own, without extras."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.harness import PATIENCE, environment

ROOT = Path(__file__).parents[2]
LONG = 280.0
HEAVY = ("uvloop", "typer", "rich", "google.protobuf", "grpc", "asyncio", "msgspec", "prometheus_client")
NOT_FOR_CLIENTS = ("uvloop", "typer", "rich", "google.protobuf", "prometheus_client", "ringleader.node")


def _call(*command: str | Path, cwd: Path, endpoints: str = "") -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        command, cwd=cwd, env=environment(endpoints), capture_output=True, text=True, timeout=LONG, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_serves_a_stranger(tmp_path: Path) -> None:
    """One test, since what takes long is to build and install it."""
    python = _install(tmp_path)
    _import_is_light(python)
    _a_users_code_is_typed(tmp_path, python)
    with _dev(python) as endpoints:
        _the_quick_start_runs(python, endpoints)
        _the_shell_commands_run(python, endpoints)


def _install(folder: Path) -> Path:
    """The wheel and what it depends on, as locked, in an otherwise empty environment; its python."""
    _call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", ROOT, cwd=folder)
    (wheel,) = (folder / "dist").glob("ringleader-*.whl")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    locked = re.findall(
        r"^([A-Za-z0-9_.-]+==[^ \\\n]+)", (ROOT / "requirements" / "test.txt").read_text(), re.MULTILINE
    )
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(locked) + "\n")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-compile",
        "--quiet",
        "--disable-pip-version-check",
    ]
    _call(*pip, "--constraint", constraints, wheel, cwd=folder)
    return python


@contextlib.contextmanager
def _dev(python: Path) -> Iterator[str]:
    """`ringleader dev` from there; its endpoints."""
    command = [str(python.with_name("ringleader")), "dev", "--json", "--base-port", "0"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield ",".join(node["client"] for node in json.loads(process.stdout.readline())["nodes"])
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _the_quick_start_runs(python: Path, endpoints: str) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    said = _call(python, "-c", block, cwd=python.parent, endpoints=endpoints)
    assert re.fullmatch(r"hello\nI alone deploy, fencing token \d+\n", said)


def _the_shell_commands_run(python: Path, endpoints: str) -> None:
    for command, says in (
        (["kv", "put", "shell", "works"], r"OK revision \d+\n"),
        (["kv", "get", "shell"], r"works\n"),
        (["lock", "deploy", "--", "echo", "mine"], r"mine\n"),
        (["--version"], r"ringleader \d+\.\d+\.\d+\n"),
    ):
        said = _call(python.with_name("ringleader"), *command, cwd=python.parent, endpoints=endpoints)
        assert re.fullmatch(says, said), command


def _import_is_light(python: Path) -> None:
    imported = _call(python, "-c", "import ringleader, sys; print(*sys.modules)", cwd=python.parent).split()
    assert [name for name in HEAVY if name in imported] == []
    ours = [name for name in imported if name.startswith("ringleader")]
    assert len(ours) <= 3, "all else is imported when it is first used"
    client = _call(python, "-c", "import ringleader, sys; ringleader.connect; print(*sys.modules)", cwd=python.parent)
    assert [name for name in NOT_FOR_CLIENTS if name in client.split()] == []


USER_CODE = """
import asyncio

import ringleader
import ringleader.sync


async def main() -> None:
    async with ringleader.connect("127.0.0.1:4400", timeout=2.0) as db:
        found = await db.kv.get("a", consistency="stale")
        text: str = found.text if found is not None else ""
        result = await db.kv.txn(compare=[ringleader.key("a").version == 0], success=[ringleader.op.put("a", text)])
        taken: bool = result.succeeded
        async with db.lock("name", ttl=5) as lock, db.lease(10) as lease:
            await db.kv.put("b", str(lock.fencing_token), lease=lease.id)
        async for event in db.kv.watch("", prefix=True):
            print(event.kind, event.key_text, taken)
        async with db.election("chief").campaign("me") as leadership:
            await leadership.lost.wait()


def blocking() -> int:
    with ringleader.sync.embedded() as db:
        try:
            return db.kv.put("a", b"1").revision
        except ringleader.OutcomeUnknownError as error:
            return 0 if error.reason is ringleader.Reason.DEADLINE else 1


asyncio.run(main())
"""


def _a_users_code_is_typed(folder: Path, python: Path) -> None:
    (folder / "user.py").write_text(USER_CODE)
    (folder / "wrong.py").write_text("import ringleader\nnumber: int = ringleader.connect(5)\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "user.py", "wrong.py"],
        cwd=folder,
        env=environment(MYPYPATH=""),
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.split(":")[0] for line in errors] == ["wrong.py"] * 2, done.stdout + done.stderr
