"""Snapshots on a disk that has no room for them."""

from __future__ import annotations

import itertools

import pytest

from ringleader.group.transfer import RETRY, ROOM_PAUSE
from ringleader.log import newest_snapshot, snapshot_name
from ringleader.ports import Write
from ringleader.wire.transfer import SnapshotRequest
from unit.group.snapshotkit import META, Pair, chunk_at, ready, write


def test_without_room_a_transfer_is_given_up_and_the_next_offer_tries_again() -> None:
    pair = Pair()
    pair.receiver.offer(1, META, 0.0)
    for _ in range(3):
        pair.step(limit=2)
    pair.receiver.step(pair.now + RETRY + 0.1, 0)
    asked = pair.to_sender[0]
    assert isinstance(asked, SnapshotRequest)
    pair.receiver.chunk(1, chunk_at(pair, asked.offset))
    work = pair.lanes[1].take()
    assert work is not None
    pair.lanes[1].finished(work.number, None)
    assert not pair.busy()
    pair.work()
    assert not pair.disks[1].files
    pair.step(ROOM_PAUSE[0] + RETRY + 1)
    pair.receiver.offer(1, META, pair.now)
    for _ in range(20):
        pair.step()
    assert pair.arrived()


@pytest.mark.parametrize("failing", range(9))
def test_what_waits_behind_a_write_without_room_is_left_undone(failing: int) -> None:
    """Found by review: the last piece, already queued, still fitted in, and published a file with a hole."""
    pair = Pair()
    lane, disk = pair.lanes[1], pair.disks[1]
    pair.receiver.offer(1, META, 0.0)
    number = 0
    while pair.busy():
        for asked in pair.to_sender:
            assert isinstance(asked, SnapshotRequest)
            pair.receiver.chunk(1, chunk_at(pair, asked.offset))
        pair.to_sender.clear()
        work = lane.take()
        assert work is not None
        number += 1
        if number == failing + 1:
            lane.finished(work.number, None)
        else:
            disk.execute(work.ops)  # also what comes right after the failed one: room came back
            lane.finished(work.number, b"")
    if number <= failing:
        assert disk.files.keys() == {snapshot_name(0, META.index)}
        assert pair.arrived()
        return
    pair.work()
    assert not disk.files
    assert not pair.done
    pair.step(ROOM_PAUSE[0] + 1)
    pair.receiver.offer(1, META, pair.now)
    for _ in range(20):
        pair.step()
    assert pair.arrived()
    assert pair.done == [pair.stored]


def test_a_snapshot_for_which_there_is_no_room_is_fetched_again_less_and_less_often() -> None:
    """It was downloaded anew every few seconds, for ever, and nobody was told."""
    pair = Pair()
    lane, full, begun = pair.lanes[1], True, []

    def work() -> None:
        while full and (work := lane.take()) is not None:
            fits = not any(isinstance(op, Write) for op in work.ops)
            if fits:
                pair.disks[1].execute(work.ops)
            lane.finished(work.number, b"" if fits else None)

    while pair.now < 4000:
        pair.now += 1.0
        idle = not pair.busy()
        pair.receiver.offer(1, META, pair.now)  # as the leader does, again and again
        if idle and pair.busy():
            begun.append(pair.now)
        pair.receiver.step(pair.now, 0)
        while pair.to_sender:
            asked = pair.to_sender.pop()
            assert isinstance(asked, SnapshotRequest)
            pair.receiver.chunk(1, chunk_at(pair, asked.offset))
            work()
    pauses = [after - before for before, after in itertools.pairwise(begun)]
    assert pauses[0] == ROOM_PAUSE[0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == ROOM_PAUSE[1]
    assert [pause for _, _, pause in pair.no_room[: len(pauses)]] == pauses, "and each is told"
    assert {(index, size) for index, size, _ in pair.no_room} == {(META.index, len(pair.data))}
    assert not pair.disks[1].files, "what was there is given back meanwhile"
    full = False
    pair.now += ROOM_PAUSE[1]
    pair.receiver.offer(1, META, pair.now)
    for _ in range(20):
        pair.step()
    assert pair.arrived()


def test_without_room_an_own_snapshot_is_given_up_and_taken_later() -> None:
    world = ready(1)
    conn = world.connect(1)
    host = world.hosts[1]
    full = True
    original = world.hosts[1].bulk_done

    def bulk_done(number: int, data: bytes | None) -> None:
        writes = host.snapshots.taking is not None and not host.snapshots.taking.over
        original(number, None if full and writes else data)

    host.bulk_done = bulk_done  # type: ignore[method-assign]  # the disk may be full, and then nothing was written
    write(world, conn, 60)
    assert host.member.counts["snapshots_without_room"] == 1
    assert not [name for name in world.disks[1].names() if name.startswith("snap-")]
    full = False
    write(world, conn, 5)
    assert host.member.counts["snapshots_taken"] == 0
    world.run(31, 0.5)
    write(world, conn, 1)
    assert host.member.counts["snapshots_taken"] == 1
    assert newest_snapshot(world.disks[1], 0)
