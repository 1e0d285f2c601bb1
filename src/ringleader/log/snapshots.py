"""Snapshot files: one per group and index, written and read in frames, whole or not there at all.

    file  = start frame* end
    start = magic "RINGSNAP"  version u32  crc u32  group u64  index u64  meta length u64  meta
    frame = length u32 (> 0)  crc u32  data
    end   = 0 u32             crc u32  size of the file u64

Numbers are little-endian. A `crc` is CRC32C over what it covers, started from the one before it: that of the start over
version and all behind the crc, that of a frame over length and data, that of the end over its 0 and the size. So each
frame is checked by itself as it is read, and the last one says that all of them are there, in this order. The start looks
the same in every version.

`SnapshotEncoder` makes the bytes and `SnapshotDecoder` takes them, a piece at a time, wherever they go or come from; neither
ever holds more than one frame. On the disk a snapshot is written under a temporary name, synced, renamed, the folder
synced; only then may what it replaces go. A file that has its final name was therefore durable: when a checksum fails,
durable bytes are damaged, and the node refuses to start instead of silently going back to an older state.

A snapshot that comes from another node is written under a name of its own (`part_name`), which survives a restart: whatever
of it holds need not be sent again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import google_crc32c

from ringleader.errors import Reason
from ringleader.log.errors import LogCorruptError, WrongIdentityError
from ringleader.ports import Create, Disk, DiskOp, Rename, Sync, SyncFolder, Unlink, Write

__all__ = [
    "MAX_SNAPSHOT_FRAME",
    "SnapshotDecoder",
    "SnapshotEncoder",
    "SnapshotHeader",
    "cleanup_ops",
    "newest_snapshot",
    "part_name",
    "publish_ops",
    "read_frames",
    "snapshot_name",
    "snapshot_ops",
    "unfinished_parts",
]

SNAPSHOT_VERSION = 2
MAX_SNAPSHOT_FRAME = 256 * 1024 * 1024
"""The largest frame, in bytes: far above what the store makes, far below what would not fit into memory."""
READ_BYTES = 1024 * 1024
_MAGIC = b"RINGSNAP"
_START = struct.Struct("<8sII")
_SIZES = struct.Struct("<QQQ")
_FRAME = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_END = struct.Struct("<IQ")
_MAX_META = 16 * 1024 * 1024


@dataclass(frozen=True)
class SnapshotHeader:
    """What the start of a file says: whose state it is, after which entry, and the `meta` of its core."""

    group: int
    index: int
    meta: bytes


# ------------------------------------------------------------------------------------------------------------ writing


class SnapshotEncoder:
    """The bytes of a snapshot file, in order: `start` once, `frame` for each piece of the state, `end` once.

    `size`: bytes so far. `check`: the checksum so far; at the end it stands for the whole content.
    """

    def __init__(self, group: int, index: int, meta: bytes) -> None:
        self.header = SnapshotHeader(group, index, meta)
        self.size = 0
        self.check = 0

    def start(self) -> bytes:
        """What comes first."""
        header = self.header
        body = _SIZES.pack(header.group, header.index, len(header.meta)) + header.meta
        self.check = google_crc32c.value(_LENGTH.pack(SNAPSHOT_VERSION) + body)
        return self._counted(_START.pack(_MAGIC, SNAPSHOT_VERSION, self.check) + body)

    def frame(self, data: bytes | memoryview) -> bytes:
        """The next piece, which must not be empty."""
        assert data
        self.check = google_crc32c.extend(self.check, _LENGTH.pack(len(data)))
        data = bytes(data)
        self.check = google_crc32c.extend(self.check, data)
        return self._counted(_FRAME.pack(len(data), self.check) + data)

    def end(self) -> bytes:
        """What comes last."""
        size = self.size + _FRAME.size + 8
        self.check = google_crc32c.extend(self.check, _END.pack(0, size))
        return self._counted(_FRAME.pack(0, self.check) + struct.pack("<Q", size))

    def _counted(self, data: bytes) -> bytes:
        self.size += len(data)
        return data


# ------------------------------------------------------------------------------------------------------------ reading


class SnapshotDecoder:
    """Takes the bytes of a snapshot file in pieces of any size and gives back its frames, each checked.

    `header`: known once the start is there. `good`: up to here all is checked. `finished`: the end is there and holds.
    `check`: the checksum up to `good`.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.header: SnapshotHeader | None = None
        self.good = 0
        self.check = 0
        self.finished = False
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The next bytes of the file; returns the frames that are complete now.

        Raises `LogCorruptError` (with file and offset) when they do not hold, `WrongIdentityError` (`VERSION`) when another
        release wrote them.
        """
        buffer = self._buffer + data if self._buffer else data
        at = 0
        if self.header is None:
            at = self._read_start(buffer)
        frames: list[bytes] = []
        while self.header is not None and not self.finished and len(buffer) - at >= _FRAME.size:
            length, crc = _FRAME.unpack_from(buffer, at)
            if not length:
                if len(buffer) - at < _FRAME.size + 8:
                    break
                at = self._read_end(buffer, at, crc)
                break
            if length > MAX_SNAPSHOT_FRAME:
                raise LogCorruptError("a frame of the snapshot is impossibly long", file=self.file, offset=self.good)
            end = at + _FRAME.size + length
            if len(buffer) < end:
                break
            frame = buffer[at + _FRAME.size : end]
            check = google_crc32c.extend(google_crc32c.extend(self.check, _LENGTH.pack(length)), frame)
            if check != crc:
                raise LogCorruptError("the checksum of the snapshot does not match", file=self.file, offset=self.good)
            frames.append(frame)
            self._accept(check, _FRAME.size + length)
            at = end
        self._buffer = buffer[at:]
        if self.finished and self._buffer:
            raise LogCorruptError("bytes follow the end of the snapshot", file=self.file, offset=self.good)
        return frames

    def close(self) -> None:
        """There are no more bytes. Raises `LogCorruptError` when there should be."""
        if not self.finished:
            raise LogCorruptError("the snapshot is cut off", file=self.file, offset=self.good)

    def forget_tail(self) -> None:
        """Drop the bytes behind `good`: they will be fed again."""
        self._buffer = b""

    def _read_start(self, buffer: bytes) -> int:
        if len(buffer) < _START.size + _SIZES.size:
            return 0
        magic, version, crc = _START.unpack_from(buffer)
        if magic != _MAGIC:
            raise LogCorruptError("this is not a snapshot", file=self.file, offset=0)
        group, index, length = _SIZES.unpack_from(buffer, _START.size)
        end = _START.size + _SIZES.size + int(length)
        if length > _MAX_META:
            raise LogCorruptError("the start of the snapshot makes no sense", file=self.file, offset=_START.size)
        if len(buffer) < end:
            return 0
        if google_crc32c.value(_LENGTH.pack(version) + buffer[_START.size : end]) != crc:
            raise LogCorruptError("the checksum of the snapshot's start does not match", file=self.file, offset=0)
        if version != SNAPSHOT_VERSION:
            raise WrongIdentityError(
                f"snapshot {self.file} has format version {version}, this release reads version {SNAPSHOT_VERSION}",
                reason=Reason.VERSION,
                hint="Start the release that wrote it, or a newer one",
            )
        self.header = SnapshotHeader(group, index, buffer[end - length : end])
        self._accept(crc, end)
        return end

    def _read_end(self, buffer: bytes, at: int, crc: int) -> int:
        size = int.from_bytes(buffer[at + _FRAME.size : at + _FRAME.size + 8], "little")
        check = google_crc32c.extend(self.check, _END.pack(0, size))
        if check != crc or size != self.good + _FRAME.size + 8:
            raise LogCorruptError("the end of the snapshot does not match", file=self.file, offset=self.good)
        self._accept(check, _FRAME.size + 8)
        self.finished = True
        return at + _FRAME.size + 8

    def _accept(self, check: int, size: int) -> None:
        self.check = check
        self.good += size


def read_frames(disk: Disk, name: str, decoder: SnapshotDecoder) -> Iterator[bytes]:
    """The frames of a file, read a piece at a time. Raises as `SnapshotDecoder` does, and `OSError`."""
    size, place = disk.size(name), 0
    while place < size:
        data = disk.read(name, place, READ_BYTES)
        if not data:
            break
        place += len(data)
        yield from decoder.feed(data)
    decoder.close()


# -------------------------------------------------------------------------------------------------- files in the folder


def snapshot_name(group: int, index: int) -> str:
    """The file name of the snapshot of `group` at `index`, such that names of a group sort as indices do."""
    return f"snap-{group:08x}-{index:016x}"


def part_name(group: int, index: int) -> str:
    """The file name of that snapshot while it is on its way from another node."""
    return snapshot_name(group, index) + ".part"


def _parse(name: str) -> tuple[int, int] | None:
    parts = name.split("-")
    if len(parts) != 3 or parts[0] != "snap":
        return None
    try:
        group, index = int(parts[1], 16), int(parts[2], 16)
    except ValueError:
        return None
    return (group, index) if snapshot_name(group, index) == name else None


def publish_ops(unfinished: str, group: int, index: int) -> list[DiskOp]:
    """What gives a completely written file its final name, durably. What it replaces may go after that."""
    return [Sync(unfinished), Rename(unfinished, snapshot_name(group, index)), SyncFolder()]


def snapshot_ops(
    group: int, index: int, meta: bytes, frames: Iterable[bytes | memoryview], replaces: Iterable[int] = ()
) -> list[DiskOp]:
    """All operations that make a small snapshot durable, and after that remove those at the indices `replaces`.

    A snapshot at the same index is replaced. Indices in `replaces` that are not below `index` are left alone.
    """
    temporary = snapshot_name(group, index) + ".tmp"
    encoder = SnapshotEncoder(group, index, meta)
    data = b"".join([encoder.start(), *map(encoder.frame, frames), encoder.end()])
    ops: list[DiskOp] = [Unlink(temporary), Create(temporary), Write(temporary, 0, data)]
    ops += publish_ops(temporary, group, index)
    ops += [Unlink(snapshot_name(group, old)) for old in sorted(set(replaces)) if old < index]
    return ops


def newest_snapshot(disk: Disk, group: int) -> int:
    """The index of the newest snapshot of `group`; 0 when there is none."""
    return max((found[1] for name in disk.names() if (found := _parse(name)) and found[0] == group), default=0)


def unfinished_parts(disk: Disk, group: int) -> list[int]:
    """The indices of snapshots of `group` that were on their way from another node."""
    found = [_parse(name.removesuffix(".part")) for name in disk.names() if name.endswith(".part")]
    return sorted(parsed[1] for parsed in found if parsed is not None and parsed[0] == group)


def cleanup_ops(disk: Disk) -> list[DiskOp]:
    """At start-up: removes unfinished snapshot files and all but the newest of each group.

    The newest name may live in memory alone after a process crash, so the folder is synced before an older one goes. What
    came in part from another node stays while it is newer than all that is whole.
    """
    newest: dict[int, int] = {}
    found: list[tuple[int, int]] = []
    parts: list[tuple[int, int]] = []
    ops: list[DiskOp] = []
    for name in disk.names():
        parsed = _parse(name.removesuffix(".tmp").removesuffix(".part"))
        if parsed is None:
            continue
        if name.endswith(".tmp"):
            ops.append(Unlink(name))
        elif name.endswith(".part"):
            parts.append(parsed)
        else:
            found.append(parsed)
            newest[parsed[0]] = max(parsed[1], newest.get(parsed[0], 0))
    ops += [Unlink(part_name(group, index)) for group, index in parts if index <= newest.get(group, 0)]
    old = [Unlink(snapshot_name(group, index)) for group, index in found if index < newest[group]]
    return [*ops, SyncFolder(), *old] if old else ops
