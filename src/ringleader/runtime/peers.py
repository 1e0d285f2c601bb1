"""What both ends of a link between nodes are told: who this node is to its peers, and the bounds of its links."""

from __future__ import annotations

from dataclasses import dataclass

from ringleader.consensus.protocols import RAFT, Choice
from ringleader.runtime.descriptors import MAX_HANDSHAKES
from ringleader.runtime.tls import TlsFiles
from ringleader.wire.frames import NodeInfo

__all__ = ["PeerOptions", "PeerSelf"]


@dataclass(frozen=True)
class PeerSelf:
    """Who this node is to its peers. `secret` is proved, never sent. `peer`: where its own peer port is reached.

    `consensus`: what its cluster has chosen.
    """

    cluster: str
    secret: str
    node: NodeInfo
    peer: str = ""
    incarnation: str = ""
    consensus: Choice = RAFT


@dataclass(frozen=True)
class PeerOptions:
    """Times in seconds, sizes in bytes.

    `connect`: from dialling to being welcome. `join`: a node that wants to become a member is kept waiting for so long.
    `pause_min`, `pause_max`: between attempts, doubling, jittered. `limit`: with more than so many bytes waiting for a slow
    peer new messages are dropped; `patience`: bytes that wait for so long mean that the connection is dead.
    `max_strangers`: most incoming links that have not proved themselves yet; with more the oldest gives way.
    `tls`: with what links are mutual TLS, `None`: they are not; `handshakes`: most of them under way.
    """

    connect: float = 2.0
    join: float = 10.0
    pause_min: float = 0.05
    pause_max: float = 1.0
    limit: int = 32 * 1024 * 1024
    patience: float = 5.0
    max_strangers: int = 64
    handshakes: int = MAX_HANDSHAKES
    tls: TlsFiles | None = None
