"""The command line as a user runs it: real processes, bounded in time, always ended, each by its own process id."""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ringleader.cli.main import main

COMMAND = [sys.executable, "-m", "ringleader"]
PATIENCE = 60.0


def environment(endpoints: str = "", **more: str) -> dict[str, str]:
    """Ours without what a developer may have set for Ringleader; with these endpoints, and time for a busy machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RINGLEADER_")}
    given = {"RINGLEADER_ENDPOINTS": endpoints} if endpoints else {}
    return {**kept, **given, "RINGLEADER_TIMEOUT": str(PATIENCE), **more}


def run(
    *arguments: str | bytes, endpoints: str = "", stdin: bytes = b"", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """`ringleader ARGUMENTS` as a process, until it ends; never with a traceback."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        env=environment(endpoints, **(env or {})),
        timeout=PATIENCE,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def failure(done: subprocess.CompletedProcess[bytes], code: int) -> str:
    """The one line in which a command that ended with `code` says why."""
    assert done.returncode == code, done
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(b"ringleader: "), done.stderr
    return done.stderr.decode()


def eventually(what: Callable[[], bool], why: str, seconds: float = PATIENCE) -> None:
    """Wait until `what()`."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, why
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether that process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in "ZX"


class Running:
    """A command that goes on: its lines as they come, ended at the latest with the block."""

    def __init__(self, *arguments: str, endpoints: str = "", env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(endpoints, **(env or {})),
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []
        self._readers = [threading.Thread(target=self._read_out), threading.Thread(target=self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.decode())
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(line.decode() for line in self.process.stderr)

    def line(self, seconds: float = PATIENCE) -> str:
        """The next line of standard output."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"nothing was said within {seconds} s") from None
        assert line is not None, f"it ended: {self.wait()}, {''.join(self._errors)}"
        return line.removesuffix("\n")

    def json(self) -> Any:
        """The next line as JSON."""
        return json.loads(self.line())

    @property
    def errors(self) -> str:
        """Standard error, once it has ended."""
        self._readers[1].join(PATIENCE)
        return "".join(self._errors)

    def rest(self) -> list[str]:
        """The lines not read yet, once it has ended."""
        self._readers[0].join(PATIENCE)
        lines = []
        while (line := self._lines.get_nowait()) is not None:
            lines.append(line.removesuffix("\n"))
        return lines

    def signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code, negative for a signal."""
        return self.process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join(PATIENCE)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


class Dev(Running):
    """`ringleader dev --json` on free ports, once all nodes have told each other where they are. `nodes`: its first line."""

    def __init__(self, *arguments: str) -> None:
        super().__init__("dev", "--json", "--base-port", "0", *arguments)
        try:
            first = self.json()
            assert list(first) == ["nodes", "cluster_token"]
            self.nodes: list[dict[str, Any]] = first["nodes"]
            eventually(self._whole, "the nodes do not find each other")
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def _whole(self) -> bool:
        cli = Shell(self.endpoints)
        if cli("status").returncode or (found := cli("cluster", "members", "--json")).returncode:
            return False
        return all(member["client"] and member["http"] for member in json.loads(found.stdout)["members"])

    @property
    def endpoints(self) -> str:
        """Where its clients connect, as a comma list."""
        return ",".join(node["client"] for node in self.nodes)

    @property
    def pids(self) -> list[int]:
        """Of the nodes it began with."""
        return [node["pid"] for node in self.nodes]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        super().__exit__(kind, error, tb)
        for pid in self.pids if hasattr(self, "nodes") else []:
            if alive(pid):  # only when a test has failed
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


class Shell:
    """`ringleader` commands against one cluster: in this process, since starting an interpreter for each takes longest."""

    def __init__(self, endpoints: str) -> None:
        self.endpoints = endpoints

    def __call__(self, *arguments: str | bytes, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run one, whatever comes of it."""
        before = dict(os.environ), sys.argv, sys.stdin, sys.stdout, sys.stderr
        out, err = io.BytesIO(), io.BytesIO()
        code: object = None
        try:
            os.environ.clear()
            os.environ.update(environment(self.endpoints))
            sys.argv = ["ringleader", *map(os.fsdecode, arguments)]
            sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
            sys.stdout, sys.stderr = (
                io.TextIOWrapper(out),
                io.TextIOWrapper(err, errors="backslashreplace", write_through=True),
            )
            main()
        except SystemExit as end:
            code = end.code
        finally:
            for stream in (sys.stdin, sys.stdout, sys.stderr):
                stream.flush()
                stream.detach()  # type: ignore[union-attr]  # ours
            os.environ.clear()
            os.environ.update(before[0])
            sys.argv, sys.stdin, sys.stdout, sys.stderr = before[1:]
        assert isinstance(code, int)
        return subprocess.CompletedProcess(sys.argv, code, out.getvalue(), err.getvalue())

    def ok(self, *arguments: str | bytes, stdin: bytes = b"") -> str:
        """Run one that must succeed; its standard output."""
        done = self(*arguments, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, b""), done
        return done.stdout.decode()

    def json(self, *arguments: str | bytes, code: int = 0, stdin: bytes = b"") -> Any:
        """Run one with --json that must end with `code`; its standard output, which must be one line of JSON."""
        done = self(*arguments, "--json", stdin=stdin)
        assert (done.returncode, done.stderr) == (code, b""), done
        assert done.stdout.count(b"\n") == 1
        return json.loads(done.stdout)

    def fails(self, code: int, *arguments: str | bytes, stdin: bytes = b"") -> str:
        """Run one that must end with `code` and say why in one line, which is returned."""
        return failure(self(*arguments, stdin=stdin), code)

    def start(self, *arguments: str) -> Running:
        """Start one that goes on."""
        return Running(*arguments, endpoints=self.endpoints)
