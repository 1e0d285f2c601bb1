"""What a node is told before it starts, as one frozen struct: identity, members, limits."""

from __future__ import annotations

import msgspec

from ringleader.consensus.protocols import CoreOptions
from ringleader.consensus.raft import RaftOptions
from ringleader.log import LogOptions
from ringleader.store.limits import Limits
from ringleader.store.version import SUPPORTED_VERSION
from ringleader.wire.frames import NodeInfo

__all__ = ["GroupOptions", "HostConfig"]


class GroupOptions(msgspec.Struct, frozen=True):
    """Bounds of one group member; sizes in bytes, times in seconds.

    `entry_bytes`: most data in one log entry. `turn_bytes`: about as much is proposed
    and applied in one turn, so that none takes long. `backlog_bytes`: most data waiting to be applied here before new writes
    are refused; less, but not less than `backlog_least`, when it would wait for longer than `backlog_wait`.
    `reads_waiting`: most queries waiting. `snapshot_bytes`, `snapshot_entries`: a snapshot is taken when
    the log has grown by either. `keep_entries`, `keep_bytes`: at most so many are kept in memory
    behind a snapshot, for members that lag a little.
    `watch_bytes`: most event data in one frame, but for a revision that is larger by itself: beyond `watch_part_bytes` that
    goes in parts; `watch_frames_per_turn`: most such frames to one connection before the
    world has had a chance to say whether it reads. `read_patience`: after this a read whose barrier got lost is refused.
    `progress_period`: so often an idle watch is told how far it has come; clients take one that hears nothing for several
    such periods for lost. `watch_contact`: a node that was out of touch with the cluster for longer (and for longer than a few
    elections) ends its watches.
    Of snapshots: `slice_bytes` are made in one turn (about a millisecond of work), `chunk_bytes` sent in one message,
    `transfer_rate` sent to other members per second.
    """

    entry_bytes: int = 1 << 20
    turn_bytes: int = 1 << 20
    backlog_bytes: int = 32 << 20
    backlog_least: int = 1 << 20
    backlog_wait: float = 1.0
    reads_waiting: int = 100_000
    snapshot_bytes: int = 64 << 20
    snapshot_entries: int = 100_000
    keep_entries: int = 5_000
    keep_bytes: int = 16 << 20
    watch_bytes: int = 256 << 10
    watch_part_bytes: int = 2 << 20
    watch_frames_per_turn: int = 8
    watches_per_connection: int = 10_000
    read_patience: float = 2.0
    progress_period: float = 10.0
    watch_contact: float = 5.0
    slice_bytes: int = 128 << 10
    chunk_bytes: int = 256 << 10
    transfer_rate: int = 64 << 20


class HostConfig(msgspec.Struct, frozen=True):
    """`cluster`: the cluster's id. `node`: this node's id (> 0), `incarnation`: of its data folder.

    `voters`: the ids of the members that the cluster started with. `nodes`: those, and this node if it joined later, as
    clients know them. `peer`: the address of this node's peer port, as the others are told ("": it has none).
    `consensus`: of the core; their type says which protocol it runs.
    """

    cluster: str
    node: int
    name: str
    nodes: tuple[NodeInfo, ...]
    voters: tuple[int, ...]
    incarnation: str = ""
    supports: int = SUPPORTED_VERSION
    peer: str = ""
    consensus: CoreOptions = RaftOptions()
    log: LogOptions = LogOptions()
    limits: Limits = Limits()
    group: GroupOptions = GroupOptions()
