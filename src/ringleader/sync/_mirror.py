"""What all blocking objects are made of: a mirror of an asynchronous object, its calls, and an event seen from threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar

from ringleader.sync._runner import run

__all__ = ["Lost", "Mirror", "Opened", "blocking", "call"]

T = TypeVar("T")
A = TypeVar("A")
P = ParamSpec("P")


async def call(function: Callable[[], T]) -> T:
    """`function()`, on the loop: what the asynchronous objects say is only true there."""
    return function()


class Mirror(Generic[A]):
    """Stands before an asynchronous object."""

    def __init__(self, inner: A) -> None:
        self._inner = inner


def blocking(method: Callable[Concatenate[A, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Mirror[A], P], T]:
    """The blocking twin of an asynchronous method: the same arguments, result and errors; it returns when that one does."""

    @wraps(method)
    def wait(self: Mirror[A], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(method(self._inner, *args, **kwargs))

    return wait


class _Opens(Protocol):
    async def open(self) -> object: ...

    async def close(self) -> object: ...


B = TypeVar("B", bound=_Opens)


class Opened(Mirror[B]):
    """Stands before one that is opened and closed: `with` does both."""

    def open(self) -> Self:
        """Begin. Done by `with`."""
        run(self._inner.open())
        return self

    def close(self) -> None:
        """End it. Done by `with`."""
        run(self._inner.close())

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Lost:
    """Tells of a loss, as `threading.Event` would."""

    def __init__(self, event: Callable[[], asyncio.Event]) -> None:
        self._event = event

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._event().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it happens, at most `timeout` seconds; whether it has."""

        async def wait() -> bool:
            try:
                async with asyncio.timeout(timeout):
                    return await self._event().wait()
            except TimeoutError:
                return False

        return run(wait())
