"""A barrier: while it is held nobody passes; everyone who waits goes on when it is released."""

from __future__ import annotations

import asyncio

from ringleader.client.kv import KV
from ringleader.client.ops import key, put
from ringleader.client.recipes.names import BARRIERS, quoted
from ringleader.client.recipes.patience import changed, insist
from ringleader.client.types import RangeResult
from ringleader.errors import DeadlineError, Reason

__all__ = ["Barrier"]


class Barrier:
    """A barrier by name: `await barrier.hold()`, then `await barrier.wait()` elsewhere, until `await barrier.release()`.

    It stays when the one who holds it dies, unless it was given a lease.
    """

    def __init__(self, kv: KV, name: str) -> None:
        self._kv = kv
        self._key = BARRIERS + quoted(name, "barrier")
        self.name = name

    async def hold(self, *, lease: int = 0, timeout: float | None = None) -> bool:
        """Let nobody pass from now on; False if that was so already. `lease`: the id of one that it ends with."""
        change = put(self._key, b"", lease=lease)
        result = await self._kv.txn(compare=[key(self._key).missing], success=[change], timeout=timeout)
        return result.succeeded

    async def release(self, *, timeout: float | None = None) -> bool:
        """Let everyone pass; False if nobody held it."""
        return (await self._kv.delete(self._key, timeout=timeout)).deleted > 0

    async def is_held(self, *, timeout: float | None = None) -> bool:
        """Whether it is held now."""
        return await self._kv.get(self._key, timeout=timeout) is not None

    async def wait(self, *, timeout: float | None = None) -> None:
        """Wait until it is not held, `timeout` seconds at most (`None`: as long as it takes, 0: not at all).

        Raises `DeadlineError`. Outlives a loss of quorum.
        """
        if timeout is not None and timeout <= 0 and not await self.is_held():
            return
        try:
            async with asyncio.timeout(timeout):
                found = first = await self._look()
                # A wait also ends when history was compacted away under it: it is over only if the hold is another one.
                while found and found[0].create_revision == first[0].create_revision:
                    await changed(self._kv, self._key, found.revision + 1, puts=False)
                    found = await self._look()
        except TimeoutError:
            message = f"barrier {self.name!r}: held for all of {timeout:g} s"
            raise DeadlineError(
                message, reason=Reason.DEADLINE, hint="Wait longer, or find out who holds it."
            ) from None

    async def _look(self) -> RangeResult:
        return await insist(lambda: self._kv.range(self._key), lambda _: None)
