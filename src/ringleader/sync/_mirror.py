"""What all blocking objects are made of: one that stands before an asynchronous object, and an event seen from threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from ringleader.sync._runner import run

__all__ = ["Lost", "Mirror", "call"]

T = TypeVar("T")
A = TypeVar("A")


async def call(function: Callable[[], T]) -> T:
    """`function()`, on the loop: what the asynchronous objects say is only true there."""
    return function()


class Mirror(Generic[A]):
    """Stands before an asynchronous object."""

    def __init__(self, inner: A) -> None:
        self._inner = inner


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
