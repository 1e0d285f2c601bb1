"""Keys and values, watches and leases, blocking."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Self

from ringleader.client import KV as AsyncKV
from ringleader.client import (
    Condition,
    Consistency,
    DeleteResult,
    Event,
    KeyValue,
    LeaseInfo,
    Operation,
    PutResult,
    RangeResult,
    TxnResult,
    WatchBatch,
)
from ringleader.client import Lease as AsyncLease
from ringleader.client import Leases as AsyncLeases
from ringleader.client import WatchStream as AsyncWatchStream
from ringleader.errors import RingleaderError
from ringleader.sync._mirror import Lost, Mirror, call
from ringleader.sync._runner import run

__all__ = ["KV", "Lease", "Leases", "WatchStream"]


class WatchStream(Mirror[AsyncWatchStream]):
    """Iterate over it for `Event`s: each step blocks until there is one. See `ringleader.WatchStream`."""

    @property
    def revision(self) -> int:
        """All events up to this revision have been handed out; -1 before the watch "from now on" is set up."""
        return self._inner.revision

    def ready(self, timeout: float | None = None) -> Self:
        """Wait until a node has set the watch up: changes made after this are certainly seen."""
        run(self._inner.ready(timeout))
        return self

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        async def step() -> Event | None:
            try:
                return await anext(self._inner)
            except StopAsyncIteration:
                return None

        event = run(step())
        if event is None:
            raise StopIteration
        return event

    def batch(self) -> WatchBatch | None:
        """All that has come, once there is anything: events, or only news of a later revision; `None` when it has ended."""
        return run(self._inner.batch())

    def close(self) -> None:
        """End the watch; events not read are dropped. An iteration blocked in another thread ends."""
        run(self._inner.aclose())

    def __enter__(self) -> Self:
        return self.ready()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class KV(Mirror[AsyncKV]):
    """The store, blocking. See `ringleader.KV`."""

    def put(
        self,
        key: str | bytes,
        value: str | bytes,
        *,
        lease: int = 0,
        prev_kv: bool = False,
        timeout: float | None = None,
    ) -> PutResult:
        """Set `key` to `value`, attached to a lease by its id if given. `prev_kv`: tell what was there before."""
        return run(self._inner.put(key, value, lease=lease, prev_kv=prev_kv, timeout=timeout))

    def get(
        self,
        key: str | bytes,
        *,
        revision: int = 0,
        consistency: Consistency = "linearizable",
        max_staleness: float | None = None,
        timeout: float | None = None,
    ) -> KeyValue | None:
        """The key as it is now (or was at `revision`), `None` when it does not exist."""
        return run(
            self._inner.get(
                key, revision=revision, consistency=consistency, max_staleness=max_staleness, timeout=timeout
            )
        )

    def range(
        self,
        key: str | bytes,
        *,
        range_end: str | bytes | None = None,
        prefix: bool = False,
        revision: int = 0,
        limit: int = 0,
        sort_by: Literal["key", "version", "create", "mod", "value"] = "key",
        descending: bool = False,
        keys_only: bool = False,
        count_only: bool = False,
        min_mod_revision: int = 0,
        max_mod_revision: int = 0,
        min_create_revision: int = 0,
        max_create_revision: int = 0,
        consistency: Consistency = "linearizable",
        max_staleness: float | None = None,
        timeout: float | None = None,
    ) -> RangeResult:
        """All keys in [key, range_end), or that begin with `key` (`prefix=True`; "" for all)."""
        return run(
            self._inner.range(
                key,
                range_end=range_end,
                prefix=prefix,
                revision=revision,
                limit=limit,
                sort_by=sort_by,
                descending=descending,
                keys_only=keys_only,
                count_only=count_only,
                min_mod_revision=min_mod_revision,
                max_mod_revision=max_mod_revision,
                min_create_revision=min_create_revision,
                max_create_revision=max_create_revision,
                consistency=consistency,
                max_staleness=max_staleness,
                timeout=timeout,
            )
        )

    def delete(
        self,
        key: str | bytes,
        *,
        range_end: str | bytes | None = None,
        prefix: bool = False,
        prev_kv: bool = False,
        timeout: float | None = None,
    ) -> DeleteResult:
        """Delete a key, a range, or all keys that begin with `key` (`prefix=True`); says how many there were."""
        return run(self._inner.delete(key, range_end=range_end, prefix=prefix, prev_kv=prev_kv, timeout=timeout))

    def txn(
        self,
        *,
        compare: Sequence[Condition] = (),
        success: Sequence[Operation] = (),
        failure: Sequence[Operation] = (),
        timeout: float | None = None,
    ) -> TxnResult:
        """If all of `compare` hold do `success`, else `failure`: everything at one revision, or nothing."""
        return run(self._inner.txn(compare=compare, success=success, failure=failure, timeout=timeout))

    def watch(
        self,
        key: str | bytes,
        *,
        range_end: str | bytes | None = None,
        prefix: bool = False,
        start_revision: int = 0,
        prev_kv: bool = False,
        puts: bool = True,
        deletes: bool = True,
        buffer: int = 1024,
    ) -> WatchStream:
        """The changes of a key or range, from `start_revision` (0: from now) on: `for event in db.kv.watch("a")`."""
        return WatchStream(
            self._inner.watch(
                key,
                range_end=range_end,
                prefix=prefix,
                start_revision=start_revision,
                prev_kv=prev_kv,
                puts=puts,
                deletes=deletes,
                buffer=buffer,
            )
        )

    def compact(self, revision: int, *, timeout: float | None = None) -> int:
        """Forget history below `revision`; returns the store's revision."""
        return run(self._inner.compact(revision, timeout=timeout))


class Leases(Mirror[AsyncLeases]):
    """The operations on leases, one by one, blocking. See `ringleader.Leases`."""

    def grant(self, ttl: float, *, timeout: float | None = None) -> LeaseInfo:
        """A new lease of `ttl` seconds. The store may grant more than asked (at least one second)."""
        return run(self._inner.grant(ttl, timeout=timeout))

    def keep_alive(self, lease: int, *, timeout: float | None = None) -> LeaseInfo:
        """Start the lease's time anew. Raises `UsageError` (lease-not-found) when it has ended."""
        return run(self._inner.keep_alive(lease, timeout=timeout))

    def revoke(self, lease: int, *, timeout: float | None = None) -> None:
        """End a lease now; its keys go with it."""
        run(self._inner.revoke(lease, timeout=timeout))

    def info(self, lease: int, *, keys: bool = False, timeout: float | None = None) -> LeaseInfo | None:
        """How long a lease has left and, if asked, which keys hang on it; `None` when there is none."""
        return run(self._inner.info(lease, keys=keys, timeout=timeout))

    def list(self, *, timeout: float | None = None) -> list[int]:
        """The ids of all leases."""
        return run(self._inner.list(timeout=timeout))


class Lease(Mirror[AsyncLease]):
    """A lease that keeps itself alive, in the background: `with db.lease(10) as lease:`. See `ringleader.Lease`."""

    @property
    def id(self) -> int:
        """The lease's number. Raises `NotAppliedError` (lease-lost) when it has been lost."""
        return run(call(lambda: self._inner.id))

    @property
    def ttl(self) -> float:
        """The granted time in seconds."""
        return self._inner.ttl

    @property
    def remaining(self) -> float:
        """For how many seconds from now it certainly lives, by this process's clock."""
        return run(call(lambda: self._inner.remaining))

    @property
    def alive(self) -> bool:
        """Whether it certainly lives at this moment."""
        return run(call(lambda: self._inner.alive))

    @property
    def lost(self) -> Lost:
        """Set as soon as the lease may have ended without `revoke`."""
        return Lost(lambda: self._inner.lost)

    def check(self) -> None:
        """Raise `NotAppliedError` (lease-lost) unless the lease certainly lives at this moment."""
        run(call(self._inner.check))

    def error(self) -> RingleaderError:
        """What `check` raises once the lease is gone."""
        return self._inner.error()

    def grant(self) -> Self:
        """Take the lease and begin to keep it alive. Done by `with`."""
        run(self._inner.grant())
        return self

    def revoke(self) -> None:
        """End the lease and delete its keys."""
        run(self._inner.revoke())

    def __enter__(self) -> Self:
        return self.grant()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.revoke()
