"""Who leads: election timers, pre-votes, votes, and what a candidate does when it has won (Raft section 5.2, 5.4.1).

PreVote keeps a member that was cut off from raising the term when it comes back; members that hear from a leader refuse
votes for one election time, so that such a member cannot depose it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.consensus.raft import membership, replication
from ringleader.consensus.raft.messages import TimeoutNow, Vote, VoteReply
from ringleader.consensus.raft.quorum import has_quorum, vote_lost
from ringleader.consensus.shape import CANDIDATE, FOLLOWER, LEADER

if TYPE_CHECKING:
    from ringleader.consensus.raft.core import Raft

__all__ = ["on_timeout_now", "on_vote", "on_vote_reply", "restart_timer", "tally", "timer_ran_out"]


def restart_timer(raft: Raft) -> None:
    """Wait for one to two election times, drawn anew each time so that candidates rarely collide."""
    raft.deadline = raft.now + raft.options.election * (1.0 + raft.entropy.random())


def timer_ran_out(raft: Raft) -> None:
    """No leader was heard for too long: stand for election if this member may vote."""
    restart_timer(raft)
    if raft.role is CANDIDATE and not raft.pre and raft.durable < raft.self_vote_record:
        return  # its vote is not on its slow disk, so nobody was asked yet; another term would have to wait there as well
    if raft.config.votes(raft.id) and not raft.abstaining:
        campaign(raft, pre=raft.options.pre_vote)
    elif raft.leader:
        raft.leader = 0
        raft.out.changed = True


def campaign(raft: Raft, *, pre: bool, force: bool = False) -> None:
    """Ask for (pre-)votes. A real vote for oneself counts only once it is on disk."""
    raft.role = CANDIDATE
    raft.leader = 0
    raft.pre = pre
    raft.forced = force
    raft.out.changed = True
    if pre:
        raft.votes = {raft.id: True}
        asked = raft.term + 1
    else:
        raft.save_term(raft.term + 1, raft.id)
        raft.votes = {}
        raft.self_vote_record = raft.emitted
        asked = raft.term
    request = Vote(asked, raft.log.last, raft.log.last_term, pre, force)
    for member in raft.config.members():
        if member != raft.id and raft.config.votes(member):
            raft.send(member, request, 0 if pre else raft.self_vote_record)
    tally(raft)


def on_vote(raft: Raft, sender: int, message: Vote) -> None:
    """Grant at most one vote a term, and only to a candidate whose log is at least as up to date (section 5.4.1)."""
    hears_leader = raft.role is LEADER or raft.now < raft.heard_leader + raft.options.election
    if message.term > raft.term and hears_leader and not message.force and raft.options.check_quorum:
        return  # a leader is alive: obeying would depose it for nothing (thesis 4.2.3)
    if message.term > raft.term and not message.pre:
        raft.become_follower(message.term, 0)
    up_to_date = (message.last_term, message.last_index) >= (raft.log.last_term, raft.log.last)
    if message.pre:
        granted = message.term > raft.term and up_to_date
        raft.send(sender, VoteReply(message.term if granted else raft.term, granted, True), 0)
        return
    granted = message.term == raft.term and raft.vote in (0, sender) and up_to_date and raft.role is FOLLOWER
    if granted:
        if not raft.vote:
            raft.save_term(raft.term, sender)
        restart_timer(raft)
    raft.send(sender, VoteReply(raft.term, granted), raft.next_record())


def on_vote_reply(raft: Raft, sender: int, message: VoteReply) -> None:
    """Count a (pre-)vote."""
    if message.term > raft.term and not (message.pre and message.granted):
        raft.become_follower(message.term, 0)
        return
    if raft.role is not CANDIDATE or message.pre is not raft.pre:
        return
    if message.granted and message.term != raft.term + (1 if raft.pre else 0):
        return  # a vote for an earlier candidacy of ours
    if not message.granted and message.term < raft.term:
        return
    raft.votes.setdefault(sender, message.granted)
    tally(raft)


def tally(raft: Raft) -> None:
    """Become leader, go on from pre-vote to vote, or give up, as the votes say."""
    if not raft.pre and raft.durable >= raft.self_vote_record:
        raft.votes[raft.id] = True
    if has_quorum(raft.config, (member for member, granted in raft.votes.items() if granted)):
        if raft.pre:
            campaign(raft, pre=False)
        else:
            _become_leader(raft)
    elif vote_lost(raft.config, (member for member, granted in raft.votes.items() if not granted)):
        raft.become_follower(raft.term, 0)


def _become_leader(raft: Raft) -> None:
    raft.role = LEADER
    raft.leader = raft.id
    raft.transferee = 0
    raft.handed_over = False
    raft.leaving = False
    raft.out.changed = True
    raft.reads.reset()
    replication.start_term(raft)
    membership.leave_joint_if_due(raft)


def on_timeout_now(raft: Raft, sender: int, message: TimeoutNow) -> None:
    """The leader hands over: stand for election at once, without asking first."""
    may = raft.config.votes(raft.id) and not raft.abstaining
    if message.term == raft.term and raft.role is FOLLOWER and may:
        restart_timer(raft)
        campaign(raft, pre=False, force=True)
