"""Snapshot files: one per group and index, whole or not there at all.

    file = magic "RINGSNAP"  version u32  crc u32  group u64  index u64  meta length u64  data length u64  meta  data

A snapshot is written under a temporary name, synced, renamed, the folder synced; only then may the log it replaces go.
A file that has its final name was therefore durable: when its checksum fails, durable bytes are damaged, and the node
refuses to start instead of silently going back to an older state.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

import google_crc32c

from ringleader.errors import Reason
from ringleader.log.errors import LogCorruptError, WrongIdentityError
from ringleader.ports import Create, Disk, DiskOp, Rename, Sync, SyncFolder, Unlink, Write

__all__ = ["Snapshot", "cleanup_ops", "read_snapshot", "snapshot_name", "snapshot_ops"]

SNAPSHOT_VERSION = 1
_MAGIC = b"RINGSNAP"
_START = struct.Struct("<8sII")
_SIZES = struct.Struct("<QQQQ")
_PIECE = 1024 * 1024


@dataclass
class Snapshot:
    """A snapshot read back: `meta` and `data` as they were given to `snapshot_ops`."""

    group: int
    index: int
    meta: bytes
    data: bytes


def snapshot_name(group: int, index: int) -> str:
    """The file name of the snapshot of `group` at `index`, such that names of a group sort as indices do."""
    return f"snap-{group:08x}-{index:016x}"


def _parse(name: str) -> tuple[int, int] | None:
    parts = name.split("-")
    if len(parts) != 3 or parts[0] != "snap":
        return None
    try:
        group, index = int(parts[1], 16), int(parts[2], 16)
    except ValueError:
        return None
    return (group, index) if snapshot_name(group, index) == name else None


def snapshot_ops(group: int, index: int, meta: bytes, data: bytes, replaces: Iterable[int] = ()) -> list[DiskOp]:
    """The operations that make a snapshot durable, and after that remove those at the indices `replaces`.

    The bytes go out in pieces of 1 MiB, so that a world may do other work in between. A snapshot at the same index is
    replaced. Indices in `replaces` that are not below `index` are left alone.
    """
    name = snapshot_name(group, index)
    sizes = _SIZES.pack(group, index, len(meta), len(data))
    crc = google_crc32c.value(struct.pack("<I", SNAPSHOT_VERSION) + sizes + meta)
    crc = google_crc32c.extend(crc, data)
    start = _START.pack(_MAGIC, SNAPSHOT_VERSION, crc) + sizes + meta
    temporary = name + ".tmp"
    ops: list[DiskOp] = [Unlink(temporary), Create(temporary), Write(temporary, 0, start)]
    for place in range(0, len(data), _PIECE):
        ops.append(Write(temporary, len(start) + place, data[place : place + _PIECE]))
    ops += [Sync(temporary), Rename(temporary, name), SyncFolder()]
    ops += [Unlink(snapshot_name(group, old)) for old in sorted(set(replaces)) if old < index]
    return ops


def read_snapshot(disk: Disk, group: int) -> Snapshot | None:
    """The newest snapshot of `group`, or `None`. Raises `LogCorruptError` when that file is damaged."""
    indices = [found[1] for name in disk.names() if (found := _parse(name)) is not None and found[0] == group]
    if not indices:
        return None
    name = snapshot_name(group, max(indices))
    return _decode(disk.read(name), name, group, max(indices))


def _decode(raw: bytes, name: str, group: int, index: int) -> Snapshot:
    if len(raw) < _START.size + _SIZES.size:
        raise LogCorruptError("the snapshot is shorter than its header", file=name, offset=len(raw))
    magic, version, crc = _START.unpack_from(raw)
    if magic != _MAGIC:
        raise LogCorruptError("this is not a snapshot", file=name, offset=0)
    if google_crc32c.extend(google_crc32c.value(struct.pack("<I", version)), raw[_START.size :]) != crc:
        raise LogCorruptError("the checksum of the snapshot does not match", file=name, offset=0)
    if version != SNAPSHOT_VERSION:
        raise WrongIdentityError(
            f"snapshot {name} has format version {version}, this release reads version {SNAPSHOT_VERSION}",
            reason=Reason.VERSION,
            hint="Start the release that wrote it, or a newer one",
        )
    found_group, found_index, meta_size, data_size = _SIZES.unpack_from(raw, _START.size)
    start = _START.size + _SIZES.size
    if (found_group, found_index) != (group, index) or start + meta_size + data_size != len(raw):
        raise LogCorruptError("the snapshot does not hold what its name says", file=name, offset=_START.size)
    return Snapshot(group, index, raw[start : start + meta_size], raw[start + meta_size :])


def cleanup_ops(disk: Disk) -> list[DiskOp]:
    """At start-up: removes unfinished snapshot files and all but the newest of each group.

    The newest name may live in memory alone after a process crash, so the folder is synced before an older one goes.
    """
    newest: dict[int, int] = {}
    found: list[tuple[int, int]] = []
    ops: list[DiskOp] = []
    for name in disk.names():
        parsed = _parse(name.removesuffix(".tmp"))
        if parsed is None:
            continue
        if name.endswith(".tmp"):
            ops.append(Unlink(name))
            continue
        found.append(parsed)
        newest[parsed[0]] = max(parsed[1], newest.get(parsed[0], 0))
    old = [Unlink(snapshot_name(group, index)) for group, index in found if index < newest[group]]
    return [*ops, SyncFolder(), *old] if old else ops
