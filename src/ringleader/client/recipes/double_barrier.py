"""A double barrier: so many members begin together, and nobody goes on before all of them have ended.

Each member puts a key attached to its lease. Whoever sees that enough are there writes down, once, up to which create
revision they belong to this round; all wait for that one key. To leave, all but the oldest of the round delete their key and
wait for the oldest, which goes last: one wake-up each and no herd (ZooKeeper's recipe). Who comes too late for a round
waits for its end and belongs to the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import TracebackType
from typing import Self

from ringleader.client.kv import KV
from ringleader.client.leases import Lease
from ringleader.client.ops import delete, key, put
from ringleader.client.recipes.line import Line
from ringleader.client.recipes.names import DOUBLE_BARRIERS, quoted
from ringleader.client.types import KeyValue, RangeResult, whole
from ringleader.errors import DeadlineError, Reason, RingleaderError, UsageError

__all__ = ["DoubleBarrier"]

_MOST = 10_000


class DoubleBarrier:
    """One member of `count`: `async with db.double_barrier("epoch-7", 4):` begins and ends together with the others.

    A member that dies before it entered does not count; one that dies inside counts as having left, after `ttl` seconds.
    """

    def __init__(self, kv: KV, lease: Lease, name: str, count: int, value: bytes, timeout: float | None) -> None:
        if not 0 < whole(count, "the number of members") <= _MOST:
            message = f"a double barrier is for 1 to {_MOST:,} members, not {count:,}"
            raise UsageError(message, reason=Reason.INVALID_ARGUMENT)
        base = DOUBLE_BARRIERS + quoted(name, "double barrier") + b"/"
        self._members = base + b"members/"
        self._ready = base + b"ready"
        self._what = f"double barrier {name!r}"
        self._line = Line(kv, lease, self._members, value, Reason.LOCK_LOST, self._what)
        self._kv = kv
        self._lease = lease
        self._timeout = timeout
        self._round = 0  # the create revision of the youngest member of the round
        self._entered = False
        self.name = name
        self.count = count

    @property
    def lost(self) -> asyncio.Event:
        """Set as soon as the lease may have ended: then the others may go on without this member."""
        return self._lease.lost

    async def enter(self) -> Self:
        """Wait until `count` members are there. Raises `DeadlineError` when that takes longer than the `timeout`."""
        if self._entered:
            hint = "Make a new one for each time."
            raise UsageError(f"{self._what} was entered before", reason=Reason.INVALID_ARGUMENT, hint=hint)
        self._entered = True
        try:
            await self._within(self._enter(), "not enough came within")
        except BaseException:
            await self._lease.revoke()
            raise
        return self

    async def leave(self) -> None:
        """Wait until all members of this round have called it, or died. Raises `DeadlineError` as `enter` does."""
        try:
            if self._round and self._lease.alive:
                await self._within(self._leave(), "not all left within")
        finally:
            await self._lease.revoke()

    async def __aenter__(self) -> Self:
        return await self.enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.leave()
        else:
            await self._lease.revoke()  # what failed does not wait for the others

    async def _within(self, work: Awaitable[None], why: str) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await work
        except TimeoutError as error:
            if isinstance(error, RingleaderError):
                raise
            message = f"{self._what}: {why} {self._timeout:g} s"
            raise DeadlineError(message, reason=Reason.DEADLINE, hint="See that all members run.") from None

    async def _enter(self) -> None:
        await self._lease.grant()
        line = self._line
        await line.join()
        while True:
            ready, revision = await line.insist(self._look_at_ready)
            if ready is None:
                there = await line.insist(lambda: self._there(limit=self.count))
                if len(there) == self.count:
                    youngest = there[self.count - 1].create_revision
                    await line.insist(lambda: self._announce(youngest))  # noqa: B023  # runs before the loop goes on
                else:
                    await line.changed(self._ready, revision + 1)
            elif int(ready.value) >= line.token:
                self._lease.check()
                self._round = int(ready.value)
                return
            else:
                await self._see_round_end(ready)

    async def _see_round_end(self, ready: KeyValue) -> None:
        """We came too late for this round: wait for one of its members at a time; clear up when none is left."""
        last = int(ready.value)
        rest = await self._line.insist(lambda: self._there(up_to=last))
        if rest:
            await self._line.changed(rest[len(rest) - 1].key, rest.revision + 1, puts=False)
        else:
            await self._line.insist(lambda: self._clear(ready))

    async def _leave(self) -> None:
        line = self._line
        while True:
            rest = await line.insist(lambda: self._there(up_to=self._round))
            here = any(each.key == line.key for each in rest)
            if not rest:
                return
            if rest[0].key != line.key:
                if here:
                    await line.insist(lambda: self._kv.txn(compare=[line.condition], success=[delete(line.key)]))
                await line.changed(rest[0].key, rest.revision + 1, puts=False)
            elif len(rest) > 1:
                await line.changed(rest[len(rest) - 1].key, rest.revision + 1, puts=False)
            else:
                await line.insist(self._go_last)
                return

    async def _go_last(self) -> None:
        """We are the last of our round: it ends with our key, so that nobody can take us for one of the next."""
        ready, _ = await self._look_at_ready()
        ours = [] if ready is None or int(ready.value) != self._round else [delete(self._ready)]
        same = [] if not ours or ready is None else [key(self._ready).create_revision == ready.create_revision]
        await self._kv.txn(
            compare=[self._line.condition, *same],
            success=[delete(self._line.key), *ours],
            failure=[delete(self._line.key)],
        )

    async def _look_at_ready(self) -> tuple[KeyValue | None, int]:
        found = await self._kv.range(self._ready)
        return (found[0] if found else None), found.revision

    async def _there(self, *, limit: int = 0, up_to: int = 0) -> RangeResult:
        """The members, oldest first."""
        return await self._kv.range(
            self._members, prefix=True, sort_by="create", limit=limit, max_create_revision=up_to, keys_only=True
        )

    async def _announce(self, youngest: int) -> None:
        """The round is complete: it reaches up to the member with this create revision."""
        await self._kv.txn(compare=[key(self._ready).missing], success=[put(self._ready, str(youngest))])

    async def _clear(self, ready: KeyValue) -> None:
        """The round is over. Of several who say so one does it."""
        same = key(self._ready).create_revision == ready.create_revision
        await self._kv.txn(compare=[same], success=[delete(self._ready)])
