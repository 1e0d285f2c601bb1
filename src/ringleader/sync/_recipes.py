"""Locks and elections, blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from ringleader.client import Condition, Leader
from ringleader.client import Election as AsyncElection
from ringleader.client import Leadership as AsyncLeadership
from ringleader.client import Lock as AsyncLock
from ringleader.sync._mirror import Lost, Mirror, call
from ringleader.sync._runner import run

__all__ = ["Election", "Leadership", "Lock"]

T = TypeVar("T")
H = TypeVar("H", AsyncLock, AsyncLeadership)


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


class Lock(Held[AsyncLock]):
    """A lock across processes: `with db.lock("name") as lock:`. See `ringleader.Lock`."""

    @property
    def name(self) -> str:
        """The name it was made with."""
        return self._inner.name

    def acquire(self) -> Self:
        """Wait for the lock. Raises `DeadlineError` when it takes longer than the lock's `timeout`."""
        run(self._inner.acquire())
        return self

    def release(self) -> None:
        """Give the lock to whoever is next."""
        run(self._inner.release())

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


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

    def leader(self, *, timeout: float | None = None) -> Leader | None:
        """Who leads now; `None` when nobody does."""
        return run(self._inner.leader(timeout=timeout))

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
