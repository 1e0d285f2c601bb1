"""The disk as a pure room sees it: a folder of named files, read at start-up, changed by lists of operations as data.

A pure room never touches a file: it hands out a list of `DiskOp` that some world carries out *in order*. The runtime
does so in a thread against a real folder; the simulator does so one at a time, and may crash between any two, lose what
was not synced in any subset of pages, tear, corrupt, fill up or fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

__all__ = ["Create", "Disk", "DiskOp", "Read", "Rename", "Sync", "SyncFolder", "Truncate", "Unlink", "Write"]


class Create(msgspec.Struct, frozen=True, gc=False):
    """Make the file `name` with `size` zero bytes allocated; an existing one is an error."""

    name: str
    size: int = 0


class Write(msgspec.Struct, frozen=True, gc=False):
    """Write `data` at byte `offset` of `name`, making the file longer if need be. Durable only after `Sync`.

    `spare`: it may be left out when the disk is full.
    """

    name: str
    offset: int
    data: bytes
    spare: bool = False


class Sync(msgspec.Struct, frozen=True, gc=False):
    """Make all earlier writes to `name` durable (fdatasync)."""

    name: str


class SyncFolder(msgspec.Struct, frozen=True, gc=False):
    """Make all earlier creates, renames and unlinks durable (fsync of the folder)."""


class Rename(msgspec.Struct, frozen=True, gc=False):
    """Give the file `name` the name `to`, replacing a file of that name. Durable only after `SyncFolder`."""

    name: str
    to: str


class Truncate(msgspec.Struct, frozen=True, gc=False):
    """Cut or extend `name` to `size` bytes."""

    name: str
    size: int


class Unlink(msgspec.Struct, frozen=True, gc=False):
    """Remove `name`; a missing file is no error (the step may be repeated after a crash)."""

    name: str


class Read(msgspec.Struct, frozen=True, gc=False):
    """Read up to `length` bytes from `offset` of `name`; not an operation but a question, see `group.bulk`."""

    name: str
    offset: int
    length: int


DiskOp = Create | Write | Sync | SyncFolder | Rename | Truncate | Unlink


class Disk(Protocol):
    """A folder of files. Reading is for start-up and for snapshots; all changes go through `execute`."""

    def names(self) -> list[str]:
        """The names of all files, sorted."""
        ...

    def size(self, name: str) -> int:
        """The size of a file in bytes. Raises `OSError` when there is none."""
        ...

    def read(self, name: str, offset: int = 0, length: int = -1) -> bytes:
        """`length` bytes (-1: to the end) from `offset`. Raises `OSError` when there is no such file or it fails."""
        ...

    def execute(self, ops: Sequence[DiskOp]) -> None:
        """Carry out the operations in order. Raises `OSError` at the first that fails; what follows is not tried."""
        ...
