"""How a member answers the two phases: what it promises, what it accepts, and whose word it takes for the leader's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.consensus.paxos import election, leader
from ringleader.consensus.paxos.ballot import owner
from ringleader.consensus.paxos.messages import Accept, Accepted, Prepare, Promise, Refused
from ringleader.consensus.shape import FOLLOWER

if TYPE_CHECKING:
    from ringleader.consensus.paxos.core import Paxos

__all__ = ["obey", "on_accept", "on_prepare", "on_refused", "reply"]


def on_prepare(paxos: Paxos, sender: int, message: Prepare) -> None:
    """Phase 1b: promise a higher ballot and report what is accepted; asked again in the same ballot, report again.

    While a leader is heard it is not answered (as in Raft's thesis, 4.2.3): obeying would depose it for nothing, and break
    the promise that its lease rests on.
    """
    if message.ballot < paxos.term:
        paxos.send(sender, Refused(message.ballot, paxos.term), 0)
        return
    if owner(message.ballot) != sender:
        return
    if message.ballot > paxos.term:
        if election.hears_leader(paxos) and not message.force and paxos.options.check_quorum:
            return
        paxos.become_follower(0)
        paxos.save_promise(message.ballot)
        paxos.promised_at = paxos.now
        election.restart_timer(paxos)
    runs, more = leader.open_slots(paxos, message.first, paxos.options.append_bytes)
    promise = Promise(paxos.term, paxos.commit, paxos.acceptor.told, runs, more)
    paxos.send(sender, promise, paxos.next_record())


def on_accept(paxos: Paxos, sender: int, message: Accept) -> None:
    """Phase 2b: accept what the leader proposes, learn from it what is chosen; the answer leaves once it is durable."""
    if not obey(paxos, sender, message.ballot):
        return
    if message.entries:
        paxos.accept(message.first, message.entries)
    paxos.advance(message.commit)
    if paxos.acceptor.commit >= message.commit:
        paxos.up_to_date_at = paxos.now
    ballot, round = paxos.replies.get(sender, (0, 0))
    paxos.replies[sender] = (message.ballot, max(round, message.round) if ballot == message.ballot else message.round)


def reply(paxos: Paxos, to: int, ballot: int, round: int) -> None:
    """At the end of a turn, one answer for all accepts of the turn: unless a higher ballot was promised in it."""
    acceptor = paxos.acceptor
    if ballot == acceptor.promised:
        islands = [(first, last) for first, last in acceptor.islands]
        paxos.send(to, Accepted(ballot, acceptor.upto, round, islands), paxos.emitted)


def obey(paxos: Paxos, sender: int, ballot: int) -> bool:
    """Follow `sender` if it leads in the ballot promised or a higher one; else tell it so."""
    if ballot < paxos.term:
        paxos.send(sender, Refused(ballot, paxos.term), 0)
        return False
    if owner(ballot) != sender:
        return False
    if ballot > paxos.term or paxos.role is not FOLLOWER or paxos.leader != sender:
        paxos.become_follower(sender)
        if ballot > paxos.term:
            paxos.save_promise(ballot)
    paxos.heard_leader = paxos.now
    election.restart_timer(paxos)
    return True


def on_refused(paxos: Paxos, message: Refused) -> None:
    """Somebody has promised a higher ballot: whoever owns it may lead by now; the next own ballot goes above it."""
    paxos.seen = max(paxos.seen, message.promised)
    if paxos.lead is not None and message.ballot == paxos.lead.ballot:
        paxos.become_follower(0)
