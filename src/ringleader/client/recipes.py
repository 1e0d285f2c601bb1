"""Locks and elections: who is first in a fair queue, with a fencing token and news of the loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from types import TracebackType
from typing import Self
from urllib.parse import quote_from_bytes

import msgspec

from ringleader.client.engine import Engine
from ringleader.client.failures import CompactedError
from ringleader.client.kv import KV
from ringleader.client.leases import Lease
from ringleader.client.ops import Condition, put
from ringleader.client.place import Place, first_in
from ringleader.client.types import KeyValue, to_bytes
from ringleader.errors import NotAppliedError, Reason, UsageError

__all__ = ["Election", "Leader", "Leadership", "Lock"]

_LOCKS = b"ringleader/locks/"
_ELECTIONS = b"ringleader/elections/"
_PAUSE = 0.2  # between attempts when the cluster cannot serve, seconds


class _Held:
    """What a lock and a leadership have in common: a place in a queue that can be lost."""

    def __init__(self, kv: KV, lease: Lease, prefix: bytes, value: bytes, gone: Reason, what: str) -> None:
        self._place = Place(kv, lease, prefix, value, gone, what)

    @property
    def fencing_token(self) -> int:
        """A number that grows with every holder. Pass it on to what you write to, so that it can refuse an older one."""
        self._place.check()
        return self._place.token

    @property
    def held(self) -> bool:
        """Whether it is certainly held at this moment, also right after a pause of the process."""
        return self._place.held

    @property
    def lost(self) -> asyncio.Event:
        """Set as soon as it may have been lost: its lease ended, or its key was deleted."""
        return self._place.lost

    @property
    def key(self) -> bytes:
        """The key in the store that stands for it."""
        return self._place.key

    @property
    def condition(self) -> Condition:
        """True in a transaction as long as it is held: `db.kv.txn(compare=[lock.condition], success=[...])`."""
        self._place.check()
        return self._place.condition

    def check(self) -> None:
        """Raise `NotAppliedError` (lock-lost) unless it is certainly held at this moment."""
        self._place.check()


class Lock(_Held):
    """A lock across processes: `async with db.lock("name") as lock: ... lock.fencing_token ...`.

    Fair: first come, first served. A holder that dies is followed after `ttl` seconds at the latest. As with every lock
    over a network, a holder that is paused for longer than `ttl` is followed by another before it knows: what the lock
    protects should refuse a `fencing_token` lower than one it has seen. Not re-entrant; acquire it once.
    """

    def __init__(self, kv: KV, lease: Lease, name: str, value: bytes, timeout: float | None) -> None:
        prefix = _LOCKS + checked_name(name) + b"/"
        super().__init__(kv, lease, prefix, value, Reason.LOCK_LOST, f"lock {name!r}")
        self.name = name
        self._timeout = timeout

    async def acquire(self) -> Self:
        """Wait for the lock. Raises `DeadlineError` when it takes longer than the lock's `timeout`."""
        await self._place.enter(self._timeout)
        return self

    async def release(self) -> None:
        """Give the lock to whoever is next."""
        await self._place.leave()

    def __await__(self) -> Generator[object, None, Self]:
        return self.acquire().__await__()

    async def __aenter__(self) -> Self:
        return await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()


class Leader(msgspec.Struct, frozen=True):
    """Who leads: the value it campaigned with, its key, and its fencing token."""

    value: bytes
    key: bytes
    fencing_token: int

    @property
    def text(self) -> str:
        """The value as text (UTF-8)."""
        return self.value.decode()


class Leadership(_Held):
    """Being elected: `async with election.campaign("me") as leadership:`; ends with the block or with `resign()`."""

    def __init__(self, kv: KV, lease: Lease, name: str, prefix: bytes, value: bytes, timeout: float | None) -> None:
        super().__init__(kv, lease, prefix, value, Reason.LOCK_LOST, f"leadership {name!r}")
        self._kv = kv
        self._lease = lease
        self._timeout = timeout

    async def campaign(self) -> Self:
        """Wait to be elected. Raises `DeadlineError` when it takes longer than the campaign's `timeout`."""
        await self._place.enter(self._timeout)
        return self

    async def proclaim(self, value: str | bytes, *, timeout: float | None = None) -> None:
        """Change the value that others see. Raises `NotAppliedError` (lock-lost) when another leads by now."""
        self._place.check()
        change = put(self.key, to_bytes(value, "value"), lease=self._lease.id)
        result = await self._kv.txn(compare=[self._place.condition], success=[change], timeout=timeout)
        if not result.succeeded:
            message = "proclaim: this leadership has ended"
            raise NotAppliedError(message, reason=Reason.LOCK_LOST, hint="Campaign again.")

    async def resign(self) -> None:
        """Step down; whoever is next leads."""
        await self._place.leave()

    def __await__(self) -> Generator[object, None, Self]:
        return self.campaign().__await__()

    async def __aenter__(self) -> Self:
        return await self.campaign()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.resign()


class Election:
    """An election by name: campaign in it, ask who leads, or observe the leaders as they come."""

    def __init__(self, engine: Engine, kv: KV, name: str, timeout: float) -> None:
        self._engine = engine
        self._kv = kv
        self._call_timeout = timeout
        self._prefix = _ELECTIONS + checked_name(name) + b"/"
        self.name = name

    def campaign(self, value: str | bytes, *, ttl: float = 10.0, timeout: float | None = None) -> Leadership:
        """Stand for election with `value`: enter it with `async with`, or `await` it and `resign()` later.

        `timeout`: how long to wait to be elected, seconds; `None`: as long as it takes.
        """
        lease = Lease(self._engine, ttl, self._call_timeout)
        return Leadership(self._kv, lease, self.name, self._prefix, to_bytes(value, "value"), timeout)

    async def leader(self, *, timeout: float | None = None) -> Leader | None:
        """Who leads now; `None` when nobody does."""
        return _leader((await first_in(self._kv, self._prefix, timeout))[0])

    async def observe(self) -> AsyncGenerator[Leader | None, None]:
        """Who leads now, and then everyone who leads later, with every new value; `None` while nobody does.

        Changes that follow each other closely may be seen as one; the last one is always seen.
        """
        last: Leader | None = None
        started = False
        while True:
            first, revision = await self._first()
            now = _leader(first)
            if not started or now != last:
                started, last = True, now
                yield now
            stream = self._kv.watch(self._prefix, prefix=True, start_revision=revision + 1)
            try:
                await anext(stream)
            except CompactedError:
                pass  # asked anew above
            except StopAsyncIteration:
                return
            finally:
                await stream.aclose()

    async def _first(self) -> tuple[KeyValue | None, int]:
        """Ask until the cluster can answer: an observer outlives a loss of quorum."""
        while True:
            try:
                return await first_in(self._kv, self._prefix)
            except NotAppliedError as error:
                if error.reason is Reason.CLOSED:
                    raise
                await asyncio.sleep(_PAUSE)


def checked_name(name: str) -> bytes:
    """The name of a lock or election as part of a key, quoted so that no name is the beginning of another's keys."""
    if not name:
        raise UsageError("a lock or election needs a name", reason=Reason.INVALID_ARGUMENT)
    return quote_from_bytes(to_bytes(name, "name"), safe="").encode()


def _leader(first: KeyValue | None) -> Leader | None:
    return None if first is None else Leader(first.value, first.key, first.create_revision)
