"""How the leader's entries reach the others and when they count as committed (Raft section 5.3, 5.4.2, 7).

Pipelined: the leader sends on without waiting, within a window of bytes and messages. Loss is noticed by the next heartbeat,
which names the entry that should have arrived; the follower then says where its log ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.consensus.peer import SNAPSHOT_PATIENCE
from ringleader.consensus.raft import election, membership, reads
from ringleader.consensus.raft.messages import Append, AppendReply, InstallSnapshot, SnapshotReply, TimeoutNow
from ringleader.consensus.raft.progress import PROBE, REPLICATE, SNAPSHOT, Progress
from ringleader.consensus.raft.quorum import has_quorum, quorum_value
from ringleader.consensus.shape import CANDIDATE, FOLLOWER, LEADER, NOOP, Entry, SnapshotMeta

if TYPE_CHECKING:
    from ringleader.consensus.raft.core import Raft

__all__ = [
    "advance_commit",
    "install_snapshot",
    "on_append",
    "on_append_reply",
    "on_install_snapshot",
    "on_snapshot_reply",
    "send_all",
    "send_snapshot",
    "start_term",
    "start_transfer",
    "tick_leader",
    "wants_to_send",
]

# ------------------------------------------------------------------------------------------------------ leader


def start_term(raft: Raft) -> None:
    """First acts of a new leader: know nothing of the others, append a no-op to commit what came before."""
    last = raft.log.last
    raft.progress = {member: Progress(last + 1, raft.now) for member in raft.config.members() if member != raft.id}
    raft.term_start = last + 1
    raft.heartbeat_due = raft.now + raft.options.heartbeat
    raft.append_entries([Entry(raft.term, int(NOOP), b"")])


def tick_leader(raft: Raft) -> None:
    """Heartbeats, CheckQuorum, and the end of a transfer that came to nothing."""
    if raft.transferee and raft.now >= raft.transfer_until:
        raft.transferee = 0
        if membership.removed(raft):
            raft.become_follower(raft.term, 0)
            return
    raft.reads.ask_more(raft.progress, raft.now, raft.commit, raft.options.heartbeat / 10)
    if raft.now < raft.heartbeat_due:
        return
    raft.heartbeat_due = raft.now + raft.options.heartbeat
    if raft.options.check_quorum and not _hears_quorum(raft):
        raft.become_follower(raft.term, 0)
        return
    reads.heartbeat_round(raft)
    for peer in raft.progress.values():
        if peer.pace is PROBE:
            peer.probing = False  # the probe, or its answer, may be lost
        elif peer.pace is SNAPSHOT and raft.now >= peer.snapshot_asked + SNAPSHOT_PATIENCE * raft.options.election:
            peer.probe(peer.match + 1)  # so may the snapshot; asking again finds out


def _hears_quorum(raft: Raft) -> bool:
    since = raft.now - raft.options.election
    heard = [member for member, peer in raft.progress.items() if peer.heard >= since]
    return has_quorum(raft.config, [*heard, raft.id])


def send_all(raft: Raft) -> None:
    """Once a turn: whatever each member lacks and its window allows; else a commit notice or heartbeat that is due."""
    last = raft.log.last
    for member, peer in raft.progress.items():
        if peer.next <= last:
            _send_entries(raft, member, peer)
        if _has_news(raft, peer):
            _send_append(raft, member, peer, [])


def wants_to_send(raft: Raft) -> bool:
    """Whether `send_all` may have something to send."""
    last = raft.log.last
    return any(peer.next <= last or _has_news(raft, peer) for peer in raft.progress.values())


def _has_news(raft: Raft, peer: Progress) -> bool:
    """Whether a heartbeat is due, or the member has entries that it does not know to be committed."""
    return peer.ping or (peer.pace is REPLICATE and peer.commit_told < min(raft.commit, peer.next - 1))


def _send_entries(raft: Raft, member: int, peer: Progress) -> None:
    options = raft.options
    while peer.next <= raft.log.last and peer.pace is not SNAPSHOT:
        if peer.next <= raft.log.offset:
            _want_snapshot(raft, member, peer)
            return
        if peer.pace is PROBE and peer.probing:
            return
        if peer.window_full(options):
            return
        entries, size = raft.log.chunk(peer.next, raft.log.last, options.append_bytes)
        _send_append(raft, member, peer, entries)
        if peer.pace is PROBE:
            peer.probing = True
            return
        peer.sent(peer.next + len(entries) - 1, size)


def _send_append(raft: Raft, member: int, peer: Progress, entries: list[Entry]) -> None:
    # Below the log's start (a snapshot is on its way) the message is a mere sign of life, refused but answered.
    previous = max(peer.next - 1, raft.log.offset)
    term = raft.log.term(previous)
    raft.send(member, Append(raft.term, previous, term, entries, raft.commit, raft.reads.number), 0)
    peer.ping = False
    peer.commit_told = min(raft.commit, previous + len(entries))


def _want_snapshot(raft: Raft, member: int, peer: Progress) -> None:
    """Ask the world for a snapshot for `member`, which needs entries that are compacted away."""
    peer.pace = SNAPSHOT
    peer.snapshot_asked = raft.now
    peer.snapshot_index = max(peer.snapshot_index, raft.log.offset)
    raft.out.wants_snapshot.append(member)


def send_snapshot(raft: Raft, to: int, meta: SnapshotMeta) -> None:
    """The world has a snapshot for `to`; it will fetch it. The offer is repeated until it has."""
    peer = raft.progress.get(to)
    if raft.role is not LEADER or peer is None:
        return
    peer.snapshot_index = meta.index
    raft.send(to, InstallSnapshot(raft.term, meta, raft.reads.number), 0)


def on_append_reply(raft: Raft, sender: int, message: AppendReply) -> None:
    """Learn how far a member's log agrees, or where to look for agreement."""
    peer = _heard_from(raft, sender, message.term, message.round)
    if peer is None:
        return
    if message.ok:
        if message.index <= raft.log.last and peer.agreed(message.index):
            peer.match_round = raft.reads.number
            advance_commit(raft)
            _hand_over_if_ready(raft, sender)
        return
    if message.rejected <= peer.match and message.round > peer.match_round:
        # It answers what was sent after it had acknowledged more: its disk lost that, or is an older copy. All that can
        # still be done is to give it again; whatever is committed stays so.
        agree = raft.log.agree_by_term(message.index, message.hint_term)[0]
        raft.out.lost.append((sender, peer.match, agree))
        peer.match, peer.match_round = 0, raft.reads.number
        peer.probe(agree + 1)
        peer.ping = True
        return
    if peer.pace is SNAPSHOT or message.rejected <= peer.match or message.rejected >= peer.next:
        return  # an answer to something older
    if peer.pace is PROBE and message.rejected != peer.next - 1:
        return
    agree, _ = raft.log.agree_by_term(message.index, message.hint_term)
    peer.probe(max(min(agree, message.rejected - 1), 0) + 1)
    peer.ping = True


def on_snapshot_reply(raft: Raft, sender: int, message: SnapshotReply) -> None:
    """A snapshot is installed; go on from there."""
    peer = _heard_from(raft, sender, message.term, message.round)
    if peer is not None and message.index <= raft.log.last:
        if message.index >= raft.log.offset:
            peer.snapshot_index = min(peer.snapshot_index, message.index)  # an older one than offered last: it will do
        if peer.agreed(message.index):
            peer.match_round = raft.reads.number
        advance_commit(raft)


def _heard_from(raft: Raft, sender: int, term: int, round: int) -> Progress | None:
    """A member answered. Returns what is known of it, or None when the answer means nothing to us any more."""
    if term > raft.term:
        raft.become_follower(term, 0)
        return None
    peer = raft.progress.get(sender)
    if raft.role is not LEADER or term < raft.term or peer is None:
        return None
    if peer.has_answered(raft.now, round, raft.reads.number):
        reads.confirm(raft)
    return peer


def advance_commit(raft: Raft) -> None:
    """Commit what a quorum holds durably; entries of older terms only together with one of this term (figure 8)."""
    if raft.role is not LEADER:
        return
    held = {member: peer.match for member, peer in raft.progress.items()}
    held[raft.id] = min(raft.durable_index, raft.log.last)
    index = quorum_value(raft.config, held, 0)
    if index > raft.commit and raft.log.term(index) == raft.term:
        raft.commit = index
        membership.committed(raft)


def start_transfer(raft: Raft, to: int) -> bool:
    """Take no more proposals and hand over to `to` as soon as it has everything."""
    if raft.role is not LEADER or to == raft.id or to not in raft.progress or not raft.config.votes(to):
        return False
    raft.transferee = to
    raft.transfer_until = raft.now + raft.options.election
    _hand_over_if_ready(raft, to)
    return True


def _hand_over_if_ready(raft: Raft, member: int) -> None:
    if member == raft.transferee and member in raft.progress and raft.progress[member].match == raft.log.last:
        raft.handed_over = True
        raft.send(member, TimeoutNow(raft.term), 0)
        if membership.removed(raft):
            raft.become_follower(raft.term, 0)


# ---------------------------------------------------------------------------------------------------- follower


def on_append(raft: Raft, sender: int, message: Append) -> None:
    """Append what the leader sent if it continues the own log; acknowledge what is durable."""
    if not _obey(raft, sender, message.term):
        raft.send(sender, AppendReply(raft.term, False, 0), 0)  # tells a deposed leader of the newer term
        return
    previous, entries = message.prev_index, message.entries
    if previous < raft.commit:
        # What is committed here agrees by definition, even where compaction has taken it away (hazard 8).
        entries = entries[raft.commit - previous :]
        previous = raft.commit
    elif raft.log.term(previous) != message.prev_term:
        index, term = raft.log.agree_by_term(previous, message.prev_term)
        reply = AppendReply(raft.term, False, index, message.round, message.prev_index, term)
        raft.send(sender, reply, 0)
        return
    last = previous + len(entries)
    _append_new(raft, previous + 1, entries)
    raft.commit = max(raft.commit, min(message.commit, last))
    if message.commit <= last:
        raft.up_to_date_at = raft.now
    raft.replies[sender] = _newer(raft.replies.get(sender), AppendReply(raft.term, True, last, message.round))


def _newer(old: AppendReply | None, new: AppendReply) -> AppendReply:
    """One reply a turn says it all: the highest index and the latest round."""
    if old is None or old.term != new.term:
        return new
    return AppendReply(new.term, True, max(old.index, new.index), max(old.round, new.round))


def _append_new(raft: Raft, first: int, entries: list[Entry]) -> None:
    """Skip what is here already; cut the own log only where it really differs (hazard 7)."""
    for position, entry in enumerate(entries):
        index = first + position
        known = raft.log.term(index)
        if known == entry.term:
            continue
        if known >= 0:
            raft.truncate(index)
        raft.append_entries(entries[position:])
        return


def on_install_snapshot(raft: Raft, sender: int, message: InstallSnapshot) -> None:
    """Have the leader's snapshot fetched, unless the own log reaches that far anyway."""
    if not _obey(raft, sender, message.term):
        raft.send(sender, SnapshotReply(raft.term, 0), 0)
    elif _reaches(raft, message.meta):
        raft.send(sender, SnapshotReply(raft.term, raft.commit, message.round), raft.next_record())
    else:
        raft.out.fetch = (sender, message.meta)


def _reaches(raft: Raft, meta: SnapshotMeta) -> bool:
    """Whether the own log holds what the snapshot stands for; all of it is then known to be committed."""
    if meta.index > raft.commit:
        if raft.log.term(meta.index) != meta.term:
            return False
        raft.commit = meta.index
    return True


def install_snapshot(raft: Raft, meta: SnapshotMeta) -> None:
    """A durable snapshot takes the place of the own log, unless that has got there by itself meanwhile (hazard 17).

    It stands for committed entries, so it does not matter who leads by now.
    """
    if raft.role is LEADER:
        return  # its log holds all that is committed; what is not known to be so yet will be in its own term
    if not _reaches(raft, meta):
        if raft.role is CANDIDATE:
            raft.become_follower(raft.term, 0)
        raft.reset_log(meta)
        raft.out.install = meta
        raft.out.fetch = None
        raft.out.changed = True
    if raft.leader:
        raft.send(raft.leader, SnapshotReply(raft.term, raft.commit), raft.next_record())


def _obey(raft: Raft, sender: int, term: int) -> bool:
    """Follow `sender` if it leads in this or a newer term."""
    if term < raft.term:
        return False
    if term > raft.term or raft.role is not FOLLOWER or raft.leader != sender:
        assert not (term == raft.term and raft.role is LEADER), "two leaders in one term"
        raft.become_follower(term, sender)
    raft.heard_leader = raft.now
    election.restart_timer(raft)
    return True
