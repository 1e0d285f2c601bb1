"""The client: sans-IO session and failover logic (`core`), a thin asyncio shell (`engine`, `transport`), and the API.

core        calls and frames in, frames and answers out     connections which connection is used
admission   the calls under way, deadlines, bounds          failures    how a refusal becomes an error
calls       one call, and the session that numbers it       links       endpoints, backoff, one connection
watches     one watch, across connections                   options     every bound and period
engine      the turn of the event loop                      transport   TCP behind a tiny interface
client      `connect`, `Client`                             kv, leases, watching, ops, types: what users hold
cluster     members of the cluster
auth        users, roles, tokens                        credentials, tls: who we are, whom we trust
recipes     locks, elections ...: a file for each
shardplan   who should own which shard, what to claim       shards      a worker of a group, made of it
shard       one ownership of one shard
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringleader.client import ops as op
    from ringleader.client.auth import Auth
    from ringleader.client.client import Client, connect
    from ringleader.client.cluster import Cluster, Member, Membership
    from ringleader.client.failures import CompactedError
    from ringleader.client.kv import KV, Consistency
    from ringleader.client.leases import Lease, Leases
    from ringleader.client.ops import Condition, Key, Operation, key
    from ringleader.client.options import ClientOptions
    from ringleader.client.recipes import (
        Barrier,
        Cache,
        Consumer,
        Counter,
        DoubleBarrier,
        Election,
        Holder,
        Leader,
        Leadership,
        Lock,
        Message,
        Queue,
        QueueSize,
        ReadLock,
        ReadWriteLock,
        Semaphore,
        WriteLock,
    )
    from ringleader.client.settings import ClusterSettings
    from ringleader.client.shard import Shard, ShardChange
    from ringleader.client.shardplan import ShardGroup, ShardWorker
    from ringleader.client.shards import Shards
    from ringleader.client.types import (
        DeleteResult,
        Event,
        KeyValue,
        LeaseInfo,
        NodeStatus,
        PutResult,
        RangeResult,
        Status,
        TxnResult,
    )
    from ringleader.client.watching import WatchBatch, WatchStream

__all__ = [
    "KV",
    "Auth",
    "Barrier",
    "Cache",
    "Client",
    "ClientOptions",
    "Cluster",
    "ClusterSettings",
    "CompactedError",
    "Condition",
    "Consistency",
    "Consumer",
    "Counter",
    "DeleteResult",
    "DoubleBarrier",
    "Election",
    "Event",
    "Holder",
    "Key",
    "KeyValue",
    "Leader",
    "Leadership",
    "Lease",
    "LeaseInfo",
    "Leases",
    "Lock",
    "Member",
    "Membership",
    "Message",
    "NodeStatus",
    "Operation",
    "PutResult",
    "Queue",
    "QueueSize",
    "RangeResult",
    "ReadLock",
    "ReadWriteLock",
    "Semaphore",
    "Shard",
    "ShardChange",
    "ShardGroup",
    "ShardWorker",
    "Shards",
    "Status",
    "TxnResult",
    "WatchBatch",
    "WatchStream",
    "WriteLock",
    "connect",
    "key",
    "op",
]

_FILES = {
    "auth": "Auth",
    "client": "Client connect",
    "cluster": "Cluster Member Membership",
    "failures": "CompactedError",
    "kv": "Consistency KV",
    "leases": "Lease Leases",
    "ops": "Condition Key Operation key",
    "options": "ClientOptions",
    "recipes": "Barrier Cache Consumer Counter DoubleBarrier Election Holder Leader "
    "Leadership Lock Message Queue QueueSize ReadLock ReadWriteLock Semaphore WriteLock",
    "settings": "ClusterSettings",
    "shard": "Shard ShardChange",
    "shardplan": "ShardGroup ShardWorker",
    "shards": "Shards",
    "types": "DeleteResult Event KeyValue LeaseInfo NodeStatus PutResult RangeResult Status TxnResult",
    "watching": "WatchBatch WatchStream",
}
"""Which file has which public names. They are fetched when first asked for: a node needs few of them, and starts sooner."""

_FILE_OF = {name: file for file, names in _FILES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Fetch a public name, once (PEP 562)."""
    if name == "op":
        value: object = import_module("ringleader.client.ops")
    elif name in _FILE_OF:
        value = getattr(import_module(f"ringleader.client.{_FILE_OF[name]}"), name)
    else:
        raise AttributeError(f"module 'ringleader.client' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
