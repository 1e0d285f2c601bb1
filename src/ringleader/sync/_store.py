"""Keys and values, watches and leases, blocking."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from ringleader.client import KV as AsyncKV
from ringleader.client import (
    Event,
)
from ringleader.client import Lease as AsyncLease
from ringleader.client import Leases as AsyncLeases
from ringleader.client import WatchStream as AsyncWatchStream
from ringleader.errors import RingleaderError
from ringleader.sync._mirror import Lost, Mirror, blocking, call
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

    batch = blocking(AsyncWatchStream.batch)

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
    """The store, blocking: each call is that of `ringleader.KV`."""

    put = blocking(AsyncKV.put)
    get = blocking(AsyncKV.get)
    range = blocking(AsyncKV.range)
    delete = blocking(AsyncKV.delete)
    txn = blocking(AsyncKV.txn)
    compact = blocking(AsyncKV.compact)

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


class Leases(Mirror[AsyncLeases]):
    """The operations on leases, one by one, blocking: each call is that of `ringleader.Leases`."""

    grant = blocking(AsyncLeases.grant)
    keep_alive = blocking(AsyncLeases.keep_alive)
    revoke = blocking(AsyncLeases.revoke)
    info = blocking(AsyncLeases.info)
    list = blocking(AsyncLeases.list)


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

    revoke = blocking(AsyncLease.revoke)

    def __enter__(self) -> Self:
        return self.grant()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.revoke()
