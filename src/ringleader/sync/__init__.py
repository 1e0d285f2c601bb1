"""The same API, blocking: for threads, scripts, Django, Celery. The calls run on an event loop in a background thread.

_client     `connect`, `embedded`, `Client`        _store      keys and values, watches, leases
_recipes    locks, semaphores, barriers, elections   _shards     a worker of a group, with a thread for each shard
_data       queues, counters, cached prefixes
_auth       users, roles and tokens
_mirror     what all of them are made of           _runner     the background thread
"""

from ringleader.sync._auth import Auth
from ringleader.sync._client import Client, connect, embedded
from ringleader.sync._cluster import Cluster
from ringleader.sync._data import Cache, Consumer, Counter, Message, Queue
from ringleader.sync._mirror import Lost
from ringleader.sync._recipes import (
    Barrier,
    DoubleBarrier,
    Election,
    Leadership,
    Lock,
    ReadLock,
    ReadWriteLock,
    Semaphore,
    WriteLock,
)
from ringleader.sync._shards import Shard, ShardChange, Shards
from ringleader.sync._store import KV, Lease, Leases, WatchStream

__all__ = [
    "KV",
    "Auth",
    "Barrier",
    "Cache",
    "Client",
    "Cluster",
    "Consumer",
    "Counter",
    "DoubleBarrier",
    "Election",
    "Leadership",
    "Lease",
    "Leases",
    "Lock",
    "Lost",
    "Message",
    "Queue",
    "ReadLock",
    "ReadWriteLock",
    "Semaphore",
    "Shard",
    "ShardChange",
    "Shards",
    "WatchStream",
    "WriteLock",
    "connect",
    "embedded",
]
