"""Promising, accepting, reporting, proposing: the two phases, one rule at a time."""

from __future__ import annotations

import random

from ringleader.consensus.paxos import Paxos
from ringleader.consensus.paxos.ballot import ballot, next_ballot, owner, round_of
from ringleader.consensus.paxos.messages import (
    Accept,
    Accepted,
    CanvassReply,
    Prepare,
    Promise,
    Refused,
    Run,
)
from ringleader.consensus.shape import Config, Role
from unit.paxos.harness import Cluster, command, recovering, sent, voter


def test_ballots_belong_to_one_member_and_grow() -> None:
    assert ballot(3, 2) == 3000002
    assert (owner(3000002), round_of(3000002)) == (2, 3)
    assert next_ballot(1, 3000002, 5) == 4000001


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


def test_a_report_that_cannot_be_is_not_counted() -> None:
    """Believed, it would fill the log with holes up to a nonsense slot."""
    core = recovering(Promise(0, 0, 0, [Run(1000001, 1 << 60, [command(1000001, b"x")])]))
    assert core.status().role is Role.CANDIDATE
    core.step(2, Promise(core.term, 0, 0, []))
    assert core.leads
    assert core.log.last == 1


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
