"""Locks, semaphores, barriers and elections, blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from ringleader.client import Barrier as AsyncBarrier
from ringleader.client import Condition, Holder, Leader
from ringleader.client import DoubleBarrier as AsyncDoubleBarrier
from ringleader.client import Election as AsyncElection
from ringleader.client import Leadership as AsyncLeadership
from ringleader.client import Lock as AsyncLock
from ringleader.client import ReadLock as AsyncReadLock
from ringleader.client import ReadWriteLock as AsyncReadWriteLock
from ringleader.client import Semaphore as AsyncSemaphore
from ringleader.client import WriteLock as AsyncWriteLock
from ringleader.sync._mirror import Lost, Mirror, blocking, call
from ringleader.sync._runner import run

__all__ = [
    "Barrier",
    "DoubleBarrier",
    "Election",
    "Leadership",
    "Lock",
    "ReadLock",
    "ReadWriteLock",
    "Semaphore",
    "WriteLock",
]

T = TypeVar("T")
H = TypeVar("H", AsyncLock, AsyncLeadership, AsyncReadLock, AsyncWriteLock, AsyncSemaphore)
Q = TypeVar("Q", AsyncLock, AsyncReadLock, AsyncWriteLock, AsyncSemaphore)


class Held(Mirror[H]):
    """What a lock and a leadership have in common."""

    @property
    def fencing_token(self) -> int:
        """A number that grows with every holder; pass it on to what you write to."""
        return run(call(lambda: self._inner.fencing_token))

    @property
    def held(self) -> bool:
        """Whether it is certainly held at this moment."""
        return run(call(lambda: self._inner.held))

    @property
    def lost(self) -> Lost:
        """Set as soon as it may have been lost."""
        return Lost(lambda: self._inner.lost)

    @property
    def key(self) -> bytes:
        """The key in the store that stands for it."""
        return self._inner.key

    @property
    def condition(self) -> Condition:
        """True in a transaction as long as it is held."""
        return run(call(lambda: self._inner.condition))

    def check(self) -> None:
        """Raise `NotAppliedError` (lock-lost) unless it is certainly held at this moment."""
        run(call(self._inner.check))


class Acquirable(Held[Q]):
    """Something to acquire, hold for the length of a block, and release."""

    def acquire(self) -> Self:
        """Wait for it. Raises `DeadlineError` when that takes longer than the `timeout` it was made with."""
        run(self._inner.acquire())
        return self

    def release(self) -> None:
        """Give it to whoever is next."""
        run(self._inner.release())

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Lock(Acquirable[AsyncLock]):
    """A lock across processes: `with db.lock("name") as lock:`. See `ringleader.Lock`."""

    @property
    def name(self) -> str:
        """The name it was made with."""
        return self._inner.name


class ReadLock(Acquirable[AsyncReadLock]):
    """The right to read, shared with other readers. See `ringleader.ReadLock`."""


class WriteLock(Acquirable[AsyncWriteLock]):
    """The right to write, alone. See `ringleader.WriteLock`."""


class ReadWriteLock(Mirror[AsyncReadWriteLock]):
    """Many readers or one writer: `with db.read_write_lock("name").read():`. See `ringleader.ReadWriteLock`."""

    @property
    def name(self) -> str:
        """The name it was made with."""
        return self._inner.name

    def read(self, *, timeout: float | None = None) -> ReadLock:
        """To read, together with others. `timeout`: how long to wait, seconds; `None`: as long as it takes."""
        return ReadLock(run(call(lambda: self._inner.read(timeout=timeout))))

    def write(self, *, timeout: float | None = None) -> WriteLock:
        """To write, alone. `timeout`: how long to wait, seconds; `None`: as long as it takes."""
        return WriteLock(run(call(lambda: self._inner.write(timeout=timeout))))


class Semaphore(Acquirable[AsyncSemaphore]):
    """One permit of so many: `with db.semaphore("name", 3) as permit:`. See `ringleader.Semaphore`."""

    @property
    def name(self) -> str:
        """The name it was made with."""
        return self._inner.name

    @property
    def permits(self) -> int:
        """How many there are."""
        return self._inner.permits

    def holders(self, *, timeout: float | None = None) -> list[Holder]:
        """Who holds a permit now, longest first. Need not have been acquired."""
        return run(self._inner.holders(timeout=timeout))


class Barrier(Mirror[AsyncBarrier]):
    """While it is held nobody passes. See `ringleader.Barrier`."""

    @property
    def name(self) -> str:
        """The name it was made with."""
        return self._inner.name

    hold = blocking(AsyncBarrier.hold)

    release = blocking(AsyncBarrier.release)

    is_held = blocking(AsyncBarrier.is_held)

    wait = blocking(AsyncBarrier.wait)


class DoubleBarrier(Mirror[AsyncDoubleBarrier]):
    """Begin and end together: `with db.double_barrier("name", 4):`. See `ringleader.DoubleBarrier`."""

    @property
    def name(self) -> str:
        """The name it was made with."""
        return self._inner.name

    @property
    def count(self) -> int:
        """How many members there are."""
        return self._inner.count

    @property
    def lost(self) -> Lost:
        """Set as soon as the lease may have ended: then the others may go on without this member."""
        return Lost(lambda: self._inner.lost)

    def enter(self) -> Self:
        """Wait until `count` members are there."""
        run(self._inner.enter())
        return self

    leave = blocking(AsyncDoubleBarrier.leave)

    def __enter__(self) -> Self:
        return self.enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run(self._inner.__aexit__(kind, error, trace))


class Leadership(Held[AsyncLeadership]):
    """Being elected: `with election.campaign("me") as leadership:`. See `ringleader.Leadership`."""

    def campaign(self) -> Self:
        """Wait to be elected. Raises `DeadlineError` when it takes longer than the campaign's `timeout`."""
        run(self._inner.campaign())
        return self

    def proclaim(self, value: str | bytes, *, timeout: float | None = None) -> None:
        """Change the value that others see. Raises `NotAppliedError` (lock-lost) when another leads by now."""
        run(self._inner.proclaim(value, timeout=timeout))

    def resign(self) -> None:
        """Step down; whoever is next leads."""
        run(self._inner.resign())

    def __enter__(self) -> Self:
        return self.campaign()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resign()


class Election(Mirror[AsyncElection]):
    """An election by name, blocking. See `ringleader.Election`."""

    @property
    def name(self) -> str:
        """The name it was made with."""
        return self._inner.name

    def campaign(self, value: str | bytes, *, ttl: float = 10.0, timeout: float | None = None) -> Leadership:
        """Stand for election with `value`: enter it with `with`, or call `campaign()` on it and `resign()` later."""
        return Leadership(self._new(lambda: self._inner.campaign(value, ttl=ttl, timeout=timeout)))

    leader = blocking(AsyncElection.leader)

    def observe(self) -> Iterator[Leader | None]:
        """Who leads now, and then everyone who leads later; `None` while nobody does."""
        leaders = self._inner.observe()

        async def step() -> tuple[Leader | None] | None:
            try:
                return (await anext(leaders),)
            except StopAsyncIteration:
                return None

        try:
            while (found := run(step())) is not None:
                yield found[0]
        finally:
            run(leaders.aclose())

    def _new(self, make: Callable[[], T]) -> T:
        return run(call(make))
