"""Who leads, for how long, and what a leader answers."""

from __future__ import annotations

import pytest

from ringleader.consensus.paxos.ballot import owner
from ringleader.consensus.paxos.messages import (
    Canvass,
    Prepare,
    TakeOver,
)
from ringleader.consensus.shape import Role
from unit.paxos.harness import Cluster, sent, voter


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


def test_a_silent_member_costs_no_memory_however_many_reads_are_served() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    gone = next(id for id in cluster.members if id != leader.id)
    cluster.crash(gone)
    for token in range(300):
        assert leader.core.read_barrier(token)
        cluster.run(0.02)  # long enough for it to be noticed if it was the one who was asked
    assert len(leader.barriers) == 300
    assert leader.core.lead is not None
    assert len(leader.core.lead.progress[gone].pings) < 5
