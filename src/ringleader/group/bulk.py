"""The bulk lane: disk work on snapshots, one small job at a time, in a thread of its own beside the log.

The log's writes never wait behind it. Whoever writes or reads a snapshot adds a job and goes on when that is done, so every
order that matters (a file durable before the core hears of it, an old one removed after) is the order of jobs. Since a
job's end starts a turn of the node, work cut into jobs is spread over turns at the pace of the disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from ringleader.ports import DiskOp, Read

__all__ = ["BulkLane", "BulkWork"]


class BulkWork(msgspec.Struct):
    """Carry out `ops` in order, then `read`, then report `bulk_done(number, what was read)`. Any failure is fatal."""

    number: int
    ops: list[DiskOp]
    read: Read | None = None


Done = Callable[[bytes], None]


class BulkLane:
    """Jobs in the order in which they were added; at most one is under way."""

    def __init__(self) -> None:
        self._queue: deque[tuple[list[DiskOp], Read | None, Done | None]] = deque()
        self._number = 0
        self._under_way: Done | None = None
        self._busy = False

    def add(self, ops: Sequence[DiskOp], done: Done | None = None, read: Read | None = None) -> None:
        """Have this done; then `done` is called with what was read (b"" without a read). Without both it is a mere turn."""
        self._queue.append((list(ops), read, done))

    def take(self) -> BulkWork | None:
        """The next job, unless one is under way."""
        if self._busy or not self._queue:
            return None
        ops, read, self._under_way = self._queue.popleft()
        self._busy = True
        self._number += 1
        return BulkWork(self._number, ops, read)

    def finished(self, number: int, data: bytes) -> None:
        """The job handed out under `number` is carried out, its changes durable as far as it said `Sync`."""
        assert self._busy, "no bulk work is outstanding"
        assert number == self._number, (number, self._number)
        self._busy = False
        done, self._under_way = self._under_way, None
        if done is not None:
            done(data)
