"""Paxos as the checker sees it. What `check.raft` says of time, record numbers and windows holds here alike; and:

* *The highest ballot heard of* (`seen`) only serves to choose the next own one, which lies above the promised one anyway.
* *Moments*: a member first stops believing in a leader, or in a candidate that it has promised, then stands for election.
* *Condensed records*: what is accepted in each slot, in the order of ballots, then the promise and what is known. Should that
  ever replay to something else than the records themselves, they are kept as they are.

Bounds count the rounds of ballots (`paxos.ballot.round_of`). Ids matter, since ballots are ordered by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ringleader.consensus.paxos import Paxos, PaxosOptions
from ringleader.consensus.paxos.acceptor import Acceptor
from ringleader.consensus.paxos.ballot import ballot_word, round_of
from ringleader.consensus.paxos.messages import (
    Accepted,
    Canvass,
    CanvassReply,
    Chosen,
    Offer,
    PaxosMessage,
    Promise,
    Refused,
    TakeOver,
)
from ringleader.consensus.paxos.records import accept_record, promise_record, replay
from ringleader.consensus.shape import Config, Record, Role
from ringleader.sim.check.freeze import Freezer
from ringleader.sim.check.model import Even, View, items
from ringleader.sim.words_paxos import PAXOS_WORDS

__all__ = ["PaxosModel"]

ELECTION = 1.0
NEVER = float("-inf")
_decoder: msgspec.msgpack.Decoder[PaxosMessage] = msgspec.msgpack.Decoder(PaxosMessage)


class PaxosModel:
    """See `check.model.Model`. `phase2`: the size of a phase-2 quorum, 0: a majority. `append_bytes` 1: one slot a message."""

    name = "paxos"
    words = PAXOS_WORDS
    matching = False

    def __init__(
        self, *, canvass: int = 1, check_quorum: int = 1, phase2: int = 0, append_bytes: int = 1 << 20
    ) -> None:
        self.options = PaxosOptions(
            heartbeat=ELECTION,
            election=ELECTION,
            append_bytes=append_bytes,
            phase2=phase2,
            canvass=bool(canvass),
            check_quorum=bool(check_quorum),
        )
        self.entropy = Even()
        self.same = Freezer({})

    def make(self, id: int, config: Config) -> Paxos:
        """See `Model.make`."""
        return Paxos(id, config, self.entropy, self.options)

    def shared(self) -> dict[str, Any]:
        """See `Model.shared`."""
        return {"options": self.options, "entropy": self.entropy}

    def decode(self, data: bytes) -> PaxosMessage:
        """See `Model.decode`."""
        return _decoder.decode(data)

    def normalise(self, core: Paxos) -> int:
        """See `Model.normalise`."""
        shift, options = core.durable, self.options
        hears = options.check_quorum and core.now < core.heard_leader + ELECTION
        core.heard_leader = 0.0 if hears and core.role is not Role.LEADER else NEVER
        core.promised_at = 0.0 if options.canvass and core.now < core.promised_at + ELECTION else NEVER
        core.up_to_date_at = NEVER
        core.deadline = 1.5 * ELECTION
        core.seen = max(core.seen, core.term)
        if not core.canvassed:
            core.granted = set()
        reads = core.reads
        reads.confirmed_at = NEVER
        for place, (number, _, index, tokens) in enumerate(reads.rounds):
            reads.rounds[place] = (number, 0.0, index, tokens)
        self._normalise_lead(core, shift)
        core.now = 0.0
        core.emitted -= shift
        core.durable = 0
        core.promise_record = max(core.promise_record - shift, 0)
        core.on_the_way = type(core.on_the_way)((number - shift, last) for number, last in core.on_the_way)
        return shift

    def _normalise_lead(self, core: Paxos, shift: int) -> None:
        lead = core.lead
        if lead is None:
            return
        check = self.options.check_quorum
        lead.heartbeat_due = lead.transfer_until = ELECTION
        lead.moved_at = 0.0 if check and lead.moved_at >= core.now else NEVER
        lead.promise_record = max(lead.promise_record - shift, 0)
        for peer in lead.progress.values():
            peer.heard = 0.0 if check and peer.heard >= core.now else NEVER
            peer.answered = False
            peer.flight.clear()
            peer.flight_bytes = 0
            peer.snapshot_asked = 0.0

    def alarm(self, core: Paxos) -> float | None:
        """See `Model.alarm`."""
        if core.role is Role.LEADER or core.heard_leader > NEVER or core.promised_at > NEVER:
            return ELECTION
        return 1.5 * ELECTION

    def condense(self, records: Sequence[Record]) -> list[Record]:
        """See `Model.condense`."""
        acceptor = replay(None, records)
        short = _written(acceptor)
        if self.same.freeze(replay(None, short)) == self.same.freeze(acceptor):
            return short
        return list(records)

    def view(self, core: Paxos) -> View:
        """See `Model.view`."""
        leads = core.role is Role.LEADER and core.lead is not None and core.lead.open
        held = tuple([None if item[0] < 0 else item for item in items(core.log.entries)])
        return View(core.term, round_of(max(core.term, core.canvassed)), leads, held, core.commit, core.reads.number)

    def broken_promise(self, core: Paxos, to: int, message: PaxosMessage) -> str:
        """See `Model.broken_promise`: the ballots that it has promised or used, and in which it has accepted each slot."""
        if isinstance(message, Canvass | Chosen | Offer):
            return ""
        spoke = message.promised if isinstance(message, CanvassReply | Refused) else message.ballot
        if spoke > core.term:
            return f"it spoke as one who had promised {ballot_word(spoke)} and is back with {ballot_word(core.term)}"
        return _forgotten(core, message) if isinstance(message, Accepted) else ""

    def dead(self, core: Paxos, sender: int, message: PaxosMessage) -> bool:
        """See `Model.dead`.

        Answers are counted by the one who leads in their ballot; a ballot is used once, and who has given it up, or has
        crashed, never comes back to it. What is said of other ballots makes no difference once a higher one is promised.
        """
        lead = core.lead
        match message:
            case Promise():
                return lead is None or lead.ballot != message.ballot or sender in lead.promised
            case Accepted():
                return lead is None or lead.ballot != message.ballot
            case Refused():
                return message.promised <= core.term
            case CanvassReply():
                return max(message.ballot, message.promised) <= core.term and not message.commit
            case TakeOver():
                return message.ballot < core.term
        return False


def _forgotten(core: Paxos, message: Accepted) -> str:
    """The first slot that it has told to be accepted in a ballot and that it holds in none so high; empty: all are there.

    A slot that it knows to be chosen needs no such ballot: it may have accepted it in an older one.
    """
    for first, last in [(core.commit + 1, message.upto), *message.islands]:
        for slot in range(max(first, core.commit + 1), last + 1):
            if core.log.ballot(slot) < message.ballot:
                held = f"in {ballot_word(core.log.ballot(slot))}" if core.log.ballot(slot) else "empty"
                return f"it has told that slot {slot} is accepted in {ballot_word(message.ballot)}, and is back with it {held}"
    return ""


def _written(acceptor: Acceptor) -> list[Record]:
    """Records that lead to this acceptor: its slots in the order of their ballots, then its promise."""
    log = acceptor.log
    if not acceptor.promised and not log.entries:
        return []
    runs, _ = log.runs(1, 1 << 62)
    accepts = [accept_record(run.ballot, run.first, 0, run.entries) for run in sorted(runs, key=lambda run: run.ballot)]
    return [*accepts, promise_record(acceptor.promised, acceptor.told, acceptor.commit)]
