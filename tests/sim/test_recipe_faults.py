"""Recipes while nodes crash and are cut off, and processes pause, die and lose their connections; in the simulator.

What is checked: at every moment, as each process would say for itself, a lock has one holder, a read-write lock no reader
beside a writer, a semaphore no more holders than permits, a message one consumer; fencing tokens grow from holder to holder;
a counter holds what was added; every message that was put is acknowledged once or still there; a cache is what the store was
at its revision; nobody leaves a double barrier while another is in it. At the end nothing is left behind.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter as Tally
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from ringleader.client import Client, DoubleBarrier, Message, key, leases
from ringleader.client.failures import CompactedError
from ringleader.client.recipes import cache, counter, rwlock, semaphore
from ringleader.client.recipes.line import Line
from ringleader.client.types import KeyValue
from ringleader.errors import OutcomeUnknownError, RingleaderError
from ringleader.sim.options import ClockOptions, LoadOptions, Options, draw
from ringleader.store.commands import Range, RangeResult
from sim.processes import Process, Programs


@pytest.fixture(autouse=True)
def simulated_time_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease also ends by the clock that goes on while the machine is suspended; here it would be that of the real one."""
    monkeypatch.setattr(leases, "steady", lambda: asyncio.get_running_loop().time())


PROCESSES = 4
PERMITS = 2
TTL = 2.0
FAULTS = {
    "partition", "one-way", "partial", "isolate-leader", "reset", "slow-link", "kill", "power-cut", "power-cut-all",
    "crash-point", "pause", "freeze", "slow-disk", "disk-full", "sync-error", "client-crash", "client-disconnect",
    "client-pause",
}  # fmt: skip
"""No clock that runs faster or jumps: a lease is as long for its holder as for the leader only if their clocks agree."""


class Book:
    """What happened, as an outsider sees it."""

    def __init__(self) -> None:
        self.world: Programs
        self.tokens: dict[str, int] = {}
        self.counted = self.maybe_counted = 0
        self.sums: set[int] = set()
        self.put: set[str] = set()
        self.maybe_put: set[str] = set()
        self.acked: Tally[str] = Tally()
        self.maybe_acked: set[str] = set()
        self.rounds: dict[int, dict[tuple[int, int], Any]] = {}  # round -> member -> "leaving", "left", or inside
        self.reached: Tally[str] = Tally()

    def token(self, kind: str, token: int) -> None:
        """Somebody got hold of it with this token."""
        if token <= self.tokens.get(kind, 0):
            self.world.problems.append(f"{kind}: token {token} after {self.tokens[kind]}")
        self.tokens[kind] = max(token, self.tokens.get(kind, 0))
        self.reached[kind] += 1

    def look(self) -> None:
        """Ask every process what it holds."""
        held: dict[str, int] = {}
        messages: Tally[str] = Tally()
        for process in self.processes:
            for kind in ("lock", "reader", "writer", "permit"):
                held[kind] = held.get(kind, 0) + len(process.claims(kind))
            messages.update(message.id for message in process.claims("message"))
        wrong = held["lock"] > 1 or held["permit"] > PERMITS or held["writer"] > 1
        if wrong or (held["writer"] and held["reader"]) or any(count > 1 for count in messages.values()):
            self.world.problems.append(f"held at once: {held}, {messages}")
        for kind, count in held.items():
            self.reached[f"{kind} x {count}"] += 1

    @property
    def processes(self) -> list[Process]:
        return [process for process in self.world.processes if process.running]


class Worker:
    """What one process does, all at once, until it is told to end."""

    def __init__(self, book: Book, process: Process, db: Client) -> None:
        self.book = book
        self.process = process
        self.db = db
        self.life = process.life
        self.choice = process.choice

    @property
    def alive(self) -> bool:
        """False while a dead process is taken apart."""
        return self.process.life == self.life

    async def run(self) -> None:
        """All of it."""
        works = [
            self.lock,
            self.read_write,
            self.semaphore,
            self.count,
            self.produce,
            self.consume,
            self.cache,
            self.meet,
        ]
        await asyncio.gather(*(self.again(work) for work in works))

    async def again(self, work: Callable[[], Awaitable[None]]) -> None:
        """Errors that users are told of are part of life."""
        while self.process.calling:
            try:
                await work()
            except RingleaderError as error:
                self.book.reached[error.reason.value] += 1
            await self.pause(0.1)

    async def pause(self, mean: float) -> None:
        await asyncio.sleep(self.choice.expovariate(1 / mean))

    @asynccontextmanager
    async def holding(self, kind: str, what: Any) -> AsyncIterator[None]:
        """`what` is held, as far as we know."""
        held = self.process.objects.setdefault(kind, [])
        held.append(what)
        try:
            yield
        finally:
            held.remove(what)

    async def lock(self) -> None:
        async with self.db.lock("l", ttl=TTL, timeout=3) as lock, self.holding("lock", lock):
            self.book.token("lock", lock.fencing_token)
            await self.stay(lock)

    async def read_write(self) -> None:
        rw = self.db.read_write_lock("rw", ttl=TTL)
        if self.choice.chance(0.6):
            async with rw.read(timeout=3) as reader, self.holding("reader", reader):
                await self.stay(reader)
        else:
            async with rw.write(timeout=3) as writer, self.holding("writer", writer):
                self.book.token("writer", writer.fencing_token)
                await self.stay(writer)

    async def semaphore(self) -> None:
        async with self.db.semaphore("s", PERMITS, ttl=TTL, timeout=3) as permit, self.holding("permit", permit):
            await self.stay(permit)

    async def stay(self, held: Any) -> None:
        """Work; sometimes for so long that it would not notice the loss by itself."""
        if self.choice.chance(0.9):
            await self.pause(0.2)
            return
        try:
            async with asyncio.timeout(2 * TTL):
                await held.lost.wait()
            assert not held.held
            self.book.reached["lost"] += 1
        except TimeoutError:
            pass

    async def count(self) -> None:
        try:
            total = await self.db.counter("c").add(1, timeout=3)
        except (OutcomeUnknownError, asyncio.CancelledError):
            self.book.maybe_counted += 1
            raise
        if self.alive:
            self.book.counted += 1
            assert total not in self.book.sums, "two additions that gave the same sum"
            self.book.sums.add(total)
        else:
            self.book.maybe_counted += 1

    async def produce(self) -> None:
        text = f"{self.process.place}.{self.choice.getrandbits(40)}"
        self.book.maybe_put.add(text)
        await self.db.queue("q").put(text, priority=self.choice.randrange(3), timeout=3)
        self.book.put.add(text)

    async def consume(self) -> None:
        async with self.db.queue("q").consumer(ttl=TTL) as consumer:
            for _ in range(10):
                if not self.process.calling:
                    return
                message = await consumer.get(timeout=1)
                async with self.holding("message", message):
                    await self.pause(0.05)
                if self.choice.chance(0.1):
                    await message.release()
                else:
                    await self.acknowledge(message)

    async def acknowledge(self, message: Any) -> None:
        try:
            await message.ack(timeout=3)
        except (OutcomeUnknownError, asyncio.CancelledError):
            self.book.maybe_acked.add(message.text)
            raise
        if self.alive:
            self.book.acked[message.text] += 1
        else:
            self.book.maybe_acked.add(message.text)

    async def cache(self) -> None:
        async with self.db.cache("k/") as cache:
            while self.process.calling:
                assert cache.error is None, "it outlives every fault"
                name = f"k/{self.choice.randrange(5)}"
                if self.choice.chance(0.3):
                    revision = (await self.db.kv.delete(name, timeout=2)).revision
                else:
                    revision = (await self.db.kv.put(name, str(self.choice.getrandbits(30)), timeout=2)).revision
                if self.choice.chance(0.5):
                    await cache.wait_for(revision, timeout=3)
                shown, at = cache.snapshot(), cache.revision
                try:
                    there = await self.db.kv.range("k/", prefix=True, revision=at, timeout=3)
                except CompactedError:
                    continue
                if shown != {kv.key: kv for kv in there}:
                    self.book.world.problems.append(f"a cache at revision {at} holds {shown}, the store held {there}")
                self.book.reached["cache"] += 1
                await self.pause(0.3)

    async def meet(self) -> None:
        barrier = self.db.double_barrier("d", 2, ttl=TTL, timeout=4)
        me = (self.process.place, self.life)
        await barrier.enter()
        members = self.book.rounds.setdefault(barrier._round, {})
        if "left" in members.values():
            self.book.world.problems.append(f"{me} began round {barrier._round} that another has left: {members}")
        members[me] = barrier
        try:
            await self.pause(0.1)
        finally:
            members[me] = "leaving"
        await barrier.leave()
        if barrier._lease.lost.is_set():
            return
        running = {(process.place, process.life): process for process in self.book.processes}
        for other, state in members.items():
            inside = isinstance(state, DoubleBarrier) and other in running
            if inside and self.alive and running[other].loop.within(lambda state=state: state._lease.alive):
                self.book.world.problems.append(f"{me} left round {barrier._round} while {other} was in it: {members}")
        members[me] = "left"
        self.book.reached["barrier"] += 1


def options(seed: int, focus: dict[str, float]) -> Options:
    """A world of the simulator's, with the load left out, and clocks that run at about the same rate."""
    drawn = draw(seed, nodes=3)
    return msgspec.structs.replace(
        drawn,
        clock=ClockOptions(0.001),
        load=LoadOptions(clients=PROCESSES),
        duration=15.0,
        faults_until=12.0,
        grace=30.0,
        faults=focus or {kind: mean for kind, mean in drawn.faults.items() if kind in FAULTS},
    )


def run(seed: int, focus: dict[str, float] | None = None) -> Book:
    book = Book()

    async def program(process: Process, db: Client) -> None:
        await Worker(book, process, db).run()

    book.world = Programs(options(seed, focus or {}), PROCESSES, program, book.look)
    collecting = gc.isenabled()
    gc.disable()  # what is dropped in cycles is noticed whenever the collector runs: never, in a world
    try:
        book.world.run()
    finally:
        if collecting:
            gc.enable()
    return book


def check(book: Book) -> None:
    """What must be so at the end."""
    store = book.world.truth.store

    def left(prefix: str) -> list[str]:
        found = store.read(Range(prefix.encode(), prefix[:-1].encode() + b"0"))
        assert isinstance(found, RangeResult)
        return [kv.value.decode() for kv in found.kvs]

    (total,) = left("ringleader/counters/")
    assert book.counted <= int(total) <= book.counted + book.maybe_counted
    waiting = left("ringleader/queues/q/q/m/")
    assert not [text for text, times in book.acked.items() if times > 1], "acknowledged twice"
    lost = book.put - set(waiting) - set(book.acked) - book.maybe_acked
    assert not lost, "put, never acknowledged, and gone"
    assert set(book.acked) | set(waiting) <= book.maybe_put
    assert not set(book.acked) & set(waiting), "acknowledged, and still there"
    for recipe in (
        "locks/l",
        "rwlocks/rw",
        "semaphores/s",
        "queues/q/q/c",
        "queues/q/line",
        "doublebarriers/d/members",
    ):
        assert left(f"ringleader/{recipe}/") == [], "left behind"
    for kind in ("lock", "writer", "cache"):
        assert book.reached[kind] > 0, f"{kind}: nobody ever got it"


@pytest.mark.parametrize("seed", range(1, 5))
def test_recipes_under_faults(seed: int) -> None:
    check(run(seed))


def test_the_same_seed_is_the_same_run() -> None:
    books = [run(3) for _ in range(2)]
    assert books[0].reached == books[1].reached
    assert books[0].world.timeline.steps == books[1].world.timeline.steps


async def _at_once(self: Line) -> None:
    """A line in which nobody waits."""


async def _put_blindly(self: counter._Steps, value: int, timeout: float) -> bool:
    """A counter without compare and set."""
    if self._known == (0, 0):
        self._learn(await self._kv.range(self._key, timeout=timeout))
    result = await self._kv.put(self._key, str(value), timeout=timeout)
    self._known = (0, 0)
    return result.revision > 0


class _TooMany(semaphore._Permit):
    """A line that lets one more in."""

    async def _before(self) -> tuple[list[KeyValue], int]:
        before, revision = await super()._before()
        return before[1:], revision


BUGS: dict[str, tuple[Any, str, Any]] = {
    "a holder trusts its lease for too long": (leases, "_DRIFT", 2.5),
    "readers do not wait for writers": (rwlock._Reader, "wait", _at_once),
    "a semaphore has one permit too many": (semaphore, "_Permit", _TooMany),
    "a counter overwrites": (counter._Steps, "_swap", _put_blindly),
    "a message is acknowledged by whoever had it": (Message, "condition", key("ringleader/never").missing),
    "a cache forgets deletions": (cache.Cache, "_change", lambda self, event: None),
}
"""Each is found by one of the checks above."""


@pytest.mark.parametrize("bug", BUGS)
def test_the_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*BUGS[bug])
    with pytest.raises(AssertionError):
        hunt({"client-pause": 0.7})


def hunt(focus: dict[str, float]) -> None:
    for seed in (3, 5, 1, 2, 4):
        check(run(seed, focus))
