"""When a read may be served: ReadIndex (thesis section 6.4), all waiting reads confirmed by one round of heartbeats.

A read asked of the leader is linearizable once (1) the leader has committed an entry of its own term, so that its commit
index is up to date, (2) a quorum has answered a message sent after the read was asked, so that no newer leader existed at
that time, and (3) the state has applied the commit index noted at the start of the round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.consensus.raft.quorum import has_quorum, quorum_value
from ringleader.consensus.rounds import Reads

if TYPE_CHECKING:
    from ringleader.consensus.raft.core import Raft

__all__ = ["Reads", "confirm", "heartbeat_round", "ready", "start_round"]


def ready(raft: Raft) -> bool:
    """Whether the leader knows all that was committed before it led: an entry of its own term is committed."""
    return raft.commit >= raft.term_start


def start_round(raft: Raft) -> None:
    """Start a round for all reads that wait, if the leader may serve reads yet."""
    reads = raft.reads
    if not reads.waiting or not ready(raft):
        return
    reads.start(raft.now, raft.commit)
    reads.ask_some(raft.progress, lambda members: has_quorum(raft.config, [*members, raft.id]))
    confirm(raft)


def heartbeat_round(raft: Raft) -> None:
    """Number the heartbeats too: their answers renew the leader's lease."""
    raft.reads.start_empty(raft.now, raft.commit)
    raft.reads.ask_all(raft.progress)
    confirm(raft)


def confirm(raft: Raft) -> None:
    """Hand out the reads of all rounds that a quorum has answered by now."""
    if raft.reads.rounds:
        answered = {member: peer.round for member, peer in raft.progress.items()}
        answered[raft.id] = raft.reads.number
        reached = quorum_value(raft.config, answered, 0)
        raft.out.barriers += raft.reads.confirmed(raft.progress, reached)
        if ready(raft):
            raft.up_to_date_at = max(raft.up_to_date_at, raft.reads.confirmed_at)
