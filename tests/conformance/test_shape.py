"""What `consensus.shape` says of proposing and deciding, held against every protocol that stands behind it."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.kinds import KINDS, Kind, alone
from conformance.member import Member
from conformance.world import World, started
from ringleader.consensus.shape import Config, Role

pytestmark = pytest.mark.parametrize("kind", KINDS, ids=str)


def test_one_leads_and_all_are_handed_the_same(kind: Kind) -> None:
    world = started(kind, b"a", b"b")
    leader = world.leader()
    for member in world.members.values():
        status = member.core.status()
        assert member.state == [b"a", b"b"]
        assert (status.term, status.leader, status.id) == (leader.core.term, leader.id, member.id)
        assert status.role is (Role.LEADER if member is leader else Role.FOLLOWER)
        assert member.core.leader == leader.id
        assert member.core.config == world.founders
        assert member.core.config_settled
        assert status.commit == status.last_index == leader.core.last_index
    status = leader.core.status()
    followers = {member.id for member in world.followers()}
    assert {id for id, match in status.match.items() if match == status.last_index} >= followers
    assert {id for id, heard in status.heard.items() if heard > world.now - 0.5} >= followers
    assert all(not member.core.status().match for member in world.followers())


def test_who_does_not_lead_takes_nothing(kind: Kind) -> None:
    world = started(kind)
    for member in world.followers():
        assert not member.core.leads
        assert member.propose(b"x") == 0
        assert not member.core.read_barrier(7)
        assert member.core.change_members(Config((1, 2))) == 0
        assert not member.core.transfer(world.leader().id)
        assert not member.core.lease_valid()


def test_nothing_is_promised_or_decided_before_it_is_durable(kind: Kind) -> None:
    world = World(kind)
    for _ in range(200):
        world.tick(0.05)
        world.settle(sync=False)
    assert not any(member.core.role is Role.LEADER for member in world.members.values())
    assert world.ledger == []
    leader = world.lead()
    decided = len(world.ledger)
    world.propose(leader, b"a")
    world.settle(sync=False)
    assert len(world.ledger) == decided, "decided though no disk has it"
    world.settle()
    assert leader.state == [b"a"]


def test_a_single_voter_decides_only_what_is_durable(kind: Kind) -> None:
    world = World(alone(kind))
    (member,) = world.members.values()
    world.tick(0.01)
    world.settle()
    assert member.core.leads, "there is nobody to wait for"
    world.propose(member, b"a")
    assert member.state == []
    world.sync(member)
    assert member.state == [b"a"]


def test_a_candidate_does_not_stand_again_before_its_slow_disk_has_its_promise(kind: Kind) -> None:
    """It began a new term every time its timer ran out, and so never led while the disk took longer than that."""
    for voters in (1, kind.voters):
        world = World(kind if voters > 1 else alone(kind))
        slow = world.members[1]

        def wait(seconds: float, world: World = world, slow: Member = slow) -> None:
            world.now += seconds
            slow.core.tick(world.now)
            world.settle(sync=False)

        while not slow.core.term:
            wait(0.1)
        stands_in = slow.core.term
        for _ in range(100):
            wait(0.5)
        assert slow.core.term == stands_in
        world.settle()
        assert world.leader() is slow
        assert slow.core.term == stands_in


def test_a_turn_costs_one_record_and_one_message_a_member(kind: Kind) -> None:
    world = started(kind)
    leader = world.leader()
    before = leader.emitted
    world.wire.clear()
    for number in range(50):
        index = leader.propose(b"%d" % number)
        world.proposed[b"%d" % number] = leader.core.term
        assert index == leader.core.last_index
    world.collect(leader)
    assert leader.emitted == before + 1
    assert sorted(send.to for _, send in world.wire) == sorted(member.id for member in world.followers())
    world.run(0.3)
    assert [len(member.state) for member in world.members.values()] == [50] * kind.voters


def test_entries_keep_the_order_of_their_proposals(kind: Kind) -> None:
    world = World(kind, 3, window_messages=2, append_bytes=10)
    leader = world.lead()
    data = [b"command %d" % number for number in range(40)]
    first = leader.propose(*data[:20])
    second = leader.propose(*data[20:])
    assert second == first + 20
    for each in data:
        world.proposed[each] = leader.core.term
    world.run(1.0)
    assert all(member.state == data for member in world.members.values())


def test_what_is_lost_of_a_full_window_is_sent_again(kind: Kind) -> None:
    world = World(kind, window_messages=4, append_bytes=64)
    leader = world.lead()
    lost: list[Any] = []

    def lose(sender: int, to: int, message: Any) -> bool:
        if sender == leader.id and getattr(message, "entries", None):
            lost.append(message)
        return message in lost

    world.drop = lose
    data = [b"%060d" % number for number in range(20)]
    for each in data:
        world.propose(leader, each)
    world.run(0.25)
    assert len(lost) >= 4 * (kind.voters - 1), "the windows are full"
    world.heal()
    world.run(1.0)
    assert all(member.state == data for member in world.members.values())
