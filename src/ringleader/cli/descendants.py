"""The processes below a process (Linux): what a command has started, which a signal to the command alone does not reach."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["alive", "descendants"]

_PROC = Path("/proc")


def descendants(top: int) -> dict[int, str]:
    """All below process `top`: process id to start time, by which a later process of the same id is told apart.

    Nothing where the system does not tell (no Linux).
    """
    children: dict[int, list[tuple[int, str]]] = {}
    for pid, parent, started in _processes():
        children.setdefault(parent, []).append((pid, started))
    found: dict[int, str] = {}
    waiting = [top]
    while waiting:
        for pid, started in children.get(waiting.pop(), ()):
            if pid not in found:
                found[pid] = started
                waiting.append(pid)
    return found


def alive(known: dict[int, str]) -> list[int]:
    """Those of them that still run."""
    now = {pid: started for pid, _, started in _processes()}
    return [pid for pid, started in known.items() if now.get(pid) == started]


def _processes() -> list[tuple[int, int, str]]:
    """(process, parent, start time) of all that run; those that have ended and wait for their parent are left out."""
    found = []
    try:
        names = [name for name in os.listdir(_PROC) if name.isdigit()]
    except OSError:
        return []
    for name in names:
        try:
            fields = (_PROC / name / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if len(fields) > 19 and fields[0] not in "ZX":
            found.append((int(name), int(fields[1]), fields[19]))
    return found
