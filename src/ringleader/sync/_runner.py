"""A background thread with an event loop, on which blocking calls run their coroutines.

One for the whole process, started by the first call. After a fork the child starts its own: threads do not survive one.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from ringleader.errors import Reason, UsageError

__all__ = ["loop_thread", "run"]

T = TypeVar("T")


class _LoopThread:
    """A daemon thread that runs an event loop until the process ends."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="ringleader.sync", daemon=True)
        self.thread.start()


_lock = threading.Lock()
_current: _LoopThread | None = None


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread may have held it at the moment of the fork


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

_INHERITED: list[_LoopThread] = []  # loops of a parent: must not be closed by the collector, they share its selector


def loop_thread() -> _LoopThread:
    """The loop of this process."""
    global _current
    current = _current
    if current is not None and current.pid == os.getpid():
        return current
    with _lock:
        if _current is None or _current.pid != os.getpid():
            if _current is not None:
                _INHERITED.append(_current)
            _current = _LoopThread()
        return _current


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on the loop and wait for it; an interruption of the wait (Ctrl-C) cancels it."""
    background = loop_thread()
    if threading.current_thread() is background.thread:
        work.close()
        message = "a blocking call was made from the event loop's own thread"
        raise UsageError(message, reason=Reason.INVALID_ARGUMENT, hint="Use the asynchronous API there.")
    future = asyncio.run_coroutine_threadsafe(work, background.loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
