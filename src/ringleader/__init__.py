"""Ringleader: agree, find each other, share data and divide work, in one `pip install`.

This is the face: the public names. Importing it is cheap; each name is fetched from its room when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ringleader.errors import (
    DeadlineError,
    NotAppliedError,
    OutcomeUnknownError,
    Reason,
    RingleaderError,
    UnknownDeadlineError,
    UsageError,
)

if TYPE_CHECKING:
    from ringleader._embedded import embedded
    from ringleader.client import (
        KV,
        Auth,
        Barrier,
        Cache,
        Client,
        ClientOptions,
        Cluster,
        ClusterSettings,
        CompactedError,
        Condition,
        Consumer,
        Counter,
        DeleteResult,
        DoubleBarrier,
        Election,
        Event,
        Holder,
        Key,
        KeyValue,
        Leader,
        Leadership,
        Lease,
        LeaseInfo,
        Leases,
        Lock,
        Member,
        Membership,
        Message,
        NodeStatus,
        Operation,
        PutResult,
        Queue,
        QueueSize,
        RangeResult,
        ReadLock,
        ReadWriteLock,
        Semaphore,
        Shard,
        ShardChange,
        ShardGroup,
        Shards,
        ShardWorker,
        Status,
        TxnResult,
        WatchBatch,
        WatchStream,
        WriteLock,
        connect,
        key,
        op,
    )
    from ringleader.replicas import changes, replica

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
    "Consumer",
    "Counter",
    "DeadlineError",
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
    "NotAppliedError",
    "Operation",
    "OutcomeUnknownError",
    "PutResult",
    "Queue",
    "QueueSize",
    "RangeResult",
    "ReadLock",
    "ReadWriteLock",
    "Reason",
    "RingleaderError",
    "Semaphore",
    "Shard",
    "ShardChange",
    "ShardGroup",
    "ShardWorker",
    "Shards",
    "Status",
    "TxnResult",
    "UnknownDeadlineError",
    "UsageError",
    "WatchBatch",
    "WatchStream",
    "WriteLock",
    "changes",
    "connect",
    "embedded",
    "key",
    "op",
    "replica",
]

__version__ = "0.1.0"


_ROOMS = {"embedded": "_embedded", "changes": "replicas", "replica": "replicas"}
"""The room of each public name that is not the client's."""


def __getattr__(name: str) -> object:
    """Fetch a public name from its room, once (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'ringleader' has no attribute {name!r}")
    value: object = getattr(import_module(f"ringleader.{_ROOMS.get(name, 'client')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
