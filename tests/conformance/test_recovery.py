"""What a member knows after a crash, and how one that lags gets what it lacks, whatever the protocol."""

from __future__ import annotations

import pytest

from conformance.kinds import KINDS, Kind
from conformance.world import started
from ringleader.consensus.protocols import make_core
from ringleader.consensus.shape import Config, Record

pytestmark = pytest.mark.parametrize("kind", KINDS, ids=str)


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


# -------------------------------------------------------------------------------------------------- who lags, snapshots


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


def test_a_snapshot_never_carries_a_configuration_that_is_not_decided(kind: Kind) -> None:
    """Hazard 18."""
    world = started(kind, b"a")
    leader, before = world.leader(), world.founders
    assert leader.core.change_members(Config(before.voters[:1]))
    world.collect(leader)
    assert leader.core.config != before
    assert leader.core.snapshot_meta(leader.core.commit).config == before
    assert leader.core.compact(leader.core.commit).config == before
