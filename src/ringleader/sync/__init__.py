"""The same API, blocking: for threads, scripts, Django, Celery. The calls run on an event loop in a background thread.

_client     `connect`, `embedded`, `Client`        _store      keys and values, watches, leases
_recipes    locks, elections                       _shards     a worker of a group, with a thread for each shard
_auth       users, roles and tokens
_mirror     what all of them are made of           _runner     the background thread
"""

from ringleader.sync._auth import Auth
from ringleader.sync._client import Client, connect, embedded
from ringleader.sync._mirror import Lost
from ringleader.sync._recipes import Election, Leadership, Lock
from ringleader.sync._shards import Shard, ShardChange, Shards
from ringleader.sync._store import KV, Lease, Leases, WatchStream

__all__ = [
    "KV",
    "Auth",
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
