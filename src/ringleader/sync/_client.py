"""The blocking client: every class and every call of the asynchronous one, by the same names with the same arguments.

Safe to use from several threads at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Literal, Self, TypeVar
from weakref import WeakValueDictionary

import ringleader
from ringleader.client import KV as AsyncKV
from ringleader.client import Client as AsyncClient
from ringleader.client import (
    ClientOptions,
    ClusterSettings,
    Condition,
    Consistency,
    DeleteResult,
    Event,
    KeyValue,
    Leader,
    LeaseInfo,
    Operation,
    PutResult,
    RangeResult,
    ShardGroup,
    Status,
    TxnResult,
)
from ringleader.client import Election as AsyncElection
from ringleader.client import Leadership as AsyncLeadership
from ringleader.client import Lease as AsyncLease
from ringleader.client import Leases as AsyncLeases
from ringleader.client import Lock as AsyncLock
from ringleader.client import Shard as AsyncShard
from ringleader.client import ShardChange as AsyncShardChange
from ringleader.client import Shards as AsyncShards
from ringleader.client import WatchStream as AsyncWatchStream
from ringleader.errors import RingleaderError
from ringleader.sync._runner import run

__all__ = [
    "KV",
    "Client",
    "Election",
    "Leadership",
    "Lease",
    "Leases",
    "Lock",
    "Lost",
    "Shard",
    "ShardChange",
    "Shards",
    "WatchStream",
    "connect",
    "embedded",
]

T = TypeVar("T")
A = TypeVar("A")


async def _call(function: Callable[[], T]) -> T:
    """`function()`, on the loop: what the asynchronous objects say is only true there."""
    return function()


def connect(
    *endpoints: str, timeout: float = 5.0, cluster: str = "", name: str = "", options: ClientOptions | None = None
) -> Client:
    """A client of a cluster: `with ringleader.sync.connect("10.0.0.1:4400", ...) as db:`. See `ringleader.connect`."""
    return Client(ringleader.connect(*endpoints, timeout=timeout, cluster=cluster, name=name, options=options))


def embedded(path: str | os.PathLike[str] | None = None, *, timeout: float = 5.0) -> Client:
    """A client of a node of its own: `with ringleader.sync.embedded("data") as db:`. See `ringleader.embedded`."""
    return Client(ringleader.embedded(path, timeout=timeout))


class _Mirror(Generic[A]):
    """Stands before an asynchronous object."""

    def __init__(self, inner: A) -> None:
        self._inner = inner


class Lost:
    """Tells of a loss, as `threading.Event` would."""

    def __init__(self, event: Callable[[], asyncio.Event]) -> None:
        self._event = event

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._event().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it happens, at most `timeout` seconds; whether it has."""

        async def wait() -> bool:
            try:
                async with asyncio.timeout(timeout):
                    return await self._event().wait()
            except TimeoutError:
                return False

        return run(wait())


class WatchStream(_Mirror[AsyncWatchStream]):
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

    def close(self) -> None:
        """End the watch; events not read are dropped. An iteration blocked in another thread ends."""
        run(self._inner.aclose())

    def __enter__(self) -> Self:
        return self.ready()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class KV(_Mirror[AsyncKV]):
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


class Leases(_Mirror[AsyncLeases]):
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


class Lease(_Mirror[AsyncLease]):
    """A lease that keeps itself alive, in the background: `with db.lease(10) as lease:`. See `ringleader.Lease`."""

    @property
    def id(self) -> int:
        """The lease's number. Raises `NotAppliedError` (lease-lost) when it has been lost."""
        return run(_call(lambda: self._inner.id))

    @property
    def ttl(self) -> float:
        """The granted time in seconds."""
        return self._inner.ttl

    @property
    def remaining(self) -> float:
        """For how many seconds from now it certainly lives, by this process's clock."""
        return run(_call(lambda: self._inner.remaining))

    @property
    def alive(self) -> bool:
        """Whether it certainly lives at this moment."""
        return run(_call(lambda: self._inner.alive))

    @property
    def lost(self) -> Lost:
        """Set as soon as the lease may have ended without `revoke`."""
        return Lost(lambda: self._inner.lost)

    def check(self) -> None:
        """Raise `NotAppliedError` (lease-lost) unless the lease certainly lives at this moment."""
        run(_call(self._inner.check))

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


H = TypeVar("H", AsyncLock, AsyncLeadership)


class _Held(_Mirror[H]):
    """What a lock and a leadership have in common."""

    @property
    def fencing_token(self) -> int:
        """A number that grows with every holder; pass it on to what you write to."""
        return run(_call(lambda: self._inner.fencing_token))

    @property
    def held(self) -> bool:
        """Whether it is certainly held at this moment."""
        return run(_call(lambda: self._inner.held))

    @property
    def lost(self) -> Lost:
        """Set as soon as it may have been lost."""
        return Lost(lambda: self._inner.lost)

    @property
    def key(self) -> bytes:
        """The key in the store that stands for it."""
        return self._inner.key

    @property
    def condition(self) -> Condition:
        """True in a transaction as long as it is held."""
        return run(_call(lambda: self._inner.condition))

    def check(self) -> None:
        """Raise `NotAppliedError` (lock-lost) unless it is certainly held at this moment."""
        run(_call(self._inner.check))


class Lock(_Held[AsyncLock]):
    """A lock across processes: `with db.lock("name") as lock:`. See `ringleader.Lock`."""

    @property
    def name(self) -> str:
        """The name it was made with."""
        return self._inner.name

    def acquire(self) -> Self:
        """Wait for the lock. Raises `DeadlineError` when it takes longer than the lock's `timeout`."""
        run(self._inner.acquire())
        return self

    def release(self) -> None:
        """Give the lock to whoever is next."""
        run(self._inner.release())

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Leadership(_Held[AsyncLeadership]):
    """Being elected: `with election.campaign("me") as leadership:`. See `ringleader.Leadership`."""

    def campaign(self) -> Self:
        """Wait to be elected. Raises `DeadlineError` when it takes longer than the campaign's `timeout`."""
        run(self._inner.campaign())
        return self

    def proclaim(self, value: str | bytes, *, timeout: float | None = None) -> None:
        """Change the value that others see. Raises `NotAppliedError` (lock-lost) when another leads by now."""
        run(self._inner.proclaim(value, timeout=timeout))

    def resign(self) -> None:
        """Step down; whoever is next leads."""
        run(self._inner.resign())

    def __enter__(self) -> Self:
        return self.campaign()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resign()


class Election(_Mirror[AsyncElection]):
    """An election by name, blocking. See `ringleader.Election`."""

    @property
    def name(self) -> str:
        """The name it was made with."""
        return self._inner.name

    def campaign(self, value: str | bytes, *, ttl: float = 10.0, timeout: float | None = None) -> Leadership:
        """Stand for election with `value`: enter it with `with`, or call `campaign()` on it and `resign()` later."""
        return Leadership(self._new(lambda: self._inner.campaign(value, ttl=ttl, timeout=timeout)))

    def leader(self, *, timeout: float | None = None) -> Leader | None:
        """Who leads now; `None` when nobody does."""
        return run(self._inner.leader(timeout=timeout))

    def observe(self) -> Iterator[Leader | None]:
        """Who leads now, and then everyone who leads later; `None` while nobody does."""
        leaders = self._inner.observe()

        async def step() -> tuple[Leader | None] | None:
            try:
                return (await anext(leaders),)
            except StopAsyncIteration:
                return None

        try:
            while (found := run(step())) is not None:
                yield found[0]
        finally:
            run(leaders.aclose())

    def _new(self, make: Callable[[], T]) -> T:
        return run(_call(make))


class Shard(_Mirror[AsyncShard]):
    """A shard that this worker owns, or owned. See `ringleader.Shard`."""

    def __repr__(self) -> str:
        return repr(self._inner)

    @property
    def id(self) -> int:
        """Its number, from 0 to count - 1."""
        return self._inner.id

    @property
    def key(self) -> bytes:
        """The key in the store that stands for the ownership."""
        return self._inner.key

    @property
    def fencing_token(self) -> int:
        """A number that grows with every owner; pass it on to what you write to."""
        return run(_call(lambda: self._inner.fencing_token))

    @property
    def owned(self) -> bool:
        """Whether it is certainly owned at this moment."""
        return run(_call(lambda: self._inner.owned))

    @property
    def lost(self) -> Lost:
        """Set as soon as the shard may have another owner."""
        return Lost(lambda: self._inner.lost)

    @property
    def stopping(self) -> Lost:
        """Set when work on it should end: it is to move, or was lost, or the group was left."""
        return Lost(lambda: self._inner.stopping)

    @property
    def condition(self) -> Condition:
        """True in a transaction as long as it is owned."""
        return run(_call(lambda: self._inner.condition))

    def check(self) -> None:
        """Raise `NotAppliedError` (lease-lost) unless it is certainly owned at this moment."""
        run(_call(self._inner.check))


class ShardChange(_Mirror[AsyncShardChange]):
    """What happened to a shard: `kind` is "start", "stop" or "lost". See `ringleader.ShardChange`."""

    def __init__(self, inner: AsyncShardChange, shard: Shard) -> None:
        super().__init__(inner)
        self._shard = shard

    @property
    def kind(self) -> Literal["start", "stop", "lost"]:
        """ "start": it is yours. "stop": end the work on it, then release it. "lost": stop at once, then release it."""
        return self._inner.kind

    @property
    def shard(self) -> Shard:
        """The shard; the same object for all changes of one ownership."""
        return self._shard


ShardHandler = Callable[[Shard], None]
"""What works on a shard, in a thread of its own, until `shard.stopping` is set."""


class Shards(_Mirror[AsyncShards]):
    """A group that shares out shards among its workers: `with db.shards("jobs") as shards:`. See `ringleader.Shards`."""

    def __init__(self, inner: AsyncShards) -> None:
        super().__init__(inner)
        self._shards: WeakValueDictionary[AsyncShard, Shard] = WeakValueDictionary()

    @property
    def group(self) -> str:
        """The name of the group."""
        return self._inner.group

    @property
    def count(self) -> int:
        """How many shards there are."""
        return self._inner.count

    @property
    def worker(self) -> str:
        """The id of this worker at the moment, "" before it joined."""
        return self._inner.worker

    @property
    def epoch(self) -> int:
        """The number of the present table, as far as this worker knows."""
        return self._inner.epoch

    @property
    def owned(self) -> list[Shard]:
        """The shards that were handed out to this worker and are certainly its own at this moment."""
        return [self._of(shard) for shard in run(_call(lambda: self._inner.owned))]

    def look(self, *, timeout: float | None = None) -> ShardGroup:
        """The group as it is in the store now; need not have joined."""
        return run(self._inner.look(timeout=timeout))

    def join(self) -> Self:
        """Become a worker of the group. Done by `with`."""
        run(self._inner.join())
        return self

    def leave(self) -> None:
        """Give all shards back and leave the group: only after all work on them has stopped.

        When `run` is under way in another thread it ends first, with all its handlers; so do not call this from a handler.
        """
        run(self._inner.leave())

    def release(self, *shards: Shard) -> None:
        """Say that work on these shards has stopped, and wait until they are given back. Harmless when repeated."""
        run(self._inner.release(*(shard._inner for shard in shards)))

    def run(self, handler: ShardHandler) -> None:
        """Have a thread `handler(shard)` for each shard of this worker; it must end when `shard.stopping` is set.

        Joins and leaves if that was not done. A handler that raises ends `run` with that error, after the others have ended.
        """

        async def work(shard: AsyncShard) -> None:
            thread = asyncio.get_running_loop().run_in_executor(pool, handler, self._of(shard))
            try:
                await asyncio.shield(thread)
            except asyncio.CancelledError:
                shard.stopping.set()  # also when it is `run` that ends
                await thread
                raise

        with ThreadPoolExecutor(self._inner.count, f"shards-{self._inner.group}") as pool:
            run(self._inner.run(work))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ShardChange:
        async def step() -> AsyncShardChange | None:
            try:
                return await anext(self._inner)
            except StopAsyncIteration:
                return None

        change = run(step())
        if change is None:
            raise StopIteration
        return ShardChange(change, self._of(change.shard))

    def __enter__(self) -> Self:
        return self.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def _of(self, shard: AsyncShard) -> Shard:
        found = self._shards.get(shard)
        if found is None:
            found = self._shards[shard] = Shard(shard)
        return found


class Client(_Mirror[AsyncClient]):
    """A client of a cluster, or of one node in this process, blocking. See `ringleader.Client`.

    Safe to use from several threads, and after a fork: the child's first call gets connections and a session of its own.
    """

    def __init__(self, inner: AsyncClient) -> None:
        super().__init__(inner)
        self.kv = KV(inner.kv)
        self.leases = Leases(inner.leases)

    def lease(self, ttl: float) -> Lease:
        """A lease of `ttl` seconds that keeps itself alive: `with db.lease(10) as lease:`."""
        return Lease(run(_call(lambda: self._inner.lease(ttl))))

    def lock(self, name: str, *, ttl: float = 10.0, timeout: float | None = None, value: str | bytes = b"") -> Lock:
        """A lock: `with db.lock("name") as lock:`. `timeout`: how long to wait for it; `None`: as long as it takes."""
        return Lock(run(_call(lambda: self._inner.lock(name, ttl=ttl, timeout=timeout, value=value))))

    def election(self, name: str) -> Election:
        """An election: `with db.election("name").campaign("me") as leadership:`."""
        return Election(self._inner.election(name))

    def shards(self, group: str, *, count: int = 256, ttl: float = 10.0, weight: float = 1.0, name: str = "") -> Shards:
        """Work shared out among a group of workers: `db.shards("jobs").run(handler)`, or iterate over the changes."""
        return Shards(run(_call(lambda: self._inner.shards(group, count=count, ttl=ttl, weight=weight, name=name))))

    def status(self, *, timeout: float | None = None) -> Status:
        """How the node at the other end stands, and who else there is."""
        return run(self._inner.status(timeout=timeout))

    def settings(self, *, timeout: float | None = None) -> ClusterSettings:
        """What the whole cluster has agreed on, and how much of its quota is used."""
        return run(self._inner.settings(timeout=timeout))

    def configure(
        self,
        *,
        quota_bytes: int | None = None,
        compaction: str | None = None,
        retention: float | None = None,
        retention_revisions: int | None = None,
        timeout: float | None = None,
    ) -> ClusterSettings:
        """Change the cluster's settings, for all nodes at once; what is `None` stays. See `ClusterSettings`."""
        return run(
            self._inner.configure(
                quota_bytes=quota_bytes,
                compaction=compaction,
                retention=retention,
                retention_revisions=retention_revisions,
                timeout=timeout,
            )
        )

    @property
    def node(self) -> str:
        """The name of the node this client talks to at the moment, "" when there is none."""
        return self._inner.node

    def open(self) -> Self:
        """Connect. Done by `with`."""
        run(self._inner.open())
        return self

    def close(self) -> None:
        """End everything; calls under way end with an error that says so. Harmless when repeated."""
        run(self._inner.close())

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
