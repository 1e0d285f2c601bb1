"""A semaphore: at most so many holders at once, in the order in which they came.

All stand in one line, and the first `permits` of it hold a permit. Who waits watches the one just before, who marks its
place when it gets its permit; only the first of those who wait watches the holders. So a release wakes one waiter, whose
mark then wakes the next. The marks are for waking alone: who holds a permit is decided by the line.
"""

from __future__ import annotations

import msgspec

from ringleader.client.kv import KV
from ringleader.client.leases import Lease
from ringleader.client.ops import put
from ringleader.client.recipes.held import Acquirable
from ringleader.client.recipes.line import Line
from ringleader.client.recipes.names import SEMAPHORES, quoted
from ringleader.client.recipes.place import Place
from ringleader.client.types import KeyValue, whole
from ringleader.errors import Reason, UsageError

__all__ = ["Holder", "Semaphore"]

_MOST = 10_000
_WAITS = b"waits"
_HOLDS = b"holds"


class Holder(msgspec.Struct, frozen=True):
    """Who holds a permit: the value it was asked for with, its key, and its fencing token."""

    value: bytes
    key: bytes
    fencing_token: int

    @property
    def text(self) -> str:
        """The value as text (UTF-8)."""
        return self.value.decode()


class Semaphore(Acquirable):
    """One permit of `permits`: `async with db.semaphore("builds", 3) as permit:`. All must agree on the number.

    A holder that dies gives its permit back after `ttl` seconds at the latest. See `Lock` for the `fencing_token`.
    """

    def __init__(self, kv: KV, lease: Lease, name: str, permits: int, value: bytes, timeout: float | None) -> None:
        if not 0 < whole(permits, "the number of permits") <= _MOST:
            message = f"a semaphore has 1 to {_MOST:,} permits, not {permits:,}"
            raise UsageError(message, reason=Reason.INVALID_ARGUMENT)
        self._kv = kv
        self._prefix = SEMAPHORES + quoted(name, "semaphore") + b"/"
        super().__init__(Place(_Permit(kv, lease, self._prefix, value, f"semaphore {name!r}", permits)), timeout)
        self.name = name
        self.permits = permits

    async def holders(self, *, timeout: float | None = None) -> list[Holder]:
        """Who holds a permit now, longest first. Need not have been acquired."""
        found = await self._kv.range(self._prefix, prefix=True, sort_by="create", limit=self.permits, timeout=timeout)
        return [Holder(_parse(each.value)[2], each.key, each.create_revision) for each in found]


class _Permit(Line):
    """A place in the line of a semaphore. Its key holds its state, the number of permits and the user's value."""

    def __init__(self, kv: KV, lease: Lease, prefix: bytes, value: bytes, what: str, permits: int) -> None:
        text = b"%d %s" % (permits, value)
        super().__init__(kv, lease, prefix, _WAITS + b" " + text, Reason.LOCK_LOST, what)
        self._permits = permits
        self._marked = _HOLDS + b" " + text

    async def wait(self) -> None:
        """Until fewer stand before us than there are permits."""
        while True:
            before, revision = await self.insist(self._before)
            self._must_agree(before)
            if len(before) < self._permits:
                await self.insist(self._mark)
                self.lease.check()
                return
            if _parse(before[0].value)[0] == _HOLDS:
                await self.changed(self.prefix, revision + 1, prefix=True, puts=False)
            else:
                await self.changed(before[0].key, revision + 1)

    async def _before(self) -> tuple[list[KeyValue], int]:
        """Those before us, the nearest first, at most as many as there are permits; and as of when."""
        found = await self.kv.range(
            self.prefix, prefix=True, sort_by="create", descending=True, limit=self._permits + 1,
            max_create_revision=self.token,
        )  # fmt: skip
        if not found or found[0].key != self.key:
            raise self.gone_error()
        return found.items[1:], found.revision

    async def _mark(self) -> None:
        result = await self.kv.txn(compare=[self.condition], success=[put(self.key, self._marked, lease=self.lease.id)])
        if not result.succeeded:
            raise self.gone_error()

    def _must_agree(self, before: list[KeyValue]) -> None:
        if before and (theirs := _parse(before[0].value)[1]) != self._permits:
            message = f"{self.what} was asked for with {self._permits} permits, and by another with {theirs}"
            raise UsageError(message, reason=Reason.INVALID_ARGUMENT, hint="All must agree on the number.")


def _parse(value: bytes) -> tuple[bytes, int, bytes]:
    """State, number of permits, the user's value."""
    state, permits, rest = value.split(b" ", 2)
    return state, int(permits), rest
