"""What locks, permits and leaderships have in common: a place in a queue that can be lost, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from types import TracebackType
from typing import Self

from ringleader.client.ops import Condition
from ringleader.client.recipes.place import Place

__all__ = ["Acquirable", "Held"]


class Held:
    """Something held by its place in a line."""

    def __init__(self, place: Place) -> None:
        self._place = place

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
        return self._place._line.condition

    def check(self) -> None:
        """Raise `NotAppliedError` (lock-lost) unless it is certainly held at this moment."""
        self._place.check()


class Acquirable(Held):
    """Something to acquire, hold for the length of a block, and release. Not re-entrant; acquire it once."""

    def __init__(self, place: Place, timeout: float | None) -> None:
        super().__init__(place)
        self._timeout = timeout

    async def acquire(self) -> Self:
        """Wait for it. Raises `DeadlineError` when that takes longer than the `timeout` it was made with."""
        await self._place.enter(self._timeout)
        return self

    async def release(self) -> None:
        """Give it to whoever is next."""
        await self._place.leave()

    def __await__(self) -> Generator[object, None, Self]:
        return self.acquire().__await__()

    async def __aenter__(self) -> Self:
        return await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()
