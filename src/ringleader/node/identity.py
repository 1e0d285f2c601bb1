"""Who owns a data folder: a small file, written durably before anything else is, checked at every start.

It also remembers that the node has once had a log. A node that lost its log but kept its name must not vote again: it has
forgotten what it promised.
"""

from __future__ import annotations

import hashlib

import msgspec

from ringleader.errors import Reason, UsageError
from ringleader.log import LogCorruptError, exists
from ringleader.node.config import NodeConfig
from ringleader.ports import Create, Disk, Rename, Sync, SyncFolder, Unlink, Write

__all__ = ["IDENTITY_FILE", "FolderIdentity", "claim_folder", "mark_started"]

IDENTITY_FILE = "identity.json"


class FolderIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Of which cluster and node the folder is. `incarnation` is new for every new life of the data. `started`: has a log.

    `origin`: the back-up that the cluster was made from, "" for none; two clusters of one back-up with the same members and
    secret are one and the same, all others differ in their ids.
    """

    version: int = 1
    cluster: str
    node: int
    name: str
    incarnation: str
    members: list[str]
    started: bool = False
    origin: str = ""


def cluster_of(config: NodeConfig, origin: str) -> str:
    """The id of the cluster that `config` describes, made from the back-up `origin` ("": made anew)."""
    if not origin:
        return config.cluster_id
    text = msgspec.msgpack.encode(("ringleader restored cluster 1", config.cluster_id, origin))
    return hashlib.sha256(text).hexdigest()[:16]


def claim_folder(disk: Disk, config: NodeConfig, incarnation: str, *, origin: str = "") -> FolderIdentity:
    """The identity in the folder, or, in an empty one, a new one made from `config` and the fresh `incarnation`.

    Raises `UsageError` (`WRONG_CLUSTER`, `WRONG_NODE`, `VERSION`) when the folder is someone else's, `LogCorruptError`
    when the file is damaged or the log that belongs to it is gone.
    """
    if IDENTITY_FILE not in disk.names():
        if exists(disk):
            raise LogCorruptError("there is a log but no identity file", file=IDENTITY_FILE, offset=0)
        identity = FolderIdentity(
            cluster=cluster_of(config, origin),
            node=config.node_id,
            name=config.name,
            incarnation=incarnation,
            members=sorted(config.members),
            origin=origin,
        )
        _write(disk, identity)
        return identity
    try:
        identity = msgspec.json.decode(disk.read(IDENTITY_FILE), type=FolderIdentity)
    except msgspec.MsgspecError as error:
        raise LogCorruptError(f"the identity file is damaged: {error}", file=IDENTITY_FILE, offset=0) from None
    _check(identity, config)
    if identity.started and not exists(disk):
        raise LogCorruptError(
            "this node has had a log, which is gone: it no longer knows what it promised", file="log-*", offset=0
        )
    return identity


def mark_started(disk: Disk, identity: FolderIdentity) -> FolderIdentity:
    """Remember, durably, that the log exists now."""
    if identity.started:
        return identity
    started = msgspec.structs.replace(identity, started=True)
    _write(disk, started)
    return started


def _check(identity: FolderIdentity, config: NodeConfig) -> None:
    if identity.version != 1:
        raise UsageError(
            f"data_dir {config.data_dir} was written by a newer release (identity version {identity.version})",
            reason=Reason.VERSION,
        )
    described = cluster_of(config, identity.origin)
    if identity.cluster != described:
        raise UsageError(
            f"data_dir {config.data_dir} belongs to cluster {identity.cluster} of {', '.join(identity.members)}; "
            f"this configuration describes cluster {described} of {', '.join(sorted(config.members))}",
            reason=Reason.WRONG_CLUSTER,
            hint="Restore peers and cluster_token as they were, or give the node another data_dir",
        )
    if (identity.node, identity.name) != (config.node_id, config.name):
        raise UsageError(
            f"data_dir {config.data_dir} belongs to node {identity.name!r}, this is {config.name!r}",
            reason=Reason.WRONG_NODE,
            hint="Give each node a data_dir of its own",
        )


def _write(disk: Disk, identity: FolderIdentity) -> None:
    temporary = IDENTITY_FILE + ".tmp"
    data = msgspec.json.format(msgspec.json.encode(identity), indent=2) + b"\n"
    disk.execute(
        [
            Unlink(temporary),
            Create(temporary),
            Write(temporary, 0, data),
            Sync(temporary),
            Rename(temporary, IDENTITY_FILE),
            SyncFolder(),
        ]
    )
