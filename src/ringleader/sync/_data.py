"""Queues, counters and cached prefixes, blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

from ringleader.client import Cache as AsyncCache
from ringleader.client import Condition, Event, KeyValue
from ringleader.client import Consumer as AsyncConsumer
from ringleader.client import Counter as AsyncCounter
from ringleader.client import Message as AsyncMessage
from ringleader.client import Queue as AsyncQueue
from ringleader.errors import RingleaderError
from ringleader.sync._mirror import Lost, Mirror, Opened, blocking, call
from ringleader.sync._runner import run

__all__ = ["Cache", "Consumer", "Counter", "Message", "Queue"]


class Message(Mirror[AsyncMessage]):
    """A message that was handed out: `with message:` acknowledges it. See `ringleader.Message`."""

    @property
    def id(self) -> str:
        """Its id, as `put` returned it."""
        return self._inner.id

    @property
    def value(self) -> bytes:
        """What was put."""
        return self._inner.value

    @property
    def text(self) -> str:
        """The value as text (UTF-8)."""
        return self._inner.text

    @property
    def priority(self) -> int:
        """The priority that it was put with."""
        return self._inner.priority

    @property
    def fencing_token(self) -> int:
        """A number that grows each time that this message is handed out; pass it on to what you write to."""
        return self._inner.fencing_token

    @property
    def deliveries(self) -> int:
        """How often it was handed out, this time included."""
        return self._inner.deliveries

    @property
    def held(self) -> bool:
        """Whether it is certainly with this consumer alone at this moment."""
        return run(call(lambda: self._inner.held))

    @property
    def condition(self) -> Condition:
        """True in a transaction as long as it is with this consumer."""
        return self._inner.condition

    ack = blocking(AsyncMessage.ack)

    release = blocking(AsyncMessage.release)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run(self._inner.__aexit__(kind, error, trace))


class Consumer(Opened[AsyncConsumer]):
    """Takes messages of a queue: `with queue.consumer() as jobs: for message in jobs:`. See `ringleader.Consumer`."""

    @property
    def lost(self) -> Lost:
        """Set as soon as the lease may have ended: then all messages that it has may be handed out to others."""
        return Lost(lambda: self._inner.lost)

    def get(self, *, timeout: float | None = None) -> Message:
        """The next message; waits for one, `timeout` seconds at most (`None`: as long as it takes)."""
        return Message(run(self._inner.get(timeout=timeout)))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        return self.get()


class Queue(Mirror[AsyncQueue]):
    """A queue of messages by name, blocking. See `ringleader.Queue`."""

    @property
    def name(self) -> str:
        """The name it was made with."""
        return self._inner.name

    put = blocking(AsyncQueue.put)

    def consumer(self, *, ttl: float = 10.0) -> Consumer:
        """One who takes messages: enter it with `with`, iterate over it or `get()` one by one."""
        return Consumer(run(call(lambda: self._inner.consumer(ttl=ttl))))

    size = blocking(AsyncQueue.size)


class Counter(Mirror[AsyncCounter]):
    """A number that many add to, exactly. See `ringleader.Counter`."""

    @property
    def name(self) -> str:
        """The name it was made with."""
        return self._inner.name

    get = blocking(AsyncCounter.get)

    add = blocking(AsyncCounter.add)

    set = blocking(AsyncCounter.set)

    compare_and_set = blocking(AsyncCounter.compare_and_set)


class Cache(Mirror[AsyncCache], Mapping[str | bytes, KeyValue]):
    """A copy of all keys under a prefix, kept current in the background: `with db.cache("config/") as cache:`.

    See `ringleader.Cache`. It may change between two looks: `snapshot()` gives all of it at once.
    """

    @property
    def prefix(self) -> bytes:
        """What all its keys begin with."""
        return self._inner.prefix

    @property
    def revision(self) -> int:
        """It is as the store was at this revision, or later; 0 before it was opened."""
        return self._inner.revision

    @property
    def error(self) -> RingleaderError | None:
        """Why it is not kept current any more; `None` while it is."""
        return self._inner.error

    def __getitem__(self, key: str | bytes) -> KeyValue:
        return self._inner[key]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._inner)

    def __len__(self) -> int:
        return len(self._inner)

    def __contains__(self, key: object) -> bool:
        return key in self._inner

    def __repr__(self) -> str:
        return repr(self._inner)

    def snapshot(self) -> dict[bytes, KeyValue]:
        """All of it as it is now, as a copy."""
        return self._inner.snapshot()

    def wait_for(self, revision: int, *, timeout: float | None = None) -> Self:
        """Wait until it is as the store was at `revision`, or later; `timeout` in seconds, `None`: the client's."""
        run(self._inner.wait_for(revision, timeout=timeout))
        return self

    def on_change(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Have `callback(event)` called for every change, in the background thread; returns a function that ends that.

        It must not block or call anything of `ringleader.sync`.
        """
        stop = run(call(lambda: self._inner.on_change(callback)))
        return lambda: run(call(stop))

    def changes(self) -> Iterator[Event]:
        """Every change from the first step on, after it was made here."""
        events = self._inner.changes()

        async def step() -> Event | None:
            return await anext(events, None)

        try:
            while (event := run(step())) is not None:
                yield event
        finally:
            run(events.aclose())

    def open(self) -> Self:
        """List the keys and begin to follow. Done by `with`."""
        run(self._inner.open())
        return self

    close = blocking(AsyncCache.close)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
