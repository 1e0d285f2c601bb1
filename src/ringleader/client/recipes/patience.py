"""Waiting for the store: for a change of some keys, and for a cluster that cannot serve at the moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ringleader.client.failures import CompactedError
from ringleader.client.kv import KV
from ringleader.client.types import Event
from ringleader.errors import DeadlineError, NotAppliedError, OutcomeUnknownError, Reason, RingleaderError, UsageError

__all__ = ["PAUSE", "Budget", "changed", "insist"]

T = TypeVar("T")
PAUSE = 0.05
"""Between attempts when the cluster cannot serve, seconds; twice as long each time in a row."""
LONGEST_PAUSE = 1.0
ROOM = 15.0
"""For so long room is waited for, seconds: a leader with a full disk hands over within ten, a used up quota needs somebody."""


class Budget:
    """The time that a call made of several has: `left` seconds for the next one."""

    def __init__(self, seconds: float, what: str) -> None:
        self._seconds = seconds
        self._what = what
        self._until = asyncio.get_running_loop().time() + seconds

    @property
    def left(self) -> float:
        """Seconds. Raises `DeadlineError` when none are left."""
        left = self._until - asyncio.get_running_loop().time()
        if left <= 0:
            message = f"{self._what}: not served within {self._seconds:g} s"
            raise DeadlineError(message, reason=Reason.DEADLINE, hint="Give it a longer timeout.")
        return left


async def insist(attempt: Callable[[], Awaitable[T]], may_go_on: Callable[[RingleaderError], None]) -> T:
    """Repeat what is safe to repeat for as long as the cluster cannot serve it; but not for ever when it has no room.

    Before each repetition `may_go_on` is asked with the error that came; it raises when there is no use in it.
    """
    clock = asyncio.get_running_loop().time
    pause = PAUSE
    full_since = 0.0
    while True:
        try:
            return await attempt()
        except (NotAppliedError, OutcomeUnknownError) as error:
            if error.reason is Reason.CLOSED:
                raise
            may_go_on(error)
            full_since = (full_since or clock()) if error.reason is Reason.NO_SPACE else 0.0
            if full_since and clock() > full_since + ROOM:
                raise
        except UsageError as error:
            may_go_on(error)
            raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def changed(
    kv: KV,
    name: bytes,
    revision: int,
    *,
    prefix: bool = False,
    puts: bool = True,
    deletes: bool = True,
    lost: asyncio.Event | None = None,
    wanted: Callable[[Event], bool] = lambda event: True,
) -> bool:
    """Wait for a change at `revision` or later; False when `lost` is set before it came.

    Also returns when the history since then is gone: then the change may have come. Raises `NotAppliedError` when the
    client is closed.
    """
    stream = kv.watch(name, prefix=prefix, start_revision=revision, puts=puts, deletes=deletes)
    came = asyncio.ensure_future(_first(stream.__anext__, wanted))
    waiting: set[asyncio.Future[Any]] = {came}
    if lost is not None:
        waiting.add(asyncio.ensure_future(lost.wait()))
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not came.done():
            return False
        came.result()
        return True
    finally:
        for each in waiting:
            each.cancel()
        await stream.aclose()


async def _first(step: Callable[[], Awaitable[Event]], wanted: Callable[[Event], bool]) -> None:
    try:
        while not wanted(await step()):
            pass
    except CompactedError:
        pass
    except StopAsyncIteration:
        raise NotAppliedError("the client was closed", reason=Reason.CLOSED, hint="Open a new one.") from None
