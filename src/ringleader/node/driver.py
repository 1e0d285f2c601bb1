"""What drives the pure `Host`, once per turn of the event loop, and what becomes of it when the disk or the program fails.

Whatever arrives, a client's frame, a peer's message, the end of disk work, goes into the host at once; a turn is planned
for the end of the loop's round, in which all that gathered is carried out together: one log write, one frame per peer,
one write per connection.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from ringleader.client.steady import steady
from ringleader.errors import Reason, RingleaderError
from ringleader.group.host import DiskWork, Host, HostOutput
from ringleader.node.config import NodeConfig
from ringleader.node.stats import Stats
from ringleader.ports import Write
from ringleader.runtime.disk import BulkThread, DiskFailedError, DiskThread, FolderDisk
from ringleader.runtime.patience import Patience

__all__ = ["ALONE", "Driver"]

logger = logging.getLogger("ringleader.node")

ALONE = 0.02
"""Seconds between two turns of a cluster of one, which has nobody to hear in time."""


class Driver:
    """`deliver(output)`: send what is for peers and clients. `look_around(now)`: at the end of each turn. `failed(error)`:
    the node can no longer go on, hang up on everybody.

    `host`: None before `begin`. `period`: seconds between two turns in which nothing arrives. `stopped`: set by the node.
    """

    def __init__(
        self,
        config: NodeConfig,
        stats: Stats,
        deliver: Callable[[HostOutput], object],
        look_around: Callable[[float], object],
        failed: Callable[[RingleaderError], object],
    ) -> None:
        self.config = config
        self.stats = stats
        self.host: Host | None = None
        self.period = ALONE
        self.stopped = False
        self.disk_idle = asyncio.Event()
        self.disk_idle.set()
        self._deliver = deliver
        self._look_around = look_around
        self._failed = failed
        self._loop: asyncio.AbstractEventLoop
        self._disk_thread: DiskThread | None = None
        self._bulk_thread: BulkThread | None = None
        self._disk_started = 0.0
        self._patience = Patience()
        self._planned = False
        self._turned = 0.0  # when the last turn ended, loop time
        self._timer: asyncio.TimerHandle | None = None

    def attach(self, disk: FolderDisk, loop: asyncio.AbstractEventLoop) -> None:
        """From now on disk work is carried out; may be called in another thread than the loop's."""
        self._loop = loop
        self._disk_thread = DiskThread(
            disk, self._tell_done, self._tell_failed, self._tell_full, self.config.reserve_bytes
        )
        self._bulk_thread = BulkThread(FolderDisk(self.config.data_dir), self._tell_bulk_done, self._tell_failed)

    def begin(self, host: Host) -> None:
        """Drive this host; `turn` is to follow."""
        self.host = host
        if self.stats.disk_full:
            self._disk_full(True)  # found out before there was a host to tell

    @property
    def running(self) -> Host | None:
        """The host, while it can be told of things."""
        return None if self.stopped or self.stats.failure else self.host

    # -------------------------------------------------------------------------------------------------- the turn

    def plan(self) -> None:
        """A turn at the end of this round of the loop."""
        if not self._planned:
            self._planned = True
            self._loop.call_soon(self.turn)

    def turn(self) -> None:
        """Time has passed, and things may have arrived: carry out what the host wants done."""
        self._planned = False
        host = self.running
        if host is None:
            return
        begun = steady()
        try:
            host.tick(begun)
            if self._carry_out(host.take_output(), self._patience.seconds) and not host.idle:
                self._carry_out(host.take_output())
            self._look_around(begun)
        except Exception as error:
            self.fail_unexpectedly(error)
            return
        self._turned = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_at(self._turned + self.period, self._time_passed)
        stats = self.stats
        stats.turns += 1
        stats.last_turn = begun
        stats.turn_seconds.add(steady() - begun)

    def _time_passed(self) -> None:
        """A turn if there has been none for a period. (To move the timer at every turn would cost more than to look.)"""
        due = self._turned + self.period
        if self._loop.time() >= due:
            self._timer = None
            self.turn()
        else:
            self._timer = self._loop.call_at(due, self._time_passed)

    def _carry_out(self, out: HostOutput, patience: float = 0.0) -> bool:
        """The peers first, who have a disk of their own to write to; the own disk last, since it is perhaps waited for.

        (Its thread could not begin earlier: it needs the interpreter, which the loop holds until it waits.) True: the disk
        work was done within `patience` seconds, and the host may have more to say.
        """
        if out.more:
            self.plan()
        if out.bulk is not None:
            assert self._bulk_thread is not None
            self.stats.disk_bytes += sum(len(op.data) for op in out.bulk.ops if isinstance(op, Write))
            self._bulk_thread.submit(out.bulk)
        self._deliver(out)
        return out.disk is not None and self._work_disk(out.disk, patience)

    def _work_disk(self, work: DiskWork, patience: float) -> bool:
        host = self.running
        if host is None or self._disk_thread is None:
            return False
        self.stats.disk_bytes += sum(len(op.data) for op in work.ops if isinstance(op, Write))
        self._disk_started = time.monotonic()
        if self._disk_thread.submit(work.number, work.ops, patience):
            self._note_disk()
            host.disk_done(work.number)
            return True
        self.disk_idle.clear()
        return False

    def _note_disk(self) -> None:
        assert self._disk_thread is not None
        self._patience.learn(self._disk_thread.took)
        self.stats.disk_seconds.add(time.monotonic() - self._disk_started)

    def cancel(self) -> None:
        """No more turns."""
        self.stopped = True
        if self._timer is not None:
            self._timer.cancel()

    async def close(self) -> None:
        """Finish disk work that was begun, and end its threads."""
        for thread in (self._disk_thread, self._bulk_thread):
            if thread is not None:
                await self._loop.run_in_executor(None, thread.close)

    # ------------------------------------------------------------------------------------------------- disk work

    def _tell_done(self, number: int) -> None:
        self._loop.call_soon_threadsafe(self._disk_done, number)

    def _tell_bulk_done(self, number: int, data: bytes | None) -> None:
        self._loop.call_soon_threadsafe(self._bulk_done, number, data)

    def _tell_full(self, flag: bool) -> None:
        self._loop.call_soon_threadsafe(self._disk_full, flag)

    def _tell_failed(self, error: Exception) -> None:
        self._loop.call_soon_threadsafe(self._disk_failed, error)

    def _disk_done(self, number: int) -> None:
        self._note_disk()
        self.disk_idle.set()
        host = self.running
        if host is None:
            return
        try:
            host.disk_done(number)
            if host.idle:
                return
        except Exception as error:
            self.fail_unexpectedly(error)
        self.plan()

    def _bulk_done(self, number: int, data: bytes | None) -> None:
        host = self.running
        if host is None:
            return
        try:
            host.bulk_done(number, data)
        except Exception as error:
            self.fail_unexpectedly(error)
        self.plan()

    def _disk_full(self, flag: bool) -> None:
        self.stats.disk_full = flag
        host = self.running
        if host is None:
            return  # `begin` tells the host, if it comes to that
        if flag:
            logger.error(
                "the disk of %s is full: this node takes no new work until there is room", self.config.data_dir
            )
        else:
            logger.warning("the disk of %s has room again", self.config.data_dir)
        host.disk_full(flag)
        self.plan()

    def _disk_failed(self, error: Exception) -> None:
        if isinstance(error, OSError):
            self.fail(DiskFailedError(f"the disk of {self.config.data_dir} failed: {error}"))
        else:
            self.fail_unexpectedly(error)

    # --------------------------------------------------------------------------------------------------- failure

    def fail_unexpectedly(self, error: Exception) -> None:
        """A fault in the program: what the host believes can no longer be trusted, so it stops rather than guess."""
        if isinstance(error, RingleaderError):
            self.fail(error)
            return
        logger.critical("a fault in the program", exc_info=error)
        self.fail(
            RingleaderError(
                f"a fault in the program: {type(error).__name__}: {error}",
                reason=Reason.CLOSED,
                node=self.config.name,
                hint="Start the node again: it recovers its log. Please report the trace in its log",
            )
        )

    def fail(self, error: RingleaderError) -> None:
        """Stop serving at once: nothing may leave that rests on what was not written."""
        if self.stats.failure:
            return
        logger.critical("node %s stops: %s", self.config.name, error)
        self.stats.failure = str(error)
        self.disk_idle.set()
        self._failed(error)
