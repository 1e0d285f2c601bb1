"""What `consensus.shape` says, sentence by sentence, held against every protocol that stands behind it."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.kinds import KINDS, Kind
from conformance.member import Member
from conformance.world import World
from ringleader.consensus.paxos.messages import TakeOver
from ringleader.consensus.protocols import Choice, make_core
from ringleader.consensus.raft.messages import TimeoutNow
from ringleader.consensus.shape import Config, ConsensusOptions, EntryKind, Record, Role

pytestmark = pytest.mark.parametrize("kind", KINDS, ids=str)


def alone(kind: Kind) -> Kind:
    """The same protocol with one voter."""
    return Kind(Choice(kind.choice.protocol), 1)


def commands(member: Member) -> list[bytes]:
    return member.state


def started(kind: Kind, *data: bytes, spares: int = 0, seed: int = 1) -> World:
    """A world with a leader, where `data` is decided and known to everyone."""
    world = World(kind, seed, spares)
    leader = world.lead()
    for each in data:
        assert world.propose(leader, each)
    world.run(0.5)
    return world


# --------------------------------------------------------------------------------------------- electing, deciding


def test_one_leads_and_all_are_handed_the_same(kind: Kind) -> None:
    world = started(kind, b"a", b"b")
    leader = world.leader()
    for member in world.members.values():
        status = member.core.status()
        assert commands(member) == [b"a", b"b"]
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


# ------------------------------------------------------------------------------------------------- crash, recovery


def test_all_crash_and_nothing_decided_is_lost(kind: Kind) -> None:
    world = started(kind, b"a", b"b")
    term = world.leader().core.term
    for member in world.members.values():
        world.crash(member)
    world.wire.clear()
    for member in world.members.values():
        world.restart(member)
        assert member.core.term >= term
    leader = world.lead()
    assert leader.core.term > term
    world.propose(leader, b"c")
    world.run(1.0)
    assert all(member.state == [b"a", b"b", b"c"] for member in world.members.values())


def test_recovery_depends_on_the_records_alone(kind: Kind) -> None:
    world = started(kind, *(b"%d" % number for number in range(10)))
    for member in world.members.values():
        records = [record for segment in member.segments for record in segment.records]
        found = []
        for _ in range(2):
            core = make_core(member.id, world.founders, member.entropy, member.options)
            core.recover(None, [Record(record.kind, record.payload) for record in records])
            found.append((core.status(), core.take_output().records))
        assert found[0] == found[1]
        assert found[0][0].last_index == member.core.last_index
        assert found[0][0].term == member.core.term


def test_a_checkpoint_stands_for_all_segments_before_it(kind: Kind) -> None:
    world = started(kind, b"a", b"b")
    for member in world.members.values():
        member.take_snapshot()
        member.roll()
        member.compact(0)
        assert len(member.segments) == 1
        assert member.core.first_index == member.applied + 1
        term, last = member.core.term, member.core.last_index
        world.crash(member)
        world.restart(member)
        assert (member.core.term, member.core.last_index, member.state) == (term, last, [b"a", b"b"])
    leader = world.lead()
    world.propose(leader, b"c")
    world.run(1.0)
    assert all(member.state == [b"a", b"b", b"c"] for member in world.members.values())


def test_what_is_missing_between_snapshot_and_log_is_noticed(kind: Kind) -> None:
    world = started(kind, b"a", b"b")
    leader = world.leader()
    for member in world.members.values():
        member.take_snapshot()
        member.roll()
        member.compact(0)
    world.propose(leader, b"c")
    world.run(0.5)
    records = [record for segment in leader.segments for record in segment.records]
    core = make_core(leader.id, world.founders, leader.entropy, leader.options)
    with pytest.raises(ValueError):
        core.recover(None, records)
    with pytest.raises(ValueError, match="unknown"):
        core.recover(None, [Record(99, b"")])


# ------------------------------------------------------------------------------------------------ who lags, snapshots


def test_a_member_that_was_away_catches_up(kind: Kind) -> None:
    world = started(kind, b"a")
    away = world.followers()[0]
    world.cut(away.id)
    world.run(1.0)
    leader = world.lead()
    for number in range(30):
        world.propose(leader, b"%d" % number)
    world.run(1.0)
    decided = list(leader.state)
    if kind.choice.phase2 != kind.voters:
        assert len(decided) == 31
    world.heal()
    world.lead()
    world.run(2.0)
    assert away.state == world.leader().state


def test_a_member_that_was_away_for_long_gets_a_snapshot(kind: Kind) -> None:
    world = started(kind, b"a")
    away = world.followers()[0]
    world.crash(away)
    leader = world.lead()
    for number in range(30):
        world.propose(leader, b"%d" % number)
    world.run(1.0)
    for member in world.running():
        member.take_snapshot()
        member.compact(0)
    assert leader.core.first_index > 30
    world.restart(away)
    world.lead()
    world.run(2.0)
    assert away.snapshot is not None
    assert away.core.first_index > 30
    world.propose(world.leader(), b"z")
    world.run(1.0)
    assert away.state == world.leader().state
    world.crash(away)
    world.restart(away)
    world.lead()
    world.run(2.0)
    assert away.state == world.leader().state


def test_compaction_keeps_a_tail_and_says_what_the_snapshot_is(kind: Kind) -> None:
    world = started(kind, *(b"%d" % number for number in range(20)))
    leader = world.leader()
    last = leader.core.last_index
    meta = leader.core.snapshot_meta(last)
    assert (meta.index, meta.config) == (last, world.founders)
    assert all(member.core.snapshot_meta(last) == meta for member in world.members.values())
    leader.core.compact(last, 5, 1 << 20)
    assert leader.core.first_index == last - 4
    leader.core.compact(last, 5, 0)
    assert leader.core.first_index == last + 1
    assert leader.core.snapshot_meta(last) == meta


# ----------------------------------------------------------------------------------------------------- reads, leases


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


# ------------------------------------------------------------------------------------------------------- elections


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


# --------------------------------------------------------------------------------------------------------- members


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


def test_a_snapshot_never_carries_a_configuration_that_is_not_decided(kind: Kind) -> None:
    """Hazard 18."""
    world = started(kind, b"a")
    leader, before = world.leader(), world.founders
    assert leader.core.change_members(Config(before.voters[:1]))
    world.collect(leader)
    assert leader.core.config != before
    assert leader.core.snapshot_meta(leader.core.commit).config == before
    assert leader.core.compact(leader.core.commit).config == before
