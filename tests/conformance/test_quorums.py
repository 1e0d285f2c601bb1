"""Quorums of every size: so many alive members write, so many elect, and not one fewer; reads need who writes."""

from __future__ import annotations

import pytest

from conformance.kinds import Kind
from conformance.world import World
from ringleader.consensus.protocols import PROTOCOLS, Choice, check_choice, options_for
from ringleader.consensus.shape import ConsensusOptions

SIZES = [Kind(Choice(protocol), voters) for protocol in PROTOCOLS for voters in (3, 4, 5)]
SIZES += [Kind(Choice("paxos", phase2), voters) for voters in (3, 5) for phase2 in range(1, voters + 1)]


def sizes(kind: Kind) -> tuple[int, int]:
    """How many have to elect, and how many to write."""
    phase2 = kind.choice.phase2 or kind.voters // 2 + 1
    return (phase2 if not kind.choice.phase2 and kind.choice.protocol == "raft" else kind.voters - phase2 + 1), phase2


@pytest.mark.parametrize("kind", SIZES, ids=str)
def test_a_leader_writes_and_reads_with_a_phase_2_quorum_and_not_with_one_fewer(kind: Kind) -> None:
    world = World(kind)
    leader = world.lead()
    world.run(0.5)
    others = [member for member in world.members.values() if member is not leader]
    alive = kind.voters
    while alive > sizes(kind)[1]:
        world.crash(others.pop())
        alive -= 1
        assert world.propose(leader, b"with %d" % alive)
        assert world.read(leader)
        world.run(0.5)
        assert leader.state[-1] == b"with %d" % alive
    answered = world.answered
    assert answered == kind.voters - alive
    world.run(3.0)
    assert leader.core.leads, "a quorum answers it"
    if alive > 1:
        world.crash(others.pop())
        assert world.propose(leader, b"too few")
        assert world.read(leader)
        world.run(3.0)
        assert b"too few" not in leader.state
        assert world.answered == answered
        assert not leader.core.leads, "it does not hear a quorum any more"


@pytest.mark.parametrize("kind", SIZES, ids=str)
def test_an_election_takes_a_phase_1_quorum_and_not_one_fewer(kind: Kind) -> None:
    elect, write = sizes(kind)
    world = World(kind)
    world.propose(world.lead(), b"a")
    world.run(0.5)
    decided = len(world.ledger)
    for member in world.members.values():
        world.crash(member)
    world.wire.clear()
    back = list(world.members.values())
    for member in back[: max(elect, write) - 1]:
        world.restart(member)
    world.run(12.0)
    if elect >= write:
        assert not any(member.core.leads for member in world.running())
    assert len(world.ledger) == decided, "whoever may be elected with fewer than it takes to write decides nothing"
    world.restart(back[max(elect, write) - 1])
    leader = world.lead()
    world.propose(leader, b"b")
    world.run(1.0)
    assert leader.state == [b"a", b"b"]


@pytest.mark.parametrize(
    ("choice", "members", "says"),
    [
        (Choice("zab"), 3, "'zab' is no consensus protocol: choose raft or paxos"),
        (Choice("raft", 2), 3, "Raft decides by majorities"),
        (Choice("paxos", 4), 3, "a phase-2 quorum of 4 cannot be had among 3 members"),
        (Choice("paxos", -1), 3, "a phase-2 quorum of -1 cannot be had"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(choice: Choice, members: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_choice(choice, members)


def test_every_quorum_that_can_be_is_taken() -> None:
    for members in range(1, 8):
        for phase2 in range(members + 1):
            check_choice(Choice("paxos", phase2), members)
            assert options_for(Choice("paxos", phase2), ConsensusOptions()).election == 1.0
