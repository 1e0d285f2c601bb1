"""A watch as an asynchronous iterator, with a bounded buffer between the connection and a slow reader.

When the buffer is full the watch is given up at the node, and set up again from the next revision once the reader has
caught up: a slow reader costs neither memory nor the connection, and loses nothing (unless history was compacted away
meanwhile, which is said).
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

import msgspec

from ringleader.client import types
from ringleader.client.engine import Engine
from ringleader.client.types import Event
from ringleader.errors import DeadlineError, Reason, RingleaderError
from ringleader.store import commands as wire
from ringleader.wire.frames import WatchEvents

__all__ = ["WatchBatch", "WatchStream"]

_MOST_BYTES = 8 * 1024 * 1024  # of events that wait for a reader


class WatchBatch(msgspec.Struct, frozen=True):
    """What a watch has brought: `events` in order (perhaps none), and the `revision` up to which there are no others."""

    revision: int
    events: list[Event]


class _Buffer:
    """What has come and was not read yet. Does not keep its stream alive."""

    def __init__(self, engine: Engine, limit: int) -> None:
        self.engine = engine
        self.limit = limit
        self.number = 0  # of the watch at the core, 0 while it is not set up
        self.generation = 0  # of that core
        self.events: deque[wire.Event] = deque()
        self.bytes = 0  # of their keys and values
        self.error: RingleaderError | None = None
        self.seen = -1  # everything up to this revision has come, -1: not set up yet
        self.waiter: asyncio.Future[None] | None = None

    def deliver(self, news: WatchEvents | RingleaderError) -> None:
        """See `engine.Sink`."""
        if isinstance(news, RingleaderError):
            self.error = news
            self.number = 0
        else:
            self.seen = max(self.seen, news.revision)
            self.events.extend(news.events)
            self.bytes += sum([_size(event) for event in news.events])
            if len(self.events) >= self.limit or self.bytes >= _MOST_BYTES:
                self.stop()
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def stop(self) -> None:
        """Have the core give the watch up."""
        number, self.number = self.number, 0
        if number:
            self.engine.end_watch(self.generation, number)


class WatchStream:
    """Iterate over it for `Event`s. Ends with `UsageError` (compacted) or when the client is closed.

    Leave it with `aclose()` or use it as an asynchronous context manager, which also waits until the watch is set up.
    """

    def __init__(
        self, engine: Engine, timeout: float, key: bytes, range_end: bytes, start_revision: int,
        prev_kv: bool, no_put: bool, no_delete: bool, buffer: int,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._timeout = timeout
        self._what = (key, range_end, prev_kv, no_put, no_delete)
        self._start = start_revision
        self._buffer = _Buffer(engine, max(1, buffer))
        self._read = start_revision - 1
        self._closed = False

    @property
    def revision(self) -> int:
        """All events up to this revision have been handed out; -1 before the watch "from now on" is set up."""
        return self._read if self._buffer.events else max(self._read, self._buffer.seen)

    async def ready(self, timeout: float | None = None) -> Self:
        """Wait until a node has set the watch up: changes made after this are certainly seen."""
        try:
            async with asyncio.timeout(self._timeout if timeout is None else timeout):
                while self._buffer.seen < 0 and self._buffer.error is None:
                    await self._wait()
        except TimeoutError:
            message = "watch: no node has set it up in time"
            raise DeadlineError(message, reason=Reason.DEADLINE, hint="Check `ringleader status`.") from None
        if self._buffer.error is not None:
            raise self._buffer.error
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        buffer = self._buffer
        while not buffer.events:
            if buffer.error is not None and buffer.error.reason is not Reason.CLOSED:
                raise buffer.error
            if self._closed or buffer.error is not None:
                raise StopAsyncIteration
            await self._wait()
        oldest = buffer.events.popleft()
        buffer.bytes -= _size(oldest)
        event = types.event(oldest)
        self._read = (
            event.revision if buffer.events and buffer.events[0].kv.mod_revision > event.revision else self._read
        )
        return event

    async def batch(self) -> WatchBatch | None:
        """All that has come, once there is anything: events, or only news of a later revision; `None` when it has ended.

        Raises as an iteration does. Either iterate or take batches.
        """
        buffer = self._buffer
        before = self.revision
        while not buffer.events and buffer.seen <= before:
            if buffer.error is not None and buffer.error.reason is not Reason.CLOSED:
                raise buffer.error
            if self._closed or buffer.error is not None:
                return None
            await self._wait()
        events = [types.event(event) for event in buffer.events]
        buffer.events.clear()
        buffer.bytes = 0
        self._read = max(self._read, buffer.seen)
        return WatchBatch(self._read, events)

    async def aclose(self) -> None:
        """End the watch; events not read are dropped."""
        self._closed = True
        self._buffer.events.clear()
        self._buffer.stop()
        waiter = self._buffer.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def __aenter__(self) -> Self:
        return await self.ready()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        buffer = getattr(self, "_buffer", None)
        if buffer is not None and buffer.number and not self._closed:
            buffer.engine.end_watch_soon(buffer.generation, buffer.number)

    async def _wait(self) -> None:
        """Wait for news; set the watch up first if it is not."""
        buffer = self._buffer
        if not buffer.number or buffer.generation != self._engine.generation:
            buffer.stop()  # where it was before
            key, range_end, prev_kv, no_put, no_delete = self._what
            start = buffer.seen + 1 if buffer.seen >= 0 else self._start
            buffer.generation, buffer.number = self._engine.watch(
                buffer, key, range_end, start, prev_kv, no_put, no_delete
            )
        buffer.waiter = asyncio.get_running_loop().create_future()
        try:
            await buffer.waiter
        finally:
            buffer.waiter = None


def _size(event: wire.Event) -> int:
    return len(event.kv.key) + len(event.kv.value) + (len(event.prev_kv.value) if event.prev_kv is not None else 0)
