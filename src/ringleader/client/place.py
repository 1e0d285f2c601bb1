"""Where a client's core lives: one process, one thread, one event loop. It is asked at every call, so it must cost nothing.

(`os.getpid`, and `asyncio.get_running_loop` before Python 3.12, which calls it, ask the kernel each time.)
"""

from __future__ import annotations

import asyncio
import os
import threading

__all__ = ["Place"]

_forks = 0
"""How often this process's line of ancestors has forked since the module was loaded."""


def _forked() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_forked)


class Place:
    """The process, thread and running loop in which it is made. Raises `RuntimeError` where no loop runs."""

    __slots__ = ("_forks", "_thread", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._forks = _forks
        self._thread = threading.get_ident()

    @property
    def here(self) -> bool:
        """Whether this is called from within that loop. (A thread runs one loop at a time.)"""
        return self._forks == _forks and self._thread == threading.get_ident() and self.loop.is_running()

    @property
    def same_process(self) -> bool:
        """Whether this is still the process, not a fork of it."""
        return self._forks == _forks
