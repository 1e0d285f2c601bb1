"""When a read may be served: a phase-2 quorum confirms that it has promised no higher ballot, for all waiting reads at once.

A newer leader needs the promises of a phase-1 quorum, and every phase-2 quorum has a member of it. So a read asked of the
leader is linearizable once (1) the leader's own first entry under the configuration in force is chosen, so that it knows all
that was chosen before, (2) a phase-2 quorum of that configuration has answered a message sent after the read was asked, in
this ballot, so that no newer leader had come to lead by then, and (3) the state has applied the commit index noted at the
start of the round. (The same as Raft's ReadIndex, thesis section 6.4.)

When a configuration entry is chosen the rounds on the way are begun anew: their answers were to be counted by the old one.

The leader lease rests on the same: whoever answered a heartbeat promises nobody else for one election time, after a restart
too (`election.hears_leader`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.consensus.paxos.quorum import accepted_by, has_phase2
from ringleader.consensus.rounds import Reads

if TYPE_CHECKING:
    from ringleader.consensus.paxos.core import Paxos

__all__ = ["Reads", "begin_anew", "confirm", "confirmed_round", "heartbeat_round", "ready", "start_round"]


def ready(paxos: Paxos) -> bool:
    """Whether the leader knows all that was chosen before it led, under the configuration in force."""
    lead = paxos.lead
    return lead is not None and lead.open and not lead.sealed and paxos.commit >= lead.barrier


def start_round(paxos: Paxos) -> None:
    """Start a round for all reads that wait, if the leader may serve reads yet."""
    reads, lead = paxos.reads, paxos.lead
    if reads.waiting and lead is not None and ready(paxos):
        voters, phase2 = paxos.chosen_config.voters, paxos.options.phase2
        reads.start(paxos.now, paxos.commit)
        reads.ask_some(lead.progress, lambda members: has_phase2(voters, [*members, paxos.id], phase2))
        confirm(paxos)


def heartbeat_round(paxos: Paxos) -> None:
    """Number the heartbeats too: their answers renew the leader's lease, and show what was lost on the way."""
    assert paxos.lead is not None
    paxos.reads.start_empty(paxos.now, paxos.commit)
    paxos.reads.ask_all(paxos.lead.progress)
    confirm(paxos)


def begin_anew(paxos: Paxos) -> None:
    """Another configuration is in force: what was asked of the old one has to be asked again."""
    tokens = paxos.reads.give_up()
    paxos.reads.waiting = tokens


def confirmed_round(paxos: Paxos) -> int:
    """The newest round that a phase-2 quorum has answered in this ballot."""
    assert paxos.lead is not None
    answered = {member: peer.round for member, peer in paxos.lead.progress.items()}
    answered[paxos.id] = paxos.reads.number
    return accepted_by(paxos.chosen_config.voters, answered, 0, paxos.options.phase2)


def confirm(paxos: Paxos) -> None:
    """Hand out the reads of all rounds that a quorum has answered by now."""
    if paxos.lead is not None and paxos.reads.rounds:
        paxos.out.barriers += paxos.reads.confirmed(paxos.lead.progress, confirmed_round(paxos))
        if ready(paxos):
            paxos.up_to_date_at = max(paxos.up_to_date_at, paxos.reads.confirmed_at)
