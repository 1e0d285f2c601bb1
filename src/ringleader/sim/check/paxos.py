"""Paxos as the checker sees it. What `check.raft` says of time, record numbers and windows holds here alike; and:

* *The highest ballot heard of* (`seen`) only serves to choose the next own one, and of it only the round counts, where that is
  higher than the round of what is promised.
* *Whom a member follows* makes a difference to it when an order to take over comes or it is asked who leads: where the bounds
  leave that out, it is forgotten.
* *What phase 1 has found* is behind a leader that takes proposals, unless the members may change: then it asks again.
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
from ringleader.consensus.paxos.ballot import MEMBERS, ballot_word, round_of
from ringleader.consensus.paxos.leader import Leadership
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
from ringleader.sim.check.bounds import Bounds
from ringleader.sim.check.freeze import Freezer
from ringleader.sim.check.model import Even, View, items
from ringleader.sim.words_paxos import PAXOS_WORDS

__all__ = ["PaxosModel"]

ELECTION = 1.0
NEVER = float("-inf")
ANYTHING = Bounds(beats=True, crashes=True, transfers=True, changes=(Config(()),))
"""A model that knows of no bounds forgets nothing that might matter within some."""
_decoder: msgspec.msgpack.Decoder[PaxosMessage] = msgspec.msgpack.Decoder(PaxosMessage)


class PaxosModel:
    """See `check.model.Model`. `bounds`: of the world that it is for. `phase2`: the size of a phase-2 quorum, 0: a majority.
    `append_bytes` 1: one slot a message.
    """

    name = "paxos"
    words = PAXOS_WORDS
    matching = False

    def __init__(
        self,
        bounds: Bounds = ANYTHING,
        *,
        canvass: int = 1,
        check_quorum: int = 1,
        phase2: int = 0,
        append_bytes: int = 1 << 20,
    ) -> None:
        self.crashes = bounds.crashes
        self.changes = bool(bounds.changes)
        self.beats = bounds.beats
        self.follows = bool(bounds.transfers or bounds.changes or canvass)  # whether it matters whom
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
        higher = round_of(core.seen) > round_of(core.term)
        core.seen = round_of(core.seen) * MEMBERS if higher else core.term
        if not self.follows and core.role is Role.FOLLOWER:
            core.leader = 0
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
        check = self._is_timed(lead)
        lead.heartbeat_due = lead.transfer_until = ELECTION
        lead.moved_at = 0.0 if check and lead.moved_at >= core.now else NEVER
        lead.promise_record = max(lead.promise_record - shift, 0)
        if self._phase1_is_over(lead):
            lead.promised, lead.rest, lead.knew = set(), {}, {}
            lead.told = lead.best = lead.best_member = 0
        for peer in lead.progress.values():
            peer.heard = 0.0 if check and peer.heard >= core.now else NEVER
            peer.answered = False
            peer.flight.clear()
            peer.flight_bytes = 0
            peer.snapshot_asked = 0.0

    def _is_timed(self, lead: Leadership) -> bool:
        """Whether time may still pass for it in this ballot: then it matters whom it has heard since, and whether it got on."""
        return self.options.check_quorum and (self.beats or not lead.open)

    def _phase1_is_over(self, lead: Leadership) -> bool:
        """Whether promises tell it nothing any more: it takes proposals, and will not ask for more."""
        return lead.open and not self.changes and not self._is_timed(lead)

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
        Without crashes nothing that is known is forgotten: what was chosen is learnt once.
        """
        lead = core.lead
        leads_in = lead.ballot if lead is not None else 0
        match message:
            case Promise():
                if lead is None or leads_in != message.ballot:
                    return True
                return lead.progress[sender].known if self._phase1_is_over(lead) else sender in lead.promised
            case Accepted():
                return lead is None or leads_in != message.ballot or self._told_before(lead, sender, message)
            case Refused(promised=promised):
                ended = message.ballot <= core.term and leads_in != message.ballot
                return promised <= core.term or (ended and self._heard_of(core, promised))
            case CanvassReply(granted=granted, promised=promised):
                counts = granted and message.ballot > core.term
                known = not message.commit or (message.commit <= core.commit and not self.crashes)
                return not counts and known and self._heard_of(core, promised)
            case Chosen():
                return not self.crashes and message.first + len(message.entries) - 1 <= core.commit
            case TakeOver():
                return message.ballot < core.term
        return False

    def _heard_of(self, core: Paxos, ballot: int) -> bool:
        """Whether `ballot` cannot make the next own one any higher. (What was heard of is forgotten at a crash.)"""
        return ballot <= core.term or (not self.crashes and round_of(ballot) <= round_of(core.seen))

    def _told_before(self, lead: Leadership, sender: int, message: Accepted) -> bool:
        """Whether the leader knows that `sender` has accepted more, and has heard of it since then; not where it may crash."""
        peer = lead.progress.get(sender)
        if peer is None or self.crashes or self._is_timed(lead):
            return False
        return message.upto < peer.match and message.round <= min(peer.round, peer.match_round)


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
