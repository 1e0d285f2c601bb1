"""Bringing a snapshot from one node to another: the receiver asks for pieces, the sender reads them from its file.

The sender remembers nothing but which files are being read, and keeps those. All else is with the receiver: it asks for a
few pieces at a time (a window), checks what comes as it writes it, asks again for what got lost, and goes on where it was
after a lost connection or a restart of either side, for the bytes of a snapshot are the same on every node that has it. What
it has is trusted only once the last checksum holds; then the file is given its name, durably, and only then is it told of.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec

from ringleader.consensus.shape import SnapshotMeta
from ringleader.errors import RingleaderError
from ringleader.group.bulk import BulkLane
from ringleader.group.shelf import Shelf, Stored
from ringleader.group.taking import SYNC_BYTES
from ringleader.log import SnapshotDecoder, part_name, publish_ops, snapshot_name, unfinished_parts
from ringleader.ports import Create, Disk, DiskOp, Read, Sync, Truncate, Unlink, Write
from ringleader.wire.transfer import SnapshotChunk, SnapshotGone, SnapshotRequest, TransferMessage

__all__ = ["Receiver", "Sender"]

MAX_CHUNK = 4 * 1024 * 1024
"""The longest piece that a sender reads at once, in bytes."""
WINDOW = 4
"""Pieces asked for and not yet written: bounds what waits in memory and in buffers on both sides."""
RETRY = 1.0
"""Seconds without a piece after which the receiver asks again."""
STALLED = 5.0
"""Seconds without a piece after which it takes up another snapshot that is offered."""
ROOM_PAUSE = (10.0, 300.0)
"""Seconds after which a snapshot is tried again for which the disk had no room: at first, and at most; it doubles."""
LEASE = 30.0
"""Seconds after its last request for which a file stays pinned for a receiver."""
QUEUE = 2 * WINDOW
"""Most requests of one receiver that wait; more are dropped, and it asks again."""
BURST = 0.1
"""Seconds of the permitted rate that may be sent at once."""

_encode = msgspec.msgpack.Encoder().encode
Tell = Callable[[int, TransferMessage], None]


class _Reader:
    """One receiver at the sender: what it reads, and what it has asked for."""

    __slots__ = ("asked", "index", "seen")

    def __init__(self, index: int, seen: float) -> None:
        self.index = index
        self.seen = seen
        self.asked: deque[SnapshotRequest] = deque()


class Sender:
    """Serves the pieces of the snapshots on `shelf`, at most `rate` bytes per second in all."""

    def __init__(self, group: int, shelf: Shelf, lane: BulkLane, rate: int, tell: Tell) -> None:
        self._group = group
        self._shelf = shelf
        self._lane = lane
        self._rate = rate
        self._tell = tell
        self._readers: dict[int, _Reader] = {}
        self._allowance = 0.0
        self._now = 0.0
        self._reading = False
        self.sent_bytes = 0

    def request(self, node: int, message: SnapshotRequest) -> None:
        """A receiver asks for a piece."""
        stored = self._shelf.get(message.index)
        if not 0 < message.length <= MAX_CHUNK or message.offset < 0:
            return  # nobody of us asks like that
        if stored is None or stored.meta.term != message.term or message.offset >= stored.size:
            self._tell(node, SnapshotGone(message.index, message.term))
            return
        reader = self._readers.get(node)
        if reader is None or reader.index != message.index:
            self._let_go(node)
            reader = self._readers[node] = _Reader(message.index, self._now)
            self._shelf.pin(message.index)
        reader.seen = self._now
        if len(reader.asked) < QUEUE and message not in reader.asked:
            reader.asked.append(message)
        self._read()

    def step(self, now: float) -> None:
        """Time has come to `now`."""
        self._allowance = min(self._allowance + (now - self._now) * self._rate, max(self._rate * BURST, 1))
        self._now = now
        if self._readers:
            for node in [node for node, reader in self._readers.items() if now - reader.seen > LEASE]:
                self._let_go(node)
            self._read()

    def has(self, node: int, index: int) -> None:
        """`node` is known to hold everything up to `index`: it needs no snapshot below."""
        reader = self._readers.get(node)
        if reader is not None and index >= reader.index:
            self._let_go(node)

    def reading(self) -> list[int]:
        """The nodes that are being served."""
        return list(self._readers)

    def _let_go(self, node: int) -> None:
        reader = self._readers.pop(node, None)
        if reader is not None:
            gone = self._shelf.unpin(reader.index)
            if gone:
                self._lane.add(gone)

    def _read(self) -> None:
        """Have the next piece read, if there is one to be sent and the rate allows it."""
        if self._reading or self._allowance <= 0:
            return
        for node, reader in list(self._readers.items()):
            if reader.asked:
                message = reader.asked.popleft()
                self._readers[node] = self._readers.pop(node)  # the others come first next time
                self._reading = True
                self._allowance -= message.length
                name = snapshot_name(self._group, message.index)
                read = Read(name, message.offset, message.length)
                self._lane.add([], partial(self._send, node, message), read)
                return

    def _send(self, node: int, asked: SnapshotRequest, data: bytes) -> None:
        self._reading = False
        stored = self._shelf.get(asked.index)
        if stored is not None and node in self._readers:
            self.sent_bytes += len(data)
            chunk = SnapshotChunk(asked.index, asked.term, stored.size, stored.check, asked.offset, data)
            self._tell(node, chunk)
        self._read()


class _Arrival:
    """A snapshot on its way here. `written`: up to here the bytes are good and handed to the disk."""

    def __init__(self, source: int, meta: SnapshotMeta, file: str, now: float) -> None:
        self.source = source
        self.meta = meta
        self.file = file
        self.decoder = SnapshotDecoder(file)
        self.size = self.check = 0  # as the sender says with the first piece
        self.written = 0
        self.unsynced = 0
        self.under_way = 0  # writes handed out and not done
        self.asked: set[int] = set()  # offsets
        self.early: dict[int, bytes] = {}  # pieces that came before those they follow
        self.progress = self.retry_from = now


class Receiver:
    """Brings at most one snapshot at a time; `done(stored)` is called once it is durable under its name.

    `no_room(meta, size, pause)`: the disk has none for it, which is `size` bytes long; it is tried again after `pause`
    seconds, for longer each time.
    """

    def __init__(
        self,
        group: int,
        lane: BulkLane,
        chunk: int,
        tell: Tell,
        done: Callable[[Stored], None],
        no_room: Callable[[SnapshotMeta, int, float], None],
    ) -> None:
        self._chunk = chunk
        self._group = group
        self._lane = lane
        self._tell = tell
        self._done = done
        self._tell_no_room = no_room
        self._room_pause = ROOM_PAUSE[0]
        self._room_due = float("-inf")
        self._now = 0.0
        self._arrival: _Arrival | None = None
        self._part: SnapshotDecoder | None = None  # what an earlier life had of a snapshot
        self.received_bytes = 0
        self.resumed = 0
        self.rejected = 0

    @property
    def busy(self) -> bool:
        """Whether a snapshot is on its way here."""
        return self._arrival is not None

    def recover(self, disk: Disk) -> None:
        """At start-up: find out what is left of a snapshot that was on its way, and how much of it holds."""
        parts = unfinished_parts(disk, self._group)
        self._lane.add([Unlink(part_name(self._group, index)) for index in parts[:-1]])
        for index in parts[-1:]:
            decoder = SnapshotDecoder(part_name(self._group, index))
            offset = 0
            try:
                while data := disk.read(decoder.file, offset, MAX_CHUNK):
                    offset += len(data)
                    decoder.feed(data)
            except RingleaderError:
                pass  # unsynced when the node went down; what comes before it holds
            decoder.forget_tail()
            if decoder.header is not None:
                self._part = decoder
            else:
                self._lane.add([Unlink(decoder.file)])

    def offer(self, source: int, meta: SnapshotMeta, now: float) -> None:
        """`source` has a snapshot that this member needs. One that is coming is not given up for it while it moves."""
        self._now = max(self._now, now)
        arrival = self._arrival
        if arrival is not None:
            if (arrival.meta.index, arrival.meta.term) == (meta.index, meta.term):
                arrival.source = source
                return
            if arrival.decoder.finished or self._now - arrival.progress < STALLED:
                return
            self._abandon()
        if self._now >= self._room_due:
            self._start(source, meta)

    def _start(self, source: int, meta: SnapshotMeta) -> None:
        file = part_name(self._group, meta.index)
        arrival = self._arrival = _Arrival(source, meta, file, self._now)
        part, self._part = self._part, None
        if part is not None and part.file == file and part.header is not None and part.header.meta == _encode(meta):
            self.resumed += 1
            arrival.decoder, arrival.written = part, part.good
            if part.finished:  # only its name was missing
                ops = [Truncate(file, part.good), *publish_ops(file, self._group, meta.index)]
                self._add(arrival, ops, self._durable)
                return
            self._add(arrival, [Truncate(file, part.good)])
        else:
            if part is not None:
                self._lane.add([Unlink(part.file)])
            self._add(arrival, [Unlink(file), Create(file)])
        self._ask()

    def _add(self, arrival: _Arrival, ops: list[DiskOp], done: Callable[[_Arrival], None] = lambda _: None) -> None:
        """A job for this arrival. Once it is given up none is carried out: behind a write without room comes no other one."""
        self._lane.add(
            ops,
            lambda _: done(arrival),
            no_room=lambda: self._no_room(arrival),
            wanted=lambda: self._arrival is arrival,
        )

    def step(self, now: float, commit: int) -> None:
        """Time has come to `now`; this member knows entries up to `commit` to be committed, and holds them."""
        self._now = now
        arrival = self._arrival
        part = self._part
        if part is not None and part.header is not None and commit >= part.header.index:
            self._part = None
            self._lane.add([Unlink(part.file)])
        if arrival is None:
            return
        if commit >= arrival.meta.index and not arrival.decoder.finished:
            self._abandon()  # it got there by itself
        elif now - arrival.retry_from > RETRY and not arrival.under_way and not arrival.decoder.finished:
            arrival.asked.clear()
            arrival.retry_from = now
            self._ask()

    def chunk(self, node: int, message: SnapshotChunk) -> None:
        """A piece came."""
        arrival = self._arrival
        if arrival is None or (message.index, message.term) != (arrival.meta.index, arrival.meta.term):
            return
        if arrival.decoder.finished:
            return
        if not arrival.size:
            arrival.size, arrival.check = message.size, message.check
        if (message.size, message.check) != (arrival.size, arrival.check):
            self._reject()  # another node's bytes differ: they cannot be put together
            return
        if message.offset not in arrival.asked or not message.data:
            return
        arrival.early[message.offset] = message.data
        while (data := arrival.early.pop(arrival.written, None)) is not None:
            if not self._accept(arrival, data):
                return
        self._ask()

    def gone(self, node: int, message: SnapshotGone) -> None:
        """The sender no longer has it; what it has by now it will offer."""
        arrival = self._arrival
        if (
            arrival is not None
            and node == arrival.source
            and (message.index, message.term) == (arrival.meta.index, arrival.meta.term)
            and not arrival.decoder.finished
        ):
            self._abandon()

    def _ask(self) -> None:
        """Keep the window full."""
        arrival = self._arrival
        assert arrival is not None
        if not arrival.size and arrival.asked:
            return  # the first piece says how long it all is
        offset = arrival.written
        room = WINDOW - arrival.under_way - len(arrival.asked)
        while room > 0 and (not arrival.size or offset < arrival.size):
            if offset not in arrival.asked:
                arrival.asked.add(offset)
                room -= 1
                request = SnapshotRequest(arrival.meta.index, arrival.meta.term, offset, self._chunk)
                self._tell(arrival.source, request)
                if not arrival.size:
                    return
            offset += self._chunk

    def _accept(self, arrival: _Arrival, data: bytes) -> bool:
        """The next bytes are here: check them, have them written."""
        arrival.asked.discard(arrival.written)
        try:
            arrival.decoder.feed(data)
        except RingleaderError:
            self._reject()
            return False
        self.received_bytes += len(data)
        arrival.progress = arrival.retry_from = self._now
        ops: list[DiskOp] = [Write(arrival.file, arrival.written, data)]
        arrival.written += len(data)
        arrival.unsynced += len(data)
        arrival.under_way += 1
        if not arrival.decoder.finished:
            if arrival.written >= arrival.size:
                self._reject()
                return False
            if arrival.unsynced >= SYNC_BYTES:
                arrival.unsynced = 0
                ops.append(Sync(arrival.file))
            self._add(arrival, ops, self._write_done)
            return True
        header = arrival.decoder.header
        wanted = (self._group, arrival.meta.index, _encode(arrival.meta))
        if header is None or (header.group, header.index, header.meta) != wanted:
            self._reject()
            return False
        ops += publish_ops(arrival.file, self._group, arrival.meta.index)
        self._add(arrival, ops, self._durable)
        return False

    def _write_done(self, arrival: _Arrival) -> None:
        arrival.under_way -= 1
        if self._arrival is arrival and not arrival.decoder.finished:
            self._ask()

    def _durable(self, arrival: _Arrival) -> None:
        self._arrival = None
        self._room_pause = ROOM_PAUSE[0]
        self._done(Stored(arrival.meta, arrival.decoder.good, arrival.decoder.check))

    def _no_room(self, arrival: _Arrival) -> None:
        """The disk is full: make room again; the offer will be repeated, and taken up when there may be room."""
        if self._arrival is arrival:
            self._abandon()
            pause = self._room_pause
            self._room_due, self._room_pause = self._now + pause, min(2 * pause, ROOM_PAUSE[1])
            self._tell_no_room(arrival.meta, arrival.size, pause)

    def _reject(self) -> None:
        """What came is not what it should be."""
        self.rejected += 1
        self._abandon()

    def _abandon(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            self._lane.add([Unlink(arrival.file)])
