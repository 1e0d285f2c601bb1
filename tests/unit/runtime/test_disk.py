"""The real folder does what the model of a disk does; the disk thread keeps order and stops at the first failure."""

from __future__ import annotations

import errno
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ringleader.group.bulk import BulkWork
from ringleader.group.space import RESERVE_FILE
from ringleader.log import Identity, LogOptions, LogRecord, create, recover
from ringleader.ports import Create, DiskOp, Read, Rename, Sync, SyncFolder, Truncate, Unlink, Write
from ringleader.runtime.disk import BulkThread, DiskThread, FolderDisk
from unit.log.crashdisk import CrashDisk

OPS: list[DiskOp] = [
    Create("a"),
    Write("a", 3, b"hello"),
    Sync("a"),
    Create("b", 5000),
    Write("b", 4998, b"end and beyond"),
    Write("b", 0, b"start"),
    Sync("b"),
    Rename("a", "c"),
    Write("c", 0, b"xyz"),
    Sync("c"),
    SyncFolder(),
    Create("a"),
    Write("a", 0, b"second a"),
    Sync("a"),
    Rename("a", "b"),
    Unlink("c"),
    Unlink("never there"),
    SyncFolder(),
    Write("b", 8, b"!"),
    Sync("b"),
]


def test_the_folder_does_what_the_model_does(tmp_path: Path) -> None:
    real, model = FolderDisk(tmp_path), CrashDisk()
    for op in OPS:
        real.execute([op])
        model.execute([op])
        assert real.names() == model.names()
        for name in model.names():
            assert real.size(name) == model.size(name)
            assert real.read(name) == model.read(name)
            assert real.read(name, 2, 7) == model.read(name, 2, 7)
    real.close()


def test_errors_are_those_of_the_system(tmp_path: Path) -> None:
    disk = FolderDisk(tmp_path)
    disk.execute([Create("a"), Write("a", 0, b"12345"), Truncate("a", 2)])
    assert disk.read("a") == b"12"
    with pytest.raises(FileExistsError):
        disk.execute([Create("a")])
    with pytest.raises(FileNotFoundError):
        disk.execute([Write("b", 0, b"")])
    with pytest.raises(FileNotFoundError):
        disk.read("b")
    with pytest.raises(FileNotFoundError):
        disk.size("b")
    disk.close()


def test_no_descriptor_is_leaked(tmp_path: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    for turn in range(5):
        disk = FolderDisk(tmp_path / str(turn))
        disk.execute(OPS)
        disk.close()
    assert len(os.listdir("/dev/fd")) == before


def test_a_log_on_a_real_disk(tmp_path: Path) -> None:
    identity, options = Identity("c", 1, "i"), LogOptions(segment_bytes=3000, runway_bytes=512)
    disk = FolderDisk(tmp_path)
    writer = create(identity, options, disk)
    records = [LogRecord(0, number, bytes(50)) for number in range(200)]
    for record in records:
        writer.append([record])
        if writer.wants_roll:
            writer.roll([])
        position = writer.position
        disk.execute(writer.take_ops())
        writer.synced(position)
    disk.close()
    assert len(writer.segments) > 3
    again = FolderDisk(tmp_path)
    assert recover(again, identity, options).records == records
    again.close()


class Heard:
    """What a disk thread reported."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.errors: list[Exception] = []
        self.news = threading.Event()

    def finished(self, number: int) -> None:
        self.done.append(number)

    def failed(self, error: Exception) -> None:
        self.errors.append(error)
        self.news.set()


def test_the_thread_works_in_order_and_stops_when_asked(tmp_path: Path) -> None:
    heard, disk = Heard(), FolderDisk(tmp_path)
    thread = DiskThread(disk, heard.finished, heard.failed)
    thread.submit(1, [Create("a")])
    for number in range(2, 50):
        thread.submit(number, [Write("a", number, b"x"), Sync("a")])
    assert thread.close()
    assert heard.done == list(range(1, 50))
    assert heard.errors == []
    disk.close()


def test_nothing_is_carried_out_after_a_failure(tmp_path: Path) -> None:
    heard, disk = Heard(), FolderDisk(tmp_path)
    thread = DiskThread(disk, heard.finished, heard.failed)
    thread.submit(1, [Create("a")])
    thread.submit(2, [Write("missing", 0, b"x"), Create("never")])
    thread.submit(3, [Create("b")])
    assert heard.news.wait(60)
    assert thread.close()
    assert heard.done == [1]
    assert isinstance(heard.errors[0], FileNotFoundError)
    assert disk.names() == ["a"]
    disk.close()


class Cramped(FolderDisk):
    """A folder in which nothing more fits while `full` is set."""

    full = False

    def execute(self, ops: Sequence[DiskOp]) -> None:
        for op in ops:
            if self.full and isinstance(op, Write | Create):
                raise OSError(errno.ENOSPC, "no space left on device")
            super().execute([op])


def test_a_full_disk_is_waited_out_in_order(tmp_path: Path) -> None:
    heard, disk, said = Heard(), Cramped(tmp_path), list[bool]()
    thread = DiskThread(disk, heard.finished, heard.failed, said.append, reserve_bytes=1000)
    thread.submit(1, [Create("a")])
    until(lambda: heard.done == [1])
    disk.full = True
    spare = Write("a", 5, b"zeros", spare=True)
    thread.submit(2, [Write("a", 0, b"bytes"), Sync("a"), spare, Sync("a")])
    thread.submit(3, [Write("a", 5, b"more")])
    until(lambda: said == [True])
    assert disk.names() == ["a"], "the reserve is given up"
    assert heard.done == [1]
    disk.full = False
    until(lambda: heard.done == [1, 2, 3])
    until(lambda: said == [True, False])
    assert (disk.read("a"), disk.size(RESERVE_FILE)) == (b"bytesmores", 1000)
    disk.full = True
    thread.submit(4, [spare])
    until(lambda: heard.done == [1, 2, 3, 4])
    thread.submit(5, [Write("a", 0, b"never")])
    assert thread.close(), "what waits for room does not hold up the end"
    assert heard.done == [1, 2, 3, 4]
    assert heard.errors == []


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def test_the_bulk_thread_writes_reads_and_says_when_there_is_no_room(tmp_path: Path) -> None:
    class Full(FolderDisk):
        full = False

        def execute(self, ops: Sequence[DiskOp]) -> None:
            if self.full and isinstance(ops[0], Write):
                raise OSError(errno.ENOSPC, "no space left on device")
            super().execute(ops)

    disk = Full(tmp_path)
    heard: queue.SimpleQueue[object] = queue.SimpleQueue()
    thread = BulkThread(disk, lambda number, data: heard.put((number, data)), heard.put)
    thread.submit(BulkWork(1, [Create("a"), Write("a", 0, b"hello"), Sync("a"), SyncFolder()]))
    thread.submit(BulkWork(2, [], Read("a", 1, 3)))
    assert heard.get(timeout=60) == (1, b"")
    assert heard.get(timeout=60) == (2, b"ell")
    disk.full = True
    thread.submit(BulkWork(3, [Write("a", 0, b"x"), Unlink("a")]))
    assert heard.get(timeout=60) == (3, None)
    assert disk.names() == ["a"], "what comes after is left out"
    thread.submit(BulkWork(4, [Sync("missing")]))
    assert isinstance(heard.get(timeout=60), FileNotFoundError)
    assert thread.close()


def test_the_submitter_may_wait_a_moment(tmp_path: Path) -> None:
    heard, disk = Heard(), FolderDisk(tmp_path)
    thread = DiskThread(disk, heard.finished, heard.failed)
    assert thread.submit(1, [Create("a"), Write("a", 0, b"x"), Sync("a")], patience=60.0)
    assert disk.names() == ["a"]
    assert thread.took > 0
    thread.submit(2, [Write("a", 1, b"y")])
    assert thread.submit(3, [Sync("a")], patience=60.0)
    assert thread.close()
    assert heard.done == [2]  # who waited has been told already
    disk.close()


class Held(FolderDisk):
    """A folder whose operations wait for `free`."""

    free = threading.Event()

    def execute(self, ops: Sequence[DiskOp]) -> None:
        assert self.free.wait(60)
        super().execute(ops)


def test_a_disk_that_takes_longer_is_not_waited_for(tmp_path: Path) -> None:
    heard, disk = Heard(), Held(tmp_path)
    disk.free = threading.Event()
    thread = DiskThread(disk, heard.finished, heard.failed)
    assert not thread.submit(1, [Create("a")], patience=0.001)
    assert heard.done == []
    disk.free.set()
    assert thread.submit(2, [Create("b")], patience=60.0)
    assert heard.done == [1]
    assert thread.close()
    disk.close()


def test_whoever_waits_is_told_of_every_end_exactly_once(tmp_path: Path) -> None:
    heard, disk = Heard(), FolderDisk(tmp_path)
    thread = DiskThread(disk, heard.finished, heard.failed)
    thread.submit(0, [Create("a")])
    waited = [
        number
        for number in range(1, 2000)
        if thread.submit(number, [Write("a", number, b"x")], patience=(1e-6, 2e-5, 1e-4, 1.0)[number % 4])
    ]
    assert thread.close()
    assert sorted(heard.done + waited) == list(range(2000))
    assert waited
    disk.close()


def test_a_failure_while_the_submitter_waits_is_reported(tmp_path: Path) -> None:
    heard, disk = Heard(), FolderDisk(tmp_path)
    thread = DiskThread(disk, heard.finished, heard.failed)
    assert not thread.submit(1, [Write("missing", 0, b"x")], patience=0.2)
    assert heard.news.wait(10)
    assert isinstance(heard.errors[0], FileNotFoundError)
    assert heard.done == []
    thread.close()
    disk.close()
