"""Asyncio programs in the simulated world: each a process with an event loop of its own, in simulated time.

The whole client runs, shell included: `Engine`, leases, recipes. A loop turns when a frame arrives or a timer is due, on the
process's own clock; a process can stand still, lose its connections, and die at any moment. No thread, no real time and no
chance but the seed's, so that the same seed gives the same run.
"""

from __future__ import annotations

import asyncio
from asyncio import base_events
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from ringleader.client.client import Client
from ringleader.client.engine import Engine
from ringleader.client.options import ClientOptions
from ringleader.client.transport import Listener, Transport
from ringleader.consensus.shape import Entry, EntryKind
from ringleader.sim.cables import Cables
from ringleader.sim.choice import stream
from ringleader.sim.chronicle import Tenure
from ringleader.sim.clock import SimClock
from ringleader.sim.options import Options
from ringleader.sim.trace import FIRST_CLIENT, Kind, name_of
from ringleader.sim.truth import Truth, leases_of
from ringleader.sim.world import World
from ringleader.store.commands import Batch
from ringleader.wire.frames import ClientFrame

Program = Callable[["Process", Client], Awaitable[None]]
_TURNS = 10_000
_BATCH = msgspec.msgpack.Decoder(Batch)


class _NoSelector:
    """Nothing arrives but what the world hands in."""

    def select(self, timeout: float | None) -> list[Any]:
        return []

    def close(self) -> None:
        """Nothing to close."""


class SimLoop(base_events.BaseEventLoop):
    """An event loop that turns when it is told to. `clock`: its time in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock_resolution = 1e-9
        self._selector = _NoSelector()
        self._clock = clock

    def time(self) -> float:
        return self._clock()

    def is_running(self) -> bool:
        return asyncio._get_running_loop() is self

    def _process_events(self, events: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nothing sleeps here that would have to be woken."""

    def within(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """`call(*arguments)` as if by a callback of this loop."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            return call(*arguments)
        finally:
            asyncio._set_running_loop(before)

    def turn(self) -> float:
        """Run all that is ready or due; returns when the next timer is due, infinity for never."""
        return float(self.within(self._turn))

    def _turn(self) -> float:
        private: Any = self  # the standard loop's own queues: there is no public way to turn it by hand
        for _ in range(_TURNS):
            timers = private._scheduled
            if not private._ready and not (timers and (timers[0]._cancelled or timers[0]._when <= self.time())):
                return timers[0]._when if timers else float("inf")
            private._run_once()
        raise AssertionError(f"a loop was still busy after {_TURNS} turns")


class _Link:
    """A connection of a process."""

    def __init__(self, process: Process, life: int, link: int) -> None:
        self._process = process
        self._life = life
        self._link = link

    def send(self, frames: Sequence[ClientFrame]) -> None:
        if self._life == self._process.life:
            for frame in frames:
                self._process.cables.send(self._link, frame)

    def close(self) -> None:
        if self._life == self._process.life:
            self._process.cables.close(self._link)


class Process:
    """Process number `place` (from 0), which runs `program` and, after a crash, runs it again from the start.

    `objects`: what it holds, by kind; the world may ask at any moment whether it says so.
    """

    def __init__(self, world: Programs, place: int, program: Program) -> None:
        self.world = world
        self.place = place
        self.id = FIRST_CLIENT + place
        self.program = program
        self.timeline = world.timeline
        options = world.options
        self.choice = stream(options.seed, f"process {place}")
        drift = options.clock.drift
        self.clock = SimClock(self.choice.uniform(0.0, 1000.0), 1.0 + self.choice.uniform(-drift, drift))
        self.cables = Cables(self, stream(options.seed, f"cables {place}"))  # type: ignore[arg-type]  # takes a caller's part
        self.life = 0
        self.calling = True
        self.running = False
        self.paused_until = 0.0
        self.objects: dict[str, list[Any]] = {}
        self._waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._wakeup = float("inf")
        self._listener: Listener
        self.loop: SimLoop
        self.main: asyncio.Task[None]
        self.db: Client
        self.start()

    @property
    def now(self) -> float:
        """The process's own time in seconds."""
        return self.clock.at(self.timeline.now)

    def dial(self, link: int, address: str, listener: Listener) -> Transport:
        """See `Dialer`."""
        self._listener = listener
        self.cables.dial(link, int(address[1:].partition(":")[0]))
        return _Link(self, self.life, link)

    def start(self) -> None:
        """A new process, without any memory."""
        options = ClientOptions(prefer_leader=self.choice.random() < 0.5, attempt_timeout=1.0)
        addresses = [f"n{node}:1" for node in self.world.machines]
        self.loop = SimLoop(lambda: self.now)
        self.db = Client(Engine(addresses, self, options, entropy=self.choice))
        self.running = True
        self.objects = {}
        self._wakeup = float("inf")
        self.main = self.loop.create_task(self._run(self.life))
        self._turn()

    async def _run(self, life: int) -> None:
        try:
            await self.program(self, self.db)
            assert self.db._engine.generation < 2, "its calls were made of several cores"
        except Exception as error:
            if life == self.life:
                self.world.problems.append(f"{name_of(self.id)}: {type(error).__name__}: {error}")
                raise
        finally:
            await self.db.close()

    def crash(self) -> None:
        """The process dies. What its code still does while its loop is taken apart reaches nobody."""
        if not self.running:
            return
        self.running = False
        self.world.probes.hit("client crashed")
        self.world.trace.add((self.timeline.now, Kind.CRASH, self.id, 0, "", 0.0))
        self.life += 1
        self.paused_until = 0.0
        self._waiting.clear()
        self.objects = {}
        self.cables.cut_all()
        self.dismantle()
        self.timeline.after(self.choice.uniform(0.05, 1.0), self.start)

    def end(self) -> None:
        """The world ends."""
        if self.running:
            self.running = False
            self.life += 1
            self.dismantle()

    def dismantle(self) -> None:
        """End all tasks of the loop, which is used no more."""
        loop = self.loop
        frozen = self.now
        loop._clock = lambda: frozen
        for _ in range(100):
            tasks = asyncio.all_tasks(loop)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            loop.turn()
            frozen += 10.0
        assert not asyncio.all_tasks(loop), "tasks that cannot be cancelled"
        if self.main.done() and not self.main.cancelled():
            self.main.exception()  # it is among the world's problems
        loop.close()

    def pause(self, seconds: float) -> None:
        """Stand still for a while: whatever arrives or is due waits."""
        if self.running and self.timeline.now >= self.paused_until:
            self.paused_until = self.timeline.now + seconds
            self.timeline.at(self.paused_until, self._resume, self.life)

    def _resume(self, life: int) -> None:
        if life != self.life:
            return
        self.paused_until = 0.0
        waiting, self._waiting = self._waiting, []
        if self.choice.chance(0.5):
            self._turn()  # timers that came due meanwhile run before what arrived is read
        for call, arguments in waiting:
            call(*arguments)
        self._turn()

    def held(self, call: Callable[..., None], *arguments: Any) -> bool:
        """Whether the process stands still; then the event waits."""
        if self.timeline.now < self.paused_until:
            self._waiting.append((call, arguments))
            return True
        return False

    def stop_calling(self) -> None:
        """The program is to end."""
        self.calling = False

    # ------------------------------------------------------------------------------------------------------ the loop

    def _wake(self, life: int) -> None:
        if life == self.life and self.timeline.now + 1e-9 >= self._wakeup and not self.held(self._wake, life):
            self._turn()

    def _turn(self) -> None:
        if not self.running or self.timeline.now < self.paused_until:
            return
        due = self.loop.turn()
        self._wakeup = float("inf")
        if due < float("inf"):
            self._wakeup = self.timeline.now + max(due - self.now, 0.0) / self.clock.rate + 1e-6
            self.timeline.at(self._wakeup, self._wake, self.life)

    def connected(self, life: int, link: int) -> None:
        """A connection is made."""
        if life == self.life and not self.held(self.connected, life, link):
            self.loop.within(self._listener.link_connected, link)
            self._turn()

    def received(self, life: int, link: int, frame: Any) -> None:
        """A frame of a node arrives."""
        if life == self.life and not self.held(self.received, life, link, frame):
            self.loop.within(self._listener.link_received, link, [frame])
            self._turn()

    def closed(self, life: int, link: int, why: str) -> None:
        """A connection is over, or did not come about."""
        if life == self.life and not self.held(self.closed, life, link, why):
            self.loop.within(self._listener.link_closed, link, why)
            self._turn()

    # ------------------------------------------------------------------------------------------------------- the end

    def claims(self, kind: str) -> list[Any]:
        """Those of its objects of this kind that it holds for certain, as it would say at this moment."""
        return [each for each in self.objects.get(kind, []) if self.loop.within(lambda each=each: each.held)]

    def finished(self, newest: int) -> bool:
        """Whether the program has ended."""
        return self.running and self.main.done()

    def standing(self) -> str:
        """What it is at, in words."""
        if not self.running:
            return f"{name_of(self.id)}: down"
        tasks = ", ".join(sorted(str(task.get_coro()) for task in asyncio.all_tasks(self.loop)))
        return f"{name_of(self.id)}: {tasks or 'done'}"


class _Log(Truth):
    """What the log leads to. What the programs want with their writes is theirs to check."""

    def committed(self, index: int, entry: Entry, born: float) -> None:
        if entry.kind == EntryKind.COMMAND:
            self.store.apply(index, _BATCH.decode(entry.data))
        else:
            self.store.skip(index)
        self.hashes.append(self.store.hash_kv())
        time_ms = self.store.time_ms
        self.leases.append((time_ms, tuple((id, ttl, time_ms + left) for id, ttl, left in leases_of(self.store))))
        never = Tenure(0, 0, 0, 0.0, set())
        self.chronicle.leases = dict.fromkeys(
            [id for id, _, _ in self.leases[-1][1]], never
        )  # it is asked for ids only


class Programs(World):
    """A world in which `count` processes run `program`. `sample` is called again and again."""

    def __init__(self, options: Options, count: int, program: Program, sample: Callable[[], None]) -> None:
        super().__init__(options)
        names = {id: f"n{id}" for id in self.machines}
        self.oracle.on_commit.remove(self.truth.committed)
        self.truth = _Log(self.limits, self.probes, names, self.timeline)
        self.oracle.on_commit.append(self.truth.committed)
        self.problems: list[str] = []
        self.processes: list[Process] = []
        self._count = count
        self._program = program
        self._sample = sample

    def run(self) -> None:
        """As in `World`, with processes instead of callers."""
        options, timeline = self.options, self.timeline
        for machine in self.machines.values():
            machine.start()
        processes = self.processes
        processes += [Process(self, place, self._program) for place in range(self._count)]
        self.callers = processes  # type: ignore[assignment]  # they take a caller's part
        try:
            self.nemesis.start()
            self._look()
            timeline.run_until(options.faults_until)
            self.nemesis.heal()
            timeline.run_until(options.duration)
            for process in processes:
                process.stop_calling()
            timeline.run_until(options.duration + options.grace, self.settled)
            assert not self.problems, self.problems
            self._must_be_settled()
        finally:
            for process in processes:
                process.end()

    def _look(self) -> None:
        self._sample()
        assert not self.problems, self.problems
        self.timeline.after(0.02, self._look)
