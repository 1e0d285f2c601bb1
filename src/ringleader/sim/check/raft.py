"""Raft as the checker sees it.

Why nothing is lost by `normalise`:

* *Time.* Each member has a clock of its own that no other member can see, and no event but `time` moves it. A core compares
  times only with its own now. With a heartbeat as long as the shortest election time-out there are just two kinds of
  moments: a follower first stops believing in its leader (it may vote for others), then stands for election; a leader's
  tick comes, at which it steps down unless a quorum has answered since the last one. So of `heard_leader` and `heard` only
  "since then or not" matters. Real clocks make only some of these orders of events possible; all are checked.
* *Records* are numbered from the last durable one on: a core only compares their numbers.
* *Windows* (`flight`): with less than 256 messages on the way they never fill, and nothing else reads them.
* *Whom a member follows* it only tells others, and who installs a snapshot; here nobody does.
* *Leftovers*: votes of an election that is over, the first index of a past leadership; each is set anew before it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ringleader.consensus.raft import Raft, RaftOptions
from ringleader.consensus.raft.messages import AppendReply, RaftMessage, SnapshotReply, TimeoutNow, Vote, VoteReply
from ringleader.consensus.raft.records import entries_record, hard_record, replay
from ringleader.consensus.shape import Config, Record, Role
from ringleader.sim.check.bounds import Bounds
from ringleader.sim.check.model import Even, View, items
from ringleader.sim.words_raft import RAFT_WORDS

__all__ = ["RaftModel"]

ELECTION = 1.0
NEVER = float("-inf")
_decoder: msgspec.msgpack.Decoder[RaftMessage] = msgspec.msgpack.Decoder(RaftMessage)


class RaftModel:
    """See `check.model.Model`. `bounds`: of the world that it is for; here nothing depends on them. `append_bytes` 1: one entry
    a message.
    """

    name = "raft"
    words = RAFT_WORDS
    matching = True

    def __init__(
        self, bounds: Bounds | None = None, *, pre_vote: int = 1, check_quorum: int = 1, append_bytes: int = 1 << 20
    ) -> None:
        self.options = RaftOptions(
            heartbeat=ELECTION,
            election=ELECTION,
            append_bytes=append_bytes,
            pre_vote=bool(pre_vote),
            check_quorum=bool(check_quorum),
        )
        self.entropy = Even()

    def make(self, id: int, config: Config) -> Raft:
        """See `Model.make`."""
        return Raft(id, config, self.entropy, self.options)

    def shared(self) -> dict[str, Any]:
        """See `Model.shared`."""
        return {"options": self.options, "entropy": self.entropy}

    def decode(self, data: bytes) -> RaftMessage:
        """See `Model.decode`."""
        return _decoder.decode(data)

    def normalise(self, core: Raft) -> int:
        """See `Model.normalise`."""
        shift = core.durable
        sticky = self.options.check_quorum and core.now < core.heard_leader + ELECTION
        core.heard_leader = 0.0 if sticky and core.role is not Role.LEADER else NEVER
        core.up_to_date_at = NEVER
        core.deadline = 1.5 * ELECTION
        core.heartbeat_due = core.transfer_until = ELECTION
        core.forced = False
        for peer in core.progress.values():
            fresh = self.options.check_quorum and peer.heard >= core.now
            peer.heard = 0.0 if fresh else NEVER
            peer.answered = False
            peer.flight.clear()
            peer.flight_bytes = 0
            peer.snapshot_asked = 0.0
        core.now = 0.0
        reads = core.reads
        reads.confirmed_at = NEVER
        for place, (number, _, index, tokens) in enumerate(reads.rounds):
            reads.rounds[place] = (number, 0.0, index, tokens)
        if core.role is not Role.CANDIDATE:
            core.votes = {}
            core.self_vote_record = shift
        if core.role is not Role.LEADER:
            core.term_start = 0
            core.handed_over = core.leaving = False
            core.leader = 0
        core.emitted -= shift
        core.durable = 0
        core.promise_record = max(core.promise_record - shift, 0)
        core.self_vote_record = max(core.self_vote_record - shift, 0)
        core.on_the_way = type(core.on_the_way)((number - shift, last) for number, last in core.on_the_way)
        return shift

    def alarm(self, core: Raft) -> float | None:
        """See `Model.alarm`."""
        if core.role is Role.LEADER:
            return ELECTION
        return ELECTION if core.heard_leader > NEVER else 1.5 * ELECTION

    def condense(self, records: Sequence[Record]) -> list[Record]:
        """See `Model.condense`: what `replay` makes of them, as one record for term and vote and one for the log.

        `replay` handles records one after the other, so what follows is applied to the same term, vote and log. (Without
        snapshots; the checker takes none.)
        """
        found = replay(None, records)
        hard = [hard_record(found.term, found.vote)] if found.term else []
        return hard + ([entries_record(1, found.log.entries)] if found.log.entries else [])

    def view(self, core: Raft) -> View:
        """See `Model.view`."""
        leads = core.role is Role.LEADER
        reach = core.term + (1 if core.role is Role.CANDIDATE and core.pre else 0)
        return View(core.term, reach, leads, items(core.log.entries), core.commit, core.reads.number)

    def broken_promise(self, core: Raft, to: int, message: RaftMessage) -> str:
        """See `Model.broken_promise`: its term, its vote, and that it holds what it acknowledged to the present leader."""
        asks = (isinstance(message, Vote) and message.pre) or (isinstance(message, VoteReply) and message.pre)
        if asks:
            return ""  # a pre-vote speaks of a term that nobody has taken up
        if message.term > core.term:
            return f"it spoke in term {message.term} and is back in term {core.term}"
        if message.term == core.term:
            if isinstance(message, VoteReply) and message.granted and core.vote != to:
                return f"it voted for n{to} in term {core.term} and is back with a vote for {core.vote or 'nobody'}"
            if isinstance(message, AppendReply) and message.ok and message.index > core.log.last:
                return f"it acknowledged entry {message.index} in term {core.term} and is back with {core.log.last}"
        return ""

    def dead(self, core: Raft, sender: int, message: RaftMessage) -> bool:
        """See `Model.dead`.

        Answers are counted by the candidate or the leader whose term they carry, and nobody is that again in a term in
        which he has ceased to be, or in an older one: terms never go back (that they do not is an invariant of its own).
        """
        campaigns = core.role is Role.CANDIDATE and not core.pre
        match message:
            case VoteReply(pre=True, granted=True):
                return message.term <= core.term
            case VoteReply(pre=True) | TimeoutNow():
                return message.term < core.term
            case VoteReply():
                counted = message.term == core.term and (not campaigns or sender in core.votes)
                return message.term < core.term or counted
            case AppendReply() | SnapshotReply():
                ended = message.term == core.term and core.role is not Role.LEADER and not campaigns
                return message.term < core.term or ended
        return False
