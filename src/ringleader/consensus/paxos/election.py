"""Who leads: timers, asking around before a ballot is used, and handing over.

A ballot is used only after a *canvass*: enough members for a quorum of either phase have said that they would promise, which
binds nobody. So who stands is connected to a quorum, which is all that matters for making progress (Ng, Haridi and Carbone,
"Omni-Paxos", 2023): its log need not be the longest, since phase 1 brings what it lacks. And a member that is cut off, or that
one half cannot see, raises no ballots: two members that do not hear each other cannot depose one another for ever.

* A member that hears a leader refuses. A leader that no phase-2 quorum answers falls silent, so this holds nobody up for long.
* A member that has just promised somebody refuses others for one election time: the promised one may be about to lead.
* Of two that stand at the same time the one with the higher ballot wins; there is no split vote.
* Who does not know of the configuration that removed it is told how far the log has got, and catches up instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.consensus.paxos import leader, learner
from ringleader.consensus.paxos.ballot import next_ballot, owner
from ringleader.consensus.paxos.messages import Canvass, CanvassReply, TakeOver
from ringleader.consensus.paxos.quorum import has_phase1, has_phase2
from ringleader.consensus.shape import CANDIDATE, FOLLOWER, LEADER

if TYPE_CHECKING:
    from ringleader.consensus.paxos.core import Paxos

__all__ = [
    "hears_leader",
    "may_stand",
    "on_canvass",
    "on_canvass_reply",
    "on_take_over",
    "restart_timer",
    "timer_ran_out",
]

FETCHING = 10
"""Election times for which a member that was offered a snapshot leaves standing to others."""
ORPHANED = 4
"""Election times without a leader after which somebody without a vote may bring a new configuration into force."""


def restart_timer(paxos: Paxos) -> None:
    """Wait for one to two election times, drawn anew each time so that candidates rarely collide."""
    paxos.deadline = paxos.now + paxos.options.election * (1.0 + paxos.entropy.random())


def hears_leader(paxos: Paxos) -> bool:
    """Whether a leader is alive, which this member has given its word not to promise anybody else for an election time."""
    return paxos.role is LEADER or paxos.now < paxos.heard_leader + paxos.options.election


def may_stand(paxos: Paxos) -> bool:
    """Whether this member may stand for election: it has a vote, can serve, and is not waiting for a snapshot.

    Somebody without a vote may if he knows of a configuration that has not come into force, and nobody has led for long: the
    new members may not know of it yet, and those who decided it may all have left. A proposer needs no vote; he hands over
    as soon as it is in force.
    """
    election = paxos.options.election
    if paxos.abstaining or (paxos.commit < paxos.fetching and paxos.now < paxos.fetching_since + FETCHING * election):
        return False
    orphan = not paxos.config_settled and paxos.now > paxos.heard_leader + ORPHANED * election
    return paxos.chosen_config.votes(paxos.id) or orphan


def timer_ran_out(paxos: Paxos) -> None:
    """No leader was heard for too long: stand for election if this member may, else ask somebody what has been chosen."""
    restart_timer(paxos)
    lead = paxos.lead
    if paxos.role is CANDIDATE and lead is not None and paxos.durable < lead.promise_record:
        return  # its own promise is not on its slow disk, so nobody was asked yet; another ballot would have to wait as well
    if not may_stand(paxos):
        if paxos.leader or paxos.role is not FOLLOWER:
            paxos.become_follower(0)
        others = [member for member in paxos.chosen_config.voters if member != paxos.id]
        if others and not paxos.abstaining:
            learner.ask(paxos, others[int(paxos.entropy.random() * len(others))])
        return
    ballot = next_ballot(paxos.id, paxos.term, paxos.seen)
    if paxos.options.canvass:
        _canvass(paxos, ballot)
    else:
        leader.begin(paxos, ballot, forced=False)


def _canvass(paxos: Paxos, ballot: int) -> None:
    paxos.give_up_leading()
    paxos.role = CANDIDATE
    paxos.leader = 0
    paxos.out.changed = True
    paxos.canvassed = ballot
    paxos.granted = {paxos.id}
    for member in paxos.chosen_config.voters:
        if member != paxos.id:
            paxos.send(member, Canvass(ballot, paxos.commit), 0)
    _count(paxos)


def on_canvass(paxos: Paxos, sender: int, message: Canvass) -> None:
    """Say whether `sender` would be promised its ballot, and what it should know."""
    asked = owner(paxos.term)
    promised_other = asked != sender and paxos.now < paxos.promised_at + paxos.options.election
    removed = not paxos.chosen_config.votes(sender) and message.commit < paxos.chosen_index
    granted = (
        message.ballot > paxos.term
        and owner(message.ballot) == sender
        and not (paxos.options.check_quorum and hears_leader(paxos))
        and not promised_other
        and not removed
    )
    paxos.send(sender, CanvassReply(message.ballot, granted, paxos.term, paxos.commit), 0)


def on_canvass_reply(paxos: Paxos, sender: int, message: CanvassReply) -> None:
    """Count an answer; who knows more of the log is asked for it, whatever comes of the election."""
    paxos.seen = max(paxos.seen, message.promised)
    if message.commit > paxos.commit and not paxos.leader:
        learner.ask(paxos, sender)
    if paxos.role is CANDIDATE and message.granted and message.ballot == paxos.canvassed:
        paxos.granted.add(sender)
        _count(paxos)


def _count(paxos: Paxos) -> None:
    """Stand once those who would promise are enough for both phases: to win, and then to have anything chosen."""
    voters, phase2 = paxos.chosen_config.voters, paxos.options.phase2
    if has_phase1(voters, paxos.granted, phase2) and has_phase2(voters, paxos.granted, phase2):
        ballot, paxos.canvassed = paxos.canvassed, 0
        leader.begin(paxos, max(ballot, next_ballot(paxos.id, paxos.term)), forced=False)


def on_take_over(paxos: Paxos, sender: int, message: TakeOver) -> None:
    """The leader hands over: stand for election at once, without asking first."""
    if message.ballot == paxos.term and paxos.leader == sender and paxos.role is FOLLOWER and may_stand(paxos):
        restart_timer(paxos)
        leader.begin(paxos, next_ballot(paxos.id, paxos.term, paxos.seen), forced=True)
