"""TLS between a connection and its protocol, for either end, over `ssl.SSLObject`.

asyncio's own layer says nothing to the other end when a handshake fails, and its caller learns it by accident. This one
sends the alert, so that both ends know the reason, and recognises who speaks without TLS.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, cast

from ringleader.client.tls import explain

__all__ = ["HANDSHAKE", "TlsLayer"]

HANDSHAKE = 10.0
"""Seconds that a handshake may take."""
_READ = 256 * 1024
_FIRST_BYTE = 0x16  # of every TLS connection


class TlsLayer(asyncio.Protocol):
    """Speaks TLS for the protocol that `make` makes once the handshake is done; `context` says for which side.

    `outcome(address, why)`: how the handshake ended, "" well. On the side that dialled the protocol is made at once, and told
    of a failure by `connection_lost`. `plain`: what an accepting side says to those who do not speak TLS.
    """

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        *,
        hostname: str | None = None,
        outcome: Callable[[str, str], None] = lambda address, why: None,
        plain: bytes = b"",
    ) -> None:
        self._server = server = context.protocol == ssl.PROTOCOL_TLS_SERVER
        self._make = make
        self._inner = None if server else make()
        self._outcome = outcome
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server, server_hostname=hostname)
        self._transport: asyncio.Transport | None = None
        self._ready = False
        self._over = False
        self._heard = False
        self._timer: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------------------------------ called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._over:  # given up before it began
            self._transport.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE, self._fail, "the TLS handshake took too long")
        self._shake_hands()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        if not self._heard:
            self._heard = True
            if data[0] != _FIRST_BYTE and (self._server or data[0] != 0x15):
                if self._server and self._transport is not None:
                    self._transport.write(self._plain)
                self._fail("the other end does not speak TLS")
                return
        self._incoming.write(data)
        if not self._ready:
            self._shake_hands()
        if self._ready:
            self._read()

    def eof_received(self) -> bool:
        self._incoming.write_eof()
        return False

    def pause_writing(self) -> None:
        if self._ready and self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._ready and self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ready:
            why = str(exc) if exc is not None else "the other end hung up during the TLS handshake"
            self._fail(why)
        elif not self._over:
            self._end(exc)
        self._transport = None

    # ------------------------------------------------------------------------------------------------------ inside

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # the alert
            self._fail(explain(error))
            return
        self._flush()
        if self._timer is not None:
            self._timer.cancel()
        self._ready = True
        assert self._transport is not None
        self._outcome(self._address(), "")
        if self._inner is None:
            self._inner = self._make()
        self._inner.connection_made(_TlsTransport(self, self._transport))

    def _fail(self, why: str) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._outcome(self._address(), why)
        if self._transport is not None:
            self._transport.close()
        if self._inner is not None:
            self._inner.connection_lost(ConnectionError(why))

    def _end(self, error: Exception | None) -> None:
        self._over = True
        if self._transport is not None:
            self._transport.close()
        if self._inner is not None:
            self._inner.connection_lost(error)

    def _address(self) -> str:
        name: Any = self._transport.get_extra_info("peername") if self._transport is not None else None
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name or "unknown")

    def _read(self) -> None:
        parts: list[bytes] = []
        why: str | None = None
        try:
            while True:
                part = self._tls.read(_READ)
                if not part:
                    why = ""
                    break
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            why = ""
        except ssl.SSLError as error:
            why = explain(error)
        self._flush()
        if parts and not self._over and self._inner is not None:
            self._inner.data_received(b"".join(parts))
        if why is not None and not self._over:
            self._end(ConnectionError(why) if why else None)

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and self._transport is not None:
            self._transport.write(data)

    def send(self, data: bytes) -> None:
        """Encrypt and write."""
        if self._over:
            return
        view = memoryview(data)
        try:
            while view:
                view = view[self._tls.write(view) :]
        except ssl.SSLError:  # the other end has closed its side
            return
        self._flush()

    def farewell(self) -> None:
        """Say that nothing more comes."""
        if not self._over:
            try:
                self._tls.unwrap()
            except (ssl.SSLError, ValueError):
                pass
            self._flush()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def give_up(self, why: str) -> None:
        """End a handshake that is not done."""
        self._fail(why)
        self.abort()

    @property
    def certificate(self) -> dict[str, Any]:
        """Of the other end, as `SSLSocket.getpeercert`; empty when it showed none."""
        return cast("dict[str, Any]", self._tls.getpeercert() or {})


class _TlsTransport(asyncio.Transport):
    """What `inner` writes to."""

    def __init__(self, layer: TlsLayer, below: asyncio.Transport) -> None:
        super().__init__()
        self._layer = layer
        self._below = below

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peercert":
            return self._layer.certificate
        return self._below.get_extra_info(name, default)

    def write(self, data: Any) -> None:
        self._layer.send(data)

    def close(self) -> None:
        if not self._below.is_closing():
            self._layer.farewell()
            self._below.close()

    def abort(self) -> None:
        self._below.abort()

    def is_closing(self) -> bool:
        return self._below.is_closing()

    def pause_reading(self) -> None:
        self._below.pause_reading()

    def resume_reading(self) -> None:
        self._below.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._below.get_write_buffer_size()
