"""Hosts that take snapshots often, and a sender and a receiver of one by hand."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ringleader.consensus.shape import Config, SnapshotMeta
from ringleader.group.bulk import BulkLane, BulkWork
from ringleader.group.host import Host
from ringleader.group.options import GroupOptions
from ringleader.group.shelf import Shelf, Stored
from ringleader.group.transfer import Receiver, Sender
from ringleader.log import LogOptions, SnapshotEncoder, snapshot_name
from ringleader.ports import Create, Write
from ringleader.store.commands import Put
from ringleader.wire.transfer import SnapshotChunk, SnapshotGone, SnapshotRequest, TransferMessage
from unit.group.harness import MemoryDisk, World

SMALL = GroupOptions(snapshot_entries=20, keep_entries=5, slice_bytes=200, chunk_bytes=300)
META = SnapshotMeta(9, 2, Config((1, 2, 3)))
encode = msgspec.msgpack.Encoder().encode


def ready(size: int = 3, group: GroupOptions = SMALL) -> World:
    world = World(size, group, LogOptions(segment_bytes=4000))
    world.run(3)
    return world


def write(world: World, conn: int, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        world.results(conn, Put(b"k%d" % (number % 40), b"%d" % number * 10))


def installing(host: Host) -> bool:
    return host.member.installing


def away_and_back(world: World) -> tuple[int, Host]:
    """A follower that needs a snapshot, connected again but not yet served."""
    conn = world.connect(world.leader())
    write(world, conn, 30)
    away = world.follower()
    world.cut.add(away)
    write(world, conn, 60, 30)
    world.cut.discard(away)
    return away, world.hosts[away]


class Pair:
    """A sender and a receiver with a lane and a disk each; messages are delivered by hand."""

    def __init__(self, frames: int = 20, rate: int = 1 << 30) -> None:
        encoder = SnapshotEncoder(0, META.index, encode(META))
        self.data = b"".join(
            [encoder.start(), *(encoder.frame(b"%03d" % n * 30) for n in range(frames)), encoder.end()]
        )
        self.stored = Stored(META, len(self.data), encoder.check)
        self.to_sender: list[TransferMessage] = []
        self.to_receiver: list[TransferMessage] = []
        self.disks = [MemoryDisk(), MemoryDisk()]
        self.lanes = [BulkLane(), BulkLane()]
        self.done: list[Stored] = []
        self.no_room: list[tuple[int, int, float]] = []
        self.now = 0.0
        name = snapshot_name(0, META.index)
        self.disks[0].execute([Create(name), Write(name, 0, self.data)])
        shelf = self.shelf = Shelf(0)
        shelf.add(self.stored)
        self.sender = Sender(0, shelf, self.lanes[0], rate, lambda _, message: self.to_receiver.append(message))
        self.receiver = self.new_receiver()
        self.works: list[BulkWork] = []
        self.mangle: Callable[[list[TransferMessage]], list[TransferMessage]] = lambda messages: messages

    def new_receiver(self, chunk: int = 300) -> Receiver:
        self.lanes[1] = BulkLane()
        return Receiver(
            0,
            self.lanes[1],
            chunk,
            lambda _, message: self.to_sender.append(message),
            self.done.append,
            lambda meta, size, pause: self.no_room.append((meta.index, size, pause)),
        )

    def work(self) -> None:
        for lane, disk in zip(self.lanes, self.disks, strict=True):
            while (work := lane.take()) is not None:
                self.works.append(work)
                disk.execute(work.ops)
                read = work.read
                lane.finished(work.number, disk.read(read.name, read.offset, read.length) if read else b"")

    def step(self, seconds: float = 0.01, limit: int = 100) -> None:
        self.now += seconds
        self.sender.step(self.now)
        self.receiver.step(self.now, 0)
        self.work()
        asked, self.to_sender = self.to_sender[:limit], self.to_sender[limit:]
        for message in asked:
            assert isinstance(message, SnapshotRequest)
            self.sender.request(2, message)
        self.work()
        came, self.to_receiver = self.mangle(self.to_receiver[:limit]), self.to_receiver[limit:]
        for message in came:
            if isinstance(message, SnapshotChunk):
                self.receiver.chunk(1, message)
            elif isinstance(message, SnapshotGone):
                self.receiver.gone(1, message)
        self.work()

    def busy(self) -> bool:
        return self.receiver.busy

    def arrived(self) -> bool:
        return bool(self.done) and bytes(self.disks[1].files[snapshot_name(0, META.index)]) == self.data


def chunk_at(pair: Pair, offset: int) -> SnapshotChunk:
    data = pair.data[offset : offset + 300]
    return SnapshotChunk(META.index, META.term, len(pair.data), pair.stored.check, offset, data)
