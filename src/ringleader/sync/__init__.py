"""The same API, blocking: for threads, scripts, Django, Celery. The calls run on an event loop in a background thread."""

from ringleader.sync._client import (
    KV,
    Client,
    Election,
    Leadership,
    Lease,
    Leases,
    Lock,
    Lost,
    Shard,
    ShardChange,
    Shards,
    WatchStream,
    connect,
    embedded,
)

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
