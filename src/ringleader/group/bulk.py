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
    """Carry out `ops` in order, then `read`, then report `bulk_done(number, what was read)`.

    Where there is no room for one of them, leave it and the rest out and report `bulk_done(number, None)`. Any other failure
    is fatal.
    """

    number: int
    ops: list[DiskOp]
    read: Read | None = None


Done = Callable[[bytes], None]
NoRoom = Callable[[], None]
Wanted = Callable[[], bool]


class _Job(msgspec.Struct, frozen=True):
    ops: list[DiskOp]
    done: Done | None
    read: Read | None
    no_room: NoRoom | None
    wanted: Wanted | None


class BulkLane:
    """Jobs in the order in which they were added; at most one is under way."""

    def __init__(self) -> None:
        self._queue: deque[_Job] = deque()
        self._number = 0
        self._under_way: _Job | None = None

    def add(
        self,
        ops: Sequence[DiskOp],
        done: Done | None = None,
        read: Read | None = None,
        no_room: NoRoom | None = None,
        wanted: Wanted | None = None,
    ) -> None:
        """Have this done; then `done` is called with what was read (b"" without a read). Without both it is a mere turn.

        `no_room` is called instead when the disk is full; whoever makes files longer has to give it. `wanted` is asked when
        it is this job's turn, and where it says no the job is left out: whoever lets several jobs wait that rest on one
        another has to give it, for after one without room the next may find some.
        """
        self._queue.append(_Job(list(ops), done, read, no_room, wanted))

    @property
    def ready(self) -> bool:
        """Whether `take` may give a job out."""
        return self._under_way is None and bool(self._queue)

    def take(self) -> BulkWork | None:
        """The next job, unless one is under way."""
        if self._under_way is not None:
            return None
        while self._queue:
            job = self._queue.popleft()
            if job.wanted is None or job.wanted():
                self._under_way = job
                self._number += 1
                return BulkWork(self._number, job.ops, job.read)
        return None

    def finished(self, number: int, data: bytes | None) -> None:
        """The job handed out under `number` is carried out, its changes durable as far as it said `Sync`; None: no room."""
        job, self._under_way = self._under_way, None
        assert job is not None, "no bulk work is outstanding"
        assert number == self._number, (number, self._number)
        if data is None:
            assert job.no_room is not None, "there is always room for what takes none"
            job.no_room()
        elif job.done is not None:
            job.done(data)
