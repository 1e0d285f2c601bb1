"""What to do when the disk is full: give up a reserve, finish what is under way, wait for room, and lose nothing.

A write that finds no room has done no harm: the same bytes go to the same place once there is room, as on a disk that is
slow. (A *sync* that fails is another matter: pages may be gone, and that stays fatal.) Until then the node takes on no new
work (see `Host.disk_full`), but it must still be able to write what it promises, its term and its vote; those are small and
go into the zeros that the log keeps ahead of its end. What was under way when the disk filled up may be larger: for that
there is a reserve, a file that is removed then, and made again before the disk counts as having room.

Both worlds carry out the log's operations through a `SpaceKeeper`: the thread of `runtime.disk`, and the simulator.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable

from ringleader.ports import Create, Disk, DiskOp, Sync, SyncFolder, Truncate, Unlink, Write

__all__ = ["NO_ROOM", "RESERVE_FILE", "ROOM_PERIOD", "SpaceKeeper"]

RESERVE_FILE = "reserve"
PROBE = 64 * 1024
"""Twice so many bytes must be free for a full disk to count as having room, where the reserve is smaller."""
ROOM_PERIOD = 0.5
"""Seconds between two looks for room on a full disk."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""What the system says when a disk, or somebody's share of it, is full."""


class SpaceKeeper:
    """Carries out operations on `disk` one by one. `told(flag)` is called when the disk becomes full or has room again."""

    def __init__(self, disk: Disk, reserve_bytes: int, told: Callable[[bool], object]) -> None:
        self._disk = disk
        self._bytes = reserve_bytes
        self._told = told
        self.full = False

    def attempt(self, op: DiskOp) -> bool:
        """Carry out `op`; False when there is no room for it now: attempt the very same again later.

        Raises `OSError` for every other failure.
        """
        try:
            self._disk.execute([op])
        except OSError as error:
            if error.errno not in NO_ROOM or isinstance(op, Sync | SyncFolder):
                raise
            if isinstance(op, Create):
                self._disk.execute([Unlink(op.name)])  # it may be there in part
            spare = isinstance(op, Write) and op.spare
            if self.full:
                return spare
            self._fill_up()
            return spare or self.attempt(op)
        return True

    def _fill_up(self) -> None:
        self.full = True
        if self._bytes:
            with contextlib.suppress(OSError):
                self._disk.execute([Unlink(RESERVE_FILE)])
        self._told(True)

    def recover(self) -> bool:
        """See that the reserve is there; whether there is room."""
        if self._held():
            return True
        try:
            # A disk that was full has room only once it has some more than the reserve, so as not to waver.
            wanted = 2 * max(self._bytes, PROBE) if self.full else self._bytes
            self._disk.execute([Unlink(RESERVE_FILE), Create(RESERVE_FILE, wanted)])
            self._disk.execute([Truncate(RESERVE_FILE, self._bytes)] if self._bytes else [Unlink(RESERVE_FILE)])
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self._disk.execute([Unlink(RESERVE_FILE)])
            if not self.full:
                self.full = True
                self._told(True)
            return False
        if self.full:
            self.full = False
            self._told(False)
        return True

    def _held(self) -> bool:
        if self.full or not self._bytes:
            return not self.full
        return RESERVE_FILE in self._disk.names() and self._disk.size(RESERVE_FILE) == self._bytes
