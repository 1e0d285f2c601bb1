"""Raft, a sentence of the paper at a time."""

from __future__ import annotations

import random

from ringleader.consensus.raft import Raft
from ringleader.consensus.raft.messages import (
    Append,
    AppendReply,
    InstallSnapshot,
    SnapshotReply,
    TimeoutNow,
    Vote,
    VoteReply,
)
from ringleader.consensus.raft.progress import Pace
from ringleader.consensus.raft.records import entries_record, hard_record
from ringleader.consensus.shape import Config, Entry, Role, SnapshotMeta
from unit.raft.harness import Cluster


def test_a_vote_leaves_only_after_it_is_on_disk() -> None:
    cluster = Cluster(3)
    voter = cluster.members[2]
    voter.core.tick(5.0)
    voter.core.step(1, Vote(term=1, last_index=0, last_term=0))
    cluster.collect(voter)
    assert [send for _, send in cluster.queue if send.to == 1] == []
    cluster.sync(voter)
    cluster.collect(voter)
    assert [send.message.granted for _, send in cluster.queue] == [True]


def test_the_same_candidate_may_ask_twice_in_a_term() -> None:
    cluster = Cluster(3)
    voter = cluster.members[2]
    voter.core.tick(5.0)
    for _ in range(2):
        voter.core.step(1, Vote(term=1, last_index=0, last_term=0))
        cluster.collect(voter)
        cluster.sync(voter)
    cluster.collect(voter)
    assert [send.message.granted for _, send in cluster.queue] == [True, True]


def test_an_old_append_does_not_truncate_what_followed() -> None:
    cluster = Cluster(3)
    follower = cluster.members[2].core
    follower.tick(1.0)
    entries = [Entry(1, 0, bytes([65 + i])) for i in range(4)]
    follower.step(1, Append(1, 0, 0, entries, 0))
    follower.step(1, Append(1, 0, 0, entries[:2], 0))
    assert follower.log.last == 4


def test_an_append_below_the_compacted_part_is_not_a_conflict() -> None:
    cluster = Cluster(3)
    follower = cluster.members[2].core
    follower.tick(1.0)
    entries = [Entry(1, 0, bytes([65 + i])) for i in range(4)]
    follower.step(1, Append(1, 0, 0, entries, 3))
    follower.take_output()
    follower.compact(3)
    follower.step(1, Append(1, 1, 1, entries[1:], 3))
    assert (follower.log.first, follower.log.last) == (4, 4)


def test_figure_8_an_older_term_is_not_committed_by_counting() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader().core
    others = [id for id in cluster.members if id != leader.id]
    cluster.drop = lambda sender, to, message: sender == leader.id
    leader.propose([b"old"])
    cluster.settle()
    old_index = leader.log.last
    assert leader.commit < old_index
    cluster.drop = lambda sender, to, message: False
    cluster.crash(others[0])
    cluster.run(6)
    again = cluster.leader().core
    assert again.commit >= old_index
    assert again.log.term(again.commit) == again.term


def test_a_read_waits_for_an_entry_of_the_leaders_own_term() -> None:
    cluster = Cluster(3)
    for member in cluster.members.values():
        member.core.tick(0.0)
    while not any(member.core.role is Role.LEADER for member in cluster.members.values()):
        cluster.run(0.01)
        if any(member.core.role is Role.LEADER for member in cluster.members.values()):
            break
    leader = cluster.leader()
    assert leader.core.read_barrier(5)
    cluster.run(0.3)
    assert next(index for token, index in leader.barriers if token == 5) >= leader.core.term_start


def test_a_snapshot_of_what_is_already_here_only_moves_the_commit_index() -> None:
    cluster = Cluster(3)
    follower = cluster.members[2].core
    follower.tick(1.0)
    follower.step(1, Append(1, 0, 0, [Entry(1, 0, b"a"), Entry(1, 0, b"b")], 0))
    meta = follower.snapshot_meta(0)
    follower.step(1, InstallSnapshot(1, type(meta)(2, 1, meta.config)))
    out = follower.take_output()
    assert out.install is None
    assert out.fetch is None
    assert [index for index, _ in out.committed] == [1, 2]


def fetching() -> tuple[Raft, SnapshotMeta]:
    """A follower with entries 1 to 4 of term 1 that was offered a snapshot at 9 of term 2."""
    config = Config((1, 2, 3))
    core = Raft(2, config, random.Random(1))
    core.tick(1.0)
    core.step(1, Append(1, 0, 0, [Entry(1, 0, b"a")] * 4, 0))
    meta = SnapshotMeta(9, 2, config)
    core.step(3, InstallSnapshot(2, meta))
    out = core.take_output()
    assert out.fetch == (3, meta)
    assert out.install is None
    assert not any(isinstance(send.message, SnapshotReply) for send in out.messages)
    return core, meta


def test_the_log_begins_anew_only_when_the_fetched_snapshot_is_durable() -> None:
    core, meta = fetching()
    core.install(meta)
    out = core.take_output()
    assert out.install == meta
    assert (core.log.offset, core.commit, core.handed_out) == (9, 9, 9)
    (reply,) = [send for send in out.messages if isinstance(send.message, SnapshotReply)]
    assert (reply.to, reply.message.index, reply.after) == (3, 9, core.emitted), "after the record of the reset"


def test_a_fetched_snapshot_that_the_log_has_overtaken_changes_nothing() -> None:
    """Hazard 17: a new leader has sent the entries while the snapshot was on its way."""
    core, meta = fetching()
    core.step(1, Append(3, 4, 1, [Entry(2, 0, b"b")] * 5 + [Entry(3, 0, b"c")], 10))
    core.take_output()
    core.install(meta)
    out = core.take_output()
    assert out.install is None
    assert core.log.offset == 0
    assert core.log.last == core.commit == 10


def test_two_snapshots_in_quick_succession() -> None:
    """Hazard 17: the older one comes last."""
    core, meta = fetching()
    newer = SnapshotMeta(20, 2, meta.config)
    core.install(newer)
    assert core.take_output().install == newer
    core.install(meta)
    assert core.take_output().install is None
    assert core.log.offset == 20


def test_an_older_snapshot_than_the_one_offered_last_will_do() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    behind = next(id for id in cluster.members if id != leader.id)
    cluster.drop = lambda sender, to, message: behind in (sender, to)
    leader.core.propose([b"x"] * 10)
    cluster.settle()
    leader.core.compact(leader.core.commit - 5)
    config = leader.core.config
    old = leader.core.snapshot_meta(leader.core.commit - 3)
    leader.core.progress[behind].probe(1)
    assert leader.core.take_output().wants_snapshot == [behind]
    leader.core.offer_snapshot(behind, SnapshotMeta(leader.core.commit, leader.core.term, config))
    cluster.drop = lambda sender, to, message: isinstance(message, InstallSnapshot)
    leader.core.step(behind, SnapshotReply(leader.core.term, old.index))
    assert leader.core.progress[behind].pace is Pace.REPLICATE
    assert leader.core.progress[behind].next == old.index + 1


def test_what_stays_behind_a_snapshot_is_bounded_in_entries_and_in_bytes() -> None:
    core, meta = fetching()
    core.install(meta)
    core.step(3, Append(2, 9, 2, [Entry(2, 0, bytes(100))] * 10, 19))
    core.take_output()
    for index, entries, size, offset in ((12, 2, 1000, 10), (15, 100, 250, 13), (16, 100, 50, 16), (16, 0, 1000, 16)):
        core.compact(index, entries, size)
        assert core.log.offset == offset


def test_who_abstains_stands_for_no_election() -> None:
    core, _ = fetching()
    core.abstain(True)
    for seconds in range(2, 20):
        core.tick(float(seconds))
    core.step(3, TimeoutNow(2))
    assert core.role is Role.FOLLOWER
    core.abstain(False)
    core.tick(30.0)
    core.tick(40.0)
    assert core.role is not Role.FOLLOWER


def test_who_begins_to_abstain_gives_up_an_election() -> None:
    """Found by review: a candidacy begun in the turn that replaces the state could still be won."""
    core, _ = fetching()
    core.tick(30.0)
    core.tick(40.0)
    assert core.status().role is Role.CANDIDATE
    core.abstain(True)
    core.step(3, VoteReply(core.term + 1, True, True))
    core.take_output()
    assert core.status().role is Role.FOLLOWER


def test_an_append_from_before_the_compaction_deletes_nothing() -> None:
    """Hazard 8."""
    core, meta = fetching()
    core.install(meta)
    core.step(3, Append(2, 9, 2, [Entry(2, 0, b"d")] * 3, 10))
    core.take_output()
    core.compact(10)
    core.step(3, Append(2, 6, 2, [Entry(2, 0, b"b")] * 3, 8))
    out = core.take_output()
    assert (core.log.offset, core.log.last, core.commit) == (10, 12, 10)
    assert any(isinstance(send.message, AppendReply) and send.message.ok for send in out.messages)


def test_members_change_by_joint_consensus() -> None:
    cluster = Cluster(5)
    cluster.run(3)
    leader = cluster.leader()
    keep = tuple(sorted([leader.id, *[id for id in cluster.members if id != leader.id][:2]]))
    assert leader.core.change_members(Config(keep))
    assert leader.core.change_members(Config((leader.id,))) == 0, "one change at a time"
    cluster.settle()
    cluster.run(0.5)
    assert leader.core.config == Config(keep)
    assert leader.core.role is Role.LEADER


def test_what_follows_a_snapshot_that_contradicts_the_old_log_survives_a_second_crash() -> None:
    """Crash between the snapshot's file and the record of the reset: the old, never committed tail must not come back."""
    config = Config((1, 2, 3))
    disk = [hard_record(2, 0), entries_record(1, [Entry(2, 0, b"stale")] * 50)]
    meta = SnapshotMeta(30, 3, config)
    core = Raft(1, config, random.Random(1))
    core.recover(meta, disk)
    core.tick(1.0)
    core.step(2, Append(3, 30, 3, [Entry(3, 0, b"kept")], 30))
    out = core.take_output()
    assert any(isinstance(send.message, AppendReply) and send.message.ok for send in out.messages)
    again = Raft(1, config, random.Random(2))
    again.recover(meta, [*disk, *out.records])  # all durable, so entry 31 was acknowledged
    assert again.log.last == 31
    assert again.log.slice(31, 31) == [Entry(3, 0, b"kept")]


def test_contact_is_what_was_really_heard() -> None:
    """A restarted member, and one that lacks entries its leader has committed, must not take itself for up to date."""
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    follower = next(id for id in cluster.members if id != leader.id)
    assert cluster.members[follower].core.contact > 2
    cluster.crash(follower)
    cluster.restart(follower)
    core = cluster.members[follower].core
    core.tick(cluster.now)
    assert core.contact == float("-inf")
    last = core.log.last
    core.step(leader.id, Append(leader.core.term, last, leader.core.log.term(last), [], last + 5))
    assert core.contact == float("-inf"), "it hears the leader, but knows that it lags"
    core.step(leader.id, Append(leader.core.term, last, leader.core.log.term(last), [], last))
    assert core.contact == cluster.now


def test_time_seen_without_a_tick_counts_for_leases_and_promises() -> None:
    """After a pause messages come before the timers: neither a lease nor a promise may be measured from before it."""
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader().core
    assert leader.lease_valid()
    leader.observe(cluster.now + 5.0)
    assert not leader.lease_valid()
    follower = next(member.core for member in cluster.members.values() if member.core is not leader)
    follower.observe(cluster.now + 5.0)
    follower.step(leader.id, Append(leader.term, leader.log.last, leader.log.last_term, [], leader.commit))
    follower.tick(cluster.now + 5.5)
    assert follower.role is Role.FOLLOWER, "it heard its leader half a second ago"
