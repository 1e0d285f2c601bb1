"""A member that is broken: what it says is refused with the reason, and the others go on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ringleader.consensus.paxos.messages import Accept, Prepare, Refused
from ringleader.consensus.raft.messages import Append, AppendReply, SnapshotReply, TimeoutNow, Vote, VoteReply
from ringleader.store.commands import Put
from ringleader.wire.absurd import LARGEST, TERM_AHEAD, absurdity
from ringleader.wire.frames import Results
from ringleader.wire.relay import Forward, ReadIndex
from unit.group.harness import World


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (Vote(1 << 40, 0, 0), "Vote of term 1099511627776, while this node is in 1"),
        (Prepare(1 << 60, 1), "Prepare of ballot 1152921504606846976, while this node is in 1"),
        (Refused(1, 1 << 60), "Refused of promised 1152921504606846976"),
        (Accept(1, -7, [], 0), "Accept with first -7"),
        (VoteReply(LARGEST + 1, True), "VoteReply with term"),
        (Append(-1, 0, 0, [], 0), "Append with term -1"),
        (Append(1, -7, 0, [], 0), "Append with prev_index -7"),
        (AppendReply(1, True, -1), "AppendReply with index -1"),
        (SnapshotReply(1, 1 << 64), "SnapshotReply with index"),
        (TimeoutNow(1 << 60), "TimeoutNow of term"),
        (ReadIndex(-1), "ReadIndex with token -1"),
        (b"garbage", "it is no message"),
    ],
)
def test_absurd_numbers_are_refused_and_change_nothing(message: Any, says: str) -> None:
    world = World(3)
    world.run(3, 0.1)
    for host in world.hosts.values():
        before = host.core.status()
        assert says in host.peer_message(2 if host.config.node != 2 else 1, 0, message)
        assert host.core.status() == before
    world.run(1, 0.1)
    assert isinstance(world.submit(world.connect(world.leader()), Put(b"a", b"1")), Results)


def test_what_correct_nodes_say_is_not_absurd() -> None:
    for message in (Vote(TERM_AHEAD, 5, 5), Append(5, 0, 0, [], LARGEST), ReadIndex(LARGEST)):
        assert absurdity(message, 0) == ""


def test_garbage_among_forwarded_writes_is_lost_alone() -> None:
    world = World(3)
    world.run(3, 0.1)
    host = world.hosts[world.leader()]
    junk: list[msgspec.Raw] = [msgspec.Raw(b"\xc1junk"), msgspec.Raw(msgspec.msgpack.encode([1, 2]))]
    assert host.peer_message(world.follower(), 0, Forward(host.core.term, junk)) == ""
    world.run(0.5)
    assert isinstance(world.submit(world.connect(world.leader()), Put(b"a", b"1")), Results)
