"""Looking into a folder: agrees with what recovery says, goes on behind damage, and bears whatever bytes there are."""

from __future__ import annotations

import random

import pytest

from ringleader.consensus.raft.records import hard_record
from ringleader.consensus.shape import Record
from ringleader.errors import RingleaderError
from ringleader.group.inspect import inspect_groups
from ringleader.log import LogRecord, create, part_name, recover, snapshot_ops
from ringleader.log.inspect import LogReport, inspect_log
from ringleader.ports import Unlink
from unit.log.crashdisk import CrashDisk, Inode
from unit.log.test_corruption import ME, OPTIONS, flip, small_log


def test_a_healthy_folder() -> None:
    disk, records, _ = small_log()
    disk.execute(snapshot_ops(7, 2, b"meta", [b"frame", b"two"]))
    disk.folder[part_name(7, 9)] = Inode()
    disk.folder["notes.txt"] = Inode()
    before = {name: bytes(inode.data) for name, inode in disk.folder.items()}
    report = inspect_log(disk)
    assert (report.records, report.damage) == (records, [])
    assert [segment.header.number for segment in report.segments if segment.header] == [1, 2]
    assert [batch.position for segment in report.segments for batch in segment.batches] == list(range(1, 8))
    assert report.position == 7
    assert report.durable == 6
    assert (report.snapshots[0].whole, report.snapshots[0].frames, report.snapshots[0].data_bytes) == (True, 2, 8)
    assert report.leftovers == [part_name(7, 9)]
    assert report.others == ["notes.txt"]
    assert {name: bytes(inode.data) for name, inode in disk.folder.items()} == before


@pytest.mark.parametrize("mark", [False, True])
def test_it_finds_damage_exactly_where_a_node_would_refuse(mark: bool) -> None:
    disk, _, _ = small_log(mark)
    seen: set[str] = set()
    for name in disk.names():
        for offset in range(disk.size(name)):
            damaged = flip(disk, name, offset, 0x10)
            report = inspect_log(damaged)
            try:
                recovery = recover(damaged, ME, OPTIONS)
            except RingleaderError:
                seen.add("damage")
                assert name in {damage.file for damage in report.damage}, (name, offset)
            else:
                seen.add("torn" if recovery.cut_bytes else "harmless")
                assert report.damage == [], (name, offset)
                assert report.records == recovery.records
                assert sum(segment.torn for segment in report.segments) == recovery.cut_bytes
    assert seen >= {"damage", "torn"}


def test_a_missing_segment_is_said_and_the_rest_is_still_read() -> None:
    disk, _, _ = small_log()
    writer = recover(disk, ME, OPTIONS).writer
    writer.roll([LogRecord(7, 9, b"third")])
    disk.execute([*writer.take_ops(), Unlink("log-0000000000000002")])
    report = inspect_log(disk)
    assert [(damage.file, damage.what) for damage in report.damage] == [
        ("log-0000000000000002", "a segment of the log is missing")
    ]
    assert report.records[-1].payload == b"third"


def look(disk: CrashDisk) -> LogReport:
    report = inspect_log(disk)
    inspect_groups(report)
    for damage in report.damage:
        assert damage.what
        assert damage.remedy
    return report


def test_any_bytes_under_any_name() -> None:
    chance = random.Random(5)
    healthy, _, _ = small_log(True)
    healthy.execute(snapshot_ops(7, 2, b"meta", [b"frame"]))
    images = {name: bytes(inode.data) for name, inode in healthy.folder.items()}
    names = [
        *images,
        "log-0000000000000003",
        "log-00000000000000zz",
        "snap-x",
        "snap-00000007-0000000000000009",
        "a.tmp",
    ]
    for _ in range(1500):
        disk = CrashDisk()
        for name in names:
            kind = chance.random()
            data = bytearray(chance.choice(list(images.values())) if kind < 0.5 else images.get(name, b""))
            for _ in range(chance.randrange(4)):
                if data:
                    place = chance.randrange(len(data))
                    data[place : place + chance.randrange(9)] = chance.randbytes(chance.randrange(9))
            if kind < 0.2:
                data = bytearray(chance.randbytes(chance.randrange(200)))
            if kind < 0.9:
                disk.folder[name] = Inode(data, bytearray(data))
        look(disk)


def test_records_that_hold_but_make_no_sense() -> None:
    chance = random.Random(6)
    said = 0
    for _ in range(300):
        disk = CrashDisk()
        writer = create(ME, OPTIONS, disk)
        for _ in range(chance.randrange(6)):
            good: Record = hard_record(chance.randrange(9), 1)
            payload = bytearray(good.payload)
            payload[chance.randrange(len(payload))] = chance.randrange(256)
            writer.append([LogRecord(0, chance.randrange(5), bytes(payload))])
        disk.execute(writer.take_ops())
        said += bool(look(disk).damage)
    assert said > 50
