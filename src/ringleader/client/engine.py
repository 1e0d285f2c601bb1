"""The asyncio shell around the core: one turn takes what the core wants done and does it, once per loop iteration.

A call costs a bare future, resolved in a batch when its frame comes; there is no task per call. A fork of the process, or
another event loop, gets a core (and with it a session) of its own: two processes must never share sequence numbers.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ringleader.client.core import ClientCore
from ringleader.client.options import ClientOptions
from ringleader.client.place import Place
from ringleader.client.transport import Dialer, Transport
from ringleader.errors import DeadlineError, NotAppliedError, Reason, RingleaderError
from ringleader.ports import Entropy
from ringleader.store.commands import Command, Read, Result
from ringleader.wire.frames import ClientFrame, NodeInfo, ServerFrame, StatusReply, WatchEvents
from ringleader.wire.login import Challenge

__all__ = ["Engine", "Sink"]

_ABANDONED: list[object] = []  # what a fork inherited: must neither be used nor be closed by the collector


class Sink(Protocol):
    """Where the events of one watch go."""

    def deliver(self, news: WatchEvents | RingleaderError) -> None:
        """Events, progress, or why the watch has ended."""
        ...


class Engine:
    """Runs a `ClientCore` on the running event loop.

    `check`: raises when there is no way to connect from here and now. `entropy`: the system's, unless one is given.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        dialer: Dialer,
        options: ClientOptions,
        check: Callable[[], None] | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        self.entropy = entropy if entropy is not None else random.SystemRandom()
        self._check = check
        self._endpoints = list(endpoints)
        self._dialer = dialer
        self._options = options
        self._closed = False
        self._generation = 0
        self._place: Place | None = None
        self._core: ClientCore | None = None
        self._loop: asyncio.AbstractEventLoop

    # ------------------------------------------------------------------------------------------------ for the API

    @property
    def revision(self) -> int:
        """The newest revision of the store that any answer has told of; 0: none yet."""
        return self._core.revision if self._core is not None else 0

    def submit(
        self, commands: Sequence[Command], timeout: float, *, once: bool = True
    ) -> tuple[int, asyncio.Future[list[Result]]]:
        """Start a call that writes; see `ClientCore.submit`. Await it with `wait`."""
        core = self._begin()
        return self._expect(core.submit(commands, timeout, once=once))

    def query(
        self, reads: Sequence[Read], timeout: float, consistency: str, max_staleness_ms: int
    ) -> tuple[int, asyncio.Future[list[Result]]]:
        """Start a call that reads; see `ClientCore.query`. Await it with `wait`."""
        core = self._begin()
        return self._expect(core.query(reads, timeout, consistency, max_staleness_ms))

    async def status(self, timeout: float) -> StatusReply:
        """How the node at the other end stands."""
        number, future = self._expect(self._begin().status(timeout))
        answer: Any = await self.wait(number, future)
        assert isinstance(answer, StatusReply)
        return answer

    async def wait(self, number: int, future: asyncio.Future[list[Result]]) -> list[Result]:
        """The answer of a call; when the waiter is cancelled, the call is too and the connection stays usable."""
        try:
            return await future
        except asyncio.CancelledError:
            self.cancel(number)
            raise

    def watch(self, sink: Sink, key: bytes, range_end: bytes, start_revision: int, prev_kv: bool,
              no_put: bool, no_delete: bool) -> int:  # fmt: skip
        """Start a watch whose news go to `sink`; ends with `cancel` or with an error delivered."""
        number = self._begin().watch(
            key, range_end, start_revision=start_revision, prev_kv=prev_kv, no_put=no_put, no_delete=no_delete
        )
        self._sinks[number] = sink
        return number

    def cancel(self, number: int) -> None:
        """Nobody waits for this call or watch any more."""
        if self._core is None or self._closed or not self._usable:
            return
        if self._futures.pop(number, None) is not None or self._sinks.pop(number, None) is not None:
            self._core.cancel(number)
            self._schedule()

    def cancel_soon(self, number: int) -> None:
        """As `cancel`, from wherever the collector happens to run."""
        if self._core is not None and self._usable:
            self._loop.call_soon_threadsafe(self.cancel, number)

    async def ready(self, timeout: float) -> None:
        """Wait until some node has welcomed us. Raises `DeadlineError` saying what went wrong at the endpoints."""
        core = self._begin()
        if core.node:
            return
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError:
            message = f"connect to {', '.join(self._endpoints)}: no node within {timeout:g} s ({core.trouble})"
            hint = "Check that the nodes run and that the endpoints are right; `ringleader dev` starts a local cluster."
            raise DeadlineError(message, reason=Reason.UNREACHABLE, hint=hint) from None

    async def close(self) -> None:
        """End all calls and watches with `CLOSED` and let go of the connections. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        if self._core is None or not self._here:
            return
        self._core.tick(self._loop.time())
        self._core.close()
        self._turn()
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.sleep(0)  # lets the transports see their closing

    @property
    def generation(self) -> int:
        """The number of the core that calls reach from this process and loop, 0 if it is still to be made.

        Numbers of calls and watches belong to one core: in another process or loop they mean nothing.
        """
        return self._generation if self._here else 0

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def node(self) -> str:
        """The name of the node at the other end, "" when there is none."""
        return self._core.node if self._core is not None else ""

    @property
    def cluster(self) -> str:
        """The cluster's id, "" before the first connection."""
        return self._core.cluster if self._core is not None else ""

    @property
    def leader(self) -> int:
        """The id of the leading node as far as known, else 0."""
        return self._core.leader if self._core is not None else 0

    @property
    def nodes(self) -> list[NodeInfo]:
        """The nodes of the cluster as far as known."""
        return self._core.nodes if self._core is not None else []

    # -------------------------------------------------------------------------------------------------- the turn

    def _begin(self) -> ClientCore:
        """The core, told the time once per turn; a new one in a new process or a new loop."""
        core, place = self._core, self._place
        if core is None or place is None or not place.here:
            core = self._start()
        if not self._scheduled:
            core.tick(self._loop.time())
            self._schedule()
        return core

    @property
    def _here(self) -> bool:
        """Whether the core belongs to this process and to the loop that runs."""
        return self._place is not None and self._place.here

    @property
    def _usable(self) -> bool:
        """Whether the core belongs to this process, and its loop is there."""
        return self._place is not None and self._place.same_process and not self._loop.is_closed()

    def _start(self) -> ClientCore:
        if self._closed:
            raise NotAppliedError("the client is closed", reason=Reason.CLOSED, hint="Open a new one with connect().")
        if self._check is not None:
            self._check()
        if self._core is not None:
            _ABANDONED.append((self._core, self._transports, self._futures, self._sinks, self._loop))
        self._generation += 1
        self._place = Place()
        self._loop = self._place.loop
        self._transports: dict[int, Transport] = {}
        self._futures: dict[int, asyncio.Future[Any]] = {}
        self._sinks: dict[int, Sink] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._scheduled = False
        self._core = ClientCore(self._endpoints, self.entropy, self._loop.time(), self._options)
        return self._core

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._scheduled_turn)

    def _scheduled_turn(self) -> None:
        if self._scheduled:
            self._turn()

    def _expect(self, number: int) -> tuple[int, asyncio.Future[Any]]:
        future = self._futures[number] = self._loop.create_future()
        return number, future

    def _turn(self) -> None:
        """Do what the core wants done."""
        core = self._core
        assert core is not None
        self._scheduled = False
        out = core.take_output()
        for link, address in out.dial:
            self._transports[link] = self._dialer.dial(link, address, self)
        if out.send:
            self._send(out.send)
        for link in out.close:
            transport = self._transports.pop(link, None)
            if transport is not None:
                transport.close()
        futures = self._futures
        for number, answer in out.done:
            future = futures.pop(number, None)
            if future is None or future.done():
                continue
            if isinstance(answer, RingleaderError):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        for number, news in out.events:
            sink = self._sinks.get(number)
            if sink is not None:
                if isinstance(news, RingleaderError):
                    del self._sinks[number]
                sink.deliver(news)
        for link, challenge in out.stretch:
            self._stretch(link, challenge)
        if self._waiters and (core.node or core.denied is not None):
            for waiter in self._waiters:
                if waiter.done():
                    continue
                if core.denied is not None:
                    waiter.set_exception(core.denied)
                else:
                    waiter.set_result(None)
            self._waiters.clear()
        self._set_timer(core.next_wakeup())

    def _stretch(self, link: int, challenge: Challenge) -> None:
        """Have a password stretched in a thread; the core goes on when it is done."""
        credentials, core = self._options.credentials, self._core
        assert credentials is not None

        def done(_: object) -> None:
            if self._core is core and not self._closed:
                self._event(lambda core: core.stretched(link))

        work = self._loop.run_in_executor(None, credentials.stretch, challenge)
        work.add_done_callback(done)

    def _send(self, send: list[tuple[int, ClientFrame]]) -> None:
        by_link: dict[int, list[ClientFrame]] = {}
        for link, frame in send:
            by_link.setdefault(link, []).append(frame)
        for link, frames in by_link.items():
            transport = self._transports.get(link)
            if transport is not None:
                transport.send(frames)

    def _set_timer(self, when: float) -> None:
        """Wake up at `when` at the latest; a timer that is earlier stays, since moving it every turn would cost more."""
        if self._timer_at <= when and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._wake) if when < float("inf") else None
        self._timer_at = when

    def _wake(self) -> None:
        self._timer = None
        self._timer_at = float("inf")
        self._event(lambda core: None)

    def _event(self, tell: Callable[[ClientCore], None]) -> None:
        core = self._core
        if core is None or self._place is None or not self._place.same_process:
            return
        core.tick(self._loop.time())
        tell(core)
        self._turn()

    # ------------------------------------------------------------------------------------- what transports tell us

    def link_connected(self, link: int) -> None:
        """See `Listener`."""
        self._event(lambda core: core.connected(link))

    def link_received(self, link: int, frames: Sequence[ServerFrame]) -> None:
        """See `Listener`."""
        core = self._core
        if core is None or self._place is None or not self._place.same_process:
            return
        core.tick(self._loop.time())
        for frame in frames:
            core.received(link, frame)
        self._turn()

    def link_closed(self, link: int, why: str) -> None:
        """See `Listener`."""
        self._transports.pop(link, None)
        self._event(lambda core: core.closed(link, why))
