"""A read-write lock: many readers or one writer, in the order in which they came, so that neither starves the other.

Readers and writers stand in one line. A writer waits for everyone before it; a reader only for the writers before it, of
whom it watches the last: readers that came after a waiting writer wait behind it.
"""

from __future__ import annotations

from ringleader.client.engine import Engine
from ringleader.client.kv import KV
from ringleader.client.leases import Lease
from ringleader.client.recipes.held import Acquirable
from ringleader.client.recipes.line import Line
from ringleader.client.recipes.names import RW_LOCKS, quoted
from ringleader.client.recipes.place import Place
from ringleader.client.types import KeyValue
from ringleader.errors import Reason

__all__ = ["ReadLock", "ReadWriteLock", "WriteLock"]

_READ = b"read/"
_WRITE = b"write/"


class ReadLock(Acquirable):
    """The right to read, shared with other readers: `async with rw.read() as lock:`."""


class WriteLock(Acquirable):
    """The right to write, alone: `async with rw.write() as lock:`; `lock.fencing_token` grows with every writer."""


class ReadWriteLock:
    """A read-write lock by name: `rw = db.read_write_lock("catalogue")`, then `rw.read()` and `rw.write()`.

    What holds for `Lock` holds for both kinds: a holder that dies is followed after `ttl` seconds at the latest, and what
    is written to should refuse a `fencing_token` lower than one it has seen.
    """

    def __init__(self, engine: Engine, kv: KV, name: str, ttl: float, value: bytes, timeout: float) -> None:
        self._engine = engine
        self._kv = kv
        self._prefix = RW_LOCKS + quoted(name, "read-write lock") + b"/"
        self._ttl = ttl
        self._value = value
        self._call_timeout = timeout
        self.name = name

    def read(self, *, timeout: float | None = None) -> ReadLock:
        """To read, together with others. `timeout`: how long to wait, seconds; `None`: as long as it takes."""
        return ReadLock(Place(_Reader(*self._line(), "read", _READ)), timeout)

    def write(self, *, timeout: float | None = None) -> WriteLock:
        """To write, alone. `timeout`: how long to wait, seconds; `None`: as long as it takes."""
        return WriteLock(Place(Line(*self._line(), f"write lock {self.name!r}", _WRITE)), timeout)

    def _line(self) -> tuple[KV, Lease, bytes, bytes, Reason]:
        lease = Lease(self._engine, self._ttl, self._call_timeout)
        return self._kv, lease, self._prefix, self._value, Reason.LOCK_LOST


class _Reader(Line):
    """A reader's place: only writers are in its way."""

    def __init__(
        self, kv: KV, lease: Lease, prefix: bytes, value: bytes, gone: Reason, what: str, folder: bytes
    ) -> None:
        super().__init__(kv, lease, prefix, value, gone, what, folder)

    async def _in_the_way(self) -> tuple[KeyValue | None, int]:
        """The last writer before. Nobody can come before us any more, so the own place is looked up after that."""
        writers = await self.kv.range(
            self.prefix + _WRITE,
            prefix=True,
            sort_by="create",
            descending=True,
            limit=1,
            max_create_revision=self.token,
        )
        own = await self.kv.range(self.key)
        if not own or own[0].create_revision != self.token:
            raise self.gone_error()
        return (writers[0] if writers else None), writers.revision
