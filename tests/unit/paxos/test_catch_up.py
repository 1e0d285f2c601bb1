"""What a member knows after a crash, and how it gets what it lacks."""

from __future__ import annotations

import random

import pytest

from ringleader.consensus.paxos import Paxos
from ringleader.consensus.paxos.ballot import round_of
from ringleader.consensus.paxos.messages import (
    Accept,
    Canvass,
    CanvassReply,
    Chosen,
    Learn,
    Offer,
    Promise,
)
from ringleader.consensus.shape import Config, Role, SnapshotMeta
from unit.paxos.harness import Cluster, command, sent, voter


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


def test_contact_is_what_was_really_heard() -> None:
    _, member = voter()
    core = member.core
    assert core.contact == float("-inf")
    core.step(1, Accept(1000001, 1, [], 5))
    assert core.contact == float("-inf"), "it hears the leader, but knows that it lags"
    core.step(1, Accept(1000001, 1, [command(1000001, b"x")] * 5, 5))
    assert core.contact == 5.0
