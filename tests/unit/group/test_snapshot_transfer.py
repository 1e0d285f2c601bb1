"""A snapshot on its way: pieces, windows, losses, restarts, damage, requests that make no sense."""

from __future__ import annotations

import msgspec

from ringleader.consensus.shape import SnapshotMeta
from ringleader.group.shelf import Stored
from ringleader.group.transfer import LEASE, RETRY, STALLED
from ringleader.log import SnapshotEncoder, part_name, snapshot_name
from ringleader.ports import Create, Sync, Write
from ringleader.wire.transfer import SnapshotChunk, SnapshotGone, SnapshotRequest, TransferMessage
from unit.group.snapshotkit import META, Pair, away_and_back, encode, installing, ready


def test_it_arrives_durably_in_pieces_within_the_window() -> None:
    pair = Pair()
    pair.receiver.offer(1, META, 0.0)
    assert [type(message) for message in pair.to_sender] == [SnapshotRequest], "the first piece says how much there is"
    for _ in range(20):
        pair.step()
    assert pair.arrived()
    assert pair.done == [pair.stored]
    sizes = [len(op.data) for work in pair.works for op in work.ops if isinstance(op, Write)]
    assert max(sizes) <= 300
    last = [work for work in pair.works if work.ops][-1].ops
    assert [type(op).__name__ for op in last] == ["Write", "Sync", "Rename", "SyncFolder"]


def test_lost_pieces_are_asked_for_again_and_doubled_or_early_ones_do_no_harm() -> None:
    pair = Pair()
    pair.receiver.offer(1, META, 0.0)
    number = 0

    def mangle(messages: list[TransferMessage]) -> list[TransferMessage]:
        nonlocal number
        number += 1
        return messages[::-1][number % 3 == 1 :] * 2

    pair.mangle = mangle
    for _ in range(200):
        pair.step(RETRY / 3)
    assert pair.arrived()
    assert number > 10


def test_after_a_restart_of_the_receiver_only_what_is_missing_is_sent() -> None:
    pair = Pair()
    pair.receiver.offer(1, META, 0.0)
    for _ in range(3):
        pair.step(limit=2)
    before = len(pair.disks[1].files[part_name(0, META.index)])
    assert 300 < before < len(pair.data)
    pair.disks[1].files[part_name(0, META.index)][-10:] = bytes(10)  # a torn tail
    pair.to_sender.clear()
    pair.to_receiver.clear()
    pair.receiver = pair.new_receiver()
    pair.receiver.recover(pair.disks[1])
    pair.receiver.offer(1, META, pair.now)
    first = pair.to_sender[0]
    assert isinstance(first, SnapshotRequest)
    assert before - 400 < first.offset < before
    for _ in range(20):
        pair.step()
    assert pair.arrived()
    assert pair.receiver.resumed == 1


def test_a_snapshot_that_lacked_only_its_name_is_not_sent_again() -> None:
    pair = Pair()
    name = part_name(0, META.index)
    pair.disks[1].execute([Create(part_name(0, 3)), Create(name), Write(name, 0, pair.data + b"garbage behind")])
    pair.receiver.recover(pair.disks[1])
    pair.receiver.offer(1, META, 0.0)
    pair.work()
    assert pair.arrived()
    assert pair.done == [pair.stored]
    assert pair.to_sender == []
    assert pair.disks[1].names() == [snapshot_name(0, META.index)]


def test_what_is_left_of_a_snapshot_goes_when_it_is_no_longer_needed() -> None:
    pair = Pair()
    pair.receiver.offer(1, META, 0.0)
    pair.step()
    pair.step()
    pair.receiver = pair.new_receiver()
    pair.receiver.recover(pair.disks[1])
    pair.receiver.step(pair.now, META.index - 1)
    pair.work()
    assert pair.disks[1].names() == [part_name(0, META.index)]
    pair.receiver.step(pair.now, META.index)
    pair.work()
    assert pair.disks[1].names() == []


def test_a_newer_snapshot_takes_the_place_of_one_that_is_being_read() -> None:
    """Hazard 17: two in quick succession; the first is not kept for ever."""
    world = ready()
    away, host = away_and_back(world)
    while not installing(host):
        world.now += 0.02
        for id, each in world.hosts.items():
            each.tick(world.now)
            world._turn(id)
    assert host.snapshots.rebuild is not None
    first = host.snapshots.rebuild.stored
    assert not host.core.propose([b"x"])
    newer = Stored(SnapshotMeta(first.meta.index + 500, first.meta.term, first.meta.config), first.size, first.check)
    disk = world.disks[away]
    disk.files[snapshot_name(0, newer.meta.index)] = bytearray(disk.files[snapshot_name(0, first.meta.index)])
    host.snapshots._fetched(newer)
    out = host.core.take_output()
    assert out.install == newer.meta
    host.snapshots.replace_state(out)
    assert host.snapshots.shelf.pinned() == [newer.meta.index]
    work = host.snapshots.lane
    for _ in range(50):
        job = work.take()
        if job is None:
            break
        disk.execute(job.ops)
        read = job.read
        work.finished(job.number, disk.read(read.name, read.offset, read.length) if read else b"")
    assert not installing(host)
    assert host.snapshots.shelf.pinned() == []
    assert [name for name in disk.names() if name.startswith("snap-")] == [snapshot_name(0, newer.meta.index)]


def test_what_is_left_of_another_snapshot_is_not_used() -> None:
    pair = Pair()
    pair.receiver.offer(1, META, 0.0)
    pair.step()
    pair.step()
    pair.receiver = pair.new_receiver()
    pair.receiver.recover(pair.disks[1])
    other = SnapshotMeta(META.index, META.term + 1, META.config)
    pair.receiver.offer(1, other, pair.now)
    assert pair.receiver.resumed == 0
    pair.work()
    assert len(pair.disks[1].files[part_name(0, META.index)]) == 0


def test_damage_on_the_way_is_noticed_and_it_starts_anew() -> None:
    pair = Pair()
    pair.receiver.offer(1, META, 0.0)

    def damage(messages: list[TransferMessage]) -> list[TransferMessage]:
        if pair.receiver.rejected or pair.now < 0.03:
            return messages
        return [
            msgspec.structs.replace(one, data=bytes(len(one.data))) if isinstance(one, SnapshotChunk) else one
            for one in messages
        ]

    pair.mangle = damage
    for _ in range(100):
        pair.step()
        if not pair.busy() and not pair.done:
            assert part_name(0, META.index) not in pair.disks[1].files
            pair.receiver.offer(1, META, pair.now)
    assert pair.receiver.rejected == 1
    assert pair.arrived()


def test_bytes_of_two_different_files_are_not_put_together() -> None:
    pair = Pair()
    pair.receiver.offer(1, META, 0.0)
    pair.step()
    pair.step()
    pair.receiver.chunk(3, SnapshotChunk(META.index, META.term, len(pair.data), pair.stored.check ^ 1, 300, b"x" * 300))
    assert pair.receiver.rejected == 1
    assert not pair.busy()


def test_a_moving_transfer_is_not_given_up_for_a_newer_snapshot_but_a_stalled_one_is() -> None:
    pair = Pair()
    newer = SnapshotMeta(META.index + 10, META.term, META.config)
    pair.receiver.offer(1, META, 0.0)
    pair.step()
    pair.receiver.offer(3, newer, pair.now)
    pair.to_sender.clear()
    pair.receiver.step(pair.now + STALLED + 1, 0)
    assert {message.index for message in pair.to_sender} == {META.index}
    pair.to_sender.clear()
    pair.receiver.offer(3, newer, pair.now + STALLED + 1)
    assert {message.index for message in pair.to_sender} == {newer.index}
    pair.work()
    assert sorted(pair.disks[1].files) == [part_name(0, newer.index)]


def test_a_receiver_that_got_there_by_itself_or_is_told_it_is_gone_lets_go() -> None:
    pair = Pair()
    pair.receiver.offer(1, META, 0.0)
    pair.receiver.step(1.0, META.index)
    assert not pair.busy()
    pair.receiver.offer(1, META, 1.0)
    pair.receiver.gone(3, SnapshotGone(META.index, META.term))
    assert pair.busy(), "that was not who it asks"
    pair.receiver.gone(1, SnapshotGone(META.index, META.term))
    assert not pair.busy()
    pair.work()
    assert not pair.disks[1].files


def test_a_file_that_is_being_sent_stays_until_the_receiver_is_done_or_silent() -> None:
    pair = Pair()
    pair.receiver.offer(1, META, 0.0)
    pair.step()
    newer = Stored(SnapshotMeta(META.index + 1, META.term, META.config), 1, 1)
    assert pair.shelf.add(newer) == []
    for _ in range(20):
        pair.step()
    assert pair.arrived()
    assert pair.shelf.pinned() == [META.index]
    pair.sender.has(2, META.index)
    pair.work()
    assert pair.disks[0].names() == []
    assert pair.shelf.pinned() == []
    pair.sender.request(2, SnapshotRequest(META.index, META.term, 0, 300))
    assert pair.to_receiver == [SnapshotGone(META.index, META.term)]


def test_requests_that_make_no_sense_reach_no_disk() -> None:
    pair = Pair()
    for offset, length in ((-1, 300), (0, 0), (0, 1 << 30)):
        pair.sender.request(2, SnapshotRequest(META.index, META.term, offset, length))
    assert pair.to_receiver == []
    pair.sender.request(2, SnapshotRequest(META.index, META.term, len(pair.data), 300))
    pair.sender.request(2, SnapshotRequest(META.index, META.term + 1, 0, 300))
    assert [type(message) for message in pair.to_receiver] == [SnapshotGone, SnapshotGone]
    assert pair.lanes[0].take() is None


def test_a_silent_receiver_is_forgotten() -> None:
    pair = Pair()
    pair.sender.request(2, SnapshotRequest(META.index, META.term, 0, 300))
    assert pair.shelf.pinned() == [META.index]
    pair.sender.step(LEASE + 1)
    assert pair.shelf.pinned() == []


def test_the_rate_bounds_what_leaves() -> None:
    pair = Pair(frames=200, rate=3000)
    pair.receiver.offer(1, META, 0.0)
    for _ in range(200):
        pair.step(0.01)
    assert 4000 < pair.sender.sent_bytes < 8000
    assert not pair.done


def test_long_files_are_synced_on_the_way() -> None:
    """What waits in the page cache must not hold up the syncs of the log."""
    pair = Pair(frames=3)
    pair.receiver.offer(1, META, 0.0)
    encoder = SnapshotEncoder(0, META.index, encode(META))
    pair.data = b"".join([encoder.start(), *(encoder.frame(bytes(300_000)) for _ in range(40)), encoder.end()])
    pair.stored = Stored(META, len(pair.data), encoder.check)
    pair.shelf.add(pair.stored)
    pair.disks[0].execute([Write(snapshot_name(0, META.index), 0, pair.data)])
    pair.receiver = pair.new_receiver(1 << 18)
    pair.to_sender.clear()
    pair.receiver.offer(1, META, 0.0)
    for _ in range(100):
        pair.step()
    assert pair.arrived()
    assert sum(isinstance(op, Sync) for work in pair.works for op in work.ops) >= 3
