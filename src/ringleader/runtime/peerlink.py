"""A link to another node: it dials and dials again, proves itself, sends, and drops what cannot leave.

Consensus repeats what is lost, so a link keeps little: what cannot leave now is dropped, never queued for a peer that is
away. A peer that is gone is dialled again with growing, jittered pauses, and its name is looked up anew each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from ringleader.client.tlslayer import TlsLayer
from ringleader.ports import Entropy
from ringleader.runtime.framing import UNREADABLE, FrameProtocol
from ringleader.runtime.peers import PeerOptions, PeerSelf
from ringleader.runtime.tls import not_for
from ringleader.wire.peer import (
    MAX_HANDSHAKE_FRAME,
    MAX_PEER_FRAME,
    NONCE_BYTES,
    PEER_MAGIC,
    PEER_VERSION,
    Handshake,
    PeerChallenge,
    PeerHello,
    PeerMessages,
    PeerProof,
    PeerRefused,
    PeerWelcome,
    decode_handshake,
    encode,
    proof_holds,
    prove,
)

__all__ = ["PeerLink"]

logger = logging.getLogger("ringleader.peers")

PLACES = 4
"""Most addresses of one peer that are tried in turn."""


class PeerLink:
    """The outgoing link to one peer: dials, proves itself, sends; drops what cannot leave.

    `dropped` counts messages. `connected`: whether messages leave now.
    """

    def __init__(
        self,
        me: PeerSelf,
        peer: int,
        address: tuple[str, int] | None,
        entropy: Entropy,
        options: PeerOptions,
        on_change: Callable[[], object] = lambda: None,
        on_expelled: Callable[[PeerRefused], object] = lambda _: None,
        role: str = "peer",
    ) -> None:
        self.role = role
        self.me = me
        self.peer = peer
        self.places = [address] if address is not None else []
        self.entropy = entropy
        self.options = options
        self.on_change = on_change
        self.name = ""  # of the peer: what its certificate has to be for
        self.on_expelled = on_expelled
        self.host, self.port = "", 0  # where it was dialled last
        self.dropped = 0
        self.connects = 0
        self._protocol: _Outgoing | None = None
        self._queue: list[tuple[int, Any]] = []
        self._stuck_since = 0.0
        self._said: set[str] = set()  # what has been logged since the last connection
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether the other end has welcomed us and the link lives."""
        return self._protocol is not None and self._protocol.welcome and not self._protocol.closing

    def beside(self, role: str) -> PeerLink:
        """Another link to the same peer, for messages of another kind; not started yet."""
        link = PeerLink(self.me, self.peer, None, self.entropy, self.options, role=role)
        link.places, link.name = self.places, self.name
        return link

    def start(self) -> None:
        """Dial, and go on dialling, until `stop`."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"ringleader-peer-{self.peer}")

    def move(self, address: tuple[str, int]) -> None:
        """The peer is reached there from now on; a connection that lives is kept. Where it was is tried too, last."""
        if self.places[:1] != [address]:
            self.places = [address, *(place for place in self.places if place != address)][:PLACES]
            self.wake()

    def try_also(self, address: tuple[str, int]) -> None:
        """It may be reached there too."""
        if address not in self.places:
            self.places.append(address)

    def _next_place(self) -> None:
        self.places = [*self.places[1:], *self.places[:1]]

    def wake(self) -> None:
        """The peer is known to be up: dial now if we are waiting to."""
        self._woken.set()

    async def stop(self) -> None:
        """Close the link."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._protocol is not None:
            self._protocol.abort()

    def send(self, group: int, message: Any) -> None:
        """Queue a message; it leaves at `flush`, or never."""
        if self.connected:
            self._queue.append((group, message))
        else:
            self.dropped += 1

    def flush(self) -> None:
        """Send all queued messages as one frame."""
        if not self._queue:
            return
        queue, self._queue = self._queue, []
        protocol = self._protocol
        if protocol is None or not self.connected or protocol.waiting_bytes > self.options.limit:
            self.dropped += len(queue)
            return
        body = encode(PeerMessages(queue))
        if len(body) > MAX_PEER_FRAME:
            self.dropped += len(queue)
            logger.error("a frame of %d bytes to node %d is over the limit and was dropped", len(body), self.peer)
            return
        protocol.send(body)
        protocol.flush()

    def sweep(self, now: float) -> None:
        """Give up a connection that takes nothing any more; call about once a second. `now`: loop time."""
        protocol = self._protocol
        if protocol is None or protocol.paused_since is None:
            return
        waiting = protocol.waiting_bytes
        if waiting < protocol.least_waiting:
            protocol.least_waiting, protocol.progress_at = waiting, now
        elif now - max(protocol.paused_since, protocol.progress_at) > self.options.patience:
            logger.warning("node %d has taken nothing for %g s: connecting again", self.peer, self.options.patience)
            protocol.abort()

    # ------------------------------------------------------------------------------------------------- dialling

    async def _run(self) -> None:
        pause = self.options.pause_min
        while True:
            if not self.places:  # nobody has said yet where it is
                await self._wait(self.options.pause_max)
                continue
            self.host, self.port = self.places[0]
            protocol = self._make()
            tls = self.options.tls
            layer = None if tls is None else TlsLayer(lambda protocol=protocol: protocol, tls.dial)  # type: ignore[misc]  # binds now
            self._protocol = protocol
            try:
                async with asyncio.timeout(self.options.connect):
                    loop = asyncio.get_running_loop()
                    made = layer or protocol
                    await loop.create_connection(lambda made=made: made, self.host, self.port)  # type: ignore[misc]  # binds now
                    await protocol.greeted
                pause = self.options.pause_min
                self.connects += 1
                self._said.clear()
                logger.info("connected to node %d at %s:%d", self.peer, self.host, self.port)
                self.on_change()
                await protocol.lost
                self._trouble("the connection was lost")
            except TimeoutError:
                self._trouble("no answer in time")
                self._next_place()
            except _RefusedError as error:
                pause = self.options.pause_max
                if error.proven is not None:
                    self.on_expelled(error.proven)
                self._trouble(f"it refuses us: {error}", logging.ERROR)
                self._next_place()
            except (OSError, UnicodeError) as error:  # a name that cannot even be asked for is a UnicodeError
                self._trouble(str(error))
                self._next_place()
            finally:
                protocol.abort()
                if layer is not None:
                    layer.abort()
                self._protocol = None
                self._queue.clear()
                self.on_change()
            await self._wait(pause * (0.5 + 0.5 * self.entropy.random()))
            pause = min(2 * pause, self.options.pause_max)

    async def _wait(self, pause: float) -> None:
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), pause)

    def _make(self) -> _Outgoing:
        return _Outgoing(self)

    def _trouble(self, text: str, level: int = logging.WARNING) -> None:
        """Log what keeps us from the peer, each thing once until the link is up again."""
        if text not in self._said and len(self._said) < 16:
            self._said.add(text)
            host = self.host.encode("utf-8", "backslashreplace").decode()  # a log must be writable, whatever the name
            logger.log(level, "no link to node %d at %s:%d: %s", self.peer, host, self.port, text)


class _RefusedError(Exception):
    """The other end does not want us. `proven`: what it said after it had proved to know the secret."""

    def __init__(self, why: str, proven: PeerRefused | None) -> None:
        super().__init__(why)
        self.proven = proven


class _Outgoing(FrameProtocol):
    """One connection of a `PeerLink`."""

    def __init__(self, link: PeerLink) -> None:
        super().__init__(MAX_HANDSHAKE_FRAME)
        self.link = link
        self.proven = False  # the acceptor knows the secret
        self.welcome = False
        self.greeted: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self.least_waiting = 0
        self.progress_at = 0.0
        me = link.me
        nonce = link.entropy.getrandbits(8 * NONCE_BYTES).to_bytes(NONCE_BYTES, "big")
        self.hello = PeerHello(
            PEER_MAGIC,
            PEER_VERSION,
            link.role,
            me.cluster,
            me.node.id,
            me.node.name,
            link.peer,
            nonce,
            me.node.client,
            me.node.http,
            me.peer,
            me.incarnation,
            consensus=me.consensus,
        )

    def on_open(self) -> None:
        if self.link.options.tls is not None:
            problem = not_for(self.transport, self.link.name)
            if problem:
                self._fail(problem)
                return
        self.send(encode(self.hello))
        self.flush()

    def on_frames(self, frames: list[memoryview]) -> None:
        for data in frames:
            try:
                frame = decode_handshake(data)
            except UNREADABLE as error:
                self._fail(f"its answer is not understood: {error}")
                return
            self._greet(frame)

    def _greet(self, frame: Handshake) -> None:
        secret = self.link.me.secret
        if isinstance(frame, PeerRefused):
            self._fail(frame.message, frame if self.proven else None)
        elif isinstance(frame, PeerChallenge) and not self.proven:
            if not proof_holds(frame.proof, secret, "acceptor", self.hello, frame.nonce):
                self._fail("it does not know this cluster's token")
                return
            self.send(encode(PeerProof(prove(secret, "dialler", self.hello, frame.nonce))))
            self.flush()
            self.proven = True
        elif isinstance(frame, PeerWelcome) and self.proven:
            self.welcome = True
            if not self.greeted.done():
                self.greeted.set_result(None)
        else:
            self._fail(f"{type(frame).__name__} does not come here in the handshake")

    def _fail(self, why: str, proven: PeerRefused | None = None) -> None:
        error = _RefusedError(why, proven)
        for future in (self.greeted, self.lost):
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever waits gets it; nobody waiting is no fault
        self.abort()

    def on_bad_stream(self, message: str) -> None:
        self._fail(message)

    def on_writable(self, flag: bool) -> None:
        self.least_waiting, self.progress_at = self.waiting_bytes, self._loop.time()
        if not flag and self.transport is not None:
            self.transport.resume_reading()  # a peer says nothing here but why it leaves

    def on_close(self, error: Exception | None) -> None:
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionError(str(error) if error else "it closed the connection"))
            self.greeted.exception()
        if not self.lost.done():
            self.lost.set_result(None)
