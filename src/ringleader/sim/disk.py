"""A disk that keeps only what was synced: a folder in a page cache over what would survive a power cut right now.

The contract it models (what a log may count on, and no more):

* `Sync` makes all earlier writes to that file durable, and its size; `SyncFolder` all earlier creates, renames, unlinks.
* What was not synced may have reached the disk all the same, in any subset of pages (`PAGE`), a page even in a subset of
  its sectors (`SECTOR`), in any version it ever had. Bytes that were being written may hold garbage; bytes that were not
  touched since their last sync never do.
* A folder change that was not synced may be lost, each by itself; a rename is all or nothing.
* A full disk refuses whatever would need more room, but may have done it in part; a failed sync says so once, and then what
  it covered may be gone.

Two crashes differ: `power_cut` loses the page cache, a killed process (nothing to call) loses nothing of it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from itertools import pairwise

import msgspec

from ringleader.ports import Create, DiskOp, Rename, Sync, SyncFolder, Truncate, Unlink, Write
from ringleader.sim.choice import Choice

__all__ = ["PAGE", "SECTOR", "CrashPoint", "CutReport", "DiskHabits", "SimDisk"]

AMPLE = 1 << 30
PAGE = 4096
SECTOR = 512


class CrashPoint(BaseException):
    """The process ends here, between two disk operations. Not an `Exception`: nothing must handle it as an error."""


class DiskHabits(msgspec.Struct, frozen=True):
    """How a disk treats what was not synced. All are probabilities.

    `writeback`: that a write reaches the disk at once in part, unasked. `keep`: that a page survives a power cut.
    `tear`: that a page which was to survive or not is decided sector by sector. `corrupt`: that a surviving stretch of
    unsynced bytes holds garbage. `keep_folder`: that an unsynced folder change survives.
    """

    writeback: float = 0.0
    keep: float = 0.5
    tear: float = 0.3
    corrupt: float = 0.0
    keep_folder: float = 0.5


class CutReport(msgspec.Struct):
    """What a power cut did, in bytes and counts."""

    lost: int = 0
    kept: int = 0
    torn: int = 0
    corrupted: int = 0
    folder_lost: int = 0


class _File:
    """One file: `data` as processes see it, `durable` as the disk has it, `dirty` the stretches that may differ."""

    __slots__ = ("data", "dirty", "durable")

    def __init__(self, data: bytes | bytearray = b"", durable: bytes | bytearray = b"") -> None:
        self.data = bytearray(data)
        self.durable = bytearray(durable)
        self.dirty: list[tuple[int, int]] = []

    def write(self, offset: int, data: bytes) -> None:
        size, end = len(self.data), offset + len(data)
        if offset > size:
            self.data += bytes(offset - size)
        self.data[offset:end] = data
        self.dirty.append((min(offset, size), end))

    def truncate(self, size: int) -> None:
        have = len(self.data)
        if size < have:
            del self.data[size:]
        else:
            self.data += bytes(size - have)
        self.dirty.append((min(size, have), max(size, have)))

    def sync(self) -> None:
        size = len(self.data)
        if len(self.durable) > size:
            del self.durable[size:]
        for start, end in self.dirty:
            if start > len(self.durable):
                self.durable += bytes(start - len(self.durable))
            self.durable[start : min(end, size)] = self.data[start:end]
        if len(self.durable) < size:
            self.durable += bytes(size - len(self.durable))
        self.dirty.clear()

    def write_back(self, start: int, end: int) -> None:
        """These bytes reach the disk unasked."""
        end = min(end, len(self.data))
        if end <= start:
            return
        if len(self.durable) < start:
            self.durable += bytes(start - len(self.durable))
        self.durable[start:end] = self.data[start:end]


class SimDisk:
    """A `ports.Disk` whose page cache can be lost. `capacity` in bytes; `on_change` is called before every operation."""

    def __init__(self, choice: Choice, habits: DiskHabits | None = None, capacity: int = AMPLE) -> None:
        self.choice = choice
        self.habits = habits or DiskHabits()
        self.capacity = capacity
        self.fail_sync = False
        self.on_change: Callable[[], None] | None = None
        self.settle: Callable[[], None] | None = None
        """Called before a read: carries out what is already due (the world executes operations lazily)."""
        self._files: dict[str, _File] = {}
        self._durable: dict[str, _File] = {}
        self._changes: list[tuple[str, str, _File | None]] = []  # (name, new name or "", file; None: unlink)

    # ------------------------------------------------------------------------------------------------- ports.Disk

    def names(self) -> list[str]:
        """All files as processes see them."""
        if self.settle:
            self.settle()
        return sorted(self._files)

    def size(self, name: str) -> int:
        """Size in bytes as processes see it."""
        if self.settle:
            self.settle()
        return len(self._file(name).data)

    def read(self, name: str, offset: int = 0, length: int = -1) -> bytes:
        """Bytes as processes see them."""
        if self.settle:
            self.settle()
        end = None if length < 0 else offset + length
        return bytes(self._file(name).data[offset:end])

    def execute(self, ops: Sequence[DiskOp]) -> None:
        """Carry out the operations in order. Raises `OSError`, or `CrashPoint` where the world wants a crash."""
        for op in ops:
            if self.on_change is not None:
                self.on_change()
            self.apply(op)

    def apply(self, op: DiskOp) -> None:
        """Carry out one operation. Raises `OSError` when the disk is full or failing."""
        if type(op) is Write:
            self._write(op)
        elif type(op) is Sync:
            self._sync(op.name)
        elif type(op) is SyncFolder:
            self._fail_if_asked()
            self._durable = dict(self._files)
            self._changes.clear()
        elif type(op) is Create:
            self._create(op)
        elif type(op) is Rename:
            file = self._file(op.name)
            del self._files[op.name]
            self._files[op.to] = file
            self._changes.append((op.name, op.to, file))
        elif type(op) is Truncate:
            self._file(op.name).truncate(op.size)
        elif type(op) is Unlink:
            if self._files.pop(op.name, None) is not None:
                self._changes.append((op.name, "", None))
        else:
            raise TypeError(f"not a disk operation: {op!r}")

    # ----------------------------------------------------------------------------------------------------- crashes

    def begin(self, op: DiskOp) -> None:
        """`op` was under way when the power went: some of its pages may have reached the disk."""
        if type(op) is Write and op.name in self._files:
            cut = self.choice.randrange(len(op.data) + 1)
            self._write_part(self._files[op.name], op.offset, op.data[:cut])
        elif type(op) is Sync and op.name in self._files:
            file = self._files[op.name]
            for start, end in file.dirty:
                self._some_pages(file, start, end)

    def power_cut(self) -> CutReport:
        """Lose the page cache: what was not synced survives only as the disk's habits say."""
        report = CutReport()
        self._settle_folder(report)
        for file in self._durable.values():
            if file.dirty or len(file.data) != len(file.durable):
                self._settle_file(file, report)
        self._files = dict(self._durable)
        self._changes.clear()
        return report

    def overwrite(self, name: str, offset: int, data: bytes) -> None:
        """Change bytes where they lie, in the page cache and on the disk: nobody asked for it."""
        file = self._file(name)
        file.data[offset : offset + len(data)] = data
        durable = max(len(file.durable) - offset, 0)  # so many of these bytes have ever reached the disk
        file.durable[offset : offset + len(data)] = data[:durable]

    def durable_copy(self, choice: Choice) -> SimDisk:
        """What a reader would find after a power cut that spares nothing unsynced; this disk is left as it is."""
        copy = SimDisk(choice, capacity=1 << 40)
        copy._files = {name: _File(file.durable, file.durable) for name, file in self._durable.items()}
        copy._durable = dict(copy._files)
        return copy

    def visible_copy(self, choice: Choice) -> SimDisk:
        """All as processes see it now, on a disk of its own."""
        copy = SimDisk(choice, capacity=1 << 40)
        copy._files = {name: _File(file.data, file.data) for name, file in self._files.items()}
        copy._durable = dict(copy._files)
        return copy

    # -------------------------------------------------------------------------------------------------- operations

    def _file(self, name: str) -> _File:
        try:
            return self._files[name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file", name) from None

    def _lacks(self, more: int) -> bool:
        """Whether there is no room for so many bytes more."""
        return more > 0 and self.used() + more > self.capacity

    def fill_up(self, spare: int = 0) -> None:
        """Others take all room but `spare` bytes, until `make_room`."""
        self.capacity = self.used() + spare

    def make_room(self) -> None:
        """There is room for everything."""
        self.capacity = AMPLE

    def used(self) -> int:
        """Bytes taken by all files."""
        return sum(len(file.data) for file in self._files.values())

    def _create(self, op: Create) -> None:
        if op.name in self._files:
            raise FileExistsError(errno.EEXIST, "the file exists", op.name)
        file = self._files[op.name] = _File()
        self._changes.append((op.name, op.name, file))
        if self._lacks(op.size + 1):
            raise OSError(errno.ENOSPC, "no space left on device", op.name)  # the name is there all the same
        if op.size:
            file.truncate(op.size)

    def _write(self, op: Write) -> None:
        file = self._file(op.name)
        end = op.offset + len(op.data)
        if self._lacks(end - len(file.data)):
            self._write_part(file, op.offset, op.data)
            raise OSError(errno.ENOSPC, "no space left on device", op.name)
        file.write(op.offset, op.data)
        if self.habits.writeback and self.choice.random() < self.habits.writeback:
            self._some_pages(file, op.offset, end)

    def _write_part(self, file: _File, offset: int, data: bytes) -> None:
        """Write as much from the start of `data` as there is room for."""
        room = len(file.data) + max(self.capacity - self.used(), 0) - offset
        if room > 0:
            file.write(offset, data[:room])

    def _sync(self, name: str) -> None:
        file = self._file(name)
        self._fail_if_asked()
        file.sync()

    def _fail_if_asked(self) -> None:
        if self.fail_sync:
            self.fail_sync = False
            raise OSError(errno.EIO, "input/output error in sync")

    # ---------------------------------------------------------------------------------------------------- settling

    def _some_pages(self, file: _File, start: int, end: int) -> None:
        """A random subset of the pages of [start, end) reaches the disk now."""
        for page_start, page_end in _pieces(start, end, PAGE):
            if self.choice.random() < 0.5:
                file.write_back(page_start, page_end)

    def _settle_folder(self, report: CutReport) -> None:
        """Each unsynced folder change survives or not; one whose ground was lost is lost too."""
        names = self._durable
        for name, to, file in self._changes:
            if not self.choice.chance(self.habits.keep_folder):
                report.folder_lost += 1
            elif file is None:
                names.pop(name, None)
            elif name == to:
                names[name] = file
            elif names.get(name) is file:
                del names[name]
                names[to] = file
            else:
                report.folder_lost += 1

    def _settle_file(self, file: _File, report: CutReport) -> None:
        choice, habits = self.choice, self.habits
        data, durable = file.data, file.durable
        size = len(data) if choice.random() < 0.5 else len(durable)
        result = durable[:size] + bytes(max(0, size - len(durable)))
        for start, end in _merged(file.dirty):
            for page_start, page_end in _pieces(start, end, PAGE):
                step = SECTOR if choice.random() < habits.tear else PAGE
                fates: set[bool] = set()
                for piece_start, piece_end in _pieces(page_start, page_end, step):
                    kept = choice.random() < habits.keep
                    fates.add(kept)
                    piece = data[piece_start:piece_end]
                    if not kept or not piece:
                        report.lost += piece_end - piece_start
                        continue
                    if piece_start > len(result):
                        result += bytes(piece_start - len(result))
                    if habits.corrupt and choice.random() < habits.corrupt:
                        piece = bytearray(choice.randbytes(len(piece)))
                        report.corrupted += 1
                    result[piece_start : piece_start + len(piece)] = piece
                    report.kept += len(piece)
                report.torn += len(fates) == 2
        file.data = result
        file.durable = bytearray(result)
        file.dirty.clear()


def _pieces(start: int, end: int, step: int) -> list[tuple[int, int]]:
    """[start, end) cut at the multiples of `step`."""
    cuts = [start, *range(start - start % step + step, end, step), end]
    return [(low, high) for low, high in pairwise(cuts) if low < high]


def _merged(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The union of stretches, sorted, each byte once."""
    result: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result
