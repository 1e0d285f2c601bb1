"""The real disk: a folder behind `ports.Disk`, and the thread that carries out its operations beside the event loop.

Files stay open between operations. Any error but one is final: after a failed sync the kernel may have dropped the dirty
pages, so trying again would report success for bytes that are gone. The thread stops at the first error and says so. The
exception is a full disk, which is waited out (see `group.space`).
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ringleader.errors import Reason, RingleaderError
from ringleader.group.bulk import BulkWork
from ringleader.group.space import NO_ROOM, ROOM_PERIOD, SpaceKeeper
from ringleader.ports import Create, DiskOp, Rename, Sync, SyncFolder, Truncate, Unlink, Write
from ringleader.runtime.descriptors import patiently

if sys.platform != "win32":
    import fcntl

__all__ = ["BulkThread", "DiskFailedError", "DiskThread", "FolderDisk", "sync_descriptor"]

_ZEROS = bytes(1024 * 1024)


class DiskFailedError(RingleaderError):
    """The disk failed in the middle of an operation: the node stops, because nothing it would say now could be trusted."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            reason=Reason.DISK_FAILED,
            hint="Check the disk (space, permissions, the kernel's log), then start the node again: it recovers its log",
        )


def sync_descriptor(descriptor: int) -> None:
    """Make what was written to an open file durable: the one place that knows how each system does it."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync alone leaves the bytes in the drive's cache there
    elif sys.platform == "win32":
        os.fsync(descriptor)
    else:
        os.fdatasync(descriptor)


class FolderDisk:
    """A folder of files, as `ports.Disk`. Used by one thread at a time. Raises `OSError` as the system does."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._open: dict[str, int] = {}

    def names(self) -> list[str]:
        """The names of all files, sorted."""
        return sorted(entry.name for entry in os.scandir(self.folder) if entry.is_file())

    def size(self, name: str) -> int:
        """The size of a file in bytes."""
        return os.stat(self.folder / name).st_size

    def read(self, name: str, offset: int = 0, length: int = -1) -> bytes:
        """`length` bytes (-1: to the end) from `offset`."""
        with patiently(lambda: open(self.folder / name, "rb")) as file:
            file.seek(offset)
            return file.read(length)

    def execute(self, ops: Sequence[DiskOp]) -> None:
        """Carry out the operations in order; raises at the first that fails."""
        for op in ops:
            self._execute(op)

    def _execute(self, op: DiskOp) -> None:
        match op:
            case Write(name, offset, data):
                _write_all(self._descriptor(name), data, offset)
            case Sync(name):
                sync_descriptor(self._descriptor(name))
            case SyncFolder():
                self._sync_folder()
            case Create(name, size):
                self._create(name, size)
            case Rename(name, to):
                self._close(to)
                os.replace(self.folder / name, self.folder / to)
                if name in self._open:
                    self._open[to] = self._open.pop(name)
            case Truncate(name, size):
                os.ftruncate(self._descriptor(name), size)
            case Unlink(name):
                self._close(name)
                (self.folder / name).unlink(missing_ok=True)

    def _descriptor(self, name: str) -> int:
        descriptor = self._open.get(name)
        if descriptor is None:
            descriptor = self._open[name] = patiently(lambda: os.open(self.folder / name, os.O_RDWR | _BINARY))
        return descriptor

    def _create(self, name: str, size: int) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY
        descriptor = self._open[name] = patiently(lambda: os.open(self.folder / name, flags, 0o600))
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)  # a full disk is known before the first byte is written
        for offset in range(0, size, len(_ZEROS)):
            _write_all(descriptor, _ZEROS[: size - offset], offset)

    def _sync_folder(self) -> None:
        if sys.platform == "win32":
            return  # a folder cannot be opened there; the file system orders its own changes
        descriptor = patiently(lambda: os.open(self.folder, os.O_RDONLY))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _close(self, name: str) -> None:
        descriptor = self._open.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Close all files."""
        for name in list(self._open):
            self._close(name)


_BINARY = getattr(os, "O_BINARY", 0)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    written = os.pwrite(descriptor, data, offset)
    while written < len(data):  # rare: a signal, or a nearly full disk, which then fails the next call
        data, offset = data[written:], offset + written
        written = os.pwrite(descriptor, data, offset)


class DiskThread:
    """One thread that carries out lists of operations in the order in which they were submitted.

    `done(number)` and `failed(error)` are called in that thread: hand in functions that switch to the loop
    (`loop.call_soon_threadsafe`). After a failure nothing more is carried out. `full(flag)` is called likewise when the
    disk becomes full, and when there is room again; meanwhile what was submitted waits. `took`: how long the last piece of
    work took, seconds.
    """

    def __init__(
        self,
        disk: FolderDisk,
        done: Callable[[int], object],
        failed: Callable[[Exception], object],
        full: Callable[[bool], object] = lambda _: None,
        reserve_bytes: int = 0,
    ) -> None:
        self._space = SpaceKeeper(disk, reserve_bytes, lambda flag: _tell(full, flag))
        self._closing = threading.Event()
        self._done = done
        self._failed = failed
        self.took = 0.0
        # The number that the submitter waits for, if it does. Whoever takes it out decides how the submitter hears of the end.
        self._waiting: list[int] = []
        self._over = threading.Lock()  # held but when the thread says that what is waited for is done
        self._over.acquire()
        self._work: queue.SimpleQueue[tuple[int, Sequence[DiskOp]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ringleader-disk", daemon=True)
        self._thread.start()

    def submit(self, number: int, ops: Sequence[DiskOp], patience: float = 0.0) -> bool:
        """Carry out `ops`, then report `number`.

        With `patience` the caller waits for up to so many seconds. True: it is done, and `done` is not called for it.
        """
        if not patience:
            self._work.put((number, ops))
            return False
        self._waiting.append(number)
        self._work.put((number, ops))
        return self._over.acquire(timeout=patience) or not self._give_up()

    def _give_up(self) -> bool:
        """Stop waiting, so that the thread will call `done`; False when it has just finished."""
        try:
            self._waiting.pop()
        except IndexError:  # the thread has taken it, and says so in a moment
            return not self._over.acquire()
        return True

    def _finished(self, number: int) -> None:
        try:
            awaited = self._waiting == [number] and self._waiting.pop() == number
        except IndexError:  # the submitter has just given up
            awaited = False
        if awaited:
            self._over.release()
        else:
            _tell(self._done, number)

    def close(self, timeout: float = 10.0) -> bool:
        """Finish what was submitted and stop; False when the disk hangs for longer than `timeout` seconds.

        What waits for room on a full disk is given up: it was never acknowledged, and the next start cuts it off.
        """
        self._closing.set()
        self._work.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._space.recover()
            while (item := self._next()) is not None:
                number, ops = item
                begun = time.monotonic()
                for op in ops:
                    while not self._space.attempt(op):
                        if self._closing.wait(ROOM_PERIOD):
                            return
                self.took = time.monotonic() - begun
                self._finished(number)
        except Exception as error:  # also a programming error: to go on after a lost write would be worse
            _tell(self._failed, error)

    def _next(self) -> tuple[int, Sequence[DiskOp]] | None:
        """The next piece of work; while the disk is full, look for room meanwhile."""
        while self._space.full:
            try:
                return self._work.get(timeout=ROOM_PERIOD)
            except queue.Empty:
                self._space.recover()
        return self._work.get()


class BulkThread:
    """The second such thread, for snapshots: what it does the log never waits for. It also reads (see `group.bulk`).

    It has a `FolderDisk` of its own. `done(number, data)` and `failed(error)` are called in that thread; no data: there was
    no room.
    """

    def __init__(
        self, disk: FolderDisk, done: Callable[[int, bytes | None], object], failed: Callable[[Exception], object]
    ) -> None:
        self._disk = disk
        self._done = done
        self._failed = failed
        self._work: queue.SimpleQueue[BulkWork | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ringleader-bulk", daemon=True)
        self._thread.start()

    def submit(self, work: BulkWork) -> None:
        """Carry it out, then report its number and what it read."""
        self._work.put(work)

    def close(self, timeout: float = 10.0) -> bool:
        """Finish what was submitted and stop; False when the disk hangs for longer than `timeout` seconds."""
        self._work.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive():
            return False
        self._disk.close()
        return True

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                data = self._carry_out(work)
            except Exception as error:  # as above
                _tell(self._failed, error)
                return
            _tell(self._done, work.number, data)

    def _carry_out(self, work: BulkWork) -> bytes | None:
        for op in work.ops:
            try:
                self._disk.execute([op])
            except OSError as error:
                if error.errno not in NO_ROOM or isinstance(op, SyncFolder):
                    raise
                return None  # nothing rests on these bytes yet, also when it was a sync that failed
        read = work.read
        return self._disk.read(read.name, read.offset, read.length) if read is not None else b""


def _tell(function: Callable[..., object], *values: object) -> None:
    try:
        function(*values)
    except RuntimeError:  # the loop was closed meanwhile: nobody is left to be told
        pass
