"""A simulated machine: the real `Host` on a simulated disk and clock, which can pause, crash anywhere, and start again.

Disk operations of one batch have a time each, but cost the simulator one event: they are carried out when the last is due,
or, when the machine crashes before, as far as they had come. So a crash can fall between any two of them, or inside one.
For what a full disk has no room the machine waits, as the runtime does (`group.space`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ringleader.errors import Reason, RingleaderError
from ringleader.group.bulk import BulkWork
from ringleader.group.host import Host
from ringleader.group.roster import ROSTER_FILE
from ringleader.group.space import NO_ROOM, ROOM_PERIOD, SpaceKeeper
from ringleader.ports import DiskOp, Read, Rename, Sync, SyncFolder
from ringleader.sim.choice import stream
from ringleader.sim.clock import SimClock
from ringleader.sim.disk import CrashPoint, SimDisk
from ringleader.sim.rot import Damage
from ringleader.sim.trace import Kind
from ringleader.sim.violation import Violation
from ringleader.wire.frames import Results

if TYPE_CHECKING:
    from ringleader.sim.world import World

__all__ = ["Machine"]


class _Work:
    """A batch of disk operations under way. `due[i]`: when operation i is done; `done`: how many were carried out.

    `read`: of bulk work, what is to be read after them. `no_room`: the rest of it was left out.
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


class Machine:
    """Node `id` of the world. `host` is None while it is down. `life` counts its starts, so that old events miss it."""

    def __init__(self, world: World, id: int, name: str, incarnation: str) -> None:
        self.world = world
        self.id = id
        self.name = name
        self.incarnation = incarnation
        self.lost = False  # dead for good, or wiped
        self.gone = False  # it never starts again
        self.timeline = world.timeline
        options = world.options
        self.choice = stream(options.seed, f"node {id}")
        drift = options.clock.drift
        self.clock = SimClock(self.choice.uniform(0.0, 1000.0), 1.0 + self.choice.uniform(-drift, drift))
        self.disk = SimDisk(stream(options.seed, f"disk {id}"), options.disk.habits)
        self.disk.settle = self._settle
        self.disk_slow = 1.0
        self.host: Host | None = None
        self.life = 0
        self.paused_until = 0.0
        self.waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.crash_point = ""  # "disk", "rename", "done", "send" or "recovery": the next such moment is to be a crash
        self.connections: set[int] = set()
        self.absent = False  # it is not to be started
        self.damage: Damage | None = None
        self.compared = 0  # the applied index at which the state was last compared
        self._work: _Work | None = None
        self._bulk: _Work | None = None
        self._space = self._keeper()

    def _keeper(self) -> SpaceKeeper:
        """What a process that starts has to carry out the log's operations."""
        return SpaceKeeper(self.disk, self.world.options.disk.reserve_bytes, self._filled)

    @property
    def busy(self) -> bool:
        """Whether the disk is at work."""
        return self._work is not None or self._bulk is not None

    # ------------------------------------------------------------------------------------------------ start, stop

    def start(self) -> None:
        """Open the host on what the disk holds."""
        if self.host is not None or self.absent or self.gone:
            return
        world = self.world
        self.life += 1
        if self.crash_point == "recovery":
            self._arm_recovery()
        try:
            host = world.open_host(self)
        except CrashPoint:
            world.probes.hit("crash in recovery")
            self.crash("in recovery", power=True)
            world.restart_later(self)
            return
        except OSError as error:
            world.probes.hit("sync failed")
            self.crash(f"stopped in recovery: {error}", power=True)
            world.restart_later(self)
            return
        except RingleaderError as error:
            self._refused(error)
            return
        finally:
            self.disk.on_change = None
        if self.damage is not None:
            world.probes.hit("damaged part of a snapshot", self.damage.harmless)
            self.damage = None  # whatever it was, the oracle will see whether it did harm
        self.host = host
        world.members_changed()
        world.trace.add((self.timeline.now, Kind.START, self.id, 0, f"life {self.life}", 0.0))
        core = host.core
        world.oracle.recovered(self.id, core)
        world.observe(self, core)
        self.timeline.after(self.choice.uniform(0.0, world.options.tick), self._tick, self.life)
        self._space = self._keeper()
        self._space.recover()
        self._drain()

    def wipe(self) -> None:
        """The disk is replaced by an empty one; the node keeps its name and id."""
        assert self.host is None
        self.world.probes.hit("wiped node came back")
        self.lost = True
        self.incarnation += ", then another"
        self.disk = SimDisk(self.choice, self.world.options.disk.habits)
        self.disk.settle = self._settle
        self.world.oracle.wiped(self.id)

    def _refused(self, error: RingleaderError) -> None:
        """The node does not start, which is right if its disk is damaged; then the bytes are put back."""
        harm, world = self.damage, self.world
        if harm is None or harm.harmless or error.reason is not Reason.DATA_CORRUPT:
            raise Violation("recovery", f"node {self.id} refuses to start: {error}") from error
        if harm.name not in error.message:
            text = f"node {self.id} has {harm}, and refuses to start without naming that file: {error}"
            raise Violation("recovery", text) from error
        world.probes.hit("damage noticed")
        world.probes.hit("damaged list of members", harm.name == ROSTER_FILE)
        world.trace.add((self.timeline.now, Kind.NOTE, self.id, 0, f"n{self.id} refuses to start: {error}", 0.0))
        self.disk.overwrite(harm.name, harm.offset, harm.before)
        self.damage = None
        world.restart_later(self)

    def _arm_recovery(self) -> None:
        self.crash_point = ""
        left = self.choice.randrange(4)

        def count() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise CrashPoint

        self.disk.on_change = count

    def crash(self, why: str, *, power: bool) -> None:
        """The process is gone at once; with `power` so is the page cache."""
        world = self.world
        now = self.timeline.now
        self._settle()
        works = [work for work in (self._work, self._bulk) if work is not None and work.done < len(work.ops)]
        self._work = self._bulk = None
        if any(work.done for work in works):
            world.probes.hit("crash in disk work")
        if power:
            for work in works:
                self.disk.begin(work.ops[work.done])
            report = self.disk.power_cut()
            world.probes.count_cut(report)
            why = f"{why} (power cut: {report.lost} bytes lost, {report.kept} kept)"
        world.probes.hit("power cut" if power else "process killed")
        world.trace.add((now, Kind.CRASH, self.id, 0, why, 0.0))
        if self.host is not None:
            core = self.host.core
            world.probes.hit("leader crashed in a joint change", core.leads and bool(core.config.outgoing))
        self.host = None
        self.life += 1
        self.paused_until = 0.0
        self.waiting.clear()
        self.connections.clear()
        self.clock.thaw(now)
        world.network.lose_inbound(self.id)
        world.node_is_gone(self)

    # ------------------------------------------------------------------------------------------------------ pause

    def pause(self, seconds: float, *, freeze: bool) -> None:
        """Stand still for a while; with `freeze` the clock stands still too."""
        now = self.timeline.now
        if self.host is None or now < self.paused_until:
            return
        self.paused_until = now + seconds
        if freeze:
            self.clock.freeze(now)
        self.timeline.at(self.paused_until, self._resume, self.life)

    def _resume(self, life: int) -> None:
        if life != self.life:
            return
        self.paused_until = 0.0
        self.clock.thaw(self.timeline.now)
        waiting, self.waiting = self.waiting, []
        for call, arguments in waiting:
            if life != self.life:
                return
            call(*arguments)

    def _held(self, call: Callable[..., None], *arguments: Any) -> bool:
        """Whether the node stands still; then the event waits."""
        if self.timeline.now < self.paused_until:
            self.waiting.append((call, arguments))
            return True
        return False

    # ----------------------------------------------------------------------------------------------------- events

    def _tick(self, life: int) -> None:
        host = self.host
        if life != self.life or host is None:
            return
        if self.paused_until and self._held(self._tick, life):
            return
        timeline = self.timeline
        host.tick(self.clock.at(timeline.now))
        self._drain()
        if life == self.life:
            timeline.after(self.world.options.tick, self._tick, life)

    def peer_messages(self, sender: int, messages: list[Any], sent: float) -> None:
        """Messages from another node arrive."""
        host = self.host
        if host is None:
            return
        if self.paused_until and self._held(self.peer_messages, sender, messages, sent):
            return
        now = self.timeline.now
        host.observe(self.clock.at(now))
        add = self.world.trace.add
        for group, message in messages:
            add((now, Kind.DELIVER, self.id, sender, message, sent))
            host.peer_message(sender, group, message)
        self._drain()

    def client_opened(self, conn: int, life: int) -> None:
        """A client connects."""
        if self.host is None or life != self.life or self._held(self.client_opened, conn, life):
            return
        self.connections.add(conn)
        self.host.client_opened(conn)
        self._drain()

    def client_frame(self, conn: int, frame: Any) -> None:
        """A frame of a client arrives."""
        if self.host is None or (self.paused_until and self._held(self.client_frame, conn, frame)):
            return
        if conn in self.connections:
            self.host.observe(self.clock.at(self.timeline.now))
            self.host.client_frame(conn, frame)
            self._drain()

    def client_closed(self, conn: int) -> None:
        """A client's connection broke or was closed."""
        if self.host is None or self._held(self.client_closed, conn):
            return
        if conn in self.connections:
            self.connections.remove(conn)
            self.host.client_closed(conn)
            self._drain()

    # ---------------------------------------------------------------------------------------------------- effects

    def _drain(self) -> None:
        """Carry out what the host wants done."""
        host = self.host
        assert host is not None
        idle = host.idle
        out = host.take_output()
        if idle and (out.peers or out.disk is not None or any(isinstance(frame, Results) for _, frame in out.clients)):
            raise Violation("idle", f"node {self.id} says that it is idle, and then has something to say: {out}")
        applied = host.store.applied
        if (
            applied >> 3 != self.compared >> 3 and not host.store.unloaded
        ):  # now and then, since it hashes the whole state
            self.compared = applied
            self.world.truth.compare(self.id, host.store)
        if out.links is not None:
            self.world.members_changed()
        if out.expelled is not None:
            self.expelled(out.expelled)
            return
        point = self.crash_point
        if out.disk is not None:
            self._start_work(out.disk.number, out.disk.ops)
        if out.bulk is not None:
            self._start_bulk(out.bulk)
        if out.bulk_peers:
            self._send(out.bulk_peers)
        if out.peers:
            if point == "send" and self._crash_while_sending(out.peers):
                return
            self._send(out.peers)
        for conn, frame in out.clients:
            self.world.to_client(self, conn, frame)
        for conn in out.close:
            self.connections.discard(conn)
            self.world.close_client(self, conn)

    def expelled(self, why: RingleaderError) -> None:
        """The node finds, or is told, that it is no member any more, and stops."""
        if self.host is None:
            return
        row = self.world.truth.store.members.rows.get(self.id)
        if row is not None and row.active and not self.lost:
            raise Violation("members", f"node {self.id} takes itself for expelled: {why}")
        self.world.probes.hit("expelled node stopped")
        self.gone = True
        self.crash(f"stopped: {why}", power=False)

    def _send(self, peers: list[tuple[int, int, Any]]) -> None:
        world = self.world
        if len(peers) == 1:
            to, group, message = peers[0]
            if not self.lost or world.linked(self.id, to):  # nobody hears a node that lost its disk
                world.oracle.sent(self.id, to, [message])
            world.network.send(self.id, to, [(group, message)])
            return
        batches: dict[int, list[Any]] = {}
        for to, group, message in peers:
            batches.setdefault(to, []).append((group, message))
        for to, batch in batches.items():
            if not self.lost or world.linked(self.id, to):
                world.oracle.sent(self.id, to, [message for _, message in batch])
            world.network.send(self.id, to, batch)

    def _crash_while_sending(self, peers: list[tuple[int, int, Any]]) -> bool:
        """Crash with some, perhaps none, of these messages sent."""
        self.crash_point = ""
        kept = self.choice.randrange(len(peers))
        if kept:
            self._send(peers[:kept])
        self.world.probes.hit("crash in mid-send" if kept else "crash before send")
        self.crash("at an effect boundary: while sending", power=self.choice.chance(0.7))
        self.world.restart_later(self)
        return True

    # ------------------------------------------------------------------------------------------------------- disk

    def _start_work(self, number: int, ops: list[DiskOp]) -> None:
        assert self._work is None, "two disk batches at once"
        due = self._times(ops)
        self._work = _Work(number, ops, due, self.world.oracle.disk_taken(self.id), None)
        self.timeline.at(due[-1], self._work_done, self.life, self._work)
        self._crash_if_armed(ops, due)

    def _start_bulk(self, bulk: BulkWork) -> None:
        assert self._bulk is None, "two pieces of bulk work at once"
        due = self._times(bulk.ops)
        work = self._bulk = _Work(bulk.number, bulk.ops, due, 0, bulk.read)
        read = self.world.options.disk.write * self.disk_slow
        self.timeline.at((due[-1] if due else self.timeline.now) + read, self._bulk_done, self.life, work)
        if due:
            self._crash_if_armed(bulk.ops, due)

    def _times(self, ops: list[DiskOp]) -> list[float]:
        """When each operation of a batch that starts now is done."""
        options = self.world.options.disk
        time = self.timeline.now
        due: list[float] = []
        sync, write = options.sync * self.disk_slow, options.write * self.disk_slow
        for op in ops:
            kind = type(op)
            time += self.choice.expovariate(1.0 / sync) if kind is Sync or kind is SyncFolder else write
            due.append(time)
        return due

    def _crash_if_armed(self, ops: list[DiskOp], due: list[float]) -> None:
        point = self.crash_point
        if point == "disk" or (point == "rename" and any(type(op) is Rename for op in ops)):
            self._crash_in_work(due)

    def _crash_in_work(self, due: list[float]) -> None:
        """Crash before, between or after the operations of this batch, or in the middle of one."""
        self.crash_point = ""
        now = self.timeline.now
        bounds = [now, *due]
        place = self.choice.randrange(len(bounds))
        moment = bounds[place]
        if place + 1 < len(bounds) and self.choice.chance(0.5):
            moment = self.choice.uniform(moment, bounds[place + 1])
        self.timeline.at(moment, self._boundary_crash, self.life, "in disk work")

    def _boundary_crash(self, life: int, where: str) -> None:
        if life == self.life and self.host is not None:
            self.crash(f"at an effect boundary: {where}", power=self.choice.chance(0.7))
            self.world.restart_later(self)

    def _settle(self) -> None:
        """Carry out the operations of both lanes that are due by now, in the order in which they are."""
        now = self.timeline.now
        while True:
            works = [work for work in (self._work, self._bulk) if work is not None]
            work = min(works, key=_Work.next_due, default=None)
            if work is None or work.next_due() > now:
                return
            op = work.ops[work.done]
            try:
                if work is self._bulk:
                    self.disk.apply(op)
                elif not self._space.attempt(op):
                    self.world.probes.hit("waited for room")
                    work.wait(now + ROOM_PERIOD)
                    continue
            except OSError as error:
                if work is self._bulk and error.errno in NO_ROOM:
                    work.done, work.no_room = len(work.ops), True
                    continue
                self._work = self._bulk = None
                self.timeline.at(now, self._disk_failed, self.life, error)
                return
            work.done += 1

    def _work_done(self, life: int, work: _Work) -> None:
        if life != self.life or self._work is not work:
            return
        self._settle()
        if self._work is work and work.done < len(work.ops):  # there was no room
            self.timeline.at(work.due[-1], self._work_done, life, work)
            return
        if self._work is not work or self._held(self._report_done, life, work):
            return
        self._report_done(life, work)

    def _report_done(self, life: int, work: _Work) -> None:
        host = self.host
        if life != self.life or host is None:
            return
        self._work = None
        world = self.world
        world.trace.add((self.timeline.now, Kind.DISK, self.id, 0, work.ops, 0.0))
        world.oracle.disk_done(self.id, work.records)
        if self.crash_point == "done":
            self.crash_point = ""
            world.probes.hit("crash before send")
            self.crash("at an effect boundary: work done, nobody told", power=self.choice.chance(0.7))
            world.restart_later(self)
            return
        host.disk_done(work.number)
        self._drain()

    def _bulk_done(self, life: int, work: _Work) -> None:
        host = self.host
        if life != self.life or host is None or self._bulk is not work:
            return
        self._settle()
        if self._bulk is not work or self._held(self._bulk_done, life, work):
            return
        self._bulk = None
        read = work.read
        data: bytes | None = None
        if work.no_room:
            self.world.probes.hit("no room for a snapshot")
        else:
            data = self.disk.read(read.name, read.offset, read.length) if read is not None else b""
        if work.ops:
            self.world.trace.add((self.timeline.now, Kind.DISK, self.id, 0, work.ops, 0.0))
        host.bulk_done(work.number, data)
        self._drain()

    def _filled(self, flag: bool) -> None:
        """The disk has become full, or has room again; the host is told in a moment."""
        self.timeline.at(self.timeline.now, self._tell_filled, self.life, flag)

    def _tell_filled(self, life: int, flag: bool) -> None:
        host = self.host
        if life != self.life or host is None or self._held(self._tell_filled, life, flag):
            return
        self.world.probes.hit("disk full" if flag else "room again")
        self.world.trace.add((self.timeline.now, Kind.NOTE, self.id, 0, f"the disk of n{self.id} is full: {flag}", 0.0))
        host.disk_full(flag)
        if flag:
            self._look_for_room(life)
        if life == self.life:
            self._drain()

    def _look_for_room(self, life: int) -> None:
        if life != self.life or not self._space.full or self._held(self._look_for_room, life):
            return
        self._settle()
        if self._work is None:
            self._space.recover()
        if self._space.full:
            self.timeline.after(ROOM_PERIOD, self._look_for_room, life)

    def _disk_failed(self, life: int, error: OSError) -> None:
        """An operation failed: the node stops, as the runtime would make it; what was unsynced may be lost."""
        if life == self.life and self.host is not None:
            self.world.probes.hit("sync failed")
            self.crash(f"stopped: {error}", power=True)
            self.world.restart_later(self)
