"""What all blocking objects are made of: a mirror of an asynchronous object, its calls, and an event seen from threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from ringleader.sync._runner import run

__all__ = ["Lost", "Mirror", "blocking", "call"]

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
