"""Who leads, for how long, and which reads it may answer, whatever the protocol."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.kinds import KINDS, Kind
from conformance.world import started
from ringleader.consensus.paxos.messages import TakeOver
from ringleader.consensus.raft.messages import TimeoutNow
from ringleader.consensus.shape import ConsensusOptions, Role

pytestmark = pytest.mark.parametrize("kind", KINDS, ids=str)


def test_a_read_sees_what_was_decided_before(kind: Kind) -> None:
    world = started(kind, b"a")
    leader = world.leader()
    assert world.read(leader)
    world.settle()
    assert world.answered == 1  # that it sees enough is judged by the world


def test_a_read_asks_no_more_members_than_it_takes_until_one_is_silent(kind: Kind) -> None:
    world = started(kind, b"a")
    leader = world.leader()
    needed = (kind.choice.phase2 or kind.voters // 2 + 1) - 1
    while not world.wire:
        world.tick(0.005)  # until a heartbeat, so that the next one is far
    world.settle()

    def asked() -> list[int]:
        assert world.read(leader)
        return [send.to for _, send in world.wire]

    first = asked()
    assert len(first) == needed
    world.settle()
    assert world.answered == 1
    if not needed:
        return
    gone = world.members[first[0]]
    world.crash(gone)
    assert gone.id in asked()
    world.settle()
    assert world.answered == 1
    world.tick(ConsensusOptions().heartbeat / 9)
    assert len(world.wire) == kind.voters - 1
    world.settle()
    assert world.answered == 2
    second = asked()
    assert len(second) == needed
    assert gone.id not in second
    world.settle()
    assert world.answered == 3


def test_a_leader_that_is_cut_off_answers_no_read_and_steps_down(kind: Kind) -> None:
    world = started(kind, b"a")
    old = world.leader()
    world.cut(old.id)
    assert world.read(old)
    world.run(0.5)
    if kind.choice.phase2 == 1:
        return  # it is a quorum by itself, and nobody else can be elected without it
    assert world.answered == 0
    world.run(5.0)
    assert world.answered == 0
    assert old.failed == [1]
    assert old.core.role is not Role.LEADER
    assert not old.core.leads
    assert not old.core.lease_valid()
    assert old.core.contact <= world.now - 4.0


def test_a_lease_ends_before_somebody_else_can_lead(kind: Kind) -> None:
    for seed in range(3):
        world = started(kind, b"a", seed=seed)
        old = world.leader()
        assert old.core.lease_valid()
        world.cut(old.id)
        for _ in range(150):
            world.tick(0.02)  # the world judges: a lease with more decided elsewhere is a breach
            world.settle()
            leaders = [member for member in world.members.values() if member.core.leads and member is not old]
            if leaders:
                assert not old.core.lease_valid()
                world.propose(leaders[0], b"%f" % world.now)
        world.heal()
        world.run(3.0)


def test_a_pause_is_not_taken_for_contact(kind: Kind) -> None:
    world = started(kind, b"a")
    leader = world.leader()
    assert leader.core.contact > world.now - 0.5
    leader.core.observe(world.now + 60.0)
    assert not leader.core.lease_valid()
    assert leader.core.contact < world.now + 1.0


# ------------------------------------------------------------------------------------------------------------ elections


def test_a_member_that_comes_back_does_not_disturb(kind: Kind) -> None:
    world = started(kind, b"a")
    leader, away = world.leader(), world.followers()[0]
    if kind.choice.phase2 == kind.voters:
        return  # then nobody can do without it
    world.cut(away.id)
    world.run(8.0)
    assert world.leader() is leader
    term = leader.core.term
    world.heal()
    world.run(3.0)
    assert world.leader() is leader
    assert leader.core.term == term


def test_leadership_is_handed_over(kind: Kind) -> None:
    world = started(kind, b"a")
    old, heir = world.leader(), world.followers()[-1]
    term = old.core.term
    assert old.core.transfer(heir.id)
    assert not old.core.leads
    assert old.propose(b"x") == 0
    world.run(0.5)
    assert world.leader() is heir
    assert heir.core.term > term
    world.propose(heir, b"b")
    world.run(0.5)
    assert all(member.state == [b"a", b"b"] for member in world.members.values())


def test_a_transfer_to_nobody_is_refused_or_given_up(kind: Kind) -> None:
    world = started(kind, b"a")
    leader, gone = world.leader(), world.followers()[0]
    assert not leader.core.transfer(77)
    assert not leader.core.transfer(leader.id)
    world.crash(gone)
    leader.core.transfer(gone.id)
    world.run(4.0)
    again = world.lead()
    assert world.propose(again, b"b")
    world.run(1.0)
    assert b"b" in again.state or kind.choice.phase2 == kind.voters


def test_a_transfer_that_came_to_nothing_ends_lease_reads(kind: Kind) -> None:
    """The order to stand for election may still arrive, and it is obeyed in spite of a living leader."""
    world = started(kind, b"a")
    leader, to = world.leader(), world.followers()[0]
    assert leader.core.lease_valid()
    late: list[Any] = []

    def hold_back(sender: int, to: int, message: Any) -> bool:
        if isinstance(message, TimeoutNow | TakeOver):
            late.append(message)
        return message in late

    world.drop = hold_back
    assert leader.core.transfer(to.id)
    world.run(2.0)
    assert late, "the order left"
    assert leader.core.leads
    assert not leader.core.lease_valid()
    assert world.read(leader)
    world.settle()
    assert world.answered == 1, "reads with a round go on"


def test_who_abstains_does_not_lead(kind: Kind) -> None:
    world = started(kind)
    for member in world.members.values():
        world.crash(member)
        world.restart(member)
        member.core.abstain(member.id != 2)
    world.run(20.0)
    assert world.lead().id == 2


def test_a_lost_leader_is_replaced(kind: Kind) -> None:
    world = started(kind, b"a")
    old = world.leader()
    world.crash(old)
    phase2 = kind.choice.phase2 or kind.voters // 2 + 1
    if kind.voters - phase2 + 1 > kind.voters - 1 or phase2 > kind.voters - 1:
        return  # such quorums cannot do without anybody
    world.lead()
    world.propose(world.leader(), b"b")
    world.run(0.5)
    assert world.leader().state == [b"a", b"b"]
    world.restart(old)
    world.run(3.0)
    assert old.state == [b"a", b"b"]
