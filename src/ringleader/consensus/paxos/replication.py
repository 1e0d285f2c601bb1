"""How the leader's values reach the others and when they are chosen: phase 2, pipelined.

The leader sends on without waiting, within a window of bytes and messages; what arrives is accepted in any order. A lost
message is noticed by the answer to the next heartbeat, which tells how far the slots are accepted without a hole, and which
runs are there beyond it; only what is missing is sent again. A member that lags gets chosen slots in the very same way:
proposing a chosen value again in one's own ballot is always allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.consensus.paxos import leader, membership, reads
from ringleader.consensus.paxos.messages import Accept, Accepted, Offer, TakeOver
from ringleader.consensus.paxos.progress import Progress
from ringleader.consensus.paxos.quorum import accepted_by, has_phase2
from ringleader.consensus.peer import SNAPSHOT_PATIENCE
from ringleader.consensus.shape import LEADER, Entry, SnapshotMeta

if TYPE_CHECKING:
    from ringleader.consensus.paxos.core import Paxos
    from ringleader.consensus.paxos.leader import Leadership

__all__ = [
    "advance_commit",
    "on_accepted",
    "own_accepted",
    "send_all",
    "send_offer",
    "start_transfer",
    "tick_leader",
    "wants_to_send",
]

# ------------------------------------------------------------------------------------------------------- time


def tick_leader(paxos: Paxos, lead: Leadership) -> None:
    """Heartbeats, what has to be asked again, and the ends of things that came to nothing."""
    if lead.transferee and paxos.now >= lead.transfer_until:
        lead.transferee = 0
        if membership.removed(paxos):
            paxos.become_follower(0)
            return
    paxos.reads.ask_more(lead.progress, paxos.now, paxos.commit, paxos.options.heartbeat / 10)
    if paxos.now < lead.heartbeat_due:
        return
    lead.heartbeat_due = paxos.now + paxos.options.heartbeat
    if paxos.role is LEADER and _has_to_go(paxos, lead):
        paxos.become_follower(0)
        return
    if not lead.open or lead.sealed:
        leader.ask_for_promises(paxos, paxos.chosen_config)
        leader.proceed(paxos)
    if paxos.role is not LEADER:
        return
    leader.follow_members(paxos)
    reads.heartbeat_round(paxos)
    for peer in lead.progress.values():
        if peer.snapshot and paxos.now >= peer.snapshot_asked + SNAPSHOT_PATIENCE * paxos.options.election:
            peer.snapshot = 0  # the offer may be lost; asking again finds out


def _has_to_go(paxos: Paxos, lead: Leadership) -> bool:
    """Whether a phase-2 quorum is silent, or the stages before leading come no further: somebody else may do better."""
    since = paxos.now - paxos.options.election
    stuck = (not lead.open or bool(lead.sealed)) and lead.moved_at < since
    heard = [member for member, peer in lead.progress.items() if peer.heard >= since]
    silent = not has_phase2(paxos.chosen_config.voters, [*heard, paxos.id], paxos.options.phase2)
    return paxos.options.check_quorum and (stuck or silent)


# ---------------------------------------------------------------------------------------------------- sending


def send_all(paxos: Paxos, lead: Leadership) -> None:
    """Once a turn: whatever each member lacks and its window allows; else a commit notice or heartbeat that is due."""
    commit = paxos.acceptor.commit
    for member, peer in lead.progress.items():
        if peer.next <= lead.last and peer.known and not peer.snapshot:
            _send_entries(paxos, lead, member, peer)
        if peer.ping or (peer.commit_told < commit and peer.known and not peer.snapshot):
            _send_accept(paxos, member, peer, peer.next, [])


def wants_to_send(paxos: Paxos, lead: Leadership) -> bool:
    """Whether `send_all` may have something to send."""
    commit, last = paxos.acceptor.commit, lead.last
    return any(peer.ping or peer.next <= last or peer.commit_told < commit for peer in lead.progress.values())


def _send_entries(paxos: Paxos, lead: Leadership, member: int, peer: Progress) -> None:
    options = paxos.options
    while peer.next <= lead.last:
        if peer.islands:
            peer.next = peer.skip(peer.next)
            if peer.next > lead.last:
                return
        if peer.next <= paxos.log.offset:
            _want_snapshot(paxos, member, peer)
            return
        if peer.window_full(options):
            return
        last = peer.limit(peer.next, lead.last) if peer.islands else lead.last
        entries, size = paxos.log.chunk(peer.next, last, options.append_bytes)
        _send_accept(paxos, member, peer, peer.next, entries)
        peer.sent(peer.next + len(entries) - 1, size)


def _send_accept(paxos: Paxos, member: int, peer: Progress, first: int, entries: list[Entry]) -> None:
    acceptor = paxos.acceptor
    paxos.send(member, Accept(acceptor.promised, first, entries, acceptor.commit, paxos.reads.number), 0)
    peer.commit_told = acceptor.commit
    if peer.ping:
        peer.pinged(paxos.reads.number)
        peer.ping = False


def _want_snapshot(paxos: Paxos, member: int, peer: Progress) -> None:
    """Ask the world for a snapshot for `member`, which needs slots that are compacted away."""
    peer.snapshot = paxos.log.offset
    peer.snapshot_asked = paxos.now
    paxos.out.wants_snapshot.append(member)


def send_offer(paxos: Paxos, to: int, meta: SnapshotMeta) -> None:
    """The world has a snapshot for `to`; it will fetch it. A leader repeats the offer until it has; others are asked again."""
    lead = paxos.lead
    if lead is None or paxos.role is not LEADER:
        paxos.send(to, Offer(0, meta), 0)
        return
    peer = lead.progress.get(to)
    if peer is not None:
        peer.snapshot = max(meta.index, 1)
        peer.pings.clear()
        paxos.send(to, Offer(lead.ballot, meta, paxos.reads.number), 0)


# ---------------------------------------------------------------------------------------------------- answers


def on_accepted(paxos: Paxos, sender: int, message: Accepted) -> None:
    """Phase 2b: learn how far a member has accepted, and what got lost on the way to it."""
    lead = paxos.lead
    if lead is None or message.ballot != lead.ballot or paxos.role is not LEADER:
        return
    peer = lead.progress.get(sender)
    if peer is None or message.upto > lead.last:
        return
    if peer.has_answered(paxos.now, message.round, paxos.reads.number):
        reads.confirm(paxos)
    if message.upto < peer.match:
        if message.round <= peer.match_round:
            return  # an answer to something older
        # It answers what was sent after it had acknowledged more: its disk lost that, or is an older copy. All that can
        # still be done is to give it again; whatever is chosen stays so.
        paxos.out.lost.append((sender, peer.match, message.upto))
        peer.match = message.upto
        peer.go_back()
    news = message.upto > peer.match or bool(message.islands)
    if message.upto > peer.match:
        peer.match_round = paxos.reads.number
    peer.islands = message.islands
    peer.reached(message.upto)
    if peer.match >= paxos.acceptor.log.offset:
        peer.snapshot = 0  # also after an older one than offered last: it will do
    if not peer.known:
        peer.known = True
        peer.go_back()
    elif peer.lost(message.round):
        peer.go_back()
    if not news:
        return
    advance_commit(paxos)
    _hand_over_if_ready(paxos, sender)


def own_accepted(lead: Leadership) -> int:
    """Up to which slot the leader's own copy counts: what is on its disk."""
    return lead.durable


def advance_commit(paxos: Paxos) -> None:
    """A slot is chosen once a phase-2 quorum of the configuration in force has accepted it in this ballot, durably."""
    lead = paxos.lead
    if lead is None or paxos.role is not LEADER:
        return
    voters, phase2 = paxos.chosen_config.voters, paxos.options.phase2
    held = {member: peer.match for member, peer in lead.progress.items()}
    held[paxos.id] = own_accepted(lead)
    commit = min(accepted_by(voters, held, 0, phase2), lead.last)
    for peer in lead.progress.values():
        if peer.islands:
            commit = _past_holes(paxos, lead, max(commit, paxos.commit), held)
            break
    if commit > paxos.commit:
        paxos.advance(commit)
        membership.committed(paxos)


def _past_holes(paxos: Paxos, lead: Leadership, commit: int, held: dict[int, int]) -> int:
    """As `advance_commit`, but some member has accepted slots beyond a hole: count slot by slot.

    Not for the first slot under a configuration: whoever brings that into force must hold all that came before, for those
    of the old configuration may leave then.
    """
    voters = paxos.chosen_config.voters
    while paxos.chosen_index < commit < lead.last:
        slot = commit + 1
        having = [
            member
            for member, match in held.items()
            if match >= slot
            or (member in lead.progress and any(low <= slot <= high for low, high in lead.progress[member].islands))
        ]
        if not has_phase2(voters, having, paxos.options.phase2):
            break
        commit = slot
    return commit


# --------------------------------------------------------------------------------------------------- handing over


def start_transfer(paxos: Paxos, to: int) -> bool:
    """Take no more proposals and hand over to `to` as soon as it has everything."""
    lead = paxos.lead
    if lead is None or not lead.open or to not in lead.progress or not paxos.chosen_config.votes(to):
        return False
    lead.transferee = to
    lead.transfer_until = paxos.now + paxos.options.election
    _hand_over_if_ready(paxos, to)
    return True


def _hand_over_if_ready(paxos: Paxos, member: int) -> None:
    lead = paxos.lead
    if lead is None or member != lead.transferee or member not in lead.progress or lead.sealed:
        return
    peer = lead.progress[member]
    if peer.match == lead.last:
        lead.handed_over = True
        if peer.commit_told < paxos.commit:  # else it would have to ask what is chosen before it can lead
            _send_accept(paxos, member, peer, peer.next, [])
        paxos.send(member, TakeOver(lead.ballot), 0)
        if membership.removed(paxos):
            paxos.become_follower(0)
