"""Taking a snapshot: the pinned state goes to a file a slice at a time, while writes go on."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ringleader.consensus.shape import SnapshotMeta
from ringleader.group.bulk import BulkLane
from ringleader.group.shelf import Stored
from ringleader.log import SnapshotEncoder, publish_ops, snapshot_name
from ringleader.ports import Create, DiskOp, Sync, Unlink, Write
from ringleader.store.snapshot import pieces
from ringleader.store.store import Store

__all__ = ["SYNC_BYTES", "Taking"]

SLICE_STEPS = 16
"""Most steps of a slice that gave nothing."""
SYNC_BYTES = 4 * 1024 * 1024
"""So much is written between two syncs: what waits in the page cache must not hold up the syncs of the log."""

_encode = msgspec.msgpack.Encoder().encode


class Taking:
    """One snapshot on its way to the disk; `done(stored)` is called once it is durable under its name.

    `done(None)` is called when there is no room for it; nothing is left of it then.
    """

    def __init__(
        self,
        group: int,
        meta: SnapshotMeta,
        store: Store,
        lane: BulkLane,
        slice_bytes: int,
        done: Callable[[Stored | None], None],
    ) -> None:
        self._slice_bytes = slice_bytes
        self.meta = meta
        self._group = group
        self._lane = lane
        self._done = done
        self._pin = store.pin()
        self._pieces = pieces(self._pin)
        self._encoder = SnapshotEncoder(group, meta.index, _encode(meta))
        self._file = snapshot_name(group, meta.index) + ".tmp"
        self._unsynced = 0
        self._complete = False
        self.over = False
        start = Write(self._file, 0, self._encoder.start())
        lane.add([Unlink(self._file), Create(self._file), start], self._next, no_room=self._no_room)

    def _next(self, _: bytes = b"") -> None:
        """Make a slice and have it written."""
        if self.over:
            return
        offset = self._encoder.size
        parts: list[bytes] = []
        steps = size = 0
        while size < self._slice_bytes and steps < SLICE_STEPS:
            piece = next(self._pieces, None)
            if piece is None:
                self._finish(offset, parts)
                return
            if piece:
                parts.append(self._encoder.frame(piece))
                size += len(piece)
            else:
                steps += 1
        ops: list[DiskOp] = [Write(self._file, offset, b"".join(parts))] if parts else []
        self._unsynced += size
        if self._unsynced >= SYNC_BYTES:
            self._unsynced = 0
            ops.append(Sync(self._file))
        self._lane.add(ops, self._next, no_room=self._no_room)

    def _finish(self, offset: int, parts: list[bytes]) -> None:
        self._complete = True
        self._pin.release()
        parts.append(self._encoder.end())
        write = Write(self._file, offset, b"".join(parts))
        ops = [write, *publish_ops(self._file, self._group, self.meta.index)]
        self._lane.add(ops, self._durable, no_room=self._no_room)

    def _durable(self, _: bytes) -> None:
        self.over = True
        self._done(Stored(self.meta, self._encoder.size, self._encoder.check))

    def _no_room(self) -> None:
        if not self.over:
            if not self._complete:
                self._pieces.close()
                self._pin.release()
            self.over = True
            self._lane.add([Unlink(self._file)])
            self._done(None)

    def give_up(self) -> None:
        """The state is about to be replaced. A file that is complete already is published all the same."""
        if not self._complete and not self.over:
            self.over = True
            self._pieces.close()
            self._pin.release()
            self._lane.add([Unlink(self._file)])
