"""When a read may be served: ReadIndex (thesis section 6.4), all waiting reads confirmed by one round of heartbeats.

A read asked of the leader is linearizable once (1) the leader has committed an entry of its own term, so that its commit
index is up to date, (2) a quorum has answered a message sent after the read was asked, so that no newer leader existed at
that time, and (3) the state has applied the commit index noted at the start of the round.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ringleader.consensus.raft.quorum import quorum_value

if TYPE_CHECKING:
    from ringleader.consensus.raft.core import Raft

__all__ = ["Reads", "confirm", "heartbeat_round", "start_round"]


class Reads:
    """Reads waiting for a round to start, and rounds on the way.

    `rounds`: (number, start time, commit index then, tokens), oldest first. `confirmed_at`: the start time of the
    newest round that a quorum answered.
    """

    __slots__ = ("confirmed_at", "number", "rounds", "waiting")

    def __init__(self) -> None:
        self.number = 0
        self.waiting: list[int] = []
        self.rounds: deque[tuple[int, float, int, list[int]]] = deque()
        self.confirmed_at = float("-inf")

    def ask(self, token: int) -> None:
        """A read wants to be confirmed."""
        self.waiting.append(token)

    def reset(self) -> None:
        """A new term of leadership. Numbers go on rising, so that an old round's late answer cannot confirm a new one."""
        self.waiting, self.rounds = [], deque()
        self.confirmed_at = float("-inf")

    def give_up(self) -> list[int]:
        """Leadership is lost: all tokens that will never be confirmed."""
        tokens = [token for *_, tokens in self.rounds for token in tokens] + self.waiting
        self.reset()
        return tokens


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
    raft.reads.number += 1
    raft.reads.rounds.append((raft.reads.number, raft.now, raft.commit, tokens))
    for peer in raft.progress.values():
        peer.ping = True
    confirm(raft)


def confirm(raft: Raft) -> None:
    """Hand out the reads of all rounds that a quorum has answered by now."""
    rounds = raft.reads.rounds
    if not rounds:
        return
    answered = {member: peer.round for member, peer in raft.progress.items()}
    answered[raft.id] = raft.reads.number
    reached = quorum_value(raft.config, answered, 0)
    while rounds and rounds[0][0] <= reached:
        _, raft.reads.confirmed_at, index, tokens = rounds.popleft()
        raft.out.barriers.extend((token, index) for token in tokens)
