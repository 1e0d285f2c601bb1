"""Bugs in Raft between its members: appends, votes, commits, windows and handing over (hazards 7 to 9 and 23 to 25)."""

from __future__ import annotations

from contextlib import ExitStack
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from ringleader.consensus.raft import election, membership, replication
from ringleader.consensus.raft.core import Raft
from ringleader.consensus.raft.entries import EntryLog
from ringleader.consensus.raft.messages import Append, AppendReply, Vote, VoteReply
from ringleader.consensus.raft.quorum import quorum_value
from ringleader.consensus.shape import Entry, Role
from ringleader.sim.options import ClockOptions, NetOptions, Options
from sim.bugkit import Bug, set_

__all__ = ["RAFT_BUGS"]


def truncates_on_any_append(stack: ExitStack) -> None:
    def append_new(raft: Raft, first: int, entries: list[Entry]) -> None:
        if raft.log.last >= first:
            raft.truncate(first)
        raft.append_entries(entries)

    set_(stack, replication, "_append_new", append_new)


def compacted_prev_is_a_conflict(stack: ExitStack) -> None:
    original = replication.on_append

    def on_append(raft: Raft, sender: int, message: Append) -> None:
        if message.term >= raft.term and message.prev_index < raft.log.offset and raft.log.last > raft.commit:
            raft.truncate(raft.commit + 1)
        original(raft, sender, message)

    set_(stack, replication, "on_append", on_append)


def old_term_committed_by_counting(stack: ExitStack) -> None:
    def advance_commit(raft: Raft) -> None:
        if raft.role is not Role.LEADER:
            return
        held = {member: peer.match for member, peer in raft.progress.items()}
        held[raft.id] = min(raft.durable_index, raft.log.last)
        index = quorum_value(raft.config, held, 0)
        if index > raft.commit:
            raft.commit = index
            membership.committed(raft)

    set_(stack, replication, "advance_commit", advance_commit)


def commit_beyond_match(stack: ExitStack) -> None:
    """A follower believes the leader's commit index for entries that it has not compared yet."""
    original = replication.on_append

    def on_append(raft: Raft, sender: int, message: Append) -> None:
        original(raft, sender, message)
        if raft.leader == sender and message.term == raft.term and message.commit > raft.commit:
            raft.commit = max(raft.commit, min(message.commit, raft.log.last))

    set_(stack, replication, "on_append", on_append)


def vote_for_any_log(stack: ExitStack) -> None:
    """Votes are granted whatever the candidate's log holds."""
    original = election.on_vote

    def on_vote(raft: Raft, sender: int, message: Vote) -> None:
        original(raft, sender, Vote(message.term, 1 << 60, 1 << 60, message.pre, message.force))

    set_(stack, election, "on_vote", on_vote)


def entry_log_off_by_one(stack: ExitStack) -> None:
    """After compaction the term of the last compacted entry is answered as unknown-but-matching."""
    original = EntryLog.term

    def term(self: EntryLog, index: int) -> int:
        found = original(self, index)
        return self.last_term if found < 0 and index > self.last else found

    set_(stack, EntryLog, "term", term)


def second_request_refused(stack: ExitStack) -> None:
    """A member that has said yes to a candidate once in a term says no when that candidate asks again.

    Here the first request of a term is the pre-vote, and a vote is never asked for twice: the second one is the real one.
    """
    original = election.on_vote

    def on_vote(raft: Raft, sender: int, message: Vote) -> None:
        pledged = promised.setdefault(raft, {})
        if not message.pre and pledged.get(message.term) == sender and message.term > raft.term:
            raft.become_follower(message.term, 0)
            raft.send(sender, VoteReply(raft.term, False), raft.next_record())
            return
        before = len(raft.out.messages)
        original(raft, sender, message)
        if message.pre and any(send.message.granted for send in raft.out.messages[before:]):
            pledged[message.term] = sender

    promised: WeakKeyDictionary[Raft, dict[int, int]] = WeakKeyDictionary()
    set_(stack, election, "on_vote", on_vote)


def window_never_reopens(stack: ExitStack) -> None:
    """When everything on the way is lost, a member's refusal is ignored: nothing is ever sent again."""
    original = replication.on_append_reply

    def on_append_reply(raft: Raft, sender: int, message: AppendReply) -> None:
        peer = raft.progress.get(sender)
        if peer is not None and not message.ok and peer.flight and message.term == raft.term:
            return
        original(raft, sender, message)

    set_(stack, replication, "on_append_reply", on_append_reply)


def lease_after_handing_over(stack: ExitStack) -> None:
    """A leader trusts its lease although it has told another to take over, whose votes break the promises behind it."""

    def lease_valid(raft: Raft) -> bool:
        leads = raft.role is Role.LEADER and raft.commit >= raft.term_start
        return leads and raft.now < raft.reads.confirmed_at + raft.options.election * 0.9

    set_(stack, Raft, "lease_valid", lease_valid)


def _loose_ends(options: Options) -> Options:
    """Leaders are cut off with entries that nobody else has, and what replaces those comes one by one."""
    net, load = NetOptions(delay=0.002, jitter=0.004), replace(options.load, rate=100.0, reads=0.1)
    faults = {"isolate-leader": 0.8, "partition": 1.5}
    return replace(options, nodes=5, net=net, load=load, faults=faults, append_bytes=1, window_messages=2)


def _late_messages(options: Options) -> Options:
    net = NetOptions(stream=False, delay=0.001, jitter=0.01, duplicate=0.1, reorder=0.3)
    faults = {"kill": 5.0, "isolate-leader": 5.0, "slow-disk": 3.0}
    return replace(options, net=net, snapshot_every=30, keep_entries=0, faults=faults)


def _links_break(options: Options) -> Options:
    return replace(options, net=replace(options.net, stream=True), faults={"reset": 0.2, "partition": 5.0})


def _hand_over_and_read(options: Options) -> Options:
    """Leadership is handed over all the time, and leaders trust their leases."""
    load = replace(options.load, reads=0.6, lease_reads=0.9, keys=2)
    return replace(options, nodes=3, faults={"hand-over": 0.5}, load=load, clock=ClockOptions(), net=NetOptions())


RAFT_BUGS = [
    Bug("truncates-on-any-append", 7, "a follower cuts its log at every append", truncates_on_any_append),
    Bug(
        "commit-beyond-match",
        7,
        "a follower commits entries that it has not compared",
        commit_beyond_match,
        _loose_ends,
    ),
    Bug(
        "compacted-is-conflict",
        8,
        "an append from below the compacted part cuts the log",
        compacted_prev_is_a_conflict,
        _late_messages,
    ),
    Bug("unknown-term-matches", 8, "an append beyond the end of the log is taken for matching", entry_log_off_by_one),
    Bug("old-term-by-counting", 9, "entries of older terms are committed by counting", old_term_committed_by_counting),
    Bug("vote-for-any-log", 9, "votes are granted whatever the candidate's log holds", vote_for_any_log),
    Bug("second-request-refused", 23, "who was granted a pre-vote is refused the vote", second_request_refused),
    Bug(
        "window-never-reopens",
        24,
        "a full window of lost messages is never sent again",
        window_never_reopens,
        _links_break,
    ),
    Bug(
        "lease-after-hand-over",
        25,
        "a leader that has handed over still serves reads by its lease",
        lease_after_handing_over,
        _hand_over_and_read,
    ),
]
