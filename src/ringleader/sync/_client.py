"""The blocking client: every class and every call of the asynchronous one, by the same names with the same arguments.

Safe to use from several threads at once.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

import ringleader
from ringleader.client import Client as AsyncClient
from ringleader.client import ClientOptions, ClusterSettings, Status
from ringleader.sync._auth import Auth
from ringleader.sync._mirror import Mirror, call
from ringleader.sync._recipes import Election, Lock
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


class Client(Mirror[AsyncClient]):
    """A client of a cluster, or of one node in this process, blocking. See `ringleader.Client`.

    Safe to use from several threads, and after a fork: the child's first call gets connections and a session of its own.
    """

    def __init__(self, inner: AsyncClient) -> None:
        super().__init__(inner)
        self.kv = KV(inner.kv)
        self.leases = Leases(inner.leases)
        self.auth = Auth(inner.auth)

    def lease(self, ttl: float) -> Lease:
        """A lease of `ttl` seconds that keeps itself alive: `with db.lease(10) as lease:`."""
        return Lease(run(call(lambda: self._inner.lease(ttl))))

    def lock(self, name: str, *, ttl: float = 10.0, timeout: float | None = None, value: str | bytes = b"") -> Lock:
        """A lock: `with db.lock("name") as lock:`. `timeout`: how long to wait for it; `None`: as long as it takes."""
        return Lock(run(call(lambda: self._inner.lock(name, ttl=ttl, timeout=timeout, value=value))))

    def election(self, name: str) -> Election:
        """An election: `with db.election("name").campaign("me") as leadership:`."""
        return Election(self._inner.election(name))

    def shards(self, group: str, *, count: int = 256, ttl: float = 10.0, weight: float = 1.0, name: str = "") -> Shards:
        """Work shared out among a group of workers: `db.shards("jobs").run(handler)`, or iterate over the changes."""
        return Shards(run(call(lambda: self._inner.shards(group, count=count, ttl=ttl, weight=weight, name=name))))

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
