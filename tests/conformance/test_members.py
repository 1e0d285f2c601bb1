"""Members come and go, whatever the protocol."""

from __future__ import annotations

import pytest

from conformance.kinds import KINDS, Kind
from conformance.member import Member
from conformance.world import World, started
from ringleader.consensus.shape import Config, EntryKind, Role

pytestmark = pytest.mark.parametrize("kind", KINDS, ids=str)


def change(world: World, config: Config) -> Member:
    """Have the leader, whoever it is, carry it out; returns who leads then."""
    for _ in range(40):
        leader = world.lead()
        if leader.core.config == config and leader.core.config_settled:
            return leader
        leader.core.change_members(config)
        world.collect(leader)
        world.run(0.5)
    raise AssertionError(f"{config} does not come about")


def test_members_come_and_go(kind: Kind) -> None:
    world = started(kind, b"a", spares=2)
    voters, new = world.founders.voters, kind.voters + 1
    leader = change(world, Config(voters, (), (new,)))
    world.run(2.0)
    learner = world.members[new]
    assert learner.state == leader.state
    assert learner.core.status().role is Role.LEARNER
    leader = change(world, Config((*voters, new)))
    assert world.members[new].core.config.votes(new)
    gone = next(id for id in voters if id != leader.id)
    leader = change(world, Config(tuple(sorted({*voters, new} - {gone}))))
    world.propose(leader, b"b")
    world.run(1.0)
    for id in leader.core.config.voters:
        assert world.members[id].state == [b"a", b"b"]
        assert world.members[id].core.config == leader.core.config
        assert world.members[id].core.config_settled
    assert world.configs()[-1] == leader.core.config
    for member in world.members.values():
        world.crash(member)
        world.restart(member)
    assert world.lead().core.config == leader.core.config, "a restart forgets the members"


def test_a_removed_leader_hands_over(kind: Kind) -> None:
    world = started(kind, b"a")
    old = world.leader()
    rest = Config(tuple(id for id in world.founders.voters if id != old.id))
    assert old.core.change_members(rest)
    world.collect(old)
    world.run(6.0)
    leaders = [member for member in world.members.values() if member.core.leads]
    assert [member.id in rest.voters for member in leaders] == [True]
    assert leaders[0].core.config == rest
    world.propose(leaders[0], b"b")
    world.run(1.0)
    assert all(world.members[id].state == [b"a", b"b"] for id in rest.voters)


def test_a_change_is_refused_while_another_is_under_way(kind: Kind) -> None:
    world = started(kind, spares=1)
    leader, new = world.leader(), kind.voters + 1
    assert leader.core.change_members(Config(world.founders.voters, (), (new,)))
    assert not leader.core.config_settled
    assert leader.core.change_members(world.founders) == 0
    assert leader.core.change_members(Config(())) == 0
    world.run(1.0)
    assert world.lead().core.config_settled
    kinds = {entry.kind for entry in world.ledger}
    assert int(EntryKind.CONFIG) in kinds
