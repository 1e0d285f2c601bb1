"""A copy of all keys under a prefix that keeps itself current: listed once, then followed by a watch.

When history was compacted away under a watch that lagged, the copy is listed anew and the differences are told as events, so
that whoever follows the changes misses none that lasts.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from ringleader.client.failures import CompactedError
from ringleader.client.kv import KV
from ringleader.client.ops import span
from ringleader.client.recipes.patience import PAUSE
from ringleader.client.types import Event, KeyValue, to_bytes, whole
from ringleader.client.watching import WatchStream
from ringleader.errors import DeadlineError, NotAppliedError, Reason, RingleaderError, UsageError

__all__ = ["Cache"]

_PAGE = 500
_BUFFER = 10_000
_PATIENCE = 0.25  # for how long a revision is waited for before the keys are asked for anew, seconds
_ANEW = 10_000  # only if there are no more keys than this


class _Reader:
    """One who follows the changes: what it has not read yet."""

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self.behind = False
        self.news = asyncio.Event()


class Cache(Mapping[str | bytes, KeyValue]):
    """All keys that begin with `prefix`, here: `async with db.cache("config/") as cache: cache.get("config/colour")`.

    A mapping from keys (bytes; text is understood too) to `KeyValue`s. It lags behind the store by as long as news take to
    come; `wait_for(revision)` waits until it has caught up with a revision that a call returned. Reads cost no round trip.
    """

    def __init__(self, kv: KV, prefix: str | bytes, timeout: float) -> None:
        span(prefix, None, True)
        self._kv = kv
        self._prefix = to_bytes(prefix, "prefix")
        self._timeout = timeout
        self._items: dict[bytes, KeyValue] = {}
        self._revision = 0
        self._task: asyncio.Task[None] | None = None
        self._error: RingleaderError | None = None
        self._pid = os.getpid()
        self._stream: WatchStream | None = None
        self._anew = False  # the keys are to be asked for anew
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._readers: set[_Reader] = set()
        self._callbacks: list[Callable[[Event], None]] = []

    # ---------------------------------------------------------------------------------------------------- the copy

    @property
    def prefix(self) -> bytes:
        """What all its keys begin with."""
        return self._prefix

    @property
    def revision(self) -> int:
        """It is as the store was at this revision, or later; 0 before it was opened."""
        return self._revision

    @property
    def error(self) -> RingleaderError | None:
        """Why it is not kept current any more; `None` while it is."""
        if self._error is None and self._pid != os.getpid():
            message = f"{self!r} belongs to the process that this one was forked from"
            self._error = NotAppliedError(message, reason=Reason.CLOSED, hint="Open one in this process.")
        return self._error

    def __getitem__(self, key: str | bytes) -> KeyValue:
        return self._items[key if type(key) is bytes else to_bytes(key, "key")]

    def __iter__(self) -> Iterator[bytes]:
        return iter(sorted(self._items))

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return (key if type(key) is bytes else to_bytes(key, "key")) in self._items

    def __repr__(self) -> str:
        return f"Cache({self._prefix!r}: {len(self._items)} keys at revision {self._revision})"

    def snapshot(self) -> dict[bytes, KeyValue]:
        """All of it as it is now, as a copy."""
        return dict(self._items)

    async def wait_for(self, revision: int, *, timeout: float | None = None) -> Self:
        """Wait until it is as the store was at `revision`, or later; `timeout` in seconds, `None`: the client's.

        Raises `DeadlineError`. For a revision that changed no key here the keys are asked for anew (or, when they are more
        than 10,000, a node's word of its progress is awaited, which comes every ten seconds).
        """
        whole(revision, "revision")
        self._check()
        if self._revision < revision:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((revision, waiter))
            seconds = self._timeout if timeout is None else timeout
            try:
                async with asyncio.timeout(seconds):
                    await asyncio.wait([waiter], timeout=_PATIENCE)
                    if not waiter.done():
                        await self._ask_anew()
                    await waiter
            except TimeoutError:
                message = f"{self!r}: revision {revision} has not come within {seconds:g} s"
                raise DeadlineError(message, reason=Reason.DEADLINE, hint="Check `ringleader status`.") from None
            finally:
                waiter.cancel()  # whoever was cancelled waits no more
        return self

    # -------------------------------------------------------------------------------------------------- the changes

    def on_change(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Have `callback(event)` called for every change, after it was made here; returns a function that ends that.

        It must not block: it runs in between. What it raises goes to the event loop's exception handler, and nowhere else.
        """
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback) if callback in self._callbacks else None

    async def changes(self) -> AsyncGenerator[Event, None]:
        """Every change from the first step on, after it was made here.

        A reader that falls 10,000 events behind gets `NotAppliedError` (overloaded), and no other is held up by it.
        """
        self._check()
        reader = _Reader()
        self._readers.add(reader)
        try:
            while True:
                while reader.events:
                    yield reader.events.popleft()
                if reader.behind:
                    message = f"{self!r}: a reader of its changes is {_BUFFER:,} events behind"
                    hint = "Look at the cache itself, and follow the changes anew."
                    raise NotAppliedError(message, reason=Reason.OVERLOADED, hint=hint)
                if self._error is not None:
                    if self._error.reason is Reason.CLOSED:
                        return
                    raise self._error
                reader.news.clear()
                await reader.news.wait()
        finally:
            self._readers.discard(reader)

    # ------------------------------------------------------------------------------------------------ open and close

    async def open(self) -> Self:
        """List the keys and begin to follow. Done by `async with`."""
        if self._task is not None:
            raise UsageError("a cache is opened once", reason=Reason.INVALID_ARGUMENT, hint="Make a new one.")
        try:
            async with asyncio.timeout(self._timeout):
                await self._list()
        except TimeoutError as error:
            if isinstance(error, RingleaderError):
                raise
            message = f"{self!r}: not listed within {self._timeout:g} s"
            raise DeadlineError(message, reason=Reason.DEADLINE, hint="Check `ringleader status`.") from None
        self._task = asyncio.get_running_loop().create_task(self._follow(), name=repr(self))
        return self

    async def close(self) -> None:
        """Follow no longer; what is here stays readable."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        self._end(NotAppliedError(f"{self!r} was closed", reason=Reason.CLOSED))

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # ------------------------------------------------------------------------------------------------------ inside

    def _check(self) -> None:
        if self._task is None:
            hint = "Use it as `async with db.cache(prefix) as cache:`."
            raise UsageError("the cache was not opened", reason=Reason.INVALID_ARGUMENT, hint=hint)
        if self.error is not None:
            raise self.error

    async def _follow(self) -> None:
        try:
            while True:
                with suppress(CompactedError):
                    await self._watch()
                await self._list()
        except RingleaderError as error:
            self._end(error)

    async def _ask_anew(self) -> None:
        if self._stream is not None and len(self._items) <= _ANEW:
            self._anew = True
            await self._stream.aclose()

    async def _watch(self) -> None:
        """Follow the changes until history is gone, or the keys are to be asked for anew."""
        start = self._revision + 1
        stream = self._stream = self._kv.watch(self._prefix, prefix=True, start_revision=start)
        try:
            while (batch := await stream.batch()) is not None:
                for event in batch.events:
                    self._change(event)
                self._reached(batch.revision)
        finally:
            await stream.aclose()
        if not self._anew:
            raise NotAppliedError(f"{self!r}: the client was closed", reason=Reason.CLOSED)
        self._anew = False

    async def _list(self) -> None:
        """Read all keys as of one revision, page by page, and tell what differs from what is here."""
        while True:
            try:
                items, revision = await self._read_all()
                break
            except CompactedError:
                continue  # while it was read
            except NotAppliedError as error:
                if error.reason is Reason.CLOSED or self._task is None:
                    raise
                await asyncio.sleep(PAUSE)
        gone = [kv for name, kv in self._items.items() if name not in items]
        changed = [kv for name, kv in items.items() if self._items.get(name) != kv]
        if self._revision:
            for kv in gone:
                self._change(Event("delete", kv.key, b"", revision, 0, 0))
            for kv in sorted(changed, key=lambda each: each.mod_revision):
                self._change(Event("put", kv.key, kv.value, kv.mod_revision, kv.version, kv.create_revision, kv.lease))
        self._items = items
        self._reached(revision)

    async def _read_all(self) -> tuple[dict[bytes, KeyValue], int]:
        items: dict[bytes, KeyValue] = {}
        first, end = span(self._prefix, None, True)
        revision, limit = 0, _PAGE
        while True:
            try:
                page = await self._kv.range(first, range_end=end, revision=revision, limit=limit)
            except UsageError as error:
                if error.reason is not Reason.TOO_LARGE or limit == 1:
                    raise
                limit = max(1, limit // 8)
                continue
            revision = revision or page.revision
            for kv in page:
                items[kv.key] = kv
            if not page.more:
                return items, revision
            first = page[len(page) - 1].key + b"\0"

    def _change(self, event: Event) -> None:
        if event.deleted:
            self._items.pop(event.key, None)
        else:
            self._items[event.key] = KeyValue(
                event.key, event.value, event.create_revision, event.revision, event.version, event.lease
            )
        for reader in self._readers:
            if len(reader.events) >= _BUFFER:
                reader.behind = True
            elif not reader.behind:
                reader.events.append(event)
            reader.news.set()
        for callback in list(self._callbacks):
            try:
                callback(event)
            except Exception as error:  # of the user's: it must not end the following, which nobody would notice
                context = {"message": f"a callback of {self!r} failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)

    def _reached(self, revision: int) -> None:
        if revision <= self._revision:
            return
        self._revision = revision
        waiting = []
        for wanted, waiter in self._waiters:
            if wanted > revision and not waiter.done():
                waiting.append((wanted, waiter))
            elif not waiter.done():
                waiter.set_result(None)
        self._waiters = waiting

    def _end(self, error: RingleaderError) -> None:
        if self._error is None:
            self._error = error
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(self._error)
        self._waiters.clear()
        for reader in self._readers:
            reader.news.set()
