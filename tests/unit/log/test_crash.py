"""A crash at any operation, with any subset of unsynced sectors and folder changes, loses nothing promised."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ringleader.log import Identity, LogOptions, LogRecord, LogWriter, create, exists, recover
from ringleader.ports import DiskOp
from unit.log.crashdisk import CrashDisk

ME = Identity("c", 1, "i")
SMALL = LogOptions(segment_bytes=200, runway_bytes=0)
RUNWAY = LogOptions(segment_bytes=260, runway_bytes=64)


def record(number: int, size: int = 4) -> LogRecord:
    return LogRecord(1, number, bytes([number]) * size)


class Life:
    """A writer on a disk, with what it appended and what it was told is durable; `on_step` runs between operations."""

    def __init__(self, disk: CrashDisk, writer: LogWriter, on_step: Callable[[Life], None]) -> None:
        self.disk, self.writer, self.on_step = disk, writer, on_step
        self.appended: list[LogRecord] = []
        self.acknowledged = 0
        self.floor = 0

    def append(self, *records: LogRecord) -> None:
        self.writer.append(records, {1: records[-1].kind} if records else None)
        self.appended += records

    def roll(self) -> None:
        checkpoint = LogRecord(0, 200 + self.writer.segments[-1].number, b"")
        self.writer.roll([checkpoint])
        self.appended.append(checkpoint)

    def flush(self) -> None:
        position = self.writer.position
        self.run(self.writer.take_ops())
        self.writer.synced(position)
        self.acknowledged = len(self.appended)

    def drop(self, floor: int) -> None:
        self.floor = floor
        self.writer.drop_segments({1: floor})

    def run(self, ops: list[DiskOp]) -> None:
        for op in ops:
            self.disk.step(op)
            self.on_step(self)


def check_recovery(life: Life, after: CrashDisk, options: LogOptions) -> LogWriter:
    """What is recovered is a prefix of what was appended that holds all that was acknowledged, less whole segments."""
    recovery = recover(after, ME, options)
    kept = recovery.records
    ends = [n for n in range(life.acknowledged, len(life.appended) + 1) if life.appended[:n][-len(kept) :] == kept]
    assert ends if kept else life.acknowledged == 0, (kept, life.appended, life.acknowledged)
    needed = [r for r in life.appended[: life.acknowledged] if life.floor < r.kind < 200]
    assert all(r in kept for r in needed), (kept, needed)
    return recovery.writer


def second_life(after: CrashDisk, options: LogOptions) -> None:
    """Write on after a recovery, equal bytes included, and crash again: garbage of the first life never comes back."""
    recovery = recover(after, ME, options)
    life = Life(after, recovery.writer, lambda _: None)
    life.appended = list(recovery.records)
    life.append(record(3))  # the same bytes that the first life wrote as its third batch
    life.flush()
    life.roll()  # a half-made segment of the first life must not stand in the way
    life.flush()
    life.append(record(99))
    for end in (after.crashed([True] * after.choices()), after.crashed([False] * after.choices()), after.killed()):
        assert recover(end, ME, options).records == life.appended[:-1]


def script(life: Life) -> None:
    life.append(record(1))
    life.append(record(2))
    life.flush()
    life.append(record(3))
    life.append(record(4, 20))
    life.append(record(5))
    life.flush()
    life.roll()
    life.append(record(6))
    life.flush()
    life.drop(5)
    life.append(record(7))
    life.flush()
    life.append(record(8))
    life.roll()
    life.roll()
    life.flush()
    life.drop(8)
    life.append()
    life.flush()


def walk(options: LogOptions) -> tuple[int, int]:
    disk = CrashDisk()
    counts = [0, 0]

    def on_step(life: Life) -> None:
        for after in life.disk.crashes():
            counts[0] += 1
            torn = after.killed()
            check_recovery(life, after, options)
            second_life(after, options)
            counts[1] += crash_in_recovery(life, torn, options)
        killed = life.disk.killed()
        check_recovery(life, killed, options)
        # A process crash, recovery, then a power cut: what recovery has shown must not vanish.
        shown = recover(killed, ME, options).records
        for end in killed.crashes():
            assert recover(end, ME, options).records == shown

    life = Life(disk, create(ME, options, disk), on_step)
    script(life)
    assert (
        recover(disk.killed(), ME, options).records == life.appended[-1:]
    )  # all but the last checkpoint went with their segments
    return counts[0], counts[1]


class Recorder(CrashDisk):
    """Carries operations out and calls back after each."""

    after_op: Callable[[], None]

    def execute(self, ops: Sequence[DiskOp]) -> None:
        for op in ops:
            self.step(op)
            self.after_op()


def crash_in_recovery(life: Life, disk: CrashDisk, options: LogOptions) -> int:
    """Crash after each operation of the recovery itself: the next recovery still finds all that was acknowledged."""
    probe = Recorder(disk.sector)
    probe.folder, probe.durable_folder, probe.changes = disk.folder, disk.durable_folder, disk.changes
    ends: list[CrashDisk] = []
    probe.after_op = lambda: ends.extend(probe.crashes(limit=3))
    shown = recover(probe, ME, options).records
    for end in ends:
        assert recover(end, ME, options).records == shown
        check_recovery(life, end, options)
    return len(ends)


def test_every_crash_of_a_small_life() -> None:
    crashes, nested = walk(SMALL)
    assert crashes > 150
    assert nested > 1000


def test_every_crash_with_a_runway() -> None:
    crashes, _ = walk(RUNWAY)
    assert crashes > 150


def test_crash_while_the_log_is_created() -> None:
    probe = Recorder()
    ends: list[CrashDisk] = []
    probe.after_op = lambda: ends.extend(probe.crashes())
    create(ME, SMALL, probe)
    assert len(ends) > 20
    for end in ends:
        if not exists(end):
            create(ME, SMALL, end)
        assert recover(end, ME, SMALL).records == []
