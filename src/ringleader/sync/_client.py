"""The blocking client: every class and every call of the asynchronous one, by the same names with the same arguments.

Safe to use from several threads at once.
"""

from __future__ import annotations

import os

import ringleader
from ringleader.client import Client as AsyncClient
from ringleader.client import ClientOptions, ClusterSettings
from ringleader.sync._auth import Auth
from ringleader.sync._cluster import Cluster
from ringleader.sync._data import Cache, Counter, Queue
from ringleader.sync._mirror import Opened, blocking, call
from ringleader.sync._recipes import Barrier, DoubleBarrier, Election, Lock, ReadWriteLock, Semaphore
from ringleader.sync._runner import run
from ringleader.sync._shards import Shards
from ringleader.sync._store import KV, Lease, Leases

__all__ = ["Client", "connect", "embedded"]


def connect(
    *endpoints: str,
    timeout: float = 5.0,
    cluster: str = "",
    name: str = "",
    options: ClientOptions | None = None,
    username: str = "",
    password: str = "",
    token: str = "",
    ca: str = "",
    cert: str = "",
    key: str = "",
) -> Client:
    """A client of a cluster: `with ringleader.sync.connect("10.0.0.1:4400", ...) as db:`. See `ringleader.connect`."""
    inner = ringleader.connect(
        *endpoints, timeout=timeout, cluster=cluster, name=name, options=options, username=username, password=password,
        token=token, ca=ca, cert=cert, key=key,
    )  # fmt: skip
    return Client(inner)


def embedded(path: str | os.PathLike[str] | None = None, *, timeout: float = 5.0) -> Client:
    """A client of a node of its own: `with ringleader.sync.embedded("data") as db:`. See `ringleader.embedded`."""
    return Client(ringleader.embedded(path, timeout=timeout))


class Client(Opened[AsyncClient]):
    """A client of a cluster, or of one node in this process, blocking. See `ringleader.Client`.

    Safe to use from several threads, and after a fork: the child's first call gets connections and a session of its own.
    """

    def __init__(self, inner: AsyncClient) -> None:
        super().__init__(inner)
        self.kv = KV(inner.kv)
        self.leases = Leases(inner.leases)
        self.auth = Auth(inner.auth)
        self.cluster = Cluster(inner.cluster)

    def lease(self, ttl: float) -> Lease:
        """A lease of `ttl` seconds that keeps itself alive: `with db.lease(10) as lease:`."""
        return Lease(run(call(lambda: self._inner.lease(ttl))))

    def lock(self, name: str, *, ttl: float = 10.0, timeout: float | None = None, value: str | bytes = b"") -> Lock:
        """A lock: `with db.lock("name") as lock:`. `timeout`: how long to wait for it; `None`: as long as it takes."""
        return Lock(run(call(lambda: self._inner.lock(name, ttl=ttl, timeout=timeout, value=value))))

    def election(self, name: str) -> Election:
        """An election: `with db.election("name").campaign("me") as leadership:`."""
        return Election(self._inner.election(name))

    def read_write_lock(self, name: str, *, ttl: float = 10.0, value: str | bytes = b"") -> ReadWriteLock:
        """Many readers or one writer: `with db.read_write_lock("name").read():`, or `.write()`."""
        return ReadWriteLock(self._inner.read_write_lock(name, ttl=ttl, value=value))

    def semaphore(
        self, name: str, permits: int, *, ttl: float = 10.0, timeout: float | None = None, value: str | bytes = b""
    ) -> Semaphore:
        """One of `permits`: `with db.semaphore("name", 3) as permit:`."""
        inner = self._inner
        return Semaphore(run(call(lambda: inner.semaphore(name, permits, ttl=ttl, timeout=timeout, value=value))))

    def barrier(self, name: str) -> Barrier:
        """A barrier: `barrier.hold()`, `barrier.wait()`, `barrier.release()`."""
        return Barrier(self._inner.barrier(name))

    def double_barrier(
        self, name: str, count: int, *, ttl: float = 10.0, timeout: float | None = None, value: str | bytes = b""
    ) -> DoubleBarrier:
        """Begin and end together with `count` members in all: `with db.double_barrier("name", 4):`."""
        inner = self._inner
        return DoubleBarrier(
            run(call(lambda: inner.double_barrier(name, count, ttl=ttl, timeout=timeout, value=value)))
        )

    def queue(self, name: str) -> Queue:
        """A queue of messages: `db.queue("name").put("...")`, `with db.queue("name").consumer() as jobs:`."""
        return Queue(self._inner.queue(name))

    def counter(self, name: str) -> Counter:
        """A number that many add to: `db.counter("name").add(1)`."""
        return Counter(self._inner.counter(name))

    def cache(self, prefix: str | bytes) -> Cache:
        """A copy of all keys that begin with `prefix`, kept current: `with db.cache("config/") as cache:`."""
        return Cache(self._inner.cache(prefix))

    def shards(self, group: str, *, count: int = 256, ttl: float = 10.0, weight: float = 1.0, name: str = "") -> Shards:
        """Work shared out among a group of workers: `db.shards("jobs").run(handler)`, or iterate over the changes."""
        return Shards(run(call(lambda: self._inner.shards(group, count=count, ttl=ttl, weight=weight, name=name))))

    status = blocking(AsyncClient.status)

    settings = blocking(AsyncClient.settings)

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
