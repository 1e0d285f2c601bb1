"""Snapshots of a whole pure node: taken while writes go on, installed in slices."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ringleader.errors import Reason
from ringleader.group.transfer import LEASE
from ringleader.log import newest_snapshot, snapshot_name
from ringleader.ports import Unlink
from ringleader.store.auth import ANYONE
from ringleader.store.commands import Compact, Delete, Failure, Put, SnapshotRead
from ringleader.wire.frames import Query, Refused, Results, Submit, WatchCreate, WatchEnd
from unit.group.harness import MemoryDisk
from unit.group.snapshotkit import away_and_back, encode, installing, ready, write


def test_a_snapshot_is_the_same_on_every_member_however_the_writes_fell_between_its_slices() -> None:
    world = ready()
    files: dict[str, set[bytes]] = {}
    original = MemoryDisk.execute

    def execute(self: MemoryDisk, ops: Any) -> None:
        original(self, ops)
        for name, data in self.files.items():
            if name.startswith("snap-") and "." not in name:
                files.setdefault(name, set()).add(bytes(data))

    MemoryDisk.execute = execute  # type: ignore[method-assign]  # every file that ever was, seen as it appears
    try:
        conn = world.connect(world.leader())
        for number in range(150):
            world.frames += 1
            host = world.hosts[world.leader()]
            raw = msgspec.Raw(
                encode([(0, Delete(b"k3") if number % 7 == 0 else Put(b"k%d" % (number % 9), b"v" * 50))])
            )
            host.member.submit(conn, Submit(world.frames, 5000, 0, 0, raw), ANYONE)
            for id in sorted(world.hosts, key=lambda id: (id * number) % 5):  # each gets on at its own pace
                world._turn(id)
            if number == 70:
                world.results(conn, Compact(40))
        world.run(1)
    finally:
        MemoryDisk.execute = original  # type: ignore[method-assign]  # put back
    assert len(files) > 3
    assert all(len(kinds) == 1 for kinds in files.values()), "the same index, the same bytes"


def test_while_the_state_is_replaced_reads_and_watches_get_clear_answers() -> None:
    world = ready()
    away, host = away_and_back(world)
    conn = world.connect(away)
    steps = 0
    while not installing(host):
        world.now += 0.02
        for id, each in world.hosts.items():
            each.tick(world.now)
            world._turn(id)
        steps += 1
        assert steps < 2000
    host.client_frame(conn, Query(1, 1000, "stale", []))
    host.client_frame(conn, Query(2, 1000, "linearizable", []))
    host.client_frame(conn, WatchCreate(3, b"k1"))
    host.client_frame(conn, Submit(4, 1000, 0, 0, msgspec.Raw(encode([(0, Put(b"a", b"b"))]))))
    world._turn(away)
    answers = [each for each in world.inbox[conn] if isinstance(each, Refused)]
    assert [(each.frame, each.reason) for each in answers] == [(frame, Reason.UNREACHABLE) for frame in (1, 2, 4)]
    assert not any(each.unknown for each in answers)
    assert "replacing its state" in answers[0].message
    assert [each.reason for each in world.inbox[conn] if isinstance(each, WatchEnd)] == [Reason.UNREACHABLE]
    world.run(2)
    assert not installing(host)
    assert host.store.snapshot() == world.hosts[world.leader()].store.snapshot()


def test_a_back_up_asked_for_in_the_turn_in_which_a_snapshot_became_durable_is_refused() -> None:
    """Found by review: the log had begun anew already, the state not yet, and the node stopped."""
    world = ready()
    away, host = away_and_back(world)
    conn = world.connect(away)
    original = host.bulk_done
    asked: list[int] = []

    def bulk_done(number: int, data: bytes | None) -> None:
        original(number, data)
        if host.core.status().first_index > host.store.applied + 1 and not installing(host) and not asked:
            asked.append(number)
            host.client_frame(conn, Query(9, 1000, "stale", [SnapshotRead(0, 0)]))

    host.bulk_done = bulk_done  # type: ignore[method-assign]  # a client asks between two pieces of work
    world.run(2)
    assert asked
    (answer,) = [each for each in world.inbox[conn] if isinstance(each, Results)]
    (result,) = answer.results
    assert isinstance(result, Failure)
    assert result.reason is Reason.UNREACHABLE
    assert host.store.snapshot() == world.hosts[world.leader()].store.snapshot()


@pytest.mark.parametrize("moment", range(0, 160, 8))
def test_a_crash_at_any_moment_of_fetching_and_installing_loses_nothing(moment: int) -> None:
    """Also hazard 16: the revision never goes back. What came before the crash is not sent again."""
    world = ready()
    away, _ = away_and_back(world)
    revision = world.hosts[away].store.revision
    for step in range(moment + 1):
        world.now += 0.002
        for id, each in world.hosts.items():
            if step == moment and id == away:
                break
            each.tick(world.now)
            world._turn(id)
    host = world.start(away)
    world.run(8, 0.05)  # the offer is repeated after a while
    assert host.store.revision >= revision
    assert host.store.snapshot() == world.hosts[world.leader()].store.snapshot()
    assert not [name for name in world.disks[away].names() if name.endswith((".part", ".tmp"))]
    assert len([name for name in world.disks[away].names() if name.startswith("snap-")]) == 1


def test_what_a_lagging_member_needs_after_its_snapshot_is_kept_meanwhile() -> None:
    """Otherwise a busy cluster sends one snapshot after the other for ever."""
    world = ready()
    _, host = away_and_back(world)
    conn = world.connect(world.leader())
    lead = world.hosts[world.leader()]
    for number in range(45):
        write(world, conn, 1, number)
    world.run(1)
    assert host.member.counts["snapshots_fetched"] <= 2
    assert host.store.applied == lead.store.applied
    world.run(LEASE + 1, 0.1)
    assert not lead.snapshots.shelf.pinned()
    assert [name for name in world.disks[lead.config.node].names() if name.startswith("snap-")] == [
        snapshot_name(0, newest_snapshot(world.disks[lead.config.node], 0))
    ]


def test_the_old_snapshot_goes_only_after_the_new_one_is_durable_and_log_segments_too() -> None:
    world = ready(1)
    conn = world.connect(1)
    host = world.hosts[1]
    order: list[str] = []
    original = world.disks[1].execute

    def execute(ops: Any) -> None:
        for op in ops:
            if isinstance(op, Unlink) and not op.name.endswith(".tmp"):
                order.append("gone " + op.name[:4])
            elif type(op).__name__ == "Rename" and op.name.startswith("snap-"):
                order.append("named")
        original(ops)

    world.disks[1].execute = execute  # type: ignore[method-assign]  # the order of operations, seen as they come
    write(world, conn, 120)
    world.run(1)
    assert host.member.counts["snapshots_taken"] >= 3
    first = order.index("named")
    assert "gone log-" in order
    assert order.index("gone log-") > first
    assert order.index("gone snap") > order.index("named", first + 1), "the first one goes after the second is there"
