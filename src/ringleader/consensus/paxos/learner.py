"""The learner: getting to know what was chosen, from whoever knows it.

Members that follow a leader learn from its accepts (`replication`). A member without one, and a leader that does not know yet
all that was chosen before it, ask somebody who knows more (`Learn`), slot by slot from what they know; if those slots are
compacted away there, a snapshot is offered, by anybody who has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.consensus.paxos import acceptance, leader
from ringleader.consensus.paxos.messages import Chosen, Learn, Offer
from ringleader.consensus.paxos.records import chosen_record, reset_record
from ringleader.consensus.shape import FOLLOWER, LEADER, SnapshotMeta

if TYPE_CHECKING:
    from ringleader.consensus.paxos.core import Paxos

__all__ = ["ask", "install_snapshot", "on_chosen", "on_learn", "on_offer"]


def ask(paxos: Paxos, member: int) -> None:
    """Ask `member` for what follows on what is known here."""
    paxos.send(member, Learn(paxos.term, paxos.commit + 1), 0)


def on_learn(paxos: Paxos, sender: int, message: Learn) -> None:
    """Tell what was chosen, as much as fits into a message; or that only a snapshot has it."""
    if message.first > paxos.commit:
        return
    if message.first < paxos.log.first:
        paxos.out.wants_snapshot.append(sender)
        return
    entries, _ = paxos.log.chunk(message.first, paxos.commit, paxos.options.append_bytes)
    paxos.send(sender, Chosen(0, message.first, entries, paxos.commit), 0)


def on_chosen(paxos: Paxos, sender: int, message: Chosen) -> None:
    """Take up what was chosen, and ask for more if there is.

    A candidate or leader that learns of an entry born in a higher ballot than its own comes too late: its own entries could
    not follow on that. So does a leader that learns of another value than it has proposed, or of one where it has proposed
    nothing: that was chosen in a higher ballot. If it went on telling that the slot is chosen, whoever has accepted its own
    value would take that one for chosen.
    """
    if _superseded(paxos, message):
        paxos.become_follower(0)
    low, last = paxos.acceptor.learn(message.first, message.entries)
    if low > last:
        return
    entries = message.entries[low - message.first :]
    paxos.note_configs(low, entries)
    paxos.emit(chosen_record(low, entries))
    paxos.advance(paxos.acceptor.commit)
    if paxos.lead is not None:
        paxos.lead.moved_at = paxos.now
        if entries[-1].term > paxos.lead.ballot:
            paxos.seen = max(paxos.seen, entries[-1].term)
            paxos.become_follower(0)
    if paxos.lead is not None:
        leader.proceed(paxos)
    elif message.commit > paxos.commit:
        ask(paxos, sender)


def _superseded(paxos: Paxos, message: Chosen) -> bool:
    """Whether something was chosen that the leader here did not propose, in a slot in which it has a say."""
    lead = paxos.lead
    if lead is None:
        return False
    last = message.first + len(message.entries) - 1
    if lead.open and last > lead.last:
        return True
    low = max(message.first, paxos.commit + 1)
    slots = range(low, min(last, lead.last) + 1)
    return any(
        paxos.log.ballot(slot) == lead.ballot and paxos.log.at(slot) != message.entries[slot - message.first]
        for slot in slots
    )


def on_offer(paxos: Paxos, sender: int, message: Offer) -> None:
    """Have the snapshot fetched, unless what it stands for is known here anyway."""
    if message.ballot and not acceptance.obey(paxos, sender, message.ballot):
        return
    if message.meta.index <= paxos.commit:
        if message.ballot:
            paxos.replies[sender] = (message.ballot, message.round)
    elif paxos.role is not LEADER or not (paxos.lead and paxos.lead.open):
        paxos.out.fetch = (sender, message.meta)
        paxos.fetching, paxos.fetching_since = message.meta.index, paxos.now


def install_snapshot(paxos: Paxos, meta: SnapshotMeta) -> None:
    """A durable snapshot takes the place of the slots up to it, unless they have become known meanwhile (hazard 17).

    What was accepted above it stays: a quorum may have been counted with it.
    """
    if meta.index > paxos.commit:
        if paxos.role is not FOLLOWER:
            paxos.become_follower(0)  # it could not lead: its state is being replaced
        paxos.flush()
        paxos.acceptor.begin_after(meta.index, meta.term)
        paxos.emit(reset_record(meta.index, meta.term))
        paxos.began_after(meta)
        paxos.out.install = meta
        paxos.out.fetch = None
        paxos.out.changed = True
    if paxos.leader and paxos.leader != paxos.id:
        paxos.replies.setdefault(paxos.leader, (paxos.term, 0))
