"""A simulated machine: the real `Host` on a simulated disk and clock, which can pause, crash anywhere, and start again.

What its disk is doing stands in `sim.diskwork`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ringleader.errors import Reason, RingleaderError
from ringleader.group.host import Host
from ringleader.group.roster import ROSTER_FILE
from ringleader.ports import DiskOp, Rename
from ringleader.sim.choice import stream
from ringleader.sim.clock import SimClock
from ringleader.sim.disk import CrashPoint, SimDisk
from ringleader.sim.diskwork import DiskWork
from ringleader.sim.rot import Damage
from ringleader.sim.trace import Kind
from ringleader.sim.violation import Violation
from ringleader.wire.frames import Results

if TYPE_CHECKING:
    from ringleader.sim.world import World

__all__ = ["Machine"]


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
        self.host: Host | None = None
        self.life = 0
        self.paused_until = 0.0
        self.waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.crash_point = ""  # "disk", "rename", "done", "send" or "recovery": the next such moment is to be a crash
        self.connections: set[int] = set()
        self.absent = False  # it is not to be started
        self.damage: Damage | None = None
        self.compared = 0  # the applied index at which the state was last compared
        self.work = DiskWork(self)
        self.disk.settle = self.work.settle

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
        self.work.begin_life()
        self.drain()

    def wipe(self) -> None:
        """The disk is replaced by an empty one; the node keeps its name and id."""
        assert self.host is None
        self.world.probes.hit("wiped node came back")
        self.lost = True
        self.incarnation += ", then another"
        self.disk = SimDisk(self.choice, self.world.options.disk.habits)
        self.disk.settle = self.work.settle
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

    def crash(self, why: str, *, power: bool) -> None:
        """The process is gone at once; with `power` so is the page cache."""
        world = self.world
        now = self.timeline.now
        begun = self.work.end_life()
        if power:
            for op in begun:
                self.disk.begin(op)
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

    def disk_failed(self, life: int, error: OSError) -> None:
        """An operation failed: the node stops, as the runtime would make it; what was unsynced may be lost."""
        if life == self.life and self.host is not None:
            self.world.probes.hit("sync failed")
            self.crash(f"stopped: {error}", power=True)
            self.world.restart_later(self)

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
        waiting.sort(key=lambda event: event[0] == self._tick)  # an event loop sees to its sockets before its timers
        for call, arguments in waiting:
            if life != self.life:
                return
            call(*arguments)

    def held(self, call: Callable[..., None], *arguments: Any) -> bool:
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
        if self.paused_until and self.held(self._tick, life):
            return
        timeline = self.timeline
        host.tick(self.clock.at(timeline.now))
        self.drain()
        if life == self.life:
            timeline.after(self.world.options.tick, self._tick, life)

    def peer_messages(self, sender: int, messages: list[Any], sent: float) -> None:
        """Messages from another node arrive."""
        host = self.host
        if host is None:
            return
        if self.paused_until and self.held(self.peer_messages, sender, messages, sent):
            return
        now = self.timeline.now
        host.observe(self.clock.at(now))
        add = self.world.trace.add
        for group, message in messages:
            add((now, Kind.DELIVER, self.id, sender, message, sent))
            host.peer_message(sender, group, message)
        self.drain()

    def client_opened(self, conn: int, life: int) -> None:
        """A client connects."""
        if self.host is None or life != self.life or self.held(self.client_opened, conn, life):
            return
        self.connections.add(conn)
        self.host.client_opened(conn)
        self.drain()

    def client_frame(self, conn: int, frame: Any) -> None:
        """A frame of a client arrives."""
        if self.host is None or (self.paused_until and self.held(self.client_frame, conn, frame)):
            return
        if conn in self.connections:
            self.host.observe(self.clock.at(self.timeline.now))
            self.host.client_frame(conn, frame)
            self.drain()

    def client_closed(self, conn: int) -> None:
        """A client's connection broke or was closed."""
        if self.host is None or self.held(self.client_closed, conn):
            return
        if conn in self.connections:
            self.connections.remove(conn)
            self.host.client_closed(conn)
            self.drain()

    # ---------------------------------------------------------------------------------------------------- effects

    def drain(self) -> None:
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
            self.work.start_log(out.disk.number, out.disk.ops)
        if out.bulk is not None:
            self.work.start_bulk(out.bulk)
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

    # ------------------------------------------------------------------------------- crashes at effect boundaries

    def _arm_recovery(self) -> None:
        """Recovery is to end at one of the first changes that it makes on disk, if it makes so many."""
        self.crash_point = ""
        left = self.choice.randrange(4)

        def count() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise CrashPoint

        self.disk.on_change = count

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

    def crash_at_work(self, ops: list[DiskOp], due: list[float]) -> None:
        """The disk begins these operations: crash among them if that is what is to happen."""
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

    def crash_unheard(self) -> bool:
        """The log's work is done: crash before the host hears of it, if that is what is to happen; whether it was."""
        if self.crash_point != "done":
            return False
        self.crash_point = ""
        self.world.probes.hit("crash before send")
        self.crash("at an effect boundary: work done, nobody told", power=self.choice.chance(0.7))
        self.world.restart_later(self)
        return True

    def _boundary_crash(self, life: int, where: str) -> None:
        if life == self.life and self.host is not None:
            self.crash(f"at an effect boundary: {where}", power=self.choice.chance(0.7))
            self.world.restart_later(self)
