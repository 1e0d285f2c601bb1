"""What a healthy log does: append, roll, drop, recover; its bytes."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from ringleader.errors import Reason
from ringleader.log import (
    Identity,
    LogCorruptError,
    LogOptions,
    LogRecord,
    LogWriter,
    WrongIdentityError,
    create,
    exists,
    newest_snapshot,
    recover,
    snapshot_ops,
)
from ringleader.log.format import decode_header, segment_name, segment_number
from ringleader.ports import Create, Rename, Sync, SyncFolder, Unlink, Write
from unit.log.crashdisk import CrashDisk
from unit.log.snapfiles import read

ME = Identity("c", 1, "i")
OPTIONS = LogOptions(segment_bytes=500, runway_bytes=0)
GOLDEN = Path(__file__).parent / "golden" / "log-v1.txt"


def flush(disk: CrashDisk, writer: LogWriter) -> None:
    position = writer.position
    disk.execute(writer.take_ops())
    writer.synced(position)


def test_append_and_recover() -> None:
    disk = CrashDisk()
    assert not exists(disk)
    writer = create(ME, OPTIONS, disk)
    assert exists(disk)
    assert (writer.position, writer.durable, writer.take_ops()) == (1, 1, [])
    assert writer.append([LogRecord(1, 2, b"a"), LogRecord(3, 4, b"")]) == 2
    assert writer.append([LogRecord(1, 5, b"b")]) == 3
    assert writer.durable == 1
    ops = writer.take_ops()
    assert [type(op) for op in ops] == [Write, Sync]
    disk.execute(ops)
    writer.synced(3)
    assert (writer.durable, writer.take_ops()) == (3, [])
    recovery = recover(disk, ME, OPTIONS)
    assert recovery.records == [LogRecord(1, 2, b"a"), LogRecord(3, 4, b""), LogRecord(1, 5, b"b")]
    assert (recovery.batches, recovery.segments, recovery.cut_bytes) == (3, 1, 0)
    assert "3 records in 3 batches from 1 segments" in recovery.report
    assert (recovery.writer.position, recovery.writer.durable) == (3, 3)
    with pytest.raises(ValueError, match="never appended"):
        writer.synced(4)
    with pytest.raises(LogCorruptError, match="there is one"):
        create(ME, OPTIONS, disk)


def test_segments_roll_and_go_oldest_first_once_all_groups_have_snapshots() -> None:
    disk = CrashDisk()
    writer = create(ME, OPTIONS, disk)
    expected: list[LogRecord] = []
    for number in range(1, 31):
        record = LogRecord(number % 2, number, bytes(40))
        writer.append([record], {number % 2: number})
        expected.append(record)
        flush(disk, writer)
        if writer.wants_roll:
            writer.roll([LogRecord(0, 99, b"checkpoint")])
            expected.append(LogRecord(0, 99, b"checkpoint"))
            flush(disk, writer)
    assert len(disk.names()) == len(writer.segments) > 3
    recovery = recover(disk, ME, OPTIONS)
    assert recovery.records == expected
    writer = recovery.writer  # what the segments hold is known again after a restart
    assert writer.drop_segments({0: 30}) == []
    assert writer.drop_segments({0: 6, 1: 3}) == []
    oldest = disk.names()[0]
    assert writer.drop_segments({0: 6, 1: 7}) == [oldest]
    assert writer.take_ops() == [Unlink(oldest), SyncFolder()]
    disk.execute([Unlink(oldest), SyncFolder()])
    writer.append([LogRecord(0, 77, b"")])
    dropped = writer.drop_segments({0: 30, 1: 29})
    assert len(dropped) > 1
    flush(disk, writer)
    assert disk.names() == [segment_name(writer.segments[0].number)]
    again = recover(disk, ME, OPTIONS)
    assert again.records[-1] == LogRecord(0, 77, b"")
    assert again.records[0] == LogRecord(0, 99, b"checkpoint")


def test_operations_of_a_roll_make_the_old_segment_durable_first() -> None:
    writer = create(ME, OPTIONS, CrashDisk())
    writer.append([LogRecord(0, 1, b"")])
    writer.roll([])
    writer.append([LogRecord(0, 2, b"")])
    kinds = [type(op) for op in writer.take_ops()]
    assert kinds == [Write, Sync, Create, Write, Sync, Rename, SyncFolder, Write, Sync]


def test_the_runway_is_written_after_the_sync_and_the_file_grows_seldom() -> None:
    disk = CrashDisk()
    options = LogOptions(segment_bytes=1_000_000, runway_bytes=4096)
    writer = create(ME, options, disk)
    grown = 0
    for number in range(400):
        writer.append([LogRecord(0, number, bytes(60))])
        before = disk.size(segment_name(1))
        position = writer.position
        ops = writer.take_ops()
        assert [type(op) for op in ops[:2]] == [Write, Sync]
        write = ops[0]
        assert isinstance(write, Write)
        assert write.offset + len(write.data) <= before
        disk.execute(ops)
        writer.synced(position)
        grown += len(ops) > 2
    assert 5 < grown < 30
    assert len(recover(disk, ME, options).records) == 400


def test_a_batch_larger_than_a_segment() -> None:
    disk = CrashDisk()
    writer = create(ME, OPTIONS, disk)
    big = LogRecord(0, 1, bytes(5000))
    writer.append([big])
    assert writer.wants_roll
    flush(disk, writer)
    writer.roll([])
    flush(disk, writer)
    assert recover(disk, ME, OPTIONS).records == [big]


def test_options_and_names() -> None:
    with pytest.raises(ValueError, match="segment_bytes"):
        LogOptions(segment_bytes=0)
    assert segment_number(segment_name(255)) == 255
    for name in ("log-1", "snap-1-1", "log-00000000000000FF", "log-zzzzzzzzzzzzzzzz", segment_name(1) + ".tmp"):
        assert segment_number(name) is None


def golden_disk() -> CrashDisk:
    disk = CrashDisk()
    identity = Identity("golden cluster", 3, "incarnation")
    writer = create(identity, OPTIONS, disk)
    writer.append([LogRecord(1, 1, b"\x00\xff payload"), LogRecord(2**32, 200, b"")], {1: 5, 2**32: 2**40})
    flush(disk, writer)
    writer.roll([LogRecord(1, 3, b"checkpoint")], {1: 6})
    writer.append([])
    flush(disk, writer)
    disk.execute(snapshot_ops(1, 5, b"meta", [b"data", b"more"]))
    return disk


def test_the_format_is_the_golden_one() -> None:
    """Files written by earlier releases stay readable: the bytes of format 1 are fixed. (A new format adds a file.)"""
    disk = golden_disk()
    lines = dict(line.split(" ", 1) for line in GOLDEN.read_text().splitlines())
    assert {name: base64.b64encode(disk.read(name)).decode() for name in disk.names()} == lines
    old = CrashDisk()
    for name, text in lines.items():
        old.execute([Create(name), Write(name, 0, base64.b64decode(text))])
    recovery = recover(old, None, OPTIONS)
    assert recovery.identity == Identity("golden cluster", 3, "incarnation")
    assert recovery.records == [
        LogRecord(1, 1, b"\x00\xff payload"),
        LogRecord(2**32, 200, b""),
        LogRecord(1, 3, b"checkpoint"),
    ]
    assert recovery.writer.segments[0].last_index == {1: 5, 2**32: 2**40}
    assert read(old, newest_snapshot(old, 1)) == (5, b"meta", [b"data", b"more"])


def test_a_newer_format_is_named() -> None:
    import struct

    import google_crc32c

    disk = golden_disk()
    name = disk.names()[0]
    data = disk.read(name)
    _, _, end = decode_header(data)
    body = data[20:end]
    crc = google_crc32c.value(struct.pack("<II", 2, len(body)) + body)
    disk.execute([Write(name, 8, struct.pack("<III", 2, len(body), crc))])
    with pytest.raises(WrongIdentityError, match="format version 2") as caught:
        recover(disk, None, OPTIONS)
    assert caught.value.reason is Reason.VERSION
