"""A small disk in memory that knows what is synced, and can list every state a crash may leave behind.

Unsynced writes are kept sector by sector; a crash keeps any subset of them, and any subset of the folder's changes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from ringleader.ports import Create, DiskOp, Rename, Sync, SyncFolder, Truncate, Unlink, Write


@dataclass
class Inode:
    """`data` is what a reader sees; `durable` is what is on disk; `dirty` are the sectors written since."""

    data: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    dirty: set[int] = field(default_factory=set)


class CrashDisk:
    """A `Disk`. `sector`: bytes that are written all or not at all."""

    def __init__(self, sector: int = 32) -> None:
        self.sector = sector
        self.folder: dict[str, Inode] = {}
        self.durable_folder: dict[str, Inode] = {}
        self.changes: list[tuple[str, Inode | None, str]] = []  # (name, inode or removed, name it had before)

    # -- the port

    def names(self) -> list[str]:
        return sorted(self.folder)

    def size(self, name: str) -> int:
        return len(self._inode(name).data)

    def read(self, name: str, offset: int = 0, length: int = -1) -> bytes:
        data = self._inode(name).data
        return bytes(data[offset:] if length < 0 else data[offset : offset + length])

    def execute(self, ops: Sequence[DiskOp]) -> None:
        for op in ops:
            self.step(op)

    def _inode(self, name: str) -> Inode:
        try:
            return self.folder[name]
        except KeyError:
            raise FileNotFoundError(name) from None

    def step(self, op: DiskOp) -> None:
        match op:
            case Create(name, size):
                if name in self.folder:
                    raise FileExistsError(name)
                inode = Inode(bytearray(size), bytearray(), set(range(-(-size // self.sector))))
                self.folder[name] = inode
                self.changes.append((name, inode, ""))
            case Write(name, offset, data):
                inode = self._inode(name)
                if len(inode.data) < offset + len(data):
                    inode.data.extend(bytes(offset + len(data) - len(inode.data)))
                inode.data[offset : offset + len(data)] = data
                if data:
                    inode.dirty |= set(range(offset // self.sector, (offset + len(data) - 1) // self.sector + 1))
            case Truncate():
                raise NotImplementedError("the log does not truncate")
            case Sync(name):
                inode = self._inode(name)
                inode.durable, inode.dirty = bytearray(inode.data), set()
            case Rename(name, to):
                inode = self.folder.pop(name)
                self.folder[to] = inode
                self.changes.append((to, inode, name))
            case Unlink(name):
                if self.folder.pop(name, None) is not None:
                    self.changes.append((name, None, ""))
            case SyncFolder():
                self.durable_folder, self.changes = dict(self.folder), []

    # -- crashes

    def choices(self) -> int:
        """How many independent things a crash may keep or lose."""
        return sum(len(inode.dirty) for inode in self._live()) + len(self.changes)

    def _live(self) -> list[Inode]:
        seen: dict[int, Inode] = {}
        changed = [inode for _, inode, _ in self.changes if inode is not None]  # perhaps unlinked since
        for inode in [*self.durable_folder.values(), *self.folder.values(), *changed]:
            seen[id(inode)] = inode
        return list(seen.values())

    def crashed(self, keep: Sequence[bool]) -> CrashDisk:
        """The disk after a power cut that kept the n-th unsynced thing when `keep[n]`."""
        flags = iter(keep)
        contents: dict[int, Inode] = {}
        for inode in self._live():
            data = bytearray(inode.durable)
            for sector in sorted(inode.dirty):
                if next(flags):
                    start, end = sector * self.sector, min((sector + 1) * self.sector, len(inode.data))
                    data.extend(bytes(max(0, end - len(data))))
                    data[start:end] = inode.data[start:end]
            contents[id(inode)] = Inode(data, bytearray(data))
        names = dict(self.durable_folder)
        for name, changed, before in self.changes:
            if next(flags):
                if changed is None:
                    names.pop(name, None)
                else:
                    names[name] = changed
                    names.pop(before, None)
        after = CrashDisk(self.sector)
        after.folder = {name: contents[id(inode)] for name, inode in names.items()}
        after.durable_folder = dict(after.folder)
        return after

    def crashes(self, limit: int = 10) -> Iterator[CrashDisk]:
        """All states a power cut may leave; with more than `limit` choices all, nothing, and every single loss or win."""
        count = self.choices()
        if count <= limit:
            for keep in itertools.product((False, True), repeat=count):
                yield self.crashed(keep)
            return
        yield self.crashed([True] * count)
        yield self.crashed([False] * count)
        for place in range(count):
            yield self.crashed([n == place for n in range(count)])
            yield self.crashed([n != place for n in range(count)])

    def killed(self) -> CrashDisk:
        """The disk after the process alone was killed: everything is there, but what was not synced still is not."""
        return deepcopy(self)
