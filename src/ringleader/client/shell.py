"""One core on one event loop: a turn takes what the core wants done and does it, once per iteration of the loop.

A call costs a bare future, resolved in a batch when its frame comes; there is no task per call.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ringleader.client.core import ClientCore
from ringleader.client.options import ClientOptions
from ringleader.client.place import Place
from ringleader.client.transport import Dialer, Transport
from ringleader.errors import RingleaderError
from ringleader.ports import Entropy
from ringleader.wire.frames import ClientFrame, ServerFrame, WatchEvents
from ringleader.wire.login import Challenge

__all__ = ["Shell", "Sink"]


class Sink(Protocol):
    """Where the events of one watch go."""

    def deliver(self, news: WatchEvents | RingleaderError) -> None:
        """Events, progress, or why the watch has ended."""
        ...


class Shell:
    """Runs a `ClientCore` on the event loop in which it is made, and on that alone. `number`: of the shells of one client.

    What transports tell reaches the core that dialled, whatever other loops have made of the same client meanwhile.
    """

    def __init__(
        self, number: int, endpoints: Sequence[str], dialer: Dialer, options: ClientOptions, entropy: Entropy
    ) -> None:
        self.number = number
        self.place = Place()
        self._loop = self.place.loop
        self.core = ClientCore(endpoints, entropy, self._loop.time(), options)
        self._dialer = dialer
        self._options = options
        self._closed = False
        self._transports: dict[int, Transport] = {}
        self._futures: dict[int, asyncio.Future[Any]] = {}
        self._sinks: dict[int, Sink] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._scheduled = False

    # ------------------------------------------------------------------------------------------- from its own loop

    def begin(self) -> ClientCore:
        """The core, to be asked for something: told the time once per turn."""
        if not self._scheduled:
            self.core.tick(self._loop.time())
            self._schedule()
        return self.core

    def expect(self, number: int) -> tuple[int, asyncio.Future[Any]]:
        """The future that call `number` will resolve."""
        future = self._futures[number] = self._loop.create_future()
        return number, future

    def attach(self, number: int, sink: Sink) -> None:
        """News of watch `number` go to `sink`."""
        self._sinks[number] = sink

    def connected(self) -> asyncio.Future[None]:
        """Done when some node has welcomed us; fails when the cluster does not let us in."""
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        return waiter

    def cancel(self, number: int) -> None:
        """Nobody waits for this call or watch any more."""
        if self._closed or not self.usable:
            return
        if self._futures.pop(number, None) is not None or self._sinks.pop(number, None) is not None:
            self.core.cancel(number)
            self._schedule()

    def close(self) -> None:
        """End all calls and watches with `CLOSED` and let go of the connections."""
        if self._closed:
            return
        self._closed = True
        self.core.tick(self._loop.time())
        self.core.close()
        self._turn()
        if self._timer is not None:
            self._timer.cancel()

    # ------------------------------------------------------------------------------------------- from anywhere else

    @property
    def usable(self) -> bool:
        """Whether this is its process, and its loop is there."""
        return self.place.same_process and not self._loop.is_closed()

    def cancel_soon(self, number: int) -> None:
        """As `cancel`, from another thread, or wherever the collector happens to run."""
        self._soon(lambda: self.cancel(number))

    def close_soon(self) -> None:
        """As `close`, from another thread or loop."""
        self._soon(self.close)

    def abandon(self) -> None:
        """Its loop was closed without `close`: have the nodes see that the connections are gone."""
        self._closed = True
        for transport in self._transports.values():
            transport.close()
        self._transports.clear()

    def _soon(self, act: Callable[[], None]) -> None:
        if self.usable:
            with contextlib.suppress(RuntimeError):  # the loop was closed just now
                self._loop.call_soon_threadsafe(act)

    # -------------------------------------------------------------------------------------------------- the turn

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._scheduled_turn)

    def _scheduled_turn(self) -> None:
        if self._scheduled and self.place.same_process:
            self._turn()

    def _turn(self) -> None:
        """Do what the core wants done."""
        core = self.core
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
        credentials = self._options.credentials
        assert credentials is not None

        def done(_: object) -> None:
            if not self._closed:
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
        if not self.place.same_process:
            return
        core = self.core
        core.tick(self._loop.time())
        tell(core)
        self._turn()

    # ------------------------------------------------------------------------------------- what transports tell us

    def link_connected(self, link: int) -> None:
        """See `Listener`."""
        self._event(lambda core: core.connected(link))

    def link_received(self, link: int, frames: Sequence[ServerFrame]) -> None:
        """See `Listener`."""
        if not self.place.same_process:
            return
        core = self.core
        core.tick(self._loop.time())
        for frame in frames:
            core.received(link, frame)
        self._turn()

    def link_closed(self, link: int, why: str) -> None:
        """See `Listener`."""
        self._transports.pop(link, None)
        self._event(lambda core: core.closed(link, why))
