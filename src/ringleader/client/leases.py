"""Leases: a period of time that the store counts; keys attached to one go when it ends.

A `Lease` keeps itself alive well within its time and knows, by its own clock and counted from before each request was
sent, until when it certainly lives: after that it is lost, even if no node could be asked.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from types import TracebackType
from typing import Self

from ringleader.client.engine import Engine
from ringleader.client.steady import steady
from ringleader.client.types import LeaseInfo, to_timeout_ms, whole
from ringleader.errors import NotAppliedError, Reason, RingleaderError, UsageError
from ringleader.store import commands as wire

__all__ = ["Lease", "Leases"]

_DRIFT = 0.99  # how much of its time a lease is trusted for: two clocks never run at the same speed


class Leases:
    """The operations on leases, one by one, for those who keep them alive themselves. `ttl` in seconds."""

    def __init__(self, engine: Engine, timeout: float) -> None:
        self._engine = engine
        self._timeout = timeout

    async def grant(self, ttl: float, *, timeout: float | None = None) -> LeaseInfo:
        """A new lease. The store may grant more than asked (at least one second)."""
        command = wire.LeaseGrant(to_timeout_ms(ttl, "the ttl of a lease"))
        return await self._write(command, timeout)

    async def keep_alive(self, lease: int, *, timeout: float | None = None) -> LeaseInfo:
        """Start the lease's time anew. Raises `UsageError` (lease-not-found) when it has ended."""
        return await self._write(wire.LeaseKeepAlive(whole(lease, "lease")), timeout)

    async def revoke(self, lease: int, *, timeout: float | None = None) -> None:
        """End a lease now; its keys go with it."""
        await self._write(wire.LeaseRevoke(whole(lease, "lease")), timeout)

    async def info(self, lease: int, *, keys: bool = False, timeout: float | None = None) -> LeaseInfo | None:
        """How long a lease has left and, if asked, which keys hang on it; `None` when there is none."""
        call = self._engine.query(
            (wire.LeaseInfo(whole(lease, "lease"), keys),), self._given(timeout), "linearizable", 0
        )
        (result,) = await self._engine.wait(*call)
        assert isinstance(result, wire.LeaseInfoResult)
        if result.remaining_ms < 0:
            return None
        return LeaseInfo(result.id, result.ttl_ms / 1000, result.remaining_ms / 1000, list(result.keys))

    async def list(self, *, timeout: float | None = None) -> list[int]:
        """The ids of all leases."""
        call = self._engine.query((wire.LeaseList(),), self._given(timeout), "linearizable", 0)
        (result,) = await self._engine.wait(*call)
        assert isinstance(result, wire.LeaseListResult)
        return list(result.ids)

    def _given(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else timeout

    async def _write(self, command: wire.Command, timeout: float | None) -> LeaseInfo:
        call = self._engine.submit((command,), self._given(timeout))
        (result,) = await self._engine.wait(*call)
        assert isinstance(result, wire.LeaseResult)
        return LeaseInfo(result.id, result.ttl_ms / 1000, result.ttl_ms / 1000)


class Lease:
    """A lease that keeps itself alive: `async with db.lease(10) as lease: await db.kv.put("a", "1", lease=lease.id)`.

    `lost` is an `asyncio.Event`, set as soon as the lease may have ended without `revoke`; `check()` raises then. It
    belongs to the process that took it: a forked one finds it gone, and leaves it alone.
    """

    def __init__(self, engine: Engine, ttl: float, timeout: float) -> None:
        self._engine = engine
        self._timeout = timeout
        self._ask_ms = to_timeout_ms(ttl, "the ttl of a lease")
        self._id = 0
        self._ttl = 0.0
        self._until = 0.0
        self._awake_until = 0.0  # the same by the steady clock: the loop's stands still while the machine is suspended
        self._due = 0.0  # when to keep it alive next: counted, as its time is, from before the last request was sent
        self._ended = False
        self._why = ""
        self._keeper: asyncio.Task[None] | None = None
        self._pid = os.getpid()
        self.lost = asyncio.Event()

    @property
    def id(self) -> int:
        """The lease's number. Raises `NotAppliedError` (lease-lost) when it has been lost, as `check` does."""
        self.check()
        return self._id

    @property
    def ttl(self) -> float:
        """The granted time in seconds."""
        return self._ttl

    @property
    def remaining(self) -> float:
        """For how many seconds from now it certainly lives, by this process's clock; 0 when it may have ended."""
        if self._id == 0 or self._ended or self.lost.is_set() or self._pid != os.getpid():
            return 0.0
        return max(0.0, self._left())

    def _left(self) -> float:
        return min(self._until - asyncio.get_running_loop().time(), self._awake_until - steady())

    def _renewed(self, sent_at: float, sent_steady: float, ttl: float) -> None:
        """The store has granted `ttl` seconds after the request left at these times, of the loop's and the steady clock."""
        self._ttl = ttl
        self._until, self._awake_until = sent_at + ttl * _DRIFT, sent_steady + ttl * _DRIFT
        self._due = sent_at + ttl / 3

    @property
    def alive(self) -> bool:
        """Whether it certainly lives at this moment (also right after a pause of the process)."""
        return self.remaining > 0

    def check(self) -> None:
        """Raise `NotAppliedError` (lease-lost) unless the lease certainly lives at this moment."""
        if self._id == 0 and not self._ended:
            hint = "Use it as `async with db.lease(ttl) as lease:`."
            raise UsageError("the lease was not granted yet", reason=Reason.INVALID_ARGUMENT, hint=hint)
        if not self.alive:
            raise self.error()

    def error(self) -> RingleaderError:
        """What `check` raises once the lease is gone."""
        if self._pid != os.getpid():
            message = f"lease {self._id:x} belongs to the process that this one was forked from"
            return NotAppliedError(message, reason=Reason.LEASE_LOST, hint="Take one of its own in this process.")
        why = self._why or ("it was revoked" if self._ended else "its time ran out before it could be kept alive")
        hint = "Stop what depended on it, and take a new one."
        return NotAppliedError(f"lease {self._id:x} is gone: {why}", reason=Reason.LEASE_LOST, hint=hint)

    async def grant(self) -> Self:
        """Take the lease and begin to keep it alive. Done by `async with` and `await`."""
        if not self._id:
            self._pid = os.getpid()
        if self._id or self._ended:
            raise UsageError("a lease is granted once", reason=Reason.INVALID_ARGUMENT, hint="Make a new one.")
        sent_at, sent_steady = asyncio.get_running_loop().time(), steady()
        _number, future = self._engine.submit((wire.LeaseGrant(self._ask_ms),), self._timeout)
        try:
            (result,) = await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(self._give_back)
            raise
        assert isinstance(result, wire.LeaseResult)
        self._id = result.id
        self._renewed(sent_at, sent_steady, result.ttl_ms / 1000)
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name=f"lease-{self._id:x}")
        return self

    async def revoke(self) -> None:
        """End the lease and delete its keys. When no node can be reached it ends by itself after its time: no error.

        In a process forked from the one that took it nothing happens: it is not that one's to end.
        """
        if self._ended or self._pid != os.getpid():
            return
        self._ended = True
        await self._stop_keeper()
        if self._id == 0 or self._engine.closed:
            return
        try:
            _, future = self._engine.submit((wire.LeaseRevoke(self._id),), self._timeout)
            await asyncio.shield(future)  # once asked it is asked, even if the waiter is cancelled
        except asyncio.CancelledError:
            future.add_done_callback(_forget_outcome)
            raise
        except RingleaderError:
            pass  # gone already, or it ends by itself

    def __await__(self) -> Generator[object, None, Self]:
        return self.grant().__await__()

    async def __aenter__(self) -> Self:
        return await self.grant()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.revoke()

    def _give_back(self, future: asyncio.Future[list[wire.Result]]) -> None:
        """The waiter was cancelled while the grant was on its way: revoke what it brings."""
        if future.cancelled() or future.exception() is not None or self._engine.closed:
            return
        (result,) = future.result()
        if isinstance(result, wire.LeaseResult):
            _, revoked = self._engine.submit((wire.LeaseRevoke(result.id),), self._timeout)
            revoked.add_done_callback(_forget_outcome)

    async def _stop_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None and keeper is not asyncio.current_task():
            keeper.cancel()

    async def _keep(self) -> None:
        """Keep alive after each third of the time, and more often when that fails, until it is lost."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(0.0, min(self._due, self._until) - loop.time()))
            sent_at, sent_steady, left = loop.time(), steady(), self._left()
            if self._pid != os.getpid():
                return  # a copy of the task in a forked process: only the one that took the lease keeps it
            if left <= 0:
                self._lose("its time ran out before it could be kept alive")
                return
            try:
                call = self._engine.submit((wire.LeaseKeepAlive(self._id),), left)
                (result,) = await self._engine.wait(*call)
            except UsageError as error:
                self._lose(error.message)
                return
            except RingleaderError as error:
                if error.reason is Reason.CLOSED:
                    self._lose("the client was closed")
                    return
                self._why = error.message
                self._due = loop.time() + min(self._ttl / 20, 0.5)
                continue
            assert isinstance(result, wire.LeaseResult)
            self._why = ""
            self._renewed(sent_at, sent_steady, result.ttl_ms / 1000)

    def _lose(self, why: str) -> None:
        self._why = why
        self.lost.set()


def _forget_outcome(future: asyncio.Future[list[wire.Result]]) -> None:
    """Nobody is left to hear of it."""
    if not future.cancelled():
        future.exception()
