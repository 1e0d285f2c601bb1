"""Snapshot files: frames in, frames out, whole or absent after any crash; damage is found and says where."""

from __future__ import annotations

import struct

import google_crc32c
import pytest

from ringleader.errors import Reason
from ringleader.log import (
    LogCorruptError,
    SnapshotDecoder,
    SnapshotEncoder,
    SnapshotHeader,
    WrongIdentityError,
    cleanup_ops,
    newest_snapshot,
    part_name,
    snapshot_name,
    snapshot_ops,
    unfinished_parts,
)
from ringleader.ports import Create, Write
from unit.log.crashdisk import CrashDisk
from unit.log.snapfiles import read

FRAMES = [b"one", bytes(range(256)) * 8000, b"x"]


def whole(frames: list[bytes], index: int = 7) -> bytes:
    encoder = SnapshotEncoder(3, index, b"meta")
    data = b"".join([encoder.start(), *map(encoder.frame, frames), encoder.end()])
    assert encoder.size == len(data)
    return data


@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 20, 1 << 30])
def test_frames_come_back_however_the_bytes_arrive(step: int) -> None:
    frames = FRAMES if step > 7 else [b"a", b"bcd" * 10, b"e"]
    data = whole(frames)
    decoder = SnapshotDecoder("f")
    found = [frame for at in range(0, len(data), step) for frame in decoder.feed(data[at : at + step])]
    decoder.close()
    assert found == frames
    assert decoder.header == SnapshotHeader(3, 7, b"meta")
    assert decoder.good == len(data)


def test_the_same_content_has_the_same_check_and_other_content_another() -> None:
    checks = set()
    for frames, index in (([b"ab", b"c"], 7), ([b"a", b"bc"], 7), ([b"ab", b"c"], 8)):
        encoder, again = SnapshotEncoder(3, index, b""), SnapshotDecoder("f")
        again.feed(b"".join([encoder.start(), *map(encoder.frame, frames), encoder.end()]))
        assert again.finished
        assert again.check == encoder.check
        checks.add(encoder.check)
    assert len(checks) == 3


def test_every_damaged_byte_every_cut_and_every_exchange_is_found() -> None:
    data = whole([b"first", b"other"])
    for at in range(len(data)):
        with pytest.raises(LogCorruptError):
            decode(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        with pytest.raises(LogCorruptError):
            decode(data[:at])
    for wrong in (data + b"x", data[:44] + data[57:70] + data[44:57] + data[70:], data[:44] + data[57:]):
        with pytest.raises(LogCorruptError) as caught:
            decode(wrong)
        assert caught.value.file == "f"
        assert 44 <= caught.value.offset <= len(data)


def decode(data: bytes) -> list[bytes]:
    decoder = SnapshotDecoder("f")
    frames = decoder.feed(data)
    decoder.close()
    return frames


def test_a_file_of_another_release_is_named() -> None:
    data = whole([b"a"])
    body = data[16:44]
    crc = google_crc32c.value(struct.pack("<I", 9) + body)
    with pytest.raises(WrongIdentityError, match="format version 9") as caught:
        decode(data[:8] + struct.pack("<II", 9, crc) + body + data[44:])
    assert caught.value.reason is Reason.VERSION


def test_files_replace_older_ones_and_are_cleaned_up() -> None:
    disk = CrashDisk()
    assert newest_snapshot(disk, 1) == 0
    disk.execute(snapshot_ops(1, 10, b"m10", FRAMES))
    disk.execute(snapshot_ops(2, 99, b"other group", []))
    assert newest_snapshot(disk, 1) == 10
    assert read(disk, 10) == (10, b"m10", FRAMES)
    disk.execute(snapshot_ops(1, 20, b"m20", [b"d"], replaces=[10, 20, 30]))
    assert snapshot_name(1, 10) not in disk.names()
    disk.execute(snapshot_ops(1, 15, b"late", [], replaces=[20]))
    assert newest_snapshot(disk, 1) == 20
    names = [snapshot_name(1, 30) + ".tmp", part_name(1, 18), part_name(1, 40), part_name(2, 100), part_name(3, 1)]
    disk.execute([Create(name) for name in names])
    assert unfinished_parts(disk, 1) == [18, 40]
    disk.execute(cleanup_ops(disk))
    kept = [snapshot_name(1, 20), part_name(1, 40), snapshot_name(2, 99), part_name(2, 100), part_name(3, 1)]
    assert disk.names() == kept


def test_a_snapshot_is_whole_or_absent_after_any_crash() -> None:
    disk = CrashDisk()
    disk.execute(snapshot_ops(1, 10, b"old", [b"old data"]))
    for op in snapshot_ops(1, 20, b"new", [b"new data" * 10], replaces=[10]):
        disk.step(op)
        for after in disk.crashes():
            assert read(after, newest_snapshot(after, 1))[1] in (b"old", b"new")
    assert newest_snapshot(disk.crashed([False] * disk.choices()), 1) == 20


def test_cleaning_up_after_a_crash_never_loses_the_only_durable_snapshot() -> None:
    """After a mere process crash the newest name may live in memory alone: it must be durable before the older goes."""
    disk = CrashDisk()
    disk.execute(snapshot_ops(1, 10, b"old", [b"old data"]))
    checked = 0
    for op in snapshot_ops(1, 20, b"new", [b"new data"], replaces=[10]):
        disk.step(op)
        again = disk.killed()
        for step in cleanup_ops(again):
            again.step(step)
            for after in again.crashes():
                assert read(after, newest_snapshot(after, 1))[1] in (b"old", b"new")
                checked += 1
    assert checked > 10


def test_a_damaged_file_says_where() -> None:
    disk = CrashDisk()
    disk.execute(snapshot_ops(1, 20, b"meta", [b"data"]))
    name = snapshot_name(1, 20)
    disk.execute([Write(name, disk.size(name) - 20, b"\xff")])
    with pytest.raises(LogCorruptError) as caught:
        read(disk, 20)
    assert caught.value.file == name
    assert caught.value.offset == 44
