"""`ringleader dev`: a local cluster of real processes, to try things on; it ends, and all nodes with it, by Ctrl-C.

Each node is `ringleader start` as it would run on a machine of its own, with its own data folder. A node that dies (try
`kill -9`) is started again after a moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any

import typer

from ringleader.cli.common import Json, as_json, fail, say
from ringleader.cli.freeports import free_ports
from ringleader.errors import NotAppliedError, Reason, RingleaderError, UsageError

__all__ = ["dev"]

HOST = "127.0.0.1"
READY_WITHIN = 60.0
STOP_WITHIN = 10.0
PORTS_PER_NODE = 10
MAKES_NO_SENSE = 2
"""The exit code of a call that fails again when it is repeated unchanged."""
TOKEN = "dev"
"""The cluster token: no secret, since all of it listens on this machine alone."""
_OF_OTHERS = (
    "CONFIG", "JOIN", "ADVERTISE_CLIENT", "ADVERTISE_PEER", "ADVERTISE_HTTP", "CERT", "KEY", "CA", "CLIENT_CERT_REQUIRED",
    "PEER_CERT", "PEER_KEY", "PEER_CA",
)  # fmt: skip
WIDE = 200
"""Columns when nobody but a program looks: nothing is cut."""


class LocalNode:
    """One node process: its addresses, folder and life so far."""

    def __init__(self, name: str, ports: tuple[int, int, int], folder: Path) -> None:
        self.name = name
        self.client, self.peer, self.http = (f"{HOST}:{port}" for port in ports)
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.restart_at: float | None = None
        self.starts = 0

    @property
    def pid(self) -> int:
        """The process id, 0 while it is down."""
        return self.process.pid if self.process is not None else 0

    def start(self, peers: str, engine: list[str]) -> None:
        """Start the process; its log goes to `node.log` in its folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "ringleader", "start", "--name", self.name, "--data-dir", str(self.folder)]
        command += ["--listen-client", self.client, "--listen-peer", self.peer, "--http", self.http]
        command += ["--peers", peers, "--cluster-token", TOKEN, "--end-with-parent", str(os.getpid()), *engine]
        with open(self.folder / "node.log", "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=_environment()
            )
        self.restart_at = None
        self.starts += 1

    def last_words(self) -> str:
        """The last line of its log."""
        with contextlib.suppress(OSError):
            lines = (self.folder / "node.log").read_text(errors="replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""

    def ready(self) -> bool:
        """Whether it says that it knows a leader."""
        return _get(f"http://{self.http}/readyz") is not None


def _environment() -> dict[str, str]:
    """Ours, without what sets up a single node of some other cluster, or a client of it."""
    others = {f"RINGLEADER_{field}" for field in _OF_OTHERS}
    return {name: value for name, value in os.environ.items() if name not in others}


_directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy the environment names


def _get(url: str) -> bytes | None:
    try:
        with _directly.open(url, timeout=1.0) as answer:
            return bytes(answer.read(1 << 20))
    except (OSError, HTTPException, ValueError):
        return None


def dev(
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=9, help="How many nodes.")] = 3,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Keep data here; else a temporary folder, removed at the end.")
    ] = None,
    base_port: Annotated[
        int, typer.Option("--base-port", min=0, max=65000, help="Ports from here on, ten per node; 0: any free ones.")
    ] = 4400,
    consensus: Annotated[
        str, typer.Option(help="What the cluster runs: raft or paxos; for good, if --data-dir keeps it.")
    ] = "",
    phase2_quorum: Annotated[
        int, typer.Option("--phase2-quorum", help="Paxos: how many nodes accept a write; else a majority.")
    ] = 0,
    restart: Annotated[bool, typer.Option(help="Start a node again that died.")] = True,
    json_: Json = False,
) -> None:
    """Start a local cluster of real processes; Ctrl-C ends it."""
    try:
        _dev(nodes, data_dir, base_port, _engine(nodes, consensus, phase2_quorum), restart, json_)
    except RingleaderError as error:
        fail(error, json_)


def _engine(nodes: int, consensus: str, phase2_quorum: int) -> list[str]:
    """What every node is told about consensus. Raises `UsageError` before any of them is started in vain."""
    from ringleader.consensus.protocols import Choice, check_choice

    if not consensus and not phase2_quorum:
        return []
    try:
        check_choice(Choice(consensus or "raft", phase2_quorum), nodes)
    except ValueError as error:
        raise UsageError(str(error), reason=Reason.INVALID_ARGUMENT) from None
    return ["--consensus", consensus, *(["--phase2-quorum", str(phase2_quorum)] if phase2_quorum else [])]


def _dev(count: int, data_dir: Path | None, base_port: int, engine: list[str], restart: bool, json_: bool) -> None:
    stop = _stop_on_signals()
    folder = data_dir or Path(tempfile.mkdtemp(prefix="ringleader-dev-"))
    cluster = Cluster([], engine, restart, json_)
    try:
        cluster = Cluster(_plan(count, folder, base_port), engine, restart, json_)
        _make_folder(folder)
        cluster.start()
        cluster.wait_ready(stop)
        if not stop:
            cluster.announce(folder, base_port, kept=data_dir is not None)
        cluster.watch(stop)
    finally:
        cluster.stop()
        if data_dir is None:
            shutil.rmtree(folder, ignore_errors=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the data folder {folder} cannot be made: {error.strerror}", reason=Reason.INVALID_ARGUMENT
        ) from None


def _stop_on_signals() -> list[int]:
    """A list that gets the number of the signal that asked to stop."""
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: asked.append(received))
    return asked


def _plan(count: int, folder: Path, base_port: int) -> list[LocalNode]:
    planned = []
    free = free_ports(3 * count, HOST) if base_port == 0 else []
    for place in range(count):
        base = base_port + PORTS_PER_NODE * place
        ports = (free[3 * place], free[3 * place + 1], free[3 * place + 2]) if free else (base, base + 1, base + 2)
        planned.append(LocalNode(f"n{place + 1}", ports, folder / f"n{place + 1}"))
    for node in planned:
        for address in (node.client, node.peer, node.http):
            _check_free(address)
    return planned


def _check_free(address: str) -> None:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except (OSError, OverflowError) as error:
            raise NotAppliedError(
                f"address {address} is taken or not allowed: {error}",
                reason=Reason.ADDRESS_IN_USE,
                hint="End what uses it, or choose other ports with --base-port",
            ) from None


def _how_to_call() -> str:
    """How a person in this folder calls the very program that runs."""
    found = shutil.which("ringleader")
    if found is not None and Path(found).resolve() == Path(sys.argv[0]).resolve():
        return "ringleader"
    beside = Path(sys.executable).parent / "ringleader"
    if not beside.exists():
        return f"{sys.executable} -m ringleader"
    here = Path.cwd()
    return str(beside.relative_to(here)) if beside.is_relative_to(here) else str(beside)


class Cluster:
    """All node processes of one `dev`."""

    def __init__(self, nodes: list[LocalNode], engine: list[str], restart: bool, json_: bool) -> None:
        self.nodes = nodes
        self.engine = engine
        self.restart = restart
        self.json = json_
        self.peers = ",".join(f"{node.name}={node.peer}" for node in nodes)

    def start(self) -> None:
        """Start all nodes."""
        for node in self.nodes:
            node.start(self.peers, self.engine)

    def wait_ready(self, stop: list[int]) -> None:
        """Wait until all nodes know a leader. Raises `NotAppliedError` with a node's last words."""
        end = time.monotonic() + READY_WITHIN
        waiting = list(self.nodes)
        while waiting and not stop:
            waiting = [node for node in waiting if not node.ready()]
            for node in waiting:
                if node.process is not None and node.process.poll() is not None:
                    raise NotAppliedError(
                        f"node {node.name} ended at once: {node.last_words()}", reason=Reason.UNREACHABLE
                    )
            if waiting and time.monotonic() > end:
                names = ", ".join(node.name for node in waiting)
                raise NotAppliedError(
                    f"not ready after {READY_WITHIN:.0f} s: {names}; last words of {waiting[0].name}: "
                    f"{waiting[0].last_words()}",
                    reason=Reason.UNREACHABLE,
                )
            time.sleep(0.05)

    def announce(self, folder: Path, base_port: int, kept: bool) -> None:
        """Say where it is and what to try."""
        listing = [
            {"name": node.name, "pid": node.pid, "client": node.client, "http": node.http, "peer": node.peer}
            for node in self.nodes
        ]
        if self.json:
            as_json({"nodes": listing, "cluster_token": TOKEN})
            return
        from rich.console import Console
        from rich.table import Table

        table = Table("node", "pid", "client", "http", title=f"A Ringleader cluster of {len(self.nodes)} is up")
        for row in listing:
            table.add_row(str(row["name"]), str(row["pid"]), str(row["client"]), f"http://{row['http']}/metrics")
        console = Console(width=None if sys.stdout.isatty() else WIDE)
        console.print(table)
        where = "kept" if kept else "removed at the end; keep it with --data-dir"
        endpoints = ",".join(node.client for node in self.nodes)
        default = "127.0.0.1:4400,127.0.0.1:4410,127.0.0.1:4420".startswith(endpoints)
        option = "" if default else f" --endpoints {endpoints}"
        console.print(f"Data: {folder} ({where})\n", highlight=False)
        console.print("Try, in another terminal:", style="bold")
        program = _how_to_call()
        for line in (
            f"{program} kv put greeting hello{option}",
            f"{program} kv get greeting{option}",
            f"{program} lock deploy{option} -- echo I alone hold the lock",
            f"{program} status{option}",
            f"kill -9 {self.nodes[0].pid}          # nothing is lost; n1 comes back by itself",
            f"{program} start {self._how_to_join(folder, base_port)}   # one node more",
        ):
            console.print(f"  {line}", highlight=False, soft_wrap=True)
        console.print("\nCtrl-C ends all nodes.", highlight=False)

    def _how_to_join(self, folder: Path, base_port: int) -> str:
        """The options with which another node becomes a member."""
        name = f"n{len(self.nodes) + 1}"
        first = base_port and base_port + PORTS_PER_NODE * len(self.nodes)
        client, peer, http = (f"{HOST}:{first and first + place}" for place in range(3))
        return (
            f"--name {name} --data-dir {shlex.quote(str(folder / name))} --join {self.nodes[0].peer} --cluster-token {TOKEN} "
            f"--listen-client {client} --listen-peer {peer} --http {http}"
        )

    def watch(self, stop: list[int]) -> None:
        """Until asked to stop: notice dead nodes, start them again, and show a person how things stand."""
        if self.json or not sys.stdout.isatty():
            while not stop:
                self._look_after()
                time.sleep(0.1)
            return
        from rich.live import Live

        with Live(self._picture(), refresh_per_second=2) as live:
            while not stop:
                self._look_after()
                time.sleep(0.25)
                live.update(self._picture())

    def _look_after(self) -> None:
        now = time.monotonic()
        for node in self.nodes:
            if node.process is not None and node.process.poll() is not None:
                code = node.process.returncode
                node.process = None
                # A start that makes no sense, such as that of a node that was removed, makes none the next time either.
                node.restart_at = now + 2.0 if self.restart and code != MAKES_NO_SENSE else None
                self._event("exited", node, how=f"signal {-code}" if code < 0 else f"exit code {code}")
            elif node.process is None and node.restart_at is not None and now >= node.restart_at:
                node.start(self.peers, self.engine)
                self._event("started", node)

    def _event(self, event: str, node: LocalNode, **more: object) -> None:
        if self.json:
            as_json({"event": event, "name": node.name, "pid": node.pid, **more})
        elif not sys.stdout.isatty():
            say(f"{node.name} {event} {' '.join(map(str, more.values()))}".rstrip())

    def _picture(self) -> Any:
        from rich.table import Table

        table = Table("node", "pid", "role", "term", "applied", "revision", title="live status")
        for node in self.nodes:
            body = _get(f"http://{node.http}/status") if node.pid else None
            if body is None:
                table.add_row(node.name, str(node.pid or "-"), "down" if not node.pid else "starting", "", "", "")
                continue
            with contextlib.suppress(ValueError):
                s = json.loads(body)
                role = f"[bold green]{s['role']}[/]" if s["role"] == "leader" else s["role"]
                table.add_row(node.name, str(node.pid), role, str(s["term"]), str(s["applied"]), str(s["revision"]))
        return table

    def stop(self) -> None:
        """End all nodes, gently first."""
        running = [node.process for node in self.nodes if node.process is not None]
        for process in running:
            with contextlib.suppress(OSError):
                process.terminate()
        end = time.monotonic() + STOP_WITHIN
        for process in running:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def end_with_parent(parent: int) -> None:
    """Ask the kernel (Linux) to end this process when its parent dies, so that no node outlives a killed `dev`.

    `parent`: the parent's process id, as it knows it itself.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    parent_death_signal = 1
    ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(0)  # the parent died before we asked
