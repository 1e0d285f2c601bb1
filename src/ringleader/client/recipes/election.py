"""An election by name: who is first in a fair queue leads, and everyone can see who that is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from types import TracebackType
from typing import Self

import msgspec

from ringleader.client.engine import Engine
from ringleader.client.failures import CompactedError
from ringleader.client.kv import KV
from ringleader.client.leases import Lease
from ringleader.client.ops import put
from ringleader.client.recipes.held import Held
from ringleader.client.recipes.line import Line, first_in
from ringleader.client.recipes.names import ELECTIONS, quoted
from ringleader.client.recipes.place import Place
from ringleader.client.types import KeyValue, to_bytes
from ringleader.errors import NotAppliedError, Reason

__all__ = ["Election", "Leader", "Leadership"]

_PAUSE = 0.2  # between attempts when the cluster cannot serve, seconds


class Leader(msgspec.Struct, frozen=True):
    """Who leads: the value it campaigned with, its key, and its fencing token."""

    value: bytes
    key: bytes
    fencing_token: int

    @property
    def text(self) -> str:
        """The value as text (UTF-8)."""
        return self.value.decode()


class Leadership(Held):
    """Being elected: `async with election.campaign("me") as leadership:`; ends with the block or with `resign()`."""

    def __init__(self, kv: KV, lease: Lease, name: str, prefix: bytes, value: bytes, timeout: float | None) -> None:
        super().__init__(Place(Line(kv, lease, prefix, value, Reason.LOCK_LOST, f"leadership {name!r}")))
        self._kv = kv
        self._lease = lease
        self._timeout = timeout

    async def campaign(self) -> Self:
        """Wait to be elected. Raises `DeadlineError` when it takes longer than the campaign's `timeout`."""
        await self._place.enter(self._timeout)
        return self

    async def proclaim(self, value: str | bytes, *, timeout: float | None = None) -> None:
        """Change the value that others see. Raises `NotAppliedError` (lock-lost) when another leads by now."""
        change = put(self.key, to_bytes(value, "value"), lease=self._lease.id)
        result = await self._kv.txn(compare=[self.condition], success=[change], timeout=timeout)
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
        self._prefix = ELECTIONS + quoted(name, "election") + b"/"
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


def _leader(first: KeyValue | None) -> Leader | None:
    return None if first is None else Leader(first.value, first.key, first.create_revision)
