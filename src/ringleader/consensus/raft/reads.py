"""When a read may be served: ReadIndex (thesis section 6.4), all waiting reads confirmed by one round of heartbeats.

A read asked of the leader is linearizable once (1) the leader has committed an entry of its own term, so that its commit
index is up to date, (2) a quorum has answered a message sent after the read was asked, so that no newer leader existed at
that time, and (3) the state has applied the commit index noted at the start of the round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.consensus.raft.quorum import quorum_value
from ringleader.consensus.rounds import Reads

if TYPE_CHECKING:
    from ringleader.consensus.raft.core import Raft

__all__ = ["Reads", "confirm", "heartbeat_round", "start_round"]


def start_round(raft: Raft) -> None:
    """Start a round for all reads that wait, unless this term has nothing committed yet."""
    reads = raft.reads
    if not reads.waiting or raft.commit < raft.term_start:
        return
    tokens, reads.waiting = reads.waiting, []
    _new_round(raft, tokens)


def heartbeat_round(raft: Raft) -> None:
    """Number the heartbeats too: their answers renew the leader's lease."""
    _new_round(raft, [])


def _new_round(raft: Raft, tokens: list[int]) -> None:
    raft.reads.begin(raft.now, raft.commit, tokens)
    for peer in raft.progress.values():
        peer.ping = True
    confirm(raft)


def confirm(raft: Raft) -> None:
    """Hand out the reads of all rounds that a quorum has answered by now."""
    if not raft.reads.rounds:
        return
    answered = {member: peer.round for member, peer in raft.progress.items()}
    answered[raft.id] = raft.reads.number
    raft.out.barriers += raft.reads.confirmed(quorum_value(raft.config, answered, 0))
