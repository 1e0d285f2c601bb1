"""A lock across processes: who is first in a fair queue holds it, with a fencing token and news of the loss."""

from __future__ import annotations

from collections.abc import Generator
from types import TracebackType
from typing import Self

from ringleader.client.kv import KV
from ringleader.client.leases import Lease
from ringleader.client.recipes.held import Held
from ringleader.client.recipes.names import LOCKS, quoted
from ringleader.client.recipes.place import Place
from ringleader.errors import Reason

__all__ = ["Lock"]


class Lock(Held):
    """A lock across processes: `async with db.lock("name") as lock: ... lock.fencing_token ...`.

    Fair: first come, first served. A holder that dies is followed after `ttl` seconds at the latest. As with every lock
    over a network, a holder that is paused for longer than `ttl` is followed by another before it knows: what the lock
    protects should refuse a `fencing_token` lower than one it has seen. Not re-entrant; acquire it once.
    """

    def __init__(self, kv: KV, lease: Lease, name: str, value: bytes, timeout: float | None) -> None:
        prefix = LOCKS + quoted(name, "lock") + b"/"
        super().__init__(Place(kv, lease, prefix, value, Reason.LOCK_LOST, f"lock {name!r}"))
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
