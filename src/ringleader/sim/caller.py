"""A simulated client: the real `ClientCore`, its load, its leases and watches, with every call on record."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ringleader.client.core import ClientCore
from ringleader.client.failures import CompactedError
from ringleader.client.options import ClientOptions
from ringleader.errors import NotAppliedError, OutcomeUnknownError, Reason, RingleaderError, UsageError
from ringleader.sim.cables import Cables
from ringleader.sim.choice import Choice, stream
from ringleader.sim.clock import SimClock
from ringleader.sim.leasing import Leasing
from ringleader.sim.load import Load
from ringleader.sim.record import Record
from ringleader.sim.trace import FIRST_CLIENT, Kind, name_of
from ringleader.sim.watching import Watching, Wish
from ringleader.store.commands import Command, Compact, Range, Read
from ringleader.store.member_ops import MEMBER_COMMANDS

if TYPE_CHECKING:
    from ringleader.sim.world import World

__all__ = ["Caller"]

NOT_ALLOWED = (Reason.PERMISSION_DENIED, Reason.UNAUTHENTICATED)


class Caller:
    """Client number `place` (from 0). Calls at random moments, `load.outstanding` at once at most."""

    def __init__(self, world: World, place: int) -> None:
        self.world = world
        self.timeline = world.timeline
        self.place = place
        self.id = FIRST_CLIENT + place
        options = world.options
        self.choice = stream(options.seed, f"client {place}")
        drift = options.clock.drift
        self.clock = SimClock(self.choice.uniform(0.0, 1000.0), 1.0 + self.choice.uniform(-drift, drift))
        self.cables = Cables(self, stream(options.seed, f"cables {place}"))
        self.load = Load(options.load, place)
        self.leasing = Leasing(self)
        self.calls: dict[int, Record] = {}
        self.listeners: dict[int, Callable[[Any], None]] = {}  # call -> who wants to hear the result or error
        self.watchings: dict[int, Watching] = {}
        self.life = 0
        self.wakeup = float("inf")
        self.calling = True
        self.running = False
        self.paused_until = 0.0
        self.waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._moments = stream(options.seed, f"calls {place}")
        self._asked = 0
        self._core: ClientCore
        self.start()

    @property
    def now(self) -> float:
        """The client's own time in seconds."""
        return self.clock.at(self.timeline.now)

    def start(self) -> None:
        """A new process: a new core, without any memory."""
        options = ClientOptions(
            prefer_leader=self.choice.random() < 0.5, attempt_timeout=1.0, credentials=self.world.credentials
        )
        addresses = [f"n{row.id}:1" for row in self.world.truth.store.members.active()]
        self._core = ClientCore(addresses, self.choice, self.now, options)
        self.running = True
        self.wakeup = float("inf")
        self._next_call()
        self.leasing.start()
        self.watchings = {}
        if self.choice.random() < self.world.options.load.watches:
            for _ in range(self.choice.randrange(1, 4)):
                self._watch(self.load.wish(self.choice, self.world.truth.store.revision))
        self._drain()

    def crash(self) -> None:
        """The process dies: nobody will ever hear what became of its calls."""
        if not self.running:
            return
        self.running = False
        self.world.probes.hit("client crashed")
        self.world.trace.add((self.timeline.now, Kind.CRASH, self.id, 0, f"{len(self.calls)} calls outstanding", 0.0))
        self.life += 1
        self.paused_until = 0.0
        self.waiting.clear()
        for record in self.calls.values():
            self.world.log.unknown(record)
        self.calls.clear()
        self.listeners.clear()
        self.cables.cut_all()
        self.timeline.after(self.choice.uniform(0.05, 1.0), self.start)

    def pause(self, seconds: float) -> None:
        """Stand still for a while: whatever arrives or is due waits."""
        if not self.running or self.timeline.now < self.paused_until:
            return
        self.paused_until = self.timeline.now + seconds
        self.timeline.at(self.paused_until, self._resume, self.life)

    def _resume(self, life: int) -> None:
        if life != self.life:
            return
        self.paused_until = 0.0
        waiting, self.waiting = self.waiting, []
        for call, arguments in waiting:
            call(*arguments)

    def held(self, call: Callable[..., None], *arguments: Any) -> bool:
        """Whether the client stands still; then the event waits."""
        if self.timeline.now < self.paused_until:
            self.waiting.append((call, arguments))
            return True
        return False

    @property
    def paused(self) -> bool:
        """Whether the client stands still."""
        return self.timeline.now < self.paused_until

    def stop_calling(self) -> None:
        """No new calls from now on."""
        self.calling = False

    # -------------------------------------------------------------------------------------------------------- load

    def _next_call(self) -> None:
        load = self.world.options.load
        delay = self._moments.expovariate(load.rate / load.clients)
        self.timeline.after(delay, self._call, self.life, Choice(self._moments.getrandbits(64)))

    def _call(self, life: int, choice: Choice) -> None:
        if life != self.life or not self.calling or self.held(self._call, life, choice):
            return
        self._next_call()
        self._asked += 1
        number = (self.place, self._asked)
        if len(self.calls) < self.world.options.load.outstanding and self.world.wanted(number):
            self._core.tick(self.now)
            self._ask(choice)
            self._drain()

    def _ask(self, choice: Choice) -> None:
        options = self.world.options.load
        key = self.load.key(choice)
        timeout = options.timeout * choice.uniform(0.5, 1.5)
        if choice.random() < options.reads:
            consistency = "leader_lease" if choice.random() < options.lease_reads else "linearizable"
            self.query(Range(key), timeout, consistency)
        elif choice.random() < options.compactions:
            self._compact(choice, timeout)
        else:
            self.submit(self.load.write(choice, key), timeout, once=choice.random() < 0.85)

    def _compact(self, choice: Choice, timeout: float) -> None:
        """Throw old history away; what becomes of the call is of no interest."""
        revision = self._core.revision - choice.randrange(100)
        if revision > 0:
            self._core.submit([Compact(revision)], timeout)

    def query(self, read: Read, timeout: float, consistency: str, then: Callable[[Any], None] | None = None) -> Record:
        """Read; with `then` it is none of the load's own calls, and `then` hears the result or the error."""
        return self._called(self._core.query([read], timeout, consistency), read, then)

    def submit(
        self, command: Command, timeout: float, *, once: bool, then: Callable[[Any], None] | None = None
    ) -> Record:
        """Have a command carried out; `then` as for `query`."""
        return self._called(self._core.submit([command], timeout, once=once), command, then)

    def _called(self, call: int, op: Any, then: Callable[[Any], None] | None) -> Record:
        record = self.calls[call] = self.world.log.call(self.id, op, own=then is None)
        if then is not None:
            self.listeners[call] = then
        self.world.trace.add((self.timeline.now, Kind.CALL, self.id, 0, op, 0.0))
        return record

    def act(self, call: Callable[..., object], *arguments: Any) -> None:
        """Do something with the core now, and carry out what it wants done."""
        self._core.tick(self.now)
        call(*arguments)
        self._drain()

    # ----------------------------------------------------------------------------------------------------- the core

    def _wake(self, life: int) -> None:
        if life != self.life or self.held(self._wake, life):
            return
        now = self.timeline.now
        if now + 1e-9 < self.wakeup:
            return
        self.wakeup = float("inf")
        self._core.tick(self.clock.at(now))
        self._drain()

    def _drain(self) -> None:
        core = self._core
        out = core.take_output()
        for link, address in out.dial:
            self.cables.dial(link, int(address[1:].partition(":")[0]))
        for link, frame in out.send:
            self.cables.send(link, frame)
        for link in out.close:
            self.cables.close(link)
        for call, answer in out.done:
            self._answered(call, answer)
        for watch, news in out.events:
            if watch in self.watchings:
                self._watched(watch, news)
        self._schedule()

    def _schedule(self) -> None:
        due = self._core.next_wakeup()
        now = self.timeline.now
        if due == float("inf"):
            return
        moment = now + max(due - self.clock.at(now), 0.001) / self.clock.rate
        if moment < self.wakeup - 0.001:
            self.wakeup = moment
            self.timeline.at(moment, self._wake, self.life)

    def connected(self, life: int, link: int) -> None:
        """A connection is made."""
        if life == self.life and not self.held(self.connected, life, link):
            self.act(self._core.connected, link)

    def received(self, life: int, link: int, frame: Any) -> None:
        """A frame of a node arrives."""
        if life == self.life and not self.held(self.received, life, link, frame):
            self.act(self._core.received, link, frame)

    def closed(self, life: int, link: int, why: str) -> None:
        """A connection is over, or did not come about."""
        if life == self.life and not self.held(self.closed, life, link, why):
            self.act(self._core.closed, link, why)

    # ----------------------------------------------------------------------------------------------------- answers

    def _answered(self, call: int, answer: Any) -> None:
        record = self.calls.pop(call, None)
        if record is None:
            return
        world = self.world
        then = self.listeners.pop(call, None)
        if isinstance(answer, list):
            answer = answer[0]
            world.log.answered(record, answer)
            world.truth.acknowledged(record.op, answer)
            if then is None:
                self.load.learn(record.op, answer)
        else:
            self._failed(record, answer)
        world.trace.add((self.timeline.now, Kind.RETURN, self.id, 0, (record.op, answer), 0.0))
        if then is not None:
            then(answer)

    def _failed(self, record: Record, error: RingleaderError) -> None:
        log, truth = self.world.log, self.world.truth
        if isinstance(error, OutcomeUnknownError):
            self.world.probes.hit("outcome unknown")
            if error.reason is Reason.SESSION_EXPIRED:
                self.world.probes.hit("session expired with a call pending")
            log.unknown(record)
        elif isinstance(error, NotAppliedError) and self.world.options.net.again:
            log.unknown(record)  # true of the frame that was refused; its late repetition may yet be carried out
        elif isinstance(error, NotAppliedError) or error.reason in NOT_ALLOWED:
            log.not_applied(record)
            truth.refused(record.op)
        elif isinstance(record.op, MEMBER_COMMANDS):
            log.not_applied(record)  # members change only when the table finds it safe
        elif isinstance(error, UsageError) and error.reason is Reason.LEASE_NOT_FOUND:
            log.not_applied(record)
            truth.refused(record.op)
            truth.no_lease(record.op)
        elif isinstance(error, UsageError):
            self.world.violated("client", f"{record.op!r} was refused as wrong: {error}")
        else:
            self.world.violated("client", f"{record.op!r} ended with {error!r}")

    # ----------------------------------------------------------------------------------------------------- watches

    def _watch(self, wish: Wish, watching: Watching | None = None) -> None:
        number = self._core.watch(
            wish.key,
            wish.range_end,
            start_revision=wish.start,
            prev_kv=wish.prev_kv,
            no_put=wish.no_put,
            no_delete=wish.no_delete,
        )
        self.watchings[number] = watching or Watching(self.world.truth, self.id, wish)

    def _watched(self, watch: int, news: Any) -> None:
        watching = self.watchings[watch]
        if isinstance(news, CompactedError):
            self.world.probes.hit("watch compacted away" if watching.up else "watch began in compacted history")
            del self.watchings[watch]
            self._watch(watching.compacted(news.compact_revision), watching)
        else:
            if not watching.up and watching.wish.start > self.world.truth.store.revision:
                self.world.probes.hit("watch began in the future")
            watching.take(news)

    # ---------------------------------------------------------------------------------------------------- the end

    def finished(self, newest: int) -> bool:
        """Whether no call is outstanding and every watch has come to revision `newest`."""
        return not self.calls and all(watching.caught_up(newest) for watching in self.watchings.values())

    def standing(self) -> str:
        """What is outstanding, in words."""
        watches = ", ".join(f"a watch at revision {watching.seen}" for watching in self.watchings.values())
        return f"{name_of(self.id)}: {len(self.calls)} calls" + (f", {watches}" if watches else "")
