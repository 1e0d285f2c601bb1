"""A small network of namespaces, one per node, on one bridge: real partitions on one machine.

`python -m tools.chaos` runs itself in a network namespace of its own (`inside_own_namespace`), so that nothing of the
machine's network is touched and everything is gone with the process. Each node gets a namespace with an address of its
own, joined to a bridge on which the clients live; a partition is a packet filter rule inside the node's namespace.
Needs Linux, root, `ip`, `iptables`, `nsenter` and `unshare`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable

__all__ = ["Namespaces", "inside_own_namespace"]

_MARK = "RINGLEADER_TOOLS_NETNS"
_BRIDGE = "10.99.77.1"


def inside_own_namespace(module: str) -> None:
    """Run `python -m module` with the same arguments again in a new network namespace, unless this is it already."""
    if os.environ.get(_MARK):
        return
    environment = {**os.environ, _MARK: "1"}
    command = ["unshare", "--net", sys.executable, "-m", module, *sys.argv[1:]]
    os.execvpe(command[0], command, environment)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")


class Namespaces:
    """A namespace per name. `address[name]`: its IPv4 address. A context manager: leaving it removes all of them."""

    def __init__(self, names: Iterable[str]) -> None:
        self.address = {name: f"10.99.77.{place}" for place, name in enumerate(names, start=11)}
        self._holders: dict[str, subprocess.Popen[bytes]] = {}  # a process each that keeps the namespace alive
        self._names = list(self.address)

    def __enter__(self) -> Namespaces:
        try:
            _run("ip", "link", "set", "lo", "up")
            _run("ip", "link", "add", "ring0", "type", "bridge")
            _run("ip", "addr", "add", f"{_BRIDGE}/24", "dev", "ring0")
            _run("ip", "link", "set", "ring0", "up")
            for name in self._names:
                self._add(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for holder in self._holders.values():
            holder.kill()
            holder.wait()
        with contextlib.suppress(RuntimeError):
            _run("ip", "link", "del", "ring0")

    def _add(self, name: str) -> None:
        place = self._names.index(name)
        # `cat` says by its first byte back that the namespace is there, and ends with this process.
        holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._holders[name] = holder
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(b".")
        holder.stdin.flush()
        holder.stdout.read(1)
        _run("ip", "link", "add", f"ring-{place}", "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        _run("ip", "link", "set", f"ring-{place}", "master", "ring0", "up")
        for words in (f"addr add {self.address[name]}/24 dev eth0", "link set eth0 up", "link set lo up"):
            _run(*self.within(name), "ip", *words.split())

    def within(self, name: str) -> list[str]:
        """What to put before a command so that it runs in that namespace; it keeps its process id."""
        return ["nsenter", f"--net=/proc/{self._holders[name].pid}/ns/net"]

    def cut(self, name: str, others: Iterable[str], *, speaks: bool = False, hears: bool = False) -> None:
        """Part `name` from `others`: nothing leaves unless it `speaks`, nothing arrives unless it `hears`."""
        for other in others:
            address = self.address[other]
            if not speaks:
                _run(*self.within(name), "iptables", "-w", "-A", "OUTPUT", "-d", address, "-j", "DROP")
            if not hears:
                _run(*self.within(name), "iptables", "-w", "-A", "INPUT", "-s", address, "-j", "DROP")

    def heal(self) -> None:
        """All speak with all again."""
        for name in self._names:
            _run(*self.within(name), "iptables", "-w", "-F")
