"""A fair queue in the store: the line that locks, elections, permits and idle consumers stand in.

Everyone who wants in puts a key under one prefix, attached to a lease. Who has the lowest create revision is first; all
others watch only the key before theirs, so that a release wakes one waiter and no herd (ZooKeeper's recipe for locks; Hunt
et al., USENIX ATC 2010, section 2.4). The create revision of the key only ever grows: it is the fencing token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ringleader.client.kv import KV
from ringleader.client.leases import Lease
from ringleader.client.ops import Condition, get, key, put
from ringleader.client.recipes.patience import changed, insist
from ringleader.client.types import KeyValue, RangeResult
from ringleader.errors import NotAppliedError, Reason, RingleaderError

__all__ = ["Line", "first_in"]

T = TypeVar("T")


async def first_in(kv: KV, prefix: bytes, timeout: float | None = None) -> tuple[KeyValue | None, int]:
    """Who is first in the line, and the revision as of which that is so."""
    found = await kv.range(prefix, prefix=True, sort_by="create", limit=1, timeout=timeout)
    return (found[0] if found else None), found.revision


class Line:
    """A place in the line under `prefix`, for as long as `lease` lives. `token`: its create revision, 0 before `join`.

    `folder`: what comes between the prefix and the lease in the key, for those who tell several kinds of places apart.
    `gone`: the reason to give when the place is lost; `what` it stands for, in words. `trouble`: why the cluster does not
    serve, while it does not. `patient`: whether to wait for others at all.
    """

    def __init__(
        self, kv: KV, lease: Lease, prefix: bytes, value: bytes, gone: Reason, what: str, folder: bytes = b""
    ) -> None:
        self.kv = kv
        self.lease = lease
        self.prefix = prefix
        self.value = value
        self.gone = gone
        self.what = what
        self.key = b""
        self.token = 0
        self.trouble: RingleaderError | None = None
        self.patient = True
        self._folder = folder

    @property
    def condition(self) -> Condition:
        """True in a transaction as long as the place is there."""
        return key(self.key).create_revision == self.token

    async def join(self) -> None:
        """Put the key, once; a repetition after a lost answer finds it there."""
        lease = self.lease.id
        self.key = self.prefix + self._folder + f"{lease:016x}".encode()

        async def attempt() -> int:
            result = await self.kv.txn(
                compare=[key(self.key).missing],
                success=[put(self.key, self.value, lease=lease)],
                failure=[get(self.key)],
            )
            if result.succeeded:
                return result.revision
            found = result.results[0]
            assert isinstance(found, RangeResult)
            return found[0].create_revision

        self.token = await self.insist(attempt)

    async def wait(self) -> None:
        """Until nobody is before us: wait for the one who is in the way, and for nobody else.

        The own place is looked up again after every wait, and in the very read that finds nobody before it.
        """
        while True:
            before, revision = await self.insist(self._in_the_way)
            if before is None:
                self.lease.check()
                return
            await self.changed(before.key, revision + 1, puts=False)

    async def changed(self, name: bytes, revision: int, *, prefix: bool = False, puts: bool = True) -> None:
        """Wait for a change at `revision` or later.

        Raises `NotAppliedError` when the lease is lost first, `TimeoutError` at once for those who do not wait.
        """
        if not self.patient:
            raise TimeoutError
        if not await changed(self.kv, name, revision, prefix=prefix, puts=puts, lost=self.lease.lost):
            raise self.lease.error()

    async def insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat what is safe to repeat for as long as the lease lives."""

        def may_go_on(error: RingleaderError) -> None:
            self.trouble = error
            if error.reason is self.gone:
                raise error
            if error.reason is Reason.LEASE_NOT_FOUND or not self.lease.alive:
                raise self.lease.error() from error

        result = await insist(attempt, may_go_on)
        self.trouble = None
        return result

    def gone_error(self) -> NotAppliedError:
        """What is raised when the key is not there any more."""
        message = f"{self.what}: the place in the queue is gone"
        return NotAppliedError(message, reason=self.gone, hint="Its lease ended, or someone deleted its key.")

    async def _in_the_way(self) -> tuple[KeyValue | None, int]:
        """The one just before, if any, and as of when. Raises `NotAppliedError` when the own place is gone."""
        found = await self.kv.range(
            self.prefix, prefix=True, sort_by="create", descending=True, limit=2, max_create_revision=self.token
        )
        if not found or found[0].key != self.key:
            raise self.gone_error()
        return (found[1] if len(found) > 1 else None), found.revision
