"""A change of members seals the log."""

from __future__ import annotations

import random

import pytest

from ringleader.consensus.paxos import Paxos, PaxosOptions
from ringleader.consensus.paxos.messages import (
    Accept,
    Promise,
    Run,
)
from ringleader.consensus.shape import Config, Entry, EntryKind, encode_config
from unit.paxos.harness import Cluster, command, recovering


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


def test_all_members_can_be_replaced_in_one_step() -> None:
    cluster = Cluster(3)
    for id in (4, 5, 6):
        cluster.start(id, Config((1, 2, 3)), 40 + id)
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
    cluster.start(4, Config((1, 2, 3)), 44)
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


def test_members_and_quorums_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="numbers from 1"):
        Paxos(1_000_000, Config((1,)), random.Random(1))
    with pytest.raises(ValueError, match="does not exist among 3 voters"):
        Paxos(1, Config((1, 2, 3)), random.Random(1), PaxosOptions(phase2=4))


def test_nothing_stands_above_a_configuration_that_is_not_chosen() -> None:
    """One of the two is dead: the higher ballot says which."""
    change = Entry(1000001, int(EntryKind.CONFIG), encode_config(Config((1, 2))))
    after = command(2000002, b"after")
    core = recovering(Promise(0, 0, 0, [Run(1000001, 1, [change]), Run(2000002, 2, [after])]))
    assert core.leads
    assert (core.log.at(1).kind, core.log.at(2)) == (EntryKind.NOOP, after)
    core = recovering(Promise(0, 0, 1, [Run(1000001, 1, [change]), Run(2000002, 2, [after])]))
    assert not core.leads, "it was told to be chosen: it has to come into force first"
    assert (core.log.at(1), core.log.last) == (change, 1)
