"""The snapshots of a group that are durable here: which is the newest, which are being read, which may go."""

from __future__ import annotations

from collections import Counter

import msgspec

from ringleader.consensus.shape import SnapshotMeta
from ringleader.log import snapshot_name
from ringleader.ports import DiskOp, Unlink

__all__ = ["Shelf", "Stored"]


class Stored(msgspec.Struct, frozen=True):
    """A snapshot file: what it stands for, its size in bytes and its last checksum."""

    meta: SnapshotMeta
    size: int
    check: int


class Shelf:
    """Every change returns the operations that remove what is no longer needed: all but the newest and the pinned ones."""

    def __init__(self, group: int) -> None:
        self._group = group
        self._files: dict[int, Stored] = {}
        self._pins: Counter[int] = Counter()
        self.newest: Stored | None = None

    def get(self, index: int) -> Stored | None:
        """The snapshot at `index`, if it is here."""
        return self._files.get(index)

    def add(self, stored: Stored) -> list[DiskOp]:
        """This one is durable now."""
        self._files[stored.meta.index] = stored
        if self.newest is None or stored.meta.index >= self.newest.meta.index:
            self.newest = stored
        return self._sweep()

    def pin(self, index: int) -> None:
        """Keep this one until as many `unpin` as `pin`."""
        self._pins[index] += 1

    def unpin(self, index: int) -> list[DiskOp]:
        """The end of a `pin`."""
        self._pins[index] -= 1
        self._pins += Counter()
        return self._sweep()

    def pinned(self) -> list[int]:
        """The indices that are being read, lowest first."""
        return sorted(self._pins)

    def _sweep(self) -> list[DiskOp]:
        assert self.newest is not None
        gone = [index for index in self._files if index != self.newest.meta.index and index not in self._pins]
        for index in gone:
            del self._files[index]
        return [Unlink(snapshot_name(self._group, index)) for index in sorted(gone)]
