"""The client as users hold it: connect, keys and values, leases, locks, elections, shards, status."""

from __future__ import annotations

import os
from collections.abc import Generator
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

import msgspec

from ringleader.client.addresses import parse_endpoints
from ringleader.client.auth import Auth
from ringleader.client.cluster import Cluster
from ringleader.client.credentials import Credentials
from ringleader.client.engine import Engine
from ringleader.client.kv import KV
from ringleader.client.leases import Lease, Leases
from ringleader.client.options import ClientOptions
from ringleader.client.recipes import (
    Barrier,
    Cache,
    Counter,
    DoubleBarrier,
    Election,
    Lock,
    Queue,
    ReadWriteLock,
    Semaphore,
)
from ringleader.client.settings import ClusterSettings, change, fetch
from ringleader.client.shards import Shards
from ringleader.client.tls import ClientTls
from ringleader.client.transport import TcpDialer
from ringleader.client.types import NodeStatus, Status, to_bytes, to_text
from ringleader.errors import Reason, UsageError

__all__ = ["Client", "connect"]

_TIMEOUT = 5.0
_LOGIN = ("USERNAME", "PASSWORD", "TOKEN")
_TLS = ("CA", "CERT", "KEY")


def connect(
    *endpoints: str,
    timeout: float = _TIMEOUT,
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
    """A client of a cluster: `async with ringleader.connect("10.0.0.1:4400", ...) as db:` (or `await connect(...)`).

    `endpoints`: "host:port" of some nodes, one by one or as a comma list; default: the environment's
    `RINGLEADER_ENDPOINTS`, else a local cluster as `ringleader dev` starts it. The others are found through them.
    `timeout`: for each call that gives none, seconds. `cluster`: talk to no other cluster than this. `name`: how nodes call
    this client.

    `username` and `password`, or `token`: who to log in as; default: `RINGLEADER_USERNAME` and `RINGLEADER_PASSWORD`, or
    `RINGLEADER_TOKEN`. `ca`: speak TLS, and trust nodes whose certificates this authority has signed (a PEM file, or
    "system"); `cert`, `key`: the certificate to show; default: `RINGLEADER_CA`, `RINGLEADER_CERT`, `RINGLEADER_KEY`. Files that
    are replaced are taken for the next connection.

    Raises `UsageError` for what makes no sense; entering raises `UsageError` (unauthenticated) when the login is refused,
    and `DeadlineError` when no node can be reached.
    """
    credentials = _credentials(username, password, token)
    if options is None:
        options = ClientOptions(name=to_text(name, "name"), cluster=to_text(cluster, "cluster"))
    elif name or cluster:
        message = "give name and cluster either in the options or as arguments, not both"
        raise UsageError(message, reason=Reason.INVALID_ARGUMENT)
    if credentials is not None and options.credentials is None:
        options = msgspec.structs.replace(options, credentials=credentials)
    return Client(Engine(parse_endpoints(endpoints, os.environ), TcpDialer(_tls(ca, cert, key)), options), timeout)


def _credentials(username: str, password: str, token: str) -> Credentials | None:
    """From what the caller gave, else the environment."""
    if not (username or password or token):
        username, password, token = (os.environ.get(f"RINGLEADER_{each}", "") for each in _LOGIN)
    return Credentials(username=username, password=password, token=token) if username or password or token else None


def _tls(ca: str, cert: str, key: str) -> ClientTls | None:
    """From what the caller gave, else the environment; `None`: no TLS."""
    if not (ca or cert or key):
        ca, cert, key = (os.environ.get(f"RINGLEADER_{each}", "") for each in _TLS)
    if not (ca or cert or key):
        return None
    return ClientTls(ca, cert, key)


class Client:
    """A client of a cluster, or of one node in this process. Belongs to one event loop; not thread-safe.

    After a fork the child's first call gets connections and a session of its own.
    """

    def __init__(self, engine: Engine, timeout: float = _TIMEOUT) -> None:
        if not 0 < timeout < float("inf"):
            message = f"a timeout is a positive number of seconds, not {timeout!r}"
            raise UsageError(message, reason=Reason.INVALID_ARGUMENT)
        self._engine = engine
        self._timeout = timeout
        self._counters: WeakValueDictionary[str, Counter] = WeakValueDictionary()  # one each: what waits goes together
        self.kv = KV(engine, timeout)
        self.leases = Leases(engine, timeout)
        self.auth = Auth(engine, timeout)
        self.cluster = Cluster(engine, timeout)

    def lease(self, ttl: float) -> Lease:
        """A lease of `ttl` seconds that keeps itself alive: `async with db.lease(10) as lease:`."""
        return Lease(self._engine, ttl, self._timeout)

    def lock(self, name: str, *, ttl: float = 10.0, timeout: float | None = None, value: str | bytes = b"") -> Lock:
        """A lock: `async with db.lock("name") as lock:`.

        `ttl`: after how many seconds a holder that died is followed. `timeout`: how long to wait for the lock; `None`: as
        long as it takes, 0: only if it is free now. `value`: kept in the lock's key while it is held, for people who look.
        """
        lease = Lease(self._engine, ttl, self._timeout)
        return Lock(self.kv, lease, name, to_bytes(value, "value"), timeout)

    def election(self, name: str) -> Election:
        """An election: `async with db.election("name").campaign("me") as leadership:`."""
        return Election(self._engine, self.kv, name, self._timeout)

    def read_write_lock(self, name: str, *, ttl: float = 10.0, value: str | bytes = b"") -> ReadWriteLock:
        """Many readers or one writer: `async with db.read_write_lock("name").read():`, or `.write()`.

        `ttl`, `value`: as for `lock`.
        """
        return ReadWriteLock(self._engine, self.kv, name, ttl, to_bytes(value, "value"), self._timeout)

    def semaphore(
        self, name: str, permits: int, *, ttl: float = 10.0, timeout: float | None = None, value: str | bytes = b""
    ) -> Semaphore:
        """One of `permits`: `async with db.semaphore("name", 3) as permit:`. `ttl`, `timeout`, `value`: as for `lock`."""
        lease = Lease(self._engine, ttl, self._timeout)
        return Semaphore(self.kv, lease, name, permits, to_bytes(value, "value"), timeout)

    def barrier(self, name: str) -> Barrier:
        """A barrier: `await barrier.hold()`, `await barrier.wait()`, `await barrier.release()`."""
        return Barrier(self.kv, name)

    def double_barrier(
        self, name: str, count: int, *, ttl: float = 10.0, timeout: float | None = None, value: str | bytes = b""
    ) -> DoubleBarrier:
        """Begin and end together with `count` members in all: `async with db.double_barrier("name", 4):`.

        `ttl`: after how many seconds a member that died inside counts as having left. `timeout`: how long to wait for the
        others, to begin and to end; `None`: as long as it takes. `value`: kept in the member's key, for people who look.
        """
        lease = Lease(self._engine, ttl, self._timeout)
        return DoubleBarrier(self.kv, lease, name, count, to_bytes(value, "value"), timeout)

    def queue(self, name: str) -> Queue:
        """A queue of messages: `await db.queue("name").put("...")`, `async with db.queue("name").consumer() as jobs:`."""
        return Queue(self._engine, self.kv, name, self._timeout)

    def counter(self, name: str) -> Counter:
        """A number that many add to: `await db.counter("name").add(1)`."""
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = Counter(self.kv, name, self._timeout, self._engine.entropy)
        return counter

    def cache(self, prefix: str | bytes) -> Cache:
        """A copy of all keys that begin with `prefix`, kept current: `async with db.cache("config/") as cache:`."""
        return Cache(self.kv, prefix, self._timeout)

    def shards(self, group: str, *, count: int = 256, ttl: float = 10.0, weight: float = 1.0, name: str = "") -> Shards:
        """Work shared out among a group of workers: `await db.shards("jobs").run(handler)`, or iterate over the changes.

        `count`: how many shards the group has, a power of two up to 4,096, the same for all workers. `ttl`: after how many
        seconds the shards of a worker that died go to others. `weight`: this worker's share relative to the others'.
        `name`: how people see it; default: host and process.
        """
        return Shards(self._engine, self.kv, group, count, ttl, weight, name, self._timeout)

    async def status(self, *, timeout: float | None = None) -> Status:
        """How the node at the other end stands, and who else there is."""
        engine = self._engine
        reply = await engine.status(self._timeout if timeout is None else timeout)
        nodes = [
            NodeStatus(node.id, node.name, node.client, node.http, node.id == reply.leader) for node in engine.nodes
        ]
        return Status(
            reply.name, reply.node, engine.cluster, reply.release, reply.role, reply.term, reply.leader, reply.commit,
            reply.applied, reply.last_index, reply.revision, reply.compact_revision, list(reply.voters),
            list(reply.learners), reply.uptime, nodes, reply.used_bytes, reply.quota_bytes, reply.full,
            reply.consensus,
        )  # fmt: skip

    async def settings(self, *, timeout: float | None = None) -> ClusterSettings:
        """What the whole cluster has agreed on, and how much of its quota is used."""
        return await fetch(self._engine, self._timeout if timeout is None else timeout)

    async def configure(
        self,
        *,
        quota_bytes: int | None = None,
        compaction: str | None = None,
        retention: float | None = None,
        retention_revisions: int | None = None,
        timeout: float | None = None,
    ) -> ClusterSettings:
        """Change the cluster's settings, for all nodes at once; what is `None` stays. See `ClusterSettings`."""
        seconds = self._timeout if timeout is None else timeout
        return await change(self._engine, seconds, quota_bytes, compaction, retention, retention_revisions)

    @property
    def node(self) -> str:
        """The name of the node this client talks to at the moment, "" when there is none."""
        return self._engine.node

    async def open(self) -> Self:
        """Connect. Done by `async with` and `await`; calls made before connect by themselves."""
        try:
            await self._engine.ready(self._timeout)
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """End everything; calls under way end with an error that says so. Harmless when repeated."""
        await self._engine.close()

    def __await__(self) -> Generator[object, None, Self]:
        return self.open().__await__()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
