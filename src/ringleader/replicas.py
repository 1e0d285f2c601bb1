"""The real world for replicated data: `replica()` supplies randomness and the wall clock, and notices a forked process.

The types themselves (`ringleader.crdt`) are pure. A process that forks (gunicorn, Celery, multiprocessing) would
write under its parent's identities; every replica made here takes a new one in the child, before anything can be
written.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from ringleader.crdt.base import Crdt
from ringleader.crdt.identity import ReplicaContext
from ringleader.crdt.replica import Alarm, Replica
from ringleader.crdt.watch import Change, ChangeStream
from ringleader.crdt.wire import DEFAULT_LIMITS, Limits

__all__ = ["changes", "replica"]

T = TypeVar("T", bound=Crdt)
_system = random.SystemRandom()
_living: weakref.WeakSet[Replica[Any]] = weakref.WeakSet()


def _wall() -> int:
    return time.time_ns() // 1_000_000


def replica(
    make: Callable[[ReplicaContext | None], T],
    *,
    state: bytes | None = None,
    max_drift_ms: int = 60_000,
    on_alarm: Callable[[Alarm], None] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Replica[T]:
    """A replica of a type or `Model`, writable under a random 128-bit identity that is new each time.

    `state`: bytes from an earlier `root.encode()`. See `ringleader.crdt.Replica` for the rest.
    """
    made = Replica(
        make,
        entropy=_system,
        wall=_wall,
        state=state,
        max_drift_ms=max_drift_ms,
        on_alarm=on_alarm,
        limits=limits,
    )
    _living.add(made)
    return made


def _after_fork() -> None:
    for made in list(_living):
        made.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


async def changes(node: Crdt, limit: int = 1024) -> AsyncIterator[Change]:
    """`async for change in changes(cart.items)`: every change at `node` and below, local and remote.

    Bounded: a reader that falls more than `limit` places behind gets one change for the whole node (key None) instead.
    """
    arrived = asyncio.Event()
    stream = ChangeStream(node, limit, arrived.set)
    while True:
        await arrived.wait()
        arrived.clear()
        for change in stream.take():
            yield change
