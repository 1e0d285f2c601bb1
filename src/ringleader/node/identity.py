"""Who owns a data folder: a small file, written durably before anything else is, checked at every start.

It also remembers that the node has once had a log. A node that lost its log but kept its name must not vote again: it has
forgotten what it promised.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from ringleader.consensus.protocols import RAFT, Choice
from ringleader.errors import Reason, UsageError
from ringleader.group.roster import Roster, roster_ops
from ringleader.log import LogCorruptError, exists
from ringleader.node.config import NodeConfig
from ringleader.ports import Create, Disk, Rename, Sync, SyncFolder, Unlink, Write
from ringleader.wire.peer import PeerJoined

__all__ = [
    "IDENTITY_FILE",
    "JOINING_FILE",
    "UNFINISHED",
    "FolderIdentity",
    "check_restored",
    "claim_folder",
    "has_identity",
    "joining_incarnation",
    "mark_removed",
    "mark_started",
    "read_identity",
    "write_joined",
]

IDENTITY_FILE = "identity.json"
UNFINISHED = ".restoring-"
"""How the folder begins in which a back-up is made a node, within the data folder, until that is done."""
JOINING_FILE = "joining.json"
"""What a node that asks to become a member calls its data, so that it is known again when it has to ask twice."""


class FolderIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Of which cluster and node the folder is. `incarnation` is new for every new life of the data. `started`: has a log.

    `members`: the names of those that the cluster started with; their ids are 1, 2 ... in this order. `joined`: it came
    later. `removed`: the cluster has removed it, so that it must not start again.
    `origin`: the back-up that the cluster was made from, "" for none; two clusters of one back-up with the same members and
    secret are one and the same, all others differ in their ids. `consensus`: what the cluster has chosen, for good.
    """

    version: int = 1
    cluster: str
    node: int
    name: str
    incarnation: str
    members: list[str]
    started: bool = False
    origin: str = ""
    joined: bool = False
    removed: bool = False
    consensus: Choice = RAFT

    @property
    def founders(self) -> dict[int, str]:
        """Id to name of those that the cluster started with."""
        return dict(enumerate(self.members, start=1))


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
    if not has_identity(disk):
        if exists(disk):
            raise LogCorruptError("there is a log but no identity file", file=IDENTITY_FILE, offset=0)
        identity = FolderIdentity(
            cluster=cluster_of(config, origin),
            node=config.node_id,
            name=config.name,
            incarnation=incarnation,
            members=sorted(config.members),
            origin=origin,
            consensus=config.choice or RAFT,
        )
        _write_identity(disk, identity)
        return identity
    identity = read_identity(disk)
    _check(identity, config)
    if identity.started and not exists(disk):
        raise LogCorruptError(
            "this node has had a log, which is gone: it no longer knows what it promised", file="log-*", offset=0
        )
    return identity


def check_restored(folder: Path) -> None:
    """Raise `UsageError` when a back-up was being restored into this folder, and that was not finished.

    A node that started there would begin a new cluster without any data.
    """
    if any(folder.glob(f"{UNFINISHED}*")) and not (folder / IDENTITY_FILE).exists():
        raise UsageError(
            f"data_dir {folder}: the restoring of a back-up into it was not finished",
            reason=Reason.DATA_CORRUPT,
            hint="Run `ringleader snapshot restore` again; or empty the folder to begin without that data",
        )


def has_identity(disk: Disk) -> bool:
    """Whether the folder belongs to a node."""
    return IDENTITY_FILE in disk.names()


def read_identity(disk: Disk) -> FolderIdentity:
    """Of whom the folder is, unchecked. Raises `LogCorruptError` when the file is damaged."""
    try:
        return msgspec.json.decode(disk.read(IDENTITY_FILE), type=FolderIdentity)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LogCorruptError(f"the identity file is damaged: {error}", file=IDENTITY_FILE, offset=0) from None


def joining_incarnation(disk: Disk, incarnation: str) -> str:
    """The incarnation with which to ask for membership: durable before the first question, the same at every later one."""
    if JOINING_FILE in disk.names():
        try:
            return msgspec.json.decode(disk.read(JOINING_FILE), type=str)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise LogCorruptError(f"the file is damaged: {error}", file=JOINING_FILE, offset=0) from None
    _write(disk, JOINING_FILE, msgspec.json.encode(incarnation))
    return incarnation


def write_joined(disk: Disk, joined: PeerJoined, name: str, incarnation: str) -> None:
    """Become the member that the cluster has made of this node: whom to reach first, then who it is."""
    disk.execute(roster_ops(Roster(joined.index, joined.next_id, joined.members)))
    identity = FolderIdentity(
        cluster=joined.cluster,
        node=joined.node,
        name=name,
        incarnation=incarnation,
        members=joined.founders,
        joined=True,
        consensus=joined.consensus,
    )
    _write_identity(disk, identity)
    disk.execute([Unlink(JOINING_FILE), SyncFolder()])


def mark_removed(disk: Disk, identity: FolderIdentity) -> None:
    """Remember, durably, that this node is no member any more."""
    _write_identity(disk, msgspec.structs.replace(identity, removed=True))


def mark_started(disk: Disk, identity: FolderIdentity) -> FolderIdentity:
    """Remember, durably, that the log exists now."""
    if identity.started:
        return identity
    started = msgspec.structs.replace(identity, started=True)
    _write_identity(disk, started)
    return started


def _check(identity: FolderIdentity, config: NodeConfig) -> None:
    if identity.version != 1:
        raise UsageError(
            f"data_dir {config.data_dir} was written by a newer release (identity version {identity.version})",
            reason=Reason.VERSION,
        )
    if identity.removed:
        raise UsageError(
            f"data_dir {config.data_dir} belongs to node {identity.name!r}, which was removed from its cluster",
            reason=Reason.MEMBER_REMOVED,
            node=identity.name,
            hint="Start with an empty data folder and --join to make it a new member",
        )
    described = cluster_of(config, identity.origin)
    if identity.cluster != described and not identity.joined:
        raise UsageError(
            f"data_dir {config.data_dir} belongs to cluster {identity.cluster} of {', '.join(identity.members)}; "
            f"this configuration describes cluster {described} of {', '.join(sorted(config.members))}",
            reason=Reason.WRONG_CLUSTER,
            hint="Restore peers and cluster_token as they were, or give the node another data_dir",
        )
    if config.choice is not None and not identity.consensus.grants(config.choice):
        raise UsageError(
            f"data_dir {config.data_dir} belongs to a cluster that runs {identity.consensus}; "
            f"this configuration asks for {config.choice}",
            reason=Reason.WRONG_CLUSTER,
            hint="A cluster keeps what it started with: leave consensus and phase2_quorum out, or begin a new cluster "
            "(from a back-up, if it is to have the same data)",
        )
    if identity.name != config.name:
        raise UsageError(
            f"data_dir {config.data_dir} belongs to node {identity.name!r}, this is {config.name!r}",
            reason=Reason.WRONG_NODE,
            hint="Give each node a data_dir of its own",
        )


def _write_identity(disk: Disk, identity: FolderIdentity) -> None:
    _write(disk, IDENTITY_FILE, msgspec.json.format(msgspec.json.encode(identity), indent=2) + b"\n")


def _write(disk: Disk, name: str, data: bytes) -> None:
    temporary = name + ".tmp"
    disk.execute(
        [
            Unlink(temporary),
            Create(temporary),
            Write(temporary, 0, data),
            Sync(temporary),
            Rename(temporary, name),
            SyncFolder(),
        ]
    )
