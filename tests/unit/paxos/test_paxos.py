"""The Paxos core, one rule at a time."""

from __future__ import annotations

import random

import pytest

from ringleader.consensus.paxos import Paxos, PaxosOptions
from ringleader.consensus.paxos.ballot import ballot, next_ballot, owner, round_of
from ringleader.consensus.paxos.membership import encode
from ringleader.consensus.paxos.messages import (
    Accept,
    Accepted,
    Canvass,
    CanvassReply,
    Chosen,
    Learn,
    Offer,
    Prepare,
    Promise,
    Refused,
    Run,
    TakeOver,
)
from ringleader.consensus.shape import Config, Entry, EntryKind, Role, SnapshotMeta
from unit.paxos.harness import Cluster, Member


def command(birth: int, data: bytes) -> Entry:
    return Entry(birth, int(EntryKind.COMMAND), data)


def sent(cluster: Cluster, member: Member, kind: type) -> list[object]:
    """What `member` has handed out and may leave, of one kind."""
    cluster.collect(member)
    found = [send.message for sender, send in cluster.queue if sender == member.id and isinstance(send.message, kind)]
    cluster.queue.clear()
    return found


def voter(now: float = 5.0) -> tuple[Cluster, Member]:
    """Member 2 of three, which has heard of nobody."""
    cluster = Cluster(3)
    member = cluster.members[2]
    member.core.tick(now)
    return cluster, member


def test_ballots_belong_to_one_member_and_grow() -> None:
    assert ballot(3, 2) == 3000002
    assert (owner(3000002), round_of(3000002)) == (2, 3)
    assert next_ballot(1, 3000002, 5) == 4000001


@pytest.mark.parametrize("size", [1, 3])
def test_a_candidate_does_not_stand_again_before_its_promise_is_on_its_slow_disk(size: int) -> None:
    """It chose a new ballot every time its timer ran out, and so never led while the disk took longer than that."""
    cluster = Cluster(size)
    slow = cluster.members[1]
    while not slow.core.term:
        cluster.now += 0.1
        slow.core.tick(cluster.now)
        cluster.settle(sync=False)
    stands_in = slow.core.term
    for _ in range(100):
        cluster.now += 0.5
        slow.core.tick(cluster.now)
        cluster.settle(sync=False)
    assert slow.core.term == stands_in
    cluster.settle()
    assert cluster.leader() is slow
    assert slow.core.term == stands_in


def test_one_leader_is_elected_and_replicates() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    assert owner(leader.core.term) == leader.id
    assert leader.core.propose([b"a", b"b"]) == 2
    cluster.settle()
    cluster.run(0.3)
    assert all(cluster.commands(id) == [b"a", b"b"] for id in cluster.members)


def test_a_single_voter_leads_at_once_and_commits_only_what_is_durable() -> None:
    cluster = Cluster(1)
    cluster.run(0.05)
    leader = cluster.leader()
    leader.core.propose([b"x"])
    cluster.settle(sync=False)
    assert cluster.commands(1) == []
    cluster.settle()
    assert cluster.commands(1) == [b"x"]


def test_the_leaders_own_copy_counts_once_it_is_on_disk() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    follower, gone = [id for id in cluster.members if id != leader.id]
    cluster.crash(gone)
    slot = leader.core.propose([b"x"])
    (accept,) = [
        message for message in sent(cluster, leader, Accept) if isinstance(message, Accept) and message.entries
    ][:1]
    other = cluster.members[follower]
    other.core.step(leader.id, accept)
    cluster.collect(other)
    cluster.sync(other)
    (accepted,) = sent(cluster, other, Accepted)
    assert isinstance(accepted, Accepted)
    leader.core.step(follower, accepted)
    assert leader.core.commit < slot
    cluster.sync(leader)
    assert leader.core.commit == slot


def test_a_promise_leaves_only_after_it_is_on_disk() -> None:
    cluster, member = voter()
    member.core.step(1, Prepare(1000001, 1))
    assert sent(cluster, member, Promise) == []
    cluster.sync(member)
    assert [promise.ballot for promise in sent(cluster, member, Promise)] == [1000001]  # type: ignore[attr-defined]  # Promise


def test_a_prepare_leaves_only_after_the_own_promise_is_on_disk() -> None:
    """Else a candidate could use the same ballot again after a crash, for other values."""
    cluster, member = voter()
    member.core.step(3, CanvassReply(0, False, 0, 0))
    member.core.tick(8.0)
    (canvass,) = {send.message.ballot for send in member.core.take_output().messages}
    member.core.step(1, CanvassReply(canvass, True, 0, 0))
    assert sent(cluster, member, Prepare) == []
    cluster.sync(member)
    assert sent(cluster, member, Prepare)


def test_who_promised_accepts_nothing_lower_and_says_so() -> None:
    cluster, member = voter()
    member.core.step(3, Prepare(2000003, 1))
    member.core.step(1, Accept(1000001, 1, [command(1000001, b"x")], 0))
    member.core.step(1, Prepare(1000001, 1))
    cluster.sync(member)
    cluster.collect(member)
    cluster.sync(member)
    assert sent(cluster, member, Refused) == [Refused(1000001, 2000003), Refused(1000001, 2000003)]
    assert member.core.log.last == 0


def test_accepting_promises_too() -> None:
    """Without it a later, lower ballot could still get this member's promise."""
    cluster, member = voter()
    member.core.step(3, Accept(2000003, 1, [command(2000003, b"x")], 0))
    assert member.core.term == 2000003
    cluster.settle()
    cluster.crash(2)
    cluster.restart(2)
    assert cluster.members[2].core.term == 2000003


def test_slots_are_accepted_in_any_order_and_reported_with_their_ballots() -> None:
    cluster, member = voter()
    core = member.core
    core.step(1, Accept(1000001, 3, [command(1000001, b"c")], 0))
    core.step(1, Accept(1000001, 1, [command(1000001, b"a")], 0))
    cluster.collect(member)
    cluster.sync(member)
    (accepted,) = sent(cluster, member, Accepted)
    assert accepted == Accepted(1000001, 1, 0, [(3, 3)])
    core.step(3, Accept(2000003, 2, [command(2000003, b"b")], 0))
    core.tick(20.0)
    core.step(1, Prepare(5000001, 1))
    cluster.collect(member)
    cluster.sync(member)
    (promise,) = sent(cluster, member, Promise)
    assert promise == Promise(
        5000001,
        0,
        0,
        [
            Run(1000001, 1, [command(1000001, b"a")]),
            Run(2000003, 2, [command(2000003, b"b")]),
            Run(1000001, 3, [command(1000001, b"c")]),
        ],
    )


def test_a_report_that_is_too_long_comes_in_parts() -> None:
    cluster = Cluster(3, append_bytes=100)
    cluster.run(3)
    leader = cluster.leader()
    others = [id for id in cluster.members if id != leader.id]
    leader.core.propose([b"x" * 40 for _ in range(20)])
    cluster.drop = lambda sender, to, message: isinstance(message, Accepted)
    cluster.settle()
    cluster.crash(leader.id)
    cluster.drop = lambda sender, to, message: False
    cluster.run(4)
    assert all(len(cluster.commands(id)) == 20 for id in others)


def test_a_value_is_known_to_be_chosen_only_in_the_ballot_that_says_so() -> None:
    """A value accepted in an older ballot may have lost against the one that was chosen."""
    cluster, member = voter()
    core = member.core
    core.step(1, Accept(1000001, 1, [command(1000001, b"lost")], 0))
    core.step(3, Accept(2000003, 2, [command(2000003, b"b")], 1))
    cluster.collect(member)
    assert core.commit == 0
    core.step(3, Accept(2000003, 1, [command(2000003, b"a")], 1))
    cluster.collect(member)
    assert cluster.commands(2) == [b"a"]


def test_an_accept_from_nowhere_is_not_believed() -> None:
    _, member = voter()
    core = member.core
    core.step(1, Accept(1000001, 1 << 60, [command(1000001, b"x")], 0))
    assert core.log.last == 0
    core.step(1, Accept(1000003, 1, [command(1000003, b"x")], 0))
    assert core.log.last == 0, "the ballot belongs to somebody else"


def test_lost_messages_in_a_full_window_are_sent_again() -> None:
    cluster = Cluster(3, window_messages=4, append_bytes=64)
    cluster.run(3)
    leader = cluster.leader().core
    cluster.drop = lambda sender, to, message: (
        sender == leader.id and isinstance(message, Accept) and bool(message.entries)
    )
    leader.propose([b"x" * 60 for _ in range(20)])
    cluster.run(0.25)
    cluster.drop = lambda sender, to, message: False
    cluster.run(1)
    assert all(len(cluster.commands(id)) == 20 for id in cluster.members)


def test_only_what_is_missing_is_sent_again() -> None:
    cluster = Cluster(3, append_bytes=64)
    cluster.run(3)
    leader = cluster.leader()
    other = next(id for id in cluster.members if id != leader.id)
    accepts: list[Accept] = []

    def drop(sender: int, to: int, message: object) -> bool:
        if not isinstance(message, Accept) or not message.entries or to != other:
            return False
        accepts.append(message)
        return len(accepts) == 2

    cluster.drop = drop
    leader.core.propose([b"x" * 60 for _ in range(6)])
    cluster.run(0.5)
    assert len(cluster.commands(other)) == 6
    assert len(accepts) == 7, "six, and one of them again"


def test_a_slot_is_chosen_by_those_who_have_it_whatever_they_lack_before() -> None:
    """Members 2 and 3 each lack another slot; with the leader's own, both slots are chosen."""
    cluster = Cluster(3, append_bytes=1)
    cluster.run(3)
    leader = cluster.leader()
    others = [id for id in cluster.members if id != leader.id]
    gone = {others[0]: 2, others[1]: 3}
    cluster.drop = lambda sender, to, message: (
        isinstance(message, Accept) and bool(message.entries) and message.first == gone.get(to)
    )
    leader.core.propose([b"2", b"3", b"4"])
    cluster.settle()
    assert leader.core.commit == 4
    cluster.drop = lambda sender, to, message: False
    cluster.run(1)
    assert all(cluster.commands(id) == [b"2", b"3", b"4"] for id in cluster.members)


def test_a_new_leader_fills_holes_and_keeps_what_may_be_chosen() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    first = cluster.leader()
    others = [id for id in cluster.members if id != first.id]
    for id in others:
        member = cluster.members[id]
        member.core.step(first.id, Accept(first.core.term, 4, [command(first.core.term, b"kept")], 1))
    cluster.crash(first.id)
    cluster.run(4)
    leader = cluster.leader()
    entries = [entry for _, entry in leader.applied]
    assert [entry.kind for entry in entries] == [1, 1, 1, 0, 1]
    assert entries[3].data == b"kept"
    births = [entry.term for entry in entries]
    assert births == sorted(births)
    assert births[1] == births[0], "what fills a hole is as old as what stands before it"


def recovering(*promises: Promise) -> Paxos:
    """Member 3 of three, which has got these promises; each is given its ballot."""
    core = Paxos(3, Config((1, 2, 3)), random.Random(1))
    core.recover(None, [])
    core.step(1, Refused(0, 7000001))
    core.tick(5.0)
    core.tick(8.0)
    core.step(1, CanvassReply(core.canvassed, True, 0, 0))
    records = len(core.take_output().records)
    core.synced(records)
    for sender, promise in enumerate(promises, 1):
        promise.ballot = core.term
        core.step(sender, promise)
    return core


def test_a_new_leader_proposes_the_value_of_the_highest_ballot() -> None:
    low, high = command(1000001, b"low"), command(2000002, b"high")
    core = recovering(Promise(0, 0, 0, [Run(1000001, 1, [low])]))
    assert core.log.at(1) == low, "it may be chosen"
    core = Paxos(3, Config((1, 2, 3, 4, 5)), random.Random(1))
    core.recover(None, [])
    core.step(1, Refused(0, 7000001))
    core.tick(5.0)
    core.tick(8.0)
    for sender in (1, 2):
        core.step(sender, CanvassReply(core.canvassed, True, 0, 0))
    core.synced(len(core.take_output().records))
    core.step(1, Promise(core.term, 0, 0, [Run(1000001, 1, [low])]))
    core.step(2, Promise(core.term, 0, 0, [Run(2000002, 1, [high])]))
    assert core.leads
    assert core.log.at(1) == high


def test_births_never_decrease_whatever_is_left_over() -> None:
    """Slot 2 was accepted in a lower ballot than slot 1, by somebody whom the leader of slot 1 did not hear: it is dead."""
    late, early = command(2000002, b"late"), command(1000001, b"early")
    core = recovering(Promise(0, 0, 0, [Run(2000002, 1, [late]), Run(1000001, 2, [early])]))
    births = [entry.term for entry in core.log.entries]
    assert births == sorted(births)
    assert core.log.at(1) == late
    assert core.log.at(2).term == core.term


def test_nothing_stands_above_a_configuration_that_is_not_chosen() -> None:
    """One of the two is dead: the higher ballot says which."""
    change = Entry(1000001, int(EntryKind.CONFIG), encode(Config((1, 2))))
    after = command(2000002, b"after")
    core = recovering(Promise(0, 0, 0, [Run(1000001, 1, [change]), Run(2000002, 2, [after])]))
    assert core.leads
    assert (core.log.at(1).kind, core.log.at(2)) == (EntryKind.NOOP, after)
    core = recovering(Promise(0, 0, 1, [Run(1000001, 1, [change]), Run(2000002, 2, [after])]))
    assert not core.leads, "it was told to be chosen: it has to come into force first"
    assert (core.log.at(1), core.log.last) == (change, 1)


def test_a_leader_that_slept_through_its_fall_serves_no_read() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    old = cluster.leader()
    cluster.down.add(old.id)
    cluster.run(4)
    assert cluster.leader().id != old.id
    cluster.leader().core.propose([b"new"])
    cluster.settle()
    cluster.down.discard(old.id)
    old.core.observe(cluster.now)
    assert old.core.read_barrier(1), "it does not know yet"
    cluster.settle()
    assert old.barriers == []
    assert old.failed == [1]


def test_a_deposed_leader_serves_no_read() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    old = cluster.leader()
    cluster.drop = lambda sender, to, message: old.id in (sender, to)
    cluster.run(0.3)
    assert old.core.read_barrier(77)
    cluster.run(4)
    assert old.barriers == []
    assert old.failed == [77]
    assert cluster.leader().id != old.id


def test_a_member_that_was_cut_off_does_not_depose_the_leader() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    before = leader.core.term
    away = next(id for id in cluster.members if id != leader.id)
    cluster.drop = lambda sender, to, message: away in (sender, to)
    cluster.run(10)
    cluster.drop = lambda sender, to, message: False
    cluster.run(3)
    assert (cluster.leader().id, cluster.leader().core.term) == (leader.id, before)


def test_a_leader_that_hears_no_quorum_steps_down() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    cluster.drop = lambda sender, to, message: leader.id in (sender, to)
    cluster.run(2.5)
    assert leader.core.role is not Role.LEADER


def test_crash_loses_unsynced_records_and_recovery_replays_the_rest() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    leader.core.propose([b"kept"])
    cluster.settle()
    follower = next(id for id in cluster.members if id != leader.id)
    cluster.crash(follower)
    leader.core.propose([b"later"])
    cluster.settle()
    cluster.restart(follower)
    cluster.run(1)
    assert cluster.commands(follower) == [b"kept", b"later"]


def test_a_whole_cluster_restart_keeps_promises_and_log() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    cluster.leader().core.propose([b"a"])
    cluster.settle()
    before = cluster.leader().core.term
    for id in list(cluster.members):
        cluster.crash(id)
    for id in list(cluster.members):
        cluster.restart(id)
    cluster.run(4)
    assert cluster.leader().core.term > before
    cluster.run(0.3)
    assert all(cluster.commands(id) == [b"a"] for id in cluster.members)


def test_a_restarted_member_knows_at_once_what_its_records_say_is_chosen() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    for number in range(5):
        leader.core.propose([b"%d" % number])
        cluster.settle()
    follower = next(id for id in cluster.members if id != leader.id)
    known = cluster.members[follower].core.commit
    cluster.crash(follower)
    cluster.restart(follower)
    assert cluster.members[follower].core.commit >= known - 1


def test_a_member_too_far_behind_gets_a_snapshot() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    behind = next(id for id in cluster.members if id != leader.id)
    cluster.drop = lambda sender, to, message: behind in (sender, to)
    leader.core.propose([b"1", b"2", b"3"])
    cluster.settle()
    leader.core.compact(leader.core.commit)
    cluster.drop = lambda sender, to, message: False
    cluster.run(1)
    follower = cluster.members[behind].core
    assert follower.commit == leader.core.commit
    assert follower.log.offset == leader.core.log.offset


def test_what_is_accepted_above_a_snapshot_stays() -> None:
    """A quorum may have been counted with it."""
    _, member = voter()
    core = member.core
    core.step(1, Accept(1000001, 8, [command(1000001, b"h"), command(1000001, b"i")], 0))
    core.step(1, Offer(1000001, SnapshotMeta(7, 1000001, core.config)))
    out = core.take_output()
    assert out.fetch == (1, SnapshotMeta(7, 1000001, core.config))
    core.install(SnapshotMeta(7, 1000001, core.config))
    after = core.take_output()
    assert after.install is not None
    assert (core.commit, core.log.offset, core.log.last, core.acceptor.upto) == (7, 7, 9, 9)
    again = Paxos(2, core.config, random.Random(1))
    again.recover(after.install, [*out.records, *after.records])
    assert (again.commit, again.log.last, again.acceptor.upto) == (7, 9, 9)


def test_records_that_begin_after_the_snapshot_are_refused() -> None:
    config = Config((1, 2, 3))
    core = Paxos(2, config, random.Random(1))
    core.recover(None, [])
    core.step(1, Accept(1000001, 1, [command(1000001, b"%d" % slot) for slot in range(9)], 0))
    records = core.take_output().records
    core.step(1, Accept(1000001, 10, [], 9))
    core.take_output()
    checkpoint = core.checkpoint()
    whole = Paxos(2, config, random.Random(1))
    whole.recover(None, [*records, *checkpoint])
    assert whole.commit == 9
    lost = Paxos(2, config, random.Random(1))
    with pytest.raises(ValueError, match="slot 1 is missing"):
        lost.recover(None, checkpoint)


def test_a_member_without_a_leader_learns_from_whoever_knows_more() -> None:
    """Its link to the leader is down, both ways; a third one has it all."""
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    apart, between = [id for id in cluster.members if id != leader.id]
    cluster.drop = lambda sender, to, message: {sender, to} == {leader.id, apart}
    leader.core.propose([b"a", b"b"])
    cluster.run(5)
    assert cluster.leader().id == leader.id
    assert cluster.members[between].core.leader == leader.id
    assert cluster.commands(apart) == [b"a", b"b"]


def test_the_one_that_reaches_a_quorum_leads_however_short_its_log() -> None:
    """The constrained election of the Omni-Paxos paper: only member 1 reaches others, and it lacks what was chosen."""
    cluster = Cluster(5)
    cluster.run(3)
    while cluster.leader().id == 1:
        old = cluster.leader()
        assert old.core.transfer(2)
        cluster.run(1)
    old = cluster.leader()
    cluster.drop = lambda sender, to, message: 1 in (sender, to)
    old.core.propose([b"a", b"b"])
    cluster.run(0.5)
    assert cluster.commands(1) == []
    cluster.crash(old.id)
    cluster.drop = lambda sender, to, message: 1 not in (sender, to)
    cluster.run(6)
    assert cluster.leader().id == 1
    cluster.leader().core.propose([b"c"])
    cluster.run(0.5)
    assert cluster.commands(1) == [b"a", b"b", b"c"]


def test_a_quorum_of_two_of_five_decides_and_four_elect() -> None:
    cluster = Cluster(5, phase2=2)
    cluster.run(3)
    leader = cluster.leader()
    others = [id for id in cluster.members if id != leader.id]
    for id in others[:3]:
        cluster.crash(id)
    leader.core.propose([b"a"])
    cluster.run(3)
    assert cluster.commands(others[3]) == [b"a"]
    assert cluster.leader().id == leader.id
    assert leader.core.read_barrier(1)
    cluster.run(0.3)
    assert [token for token, _ in leader.barriers] == [1]
    cluster.crash(leader.id)
    for id in others[:2]:
        cluster.restart(id)
    cluster.run(6)
    assert all(cluster.members[id].core.role is not Role.LEADER for id in others), "three are too few"
    cluster.restart(others[2])
    cluster.run(4)
    assert b"a" in cluster.commands(cluster.leader().id)


def test_leadership_is_handed_over() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    to = next(id for id in cluster.members if id != leader.id)
    assert leader.core.transfer(to)
    cluster.settle()
    cluster.run(0.2)
    assert cluster.leader().id == to


def test_a_transfer_that_came_to_nothing_ends_lease_reads_for_the_ballot() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    assert leader.core.lease_valid()
    cluster.drop = lambda sender, to, message: isinstance(message, TakeOver)
    assert leader.core.transfer(next(id for id in cluster.members if id != leader.id))
    cluster.run(2)
    assert leader.core.leads
    assert not leader.core.lease_valid()
    assert leader.core.read_barrier(1)
    cluster.settle()
    assert [token for token, _ in leader.barriers] == [1], "reads with a round go on"


def test_nobody_is_promised_while_a_leader_is_heard_after_a_restart_too() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    follower, rival = [id for id in cluster.members if id != leader.id]
    cluster.crash(follower)
    cluster.restart(follower)
    core = cluster.members[follower].core
    core.tick(cluster.now)
    before = core.term
    core.step(rival, Prepare(9000000 + rival, 1))
    assert core.term == before
    core.observe(cluster.now + 1.1)
    core.step(rival, Prepare(9000000 + rival, 1))
    assert core.term == 9000000 + rival


def test_contact_is_what_was_really_heard() -> None:
    _, member = voter()
    core = member.core
    assert core.contact == float("-inf")
    core.step(1, Accept(1000001, 1, [], 5))
    assert core.contact == float("-inf"), "it hears the leader, but knows that it lags"
    core.step(1, Accept(1000001, 1, [command(1000001, b"x")] * 5, 5))
    assert core.contact == 5.0


def test_who_abstains_stands_for_no_election() -> None:
    cluster, member = voter()
    core = member.core
    core.abstain(True)
    for seconds in range(6, 20):
        core.tick(float(seconds))
        assert not sent(cluster, member, Canvass)
    core.abstain(False)
    core.tick(30.0)
    assert sent(cluster, member, Canvass)
    core.abstain(True)
    assert core.role is Role.FOLLOWER


def test_who_waits_for_a_snapshot_leaves_standing_to_others_for_a_while() -> None:
    cluster, member = voter()
    core = member.core
    core.step(1, Offer(0, SnapshotMeta(7, 1000001, core.config)))
    core.tick(10.0)
    assert not sent(cluster, member, Canvass)
    core.tick(30.0)
    assert sent(cluster, member, Canvass)


def test_what_was_chosen_is_told_to_whoever_asks() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    leader.core.propose([b"a", b"b", b"c"])
    cluster.run(0.5)
    follower = cluster.members[next(id for id in cluster.members if id != leader.id)]
    follower.core.step(9, Learn(0, 3))
    (chosen,) = sent(cluster, follower, Chosen)
    assert isinstance(chosen, Chosen)
    assert [entry.data for entry in chosen.entries] == [b"b", b"c"]
    follower.core.compact(3)
    follower.core.step(9, Learn(0, 3))
    assert follower.core.take_output().wants_snapshot == [9]


def test_a_candidate_that_learns_of_a_later_birth_comes_too_late() -> None:
    cluster, member = voter()
    core = member.core
    core.tick(8.0)
    (asked,) = {send.message.ballot for send in core.take_output().messages}
    core.step(1, CanvassReply(asked, True, 0, 0))
    cluster.collect(member)
    cluster.sync(member)
    core.step(1, Promise(core.term, 3, 3, []))
    assert core.status().role is Role.LEADER
    core.step(1, Chosen(0, 1, [command(9000003, b"x")] * 3, 3))
    assert core.status().role is Role.FOLLOWER
    assert core.commit == 3
    core.tick(20.0)
    asked_again = [message for message in sent(cluster, member, Canvass) if isinstance(message, Canvass)]
    assert {round_of(message.ballot) for message in asked_again} == {10}


def test_a_change_of_members_seals_the_log() -> None:
    cluster = Cluster(5)
    cluster.run(3)
    leader = cluster.leader()
    keep = tuple(sorted([leader.id, *[id for id in cluster.members if id != leader.id][:2]]))
    slot = leader.core.change_members(Config(keep))
    assert slot
    assert leader.core.change_members(Config((leader.id,))) == 0, "one change at a time"
    assert leader.core.propose([b"after"]) == slot + 2, "behind the entry that brings it into force"
    cluster.collect(leader)
    assert not any(
        isinstance(send.message, Accept) and send.message.first + len(send.message.entries) > slot + 1
        for _, send in cluster.queue
    )
    cluster.settle()
    cluster.run(0.5)
    assert leader.core.config == Config(keep)
    assert leader.core.config_settled
    assert all(cluster.commands(id) == [b"after"] for id in keep)


def test_a_removed_leader_hands_over() -> None:
    cluster = Cluster(4)
    cluster.run(3)
    leader = cluster.leader()
    keep = tuple(id for id in cluster.members if id != leader.id)
    assert leader.core.change_members(Config(keep))
    cluster.run(1)
    assert leader.core.role is Role.FOLLOWER
    assert cluster.leader().id in keep
    assert cluster.leader().core.propose([b"x"])


def test_all_members_can_be_replaced_in_one_step() -> None:
    cluster = Cluster(3)
    for id in (4, 5, 6):
        cluster.members[id] = Member(id, Config((1, 2, 3)), 40 + id, cluster.options)
    cluster.run(3)
    leader = cluster.leader()
    leader.core.propose([b"before"])
    cluster.settle()
    assert leader.core.change_members(Config((4, 5, 6)))
    cluster.run(1)
    for id in (1, 2, 3):
        cluster.crash(id)
    cluster.run(4)
    assert cluster.leader().id in (4, 5, 6)
    cluster.leader().core.propose([b"after"])
    cluster.run(0.5)
    assert all(cluster.commands(id) == [b"before", b"after"] for id in (4, 5, 6))


def test_a_change_that_only_those_who_left_know_of_still_comes_into_force() -> None:
    """The leader that had it chosen is gone, and the only voter has never heard of it."""
    cluster = Cluster(3)
    cluster.members[4] = Member(4, Config((1, 2, 3)), 44, cluster.options)
    cluster.run(3)
    leader = cluster.leader()
    cluster.drop = lambda sender, to, message: 4 in (sender, to)
    assert leader.core.change_members(Config((4,)))
    cluster.run(0.3)
    cluster.crash(leader.id)
    cluster.run(3)
    cluster.drop = lambda sender, to, message: False
    cluster.run(12)
    assert cluster.leader().id == 4


def test_a_snapshot_never_carries_a_configuration_that_is_not_chosen() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    before = leader.core.config
    cluster.drop = lambda sender, to, message: True
    assert leader.core.change_members(Config(before.voters[:1]))
    cluster.settle()
    assert leader.core.config != before
    assert leader.core.snapshot_meta(leader.core.commit).config == before
    assert leader.core.compact(leader.core.commit).config == before


def test_members_and_quorums_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="numbers from 1"):
        Paxos(1_000_000, Config((1,)), random.Random(1))
    with pytest.raises(ValueError, match="does not exist among 3 voters"):
        Paxos(1, Config((1, 2, 3)), random.Random(1), PaxosOptions(phase2=4))


def test_a_report_that_cannot_be_is_not_counted() -> None:
    """Believed, it would fill the log with holes up to a nonsense slot."""
    core = recovering(Promise(0, 0, 0, [Run(1000001, 1 << 60, [command(1000001, b"x")])]))
    assert core.status().role is Role.CANDIDATE
    core.step(2, Promise(core.term, 0, 0, []))
    assert core.leads
    assert core.log.last == 1
