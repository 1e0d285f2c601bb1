"""How frames get to a node and back: a tiny interface, and TCP behind it (u32 big-endian length, then msgpack).

Many frames may come in one `data_received`, and all frames of one turn leave in one write.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import Sequence
from typing import Protocol, cast

import msgspec

from ringleader.client.addresses import is_ip, split_address
from ringleader.client.tls import ClientTls
from ringleader.client.tlslayer import TlsLayer
from ringleader.wire.frames import MAX_FRAME, ClientFrame, ServerFrame

__all__ = ["Dialer", "Listener", "TcpDialer", "Transport"]

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[ServerFrame] = msgspec.msgpack.Decoder(ServerFrame)
_LENGTH = struct.Struct(">I")


class Listener(Protocol):
    """Who hears of a connection. After `link_closed` nothing more is said of that link."""

    def link_connected(self, link: int) -> None:
        """The connection is made."""
        ...

    def link_received(self, link: int, frames: Sequence[ServerFrame]) -> None:
        """Frames came, in order."""
        ...

    def link_closed(self, link: int, why: str) -> None:
        """The connection is gone, or could not be made."""
        ...


class Transport(Protocol):
    """One connection, made or in the making."""

    def send(self, frames: Sequence[ClientFrame]) -> None:
        """Send frames in order; never blocks. Ignored once closed."""
        ...

    def close(self) -> None:
        """Close after what was sent has left. The listener is not told."""
        ...


class Dialer(Protocol):
    """A way to connect to addresses of one kind."""

    def dial(self, link: int, address: str, listener: Listener) -> Transport:
        """Begin to connect; the outcome is told to `listener` later, never from within this call."""
        ...


class TcpDialer:
    """Connects over TCP; with `tls` over TLS, to nodes that speak nothing else.

    A name is looked up at every connection, since the nodes behind it may have been replaced. Of several addresses each
    connection begins with the next: one that is dead, or of no use, must not stand before the others for ever.
    """

    def __init__(self, tls: ClientTls | None = None) -> None:
        self._tls = tls
        self._dials = 0

    def dial(self, link: int, address: str, listener: Listener) -> Transport:
        """See `Dialer.dial`. `address`: "host:port"."""
        self._dials += 1
        context = self._tls.context() if self._tls is not None else None
        return _TcpTransport(link, address, listener, context, self._dials - 1)


class _TcpTransport(asyncio.Protocol):
    """A connection and its bytes."""

    def __init__(self, link: int, address: str, listener: Listener, tls: ssl.SSLContext | None, turn: int) -> None:
        self._tls = tls
        self._layer: TlsLayer | None = None
        self._link = link
        self._listener: Listener | None = listener
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = self._loop.create_task(self._connect(address, turn))

    async def _connect(self, address: str, turn: int) -> None:
        host, port = split_address(address)
        tls = self._tls
        if tls is not None:
            self._layer = TlsLayer(lambda: self, tls, hostname=host)
        try:
            await self._connect_any(await _look_up(host, port), port, turn)
        except OSError as error:
            # asyncio puts its own words in the place of the system's
            known = isinstance(error.errno, int) and error.errno > 0
            self._end(os.strerror(error.errno) if known and error.errno else str(error))
        finally:
            self._task = None

    async def _connect_any(self, hosts: Sequence[str], port: int, turn: int) -> None:
        """Connect to the first of `hosts` that accepts, beginning with number `turn`. Raises the `OSError` of the last."""
        first = turn % len(hosts)
        order = [*hosts[first:], *hosts[:first]]
        for number, host in enumerate(order, 1):
            try:
                await asyncio.get_running_loop().create_connection(lambda: self._layer or self, host, port)
                return
            except OSError:
                if number == len(order):
                    raise

    def send(self, frames: Sequence[ClientFrame]) -> None:
        """See `Transport.send`."""
        if self._transport is None or self._transport.is_closing():
            return
        parts: list[bytes] = []
        for frame in frames:
            data = _ENCODER.encode(frame)
            parts.append(_LENGTH.pack(len(data)))
            parts.append(data)
        self._transport.write(b"".join(parts))

    def close(self) -> None:
        """See `Transport.close`."""
        self._listener = None
        if self._loop.is_closed():
            self._sever()
            return
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.close()
        elif self._layer is not None:
            self._layer.abort()  # in the middle of its handshake

    def _sever(self) -> None:
        """End the connection without the loop; what the socket itself holds goes with the last who knows of it."""
        transport, self._transport = self._transport, None
        below = transport.get_extra_info("socket") if transport is not None else None
        if below is not None:
            with contextlib.suppress(OSError, TypeError):  # gone already; uvloop's socket can do nothing, and is closed
                below.shutdown(socket.SHUT_RDWR)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop made the connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        if self._listener is None:
            transport.close()
        else:
            self._listener.link_connected(self._link)

    def data_received(self, data: bytes) -> None:
        """Bytes came: decode all whole frames, keep the rest."""
        listener = self._listener
        if listener is None:
            return
        if self._buffer:
            data = self._buffer + data
        view = memoryview(data)
        frames: list[ServerFrame] = []
        at, end = 0, len(data)
        problem = ""
        while end - at >= 4:
            (length,) = _LENGTH.unpack_from(data, at)
            if length > MAX_FRAME:
                problem = f"a frame of {length} bytes came, more than {MAX_FRAME}: is this a Ringleader node?"
                if data[at : at + 2] == b"\x15\x03":  # the alert of a TLS server
                    problem = "this node speaks TLS only"
                break
            if end - at - 4 < length:
                break
            try:
                frames.append(_DECODER.decode(view[at + 4 : at + 4 + length]))
            except (ValueError, RecursionError) as error:  # also text that is no UTF-8
                problem = f"a frame made no sense: {error}; is this a node's port for clients (listen_client)?"
                break
            at += 4 + length
        self._buffer = data[at:] if at < end else b""
        if frames:
            listener.link_received(self._link, frames)
        if problem:
            self._end(problem)

    def connection_lost(self, exc: Exception | None) -> None:
        """The loop lost the connection."""
        self._end(str(exc) if exc is not None else "the connection was closed by the node")

    def _end(self, why: str) -> None:
        listener, self._listener = self._listener, None
        if self._transport is not None:
            self._transport.close()
        if listener is not None:
            listener.link_closed(self._link, why)


async def _look_up(host: str, port: int) -> list[str]:
    """The addresses of `host` now, itself if it is one. Raises `OSError` when there are none."""
    if is_ip(host):
        return [host]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    hosts = [str(info[4][0]) for info in found]
    if not hosts:
        raise OSError(f"the name {host!r} has no address")
    return list(dict.fromkeys(hosts))
