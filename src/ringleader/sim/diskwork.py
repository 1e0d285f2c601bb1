"""The disk of a simulated machine at work: batches of operations under way in two lanes, the log's and the bulk lane.

The operations of one batch have a time each, but cost the simulator one event: they are carried out when the last is due, or,
when the machine crashes before, as far as they had come. So a crash can fall between any two of them, or inside one. For
what a full disk has no room the machine waits, as the runtime does (`group.space`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.group.bulk import BulkWork
from ringleader.group.space import NO_ROOM, ROOM_PERIOD, SpaceKeeper
from ringleader.ports import DiskOp, Read, Sync, SyncFolder
from ringleader.sim.trace import Kind

if TYPE_CHECKING:
    from ringleader.sim.node import Machine

__all__ = ["DiskWork"]


class _Batch:
    """A batch of disk operations under way. `due[i]`: when operation i is done; `done`: how many were carried out.

    `records`: how many records of the core it holds. `read`: of bulk work, what is to be read after them. `no_room`: the rest
    of it was left out.
    """

    __slots__ = ("done", "due", "no_room", "number", "ops", "read", "records")

    def __init__(self, number: int, ops: list[DiskOp], due: list[float], records: int, read: Read | None) -> None:
        self.number = number
        self.ops = ops
        self.due = due
        self.records = records
        self.read = read
        self.no_room = False
        self.done = 0

    def next_due(self) -> float:
        """When the next operation is carried out."""
        return self.due[self.done] if self.done < len(self.ops) else float("inf")

    def wait(self, until: float) -> None:
        """The next operation is tried again at `until`, and the others come as much later."""
        shift = until - self.due[self.done]
        self.due[self.done :] = [time + shift for time in self.due[self.done :]]


class DiskWork:
    """What the disk of `machine` is doing, and how the host hears of it. `slow`: how many times slower it is than usual."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.slow = 1.0
        self._options = machine.world.options.disk
        self._log: _Batch | None = None
        self._bulk: _Batch | None = None
        self._space = self._keeper()

    def _keeper(self) -> SpaceKeeper:
        """What a process that starts has to carry out the log's operations."""
        return SpaceKeeper(self.machine.disk, self._options.reserve_bytes, self._filled)

    @property
    def busy(self) -> bool:
        """Whether the disk is at work."""
        return self._log is not None or self._bulk is not None

    def begin_life(self) -> None:
        """A process has started on what the disk holds."""
        self._space = self._keeper()
        self._space.recover()

    def end_life(self) -> list[DiskOp]:
        """The process is gone, and its work stops where it is: returns the operations that had begun and were not done."""
        self.settle()
        batches = [batch for batch in (self._log, self._bulk) if batch is not None and batch.done < len(batch.ops)]
        self._log = self._bulk = None
        if any(batch.done for batch in batches):
            self.machine.world.probes.hit("crash in disk work")
        return [batch.ops[batch.done] for batch in batches]

    # ------------------------------------------------------------------------------------------------------ start

    def start_log(self, number: int, ops: list[DiskOp]) -> None:
        """The host has a batch for the log."""
        assert self._log is None, "two disk batches at once"
        machine = self.machine
        due = self._times(ops)
        self._log = _Batch(number, ops, due, machine.world.oracle.disk_taken(machine.id), None)
        machine.timeline.at(due[-1], self._log_due, machine.life, self._log)
        machine.crash_at_work(ops, due)

    def start_bulk(self, bulk: BulkWork) -> None:
        """The host has a piece of bulk work."""
        assert self._bulk is None, "two pieces of bulk work at once"
        machine = self.machine
        due = self._times(bulk.ops)
        batch = self._bulk = _Batch(bulk.number, bulk.ops, due, 0, bulk.read)
        read = self._options.write * self.slow
        timeline = machine.timeline
        timeline.at((due[-1] if due else timeline.now) + read, self._bulk_due, machine.life, batch)
        if due:
            machine.crash_at_work(bulk.ops, due)

    def _times(self, ops: list[DiskOp]) -> list[float]:
        """When each operation of a batch that starts now is done."""
        time = self.machine.timeline.now
        due: list[float] = []
        sync, write = self._options.sync * self.slow, self._options.write * self.slow
        for op in ops:
            kind = type(op)
            time += self.machine.choice.expovariate(1.0 / sync) if kind is Sync or kind is SyncFolder else write
            due.append(time)
        return due

    # ------------------------------------------------------------------------------------------------------- work

    def settle(self) -> None:
        """Carry out the operations of both lanes that are due by now, in the order in which they are."""
        machine = self.machine
        now = machine.timeline.now
        while True:
            batches = [batch for batch in (self._log, self._bulk) if batch is not None]
            batch = min(batches, key=_Batch.next_due, default=None)
            if batch is None or batch.next_due() > now:
                return
            op = batch.ops[batch.done]
            try:
                if batch is self._bulk:
                    machine.disk.apply(op)
                elif not self._space.attempt(op):
                    machine.world.probes.hit("waited for room")
                    batch.wait(now + ROOM_PERIOD)
                    continue
            except OSError as error:
                if batch is self._bulk and error.errno in NO_ROOM:
                    batch.done, batch.no_room = len(batch.ops), True
                    continue
                self._log = self._bulk = None
                machine.timeline.at(now, machine.disk_failed, machine.life, error)
                return
            batch.done += 1

    def _log_due(self, life: int, batch: _Batch) -> None:
        machine = self.machine
        if life != machine.life or self._log is not batch:
            return
        self.settle()
        if self._log is batch and batch.done < len(batch.ops):  # there was no room
            machine.timeline.at(batch.due[-1], self._log_due, life, batch)
            return
        if self._log is not batch or machine.held(self._report_log, life, batch):
            return
        self._report_log(life, batch)

    def _report_log(self, life: int, batch: _Batch) -> None:
        machine = self.machine
        host = machine.host
        if life != machine.life or host is None:
            return
        self._log = None
        machine.world.trace.add((machine.timeline.now, Kind.DISK, machine.id, 0, batch.ops, 0.0))
        machine.world.oracle.disk_done(machine.id, batch.records)
        if machine.crash_unheard():
            return
        host.disk_done(batch.number)
        machine.drain()

    def _bulk_due(self, life: int, batch: _Batch) -> None:
        machine = self.machine
        host = machine.host
        if life != machine.life or host is None or self._bulk is not batch:
            return
        self.settle()
        if self._bulk is not batch or machine.held(self._bulk_due, life, batch):
            return
        self._bulk = None
        read = batch.read
        data: bytes | None = None
        if batch.no_room:
            machine.world.probes.hit("no room for a snapshot")
        else:
            data = machine.disk.read(read.name, read.offset, read.length) if read is not None else b""
        if batch.ops:
            machine.world.trace.add((machine.timeline.now, Kind.DISK, machine.id, 0, batch.ops, 0.0))
        host.bulk_done(batch.number, data)
        machine.drain()

    # ------------------------------------------------------------------------------------------------------- room

    def _filled(self, flag: bool) -> None:
        """The disk has become full, or has room again; the host is told in a moment."""
        timeline = self.machine.timeline
        timeline.at(timeline.now, self._tell_filled, self.machine.life, flag)

    def _tell_filled(self, life: int, flag: bool) -> None:
        machine = self.machine
        host = machine.host
        if life != machine.life or host is None or machine.held(self._tell_filled, life, flag):
            return
        machine.world.probes.hit("disk full" if flag else "room again")
        text = f"the disk of n{machine.id} is full: {flag}"
        machine.world.trace.add((machine.timeline.now, Kind.NOTE, machine.id, 0, text, 0.0))
        host.disk_full(flag)
        if flag:
            self._look_for_room(life)
        if life == machine.life:
            machine.drain()

    def _look_for_room(self, life: int) -> None:
        machine = self.machine
        if life != machine.life or not self._space.full or machine.held(self._look_for_room, life):
            return
        self.settle()
        if self._log is None:
            self._space.recover()
        if self._space.full:
            machine.timeline.after(ROOM_PERIOD, self._look_for_room, life)
