"""Three-node clusters as real processes on loopback, ours and etcd's, started and ended for one measurement."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.netns import Namespaces

from ringleader.cli.freeports import free_ports

__all__ = ["EtcdCluster", "ProcessCluster", "RingleaderCluster", "cpu_seconds"]

HOST = "127.0.0.1"


def cpu_seconds(pids: list[int]) -> float:
    """User and system time that these processes have used so far."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


class ProcessCluster:
    """Some processes in a folder of their own; a context manager that ends exactly those."""

    def __init__(self, folder: Path | None = None) -> None:
        self._own_folder = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="ringleader-bench-"))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def spawn(self, name: str, command: list[str]) -> None:
        """Start one node; its output goes to NAME.log."""
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def pids(self) -> list[int]:
        """Of the processes that run."""
        return [process.pid for process in self.processes.values() if process.poll() is None]

    def kill(self, name: str) -> None:
        """End one at once, as by kill -9."""
        self.processes[name].kill()
        self.processes[name].wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for process in self.processes.values():
            with contextlib.suppress(OSError):
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def get(url: str, timeout: float = 1.0) -> bytes | None:
    """The body at `url`, or None."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return bytes(answer.read())
    except (OSError, ValueError):
        return None


class RingleaderCluster(ProcessCluster):
    """Ours, in default configuration, on loopback or each node in its namespace of `net`.

    `clients` and `https`: addresses by node name.
    """

    def __init__(
        self, size: int = 3, folder: Path | None = None, extra: list[str] | None = None, net: Namespaces | None = None
    ) -> None:
        super().__init__(folder)
        ports = free_ports(3 * size)
        names = [f"n{place + 1}" for place in range(size)]
        hosts = {name: net.address[name] if net else HOST for name in names}
        self.net = net
        self.extra = extra or []
        self.clients = {name: f"{hosts[name]}:{ports[3 * place]}" for place, name in enumerate(names)}
        self.peers = {name: f"{hosts[name]}:{ports[3 * place + 1]}" for place, name in enumerate(names)}
        self.https = {name: f"{hosts[name]}:{ports[3 * place + 2]}" for place, name in enumerate(names)}
        for name in names:
            self.start(name)

    def command(self, name: str) -> list[str]:
        """How a node is started."""
        peers = ",".join(f"{each}={address}" for each, address in self.peers.items())
        command = self.net.within(name) if self.net else []
        command += [sys.executable, "-m", "ringleader", "start", "--name", name]
        command += ["--data-dir", str(self.folder / name), "--peers", peers, "--cluster-token", "bench"]
        command += ["--listen-client", self.clients[name], "--listen-peer", self.peers[name]]
        if self.net:
            command.append("--insecure")  # nobody else can reach its namespaces
        return [*command, "--http", self.https[name], *self.extra]

    def start(self, name: str, before: Sequence[str] = ()) -> None:
        """Start (again) one node; `before`: a command that runs it."""
        self.spawn(name, [*before, *self.command(name)])

    def log_text(self, name: str) -> str:
        """What the node has printed so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def ready(self, name: str) -> bool:
        """Whether the node knows a leader."""
        return get(f"http://{self.https[name]}/readyz") is not None

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Until all nodes that run know a leader. Raises `RuntimeError` with a node's log."""
        end = time.monotonic() + seconds
        for name in [name for name, process in self.processes.items() if process.poll() is None]:
            while not self.ready(name):
                if time.monotonic() > end or self.processes[name].poll() is not None:
                    log = self.log_text(name)[-2000:]
                    raise RuntimeError(f"node {name} is not ready; its log ends:\n{log}")
                time.sleep(0.05)

    @property
    def endpoints(self) -> str:
        """All client addresses, in one comma list."""
        return ",".join(self.clients.values())


class EtcdCluster(ProcessCluster):
    """etcd, in default configuration. `leader`: the leader's client address, found by `wait_ready`."""

    def __init__(self, size: int = 3, binary: str = "etcd") -> None:
        super().__init__()
        ports = free_ports(2 * size)
        self.clients = [f"{HOST}:{port}" for port in ports[:size]]
        peers = [f"http://{HOST}:{port}" for port in ports[size:]]
        cluster = ",".join(f"e{place}={peer}" for place, peer in enumerate(peers))
        for place in range(size):
            client = f"http://{self.clients[place]}"
            command = [binary, "--name", f"e{place}", "--data-dir", str(self.folder / f"e{place}")]
            command += ["--listen-client-urls", client, "--advertise-client-urls", client]
            command += ["--listen-peer-urls", peers[place], "--initial-advertise-peer-urls", peers[place]]
            command += ["--initial-cluster", cluster, "--initial-cluster-state", "new"]
            self.spawn(f"e{place}", [*command, "--initial-cluster-token", "bench", "--log-level", "error"])
        self.leader = self.clients[0]

    def wait_ready(self, seconds: float = 30.0) -> None:
        """Until the cluster is healthy; then finds the leader. Raises `RuntimeError`."""
        end = time.monotonic() + seconds
        while not all(b"true" in (get(f"http://{client}/health") or b"") for client in self.clients):
            if time.monotonic() > end:
                raise RuntimeError("etcd does not get ready")
            time.sleep(0.1)
        for client in self.clients:
            metrics = get(f"http://{client}/metrics") or b""
            if b"\netcd_server_is_leader 1" in metrics:
                self.leader = client
