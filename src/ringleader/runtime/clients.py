"""The door for clients: each connection decodes its frames for the node and carries the node's answers back."""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from ringleader.errors import Reason
from ringleader.runtime.complaints import Complaints
from ringleader.runtime.framing import UNREADABLE, FrameProtocol, framed
from ringleader.runtime.tls import common_name
from ringleader.wire.frames import MAX_FRAME, ClientFrame, Hello, Refused, Results, ServerFrame, Welcome

__all__ = ["ClientConnection", "ClientDoor", "ClientHandler"]

MAX_STRANGER_FRAME = 4096
"""The largest frame of a client that is not welcome yet, in bytes."""
CLOSING = 5.0
"""Seconds that a connection may take to read what was queued before it was closed."""

_decoder = msgspec.msgpack.Decoder(ClientFrame)
_encoder = msgspec.msgpack.Encoder()


TLS_ONLY = framed(_encoder.encode(Refused(0, Reason.PROTOCOL, "this port speaks TLS only", hint="Give ca=...")))
"""What those are told who speak without."""


class ClientHandler(Protocol):
    """What the node is told. Connections are numbered from 1 and never reused."""

    def client_opened(self, conn: int, identity: str = "") -> None: ...

    def client_frame(self, conn: int, frame: ClientFrame) -> None: ...

    def client_closed(self, conn: int) -> None: ...

    def client_writable(self, conn: int, flag: bool) -> None: ...


class ClientDoor:
    """All client connections of a node. Times in seconds, sizes in bytes.

    `greeting`: a connection that has not said `Hello` by then, or has not logged in as long after it, is closed.
    `patience`: as is one that has read nothing for so long while answers wait. `limit`: as is one with more than so many
    bytes of answers waiting. With `max_connections` the one that has waited longest to be welcome gives way to a new one.
    `intake`: bytes read from all clients in one round of the loop; whoever sends more waits for the next one, so that a
    flood of requests never keeps the node from its peers, its disk and its clock.
    """

    def __init__(
        self,
        handler: ClientHandler,
        complaints: Complaints,
        *,
        max_connections: int = 10_000,
        greeting: float = 10.0,
        patience: float = 30.0,
        limit: int = 64 * 1024 * 1024,
        intake: int = 1024 * 1024,
    ) -> None:
        self.handler = handler
        self.complaints = complaints
        self.max_connections = max_connections
        self.greeting = greeting
        self.patience = patience
        self.limit = limit
        self.intake = intake
        self.connections: dict[int, ClientConnection] = {}
        self.refused = 0
        self._next = 1
        self._dirty: dict[int, ClientConnection] = {}
        self._strangers: dict[int, ClientConnection] = {}  # not welcome yet, oldest first
        self._closing: set[ClientConnection] = set()
        self._taken_in = 0
        self._held: list[ClientConnection] = []

    def new_number(self) -> int:
        """A connection number; also for links that are no sockets."""
        number = self._next
        self._next += 1
        return number

    def factory(self) -> ClientConnection:
        """For `loop.create_server`."""
        return ClientConnection(self)

    def send(self, conn: int, frame: ServerFrame) -> bool:
        """Queue a frame; False when there is no such connection (any more)."""
        connection = self.connections.get(conn)
        if connection is None:
            return False
        data = _encoder.encode(frame)
        if len(data) > MAX_FRAME and isinstance(frame, Results):
            text = f"done, but the answer of {len(data)} bytes does not fit into a frame of {MAX_FRAME}"
            data = _encoder.encode(Refused(frame.frame, Reason.TOO_LARGE, text, unknown=True))
        if type(frame) is Welcome:
            connection.reader.limit = MAX_FRAME
            self._strangers.pop(conn, None)
        connection.send(data)
        self._dirty[conn] = connection
        return True

    def flush(self) -> None:
        """Write what was queued since the last call, one write per connection."""
        if not self._dirty:
            return
        dirty, self._dirty = self._dirty, {}
        for connection in dirty.values():
            connection.flush()
            if connection.waiting_bytes > self.limit:
                connection.drop(f"has left {connection.waiting_bytes} bytes of answers unread")

    def took_in(self, connection: ClientConnection, size: int) -> None:
        """The connection has delivered so many bytes in this round of the loop."""
        if not self._taken_in:
            # After the node's turn, which is planned in the same way and earlier.
            asyncio.get_running_loop().call_soon(self._renew)
        self._taken_in += size
        if self._taken_in > self.intake:
            connection.hold()
            self._held.append(connection)

    def _renew(self) -> None:
        """The round is over: everyone may send again."""
        self._taken_in = 0
        if self._held:
            held, self._held = self._held, []
            for connection in held:
                connection.resume()

    def complain(self, conn: int, reason: Reason, message: str) -> None:
        """The node itself has told this connection why it ends."""
        connection = self.connections.get(conn)
        if connection is not None:
            self.refused += 1
            self.complaints.say(connection.address, reason, message)

    def close(self, conn: int) -> None:
        """Close a connection after what is queued."""
        connection = self.connections.get(conn)
        if connection is not None:
            connection.close()

    def sweep(self, now: float) -> None:
        """Close those who are too slow to greet or to read; call about once a second. `now`: loop time."""
        for connection in list(self._strangers.values()):
            if connection.closing:
                continue
            if now - connection.opened_at < self.greeting:
                break  # oldest first
            what = "the login was not finished" if connection.said_hello else "no greeting came"
            connection.refuse(Reason.PROTOCOL, f"{what} within {self.greeting:g} s")
        for connection in list(self._closing):
            if connection.transport is None or now - connection.closing_since > CLOSING:
                self._closing.discard(connection)
                connection.abort()  # it does not even read its farewell
        for connection in list(self.connections.values()):
            if connection.paused_since is not None and now - connection.paused_since > self.patience:
                connection.drop(f"has read nothing for {self.patience:g} s")

    def close_all(self, message: str) -> None:
        """Tell everyone that the node stops, and close."""
        farewell = _encoder.encode(Refused(0, Reason.STOPPING, message, unknown=True))
        for connection in list(self.connections.values()):
            connection.send(farewell)
            connection.close()

    def abort_all(self) -> None:
        """Close at once; for those who did not read the farewell."""
        for connection in {*self.connections.values(), *self._closing}:
            connection.abort()


class ClientConnection(FrameProtocol):
    """One client. Frames that cannot be read end it with a reason."""

    def __init__(self, door: ClientDoor) -> None:
        super().__init__(MAX_STRANGER_FRAME)
        self.door = door
        self.number = 0
        self.opened_at = self._loop.time()
        self.said_hello = False

    def on_open(self) -> None:
        """Take it in, or say that the node is full."""
        door = self.door
        if len(door.connections) >= door.max_connections:
            full = f"this node serves its limit of {door.max_connections} connections"
            if not door._strangers:
                self.refuse(Reason.OVERLOADED, full)
                return
            oldest = door._strangers.pop(next(iter(door._strangers)))
            oldest.refuse(Reason.OVERLOADED, f"{full}, and another one came before the login was finished")
        self.number = door.new_number()
        door.connections[self.number] = self
        door._strangers[self.number] = self
        certificate = self.transport.get_extra_info("peercert") if self.transport is not None else None
        door.handler.client_opened(self.number, common_name(certificate) if certificate else "")

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        super().data_received(data)
        self.door.took_in(self, len(data))

    def on_frames(self, frames: list[memoryview]) -> None:
        """Decode and hand on."""
        handler, number = self.door.handler, self.number
        for data in frames:
            try:
                frame = _decoder.decode(data)
            except UNREADABLE as error:
                self.refuse(Reason.PROTOCOL, f"a frame of {len(data)} bytes is not understood: {error}")
                return
            if not self.said_hello:
                if not isinstance(frame, Hello):
                    self.refuse(Reason.PROTOCOL, f"the first frame must be Hello, not {type(frame).__name__}")
                    return
                self.said_hello = True
                self.opened_at = self._loop.time()  # the login has its own time
                self.door._strangers[number] = self.door._strangers.pop(number)
            handler.client_frame(number, frame)
            if self.closing:
                return

    def on_bad_stream(self, message: str) -> None:
        """Not our protocol."""
        self.refuse(Reason.PROTOCOL, message)

    def on_writable(self, flag: bool) -> None:
        """Pass it on."""
        if self.number:
            self.door.handler.client_writable(self.number, flag)

    def on_close(self, error: Exception | None) -> None:
        """Forget it."""
        self.door._closing.discard(self)
        if self.number and self.door.connections.pop(self.number, None) is not None:
            self.door._strangers.pop(self.number, None)
            self.door._dirty.pop(self.number, None)
            if self.reader.partial and error is None:
                self.door.complaints.say(self.address, "cut", "the connection ended in the middle of a frame")
            self.door.handler.client_closed(self.number)

    def close(self) -> None:
        """Write what is queued, then close; `sweep` sees to it that this ends."""
        self.door._closing.add(self)
        super().close()

    def refuse(self, reason: Reason, message: str) -> None:
        """Say why, log it once, close."""
        self.door.refused += 1
        self.door.complaints.say(self.address, reason, message)
        # Answers to earlier frames were queued before this one: they are written first.
        self.send(_encoder.encode(Refused(0, reason, message, unknown=True)))
        self.close()

    def drop(self, why: str) -> None:
        """Close at once on one who does not read."""
        self.door.refused += 1
        self.door.complaints.say(self.address, "slow", f"closed, because it {why}")
        self.abort()
