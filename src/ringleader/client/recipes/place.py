"""A fair queue in the store: the place of locks and elections, made of transactions, leases and watches alone.

Everyone who wants in puts a key under one prefix, attached to a lease. Who has the lowest create revision is first; all
others watch only the key before theirs, so that a release wakes one waiter and no herd (ZooKeeper's recipe for locks; Hunt
et al., USENIX ATC 2010, section 2.4). The create revision of the key only ever grows: it is the fencing token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ringleader.client.failures import CompactedError
from ringleader.client.kv import KV
from ringleader.client.leases import Lease
from ringleader.client.ops import Condition, get, key, put
from ringleader.client.types import KeyValue, RangeResult
from ringleader.errors import (
    DeadlineError,
    NotAppliedError,
    Reason,
    RingleaderError,
    UsageError,
)

__all__ = ["Place", "first_in"]

T = TypeVar("T")
_PAUSE = 0.05  # between attempts when the cluster cannot serve, seconds


async def first_in(kv: KV, prefix: bytes, timeout: float | None = None) -> tuple[KeyValue | None, int]:
    """Who is first in the queue, and the revision as of which that is so."""
    found = await kv.range(prefix, prefix=True, sort_by="create", limit=1, timeout=timeout)
    return (found[0] if found else None), found.revision


class Place:
    """One place in one queue. `lost` is set when it may be gone, `token` is its fencing token (0 before `enter`)."""

    def __init__(self, kv: KV, lease: Lease, prefix: bytes, value: bytes, gone: Reason, what: str) -> None:
        self._kv = kv
        self._lease = lease
        self._prefix = prefix
        self._value = value
        self._gone = gone
        self._what = what
        self._guard: asyncio.Task[None] | None = None
        self._entered = False
        self._deleted = False
        self.key = b""
        self.token = 0
        self.lost = asyncio.Event()

    async def enter(self, timeout: float | None) -> None:
        """Queue up and wait to be first; `timeout` in seconds, `None`: as long as it takes.

        Raises `DeadlineError`, or `NotAppliedError` when the lease was lost meanwhile. Whoever waits no longer, also
        because of a cancellation, leaves no place behind.
        """
        if self._entered:
            hint = "Make a new one for each time."
            raise UsageError(f"{self._what} was asked for before", reason=Reason.INVALID_ARGUMENT, hint=hint)
        self._entered = True
        try:
            async with asyncio.timeout(timeout):
                await self._lease.grant()
                self.key = self._prefix + f"{self._lease.id:016x}".encode()
                await self._take_place()
                await self._wait_for_turn()
        except BaseException as error:
            await self._lease.revoke()
            if isinstance(error, TimeoutError) and not isinstance(error, RingleaderError):
                message = f"{self._what}: others held it for all of {timeout:g} s"
                raise DeadlineError(
                    message, reason=Reason.DEADLINE, hint="Wait longer, or find out who holds it."
                ) from None
            raise
        self._guard = asyncio.get_running_loop().create_task(self._watch_own_key(), name=self._what)

    async def leave(self) -> None:
        """Give the place up; whoever is next is first then."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.cancel()
        await self._lease.revoke()

    @property
    def held(self) -> bool:
        """Whether the place is certainly still there at this moment."""
        return self.token > 0 and not self._deleted and self._lease.alive

    def check(self) -> None:
        """Raise `NotAppliedError` unless the place is certainly still there."""
        if self.token == 0:
            raise UsageError(f"{self._what} is not held", reason=Reason.INVALID_ARGUMENT, hint="Acquire it first.")
        if not self.held:
            why = "its key was deleted" if self._deleted else self._lease.error().message
            hint = "Stop what depended on it; pass the fencing token on to what you write to."
            raise NotAppliedError(f"{self._what} is lost: {why}", reason=self._gone, hint=hint)

    @property
    def condition(self) -> Condition:
        """True in a transaction as long as the place is there."""
        return key(self.key).create_revision == self.token

    async def _take_place(self) -> None:
        """Put the key, once; a repetition after a lost answer finds it there."""
        lease = self._lease.id

        async def attempt() -> int:
            result = await self._kv.txn(
                compare=[key(self.key).missing],
                success=[put(self.key, self._value, lease=lease)],
                failure=[get(self.key)],
            )
            if result.succeeded:
                return result.revision
            found = result.results[0]
            assert isinstance(found, RangeResult)
            return found[0].create_revision

        self.token = await self._insist(attempt)

    async def _wait_for_turn(self) -> None:
        """Until nobody is before us: wait for the one just before, and for nobody else."""
        while True:
            before, revision = await self._insist(self._predecessor)
            if before is None:
                self._lease.check()
                return
            if not await self._until_deleted(before.key, revision + 1):
                raise self._lease.error()

    async def _predecessor(self) -> tuple[KeyValue | None, int]:
        found = await self._kv.range(
            self._prefix, prefix=True, sort_by="create", descending=True, limit=2, max_create_revision=self.token
        )
        if not found or found[0].key != self.key:
            message = f"{self._what}: the place in the queue is gone"
            raise NotAppliedError(message, reason=self._gone, hint="Its lease ended, or someone deleted its key.")
        return (found[1] if len(found) > 1 else None), found.revision

    async def _until_deleted(self, name: bytes, revision: int) -> bool:
        """Wait until `name` is deleted at `revision` or later (or may have been); False when the lease is lost first."""
        stream = self._kv.watch(name, start_revision=revision, puts=False)
        deleted = asyncio.ensure_future(anext(stream))
        lost = asyncio.ensure_future(self._lease.lost.wait())
        try:
            await asyncio.wait({deleted, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not deleted.done():
                return False
            error = deleted.exception()
            if error is not None and not isinstance(error, CompactedError):
                raise error
            return True
        finally:
            deleted.cancel()
            lost.cancel()
            await stream.aclose()

    async def _watch_own_key(self) -> None:
        """Tell of the loss, whether the lease ended or someone deleted the key."""
        revision = self.token + 1
        try:
            while await self._until_deleted(self.key, revision):
                found = await self._insist(lambda: self._kv.range(self.key))
                if not found or found[0].create_revision != self.token:
                    self._deleted = True
                    return
                revision = found.revision + 1
        except (RingleaderError, StopAsyncIteration):
            pass  # the lease is lost, or the client was closed: nothing can be known any more
        finally:
            self.lost.set()

    async def _insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat what is safe to repeat for as long as the lease lives."""
        while True:
            try:
                return await attempt()
            except RingleaderError as error:
                if error.reason is Reason.LEASE_NOT_FOUND:
                    raise self._lease.error() from error
                if isinstance(error, UsageError) or error.reason in (Reason.CLOSED, self._gone):
                    raise
                if not self._lease.alive:
                    raise self._lease.error() from error
            await asyncio.sleep(_PAUSE)
