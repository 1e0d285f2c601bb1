"""Frames over a stream: a big-endian u32 length, then that many bytes; many frames per read, one write per loop turn.

A slow reader is met in two steps. Past `high` waiting bytes the connection is *paused*: its owner stops sending what can
wait, and nothing more is read from it, so it cannot ask for more. Past `limit` bytes, or when it stays paused for too
long (the owner looks at `waiting_bytes` and `paused_since`), it is closed.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any, cast

__all__ = [
    "UNREADABLE",
    "FrameProtocol",
    "FrameReader",
    "FrameTooLargeError",
    "explain_garbage",
    "framed",
    "peer_address",
]

UNREADABLE = (ValueError, RecursionError)
"""What decoding may raise for bytes that make no sense: wrong types, wrong text, nested too deep."""

_LENGTH = struct.Struct(">I")
_HTTP = (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"PRI ")


class FrameTooLargeError(ValueError):
    """A length beyond the limit: garbage, or another protocol. `start`: the four bytes that were read as a length."""

    def __init__(self, length: int, limit: int) -> None:
        self.start = _LENGTH.pack(length)
        super().__init__(
            explain_garbage(self.start) or f"a frame of {length} bytes is larger than the limit of {limit}"
        )


def explain_garbage(start: bytes) -> str:
    """A guess at what someone who does not speak our protocol meant, from the first bytes; "" without one."""
    if start[:4] in _HTTP:
        return "this port does not speak HTTP; health and metrics are on the node's HTTP port"
    if start[:2] == b"\x16\x03":
        return "this port does not speak TLS"
    if start[:2] == b"\x15\x03":
        return "the other end speaks TLS only"
    if start[:1] == b"*":
        return "this port does not speak the Redis protocol"
    return ""


def framed(body: bytes) -> bytes:
    """One frame as it stands in the stream."""
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a stream into frames. `limit`: the largest frame, in bytes; may be changed between calls."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._pieces: list[bytes] = []  # of a frame that has not come in full
        self._have = 0
        self._need = 4

    def feed(self, data: bytes) -> list[memoryview]:
        """All frames that are whole now. They are views of immutable bytes. Raises `FrameTooLargeError`."""
        if self._pieces:
            self._pieces.append(data)
            self._have += len(data)
            if self._have < self._need:  # joined only once it is whole: no quadratic copying of a large frame
                return []
            data = b"".join(self._pieces)
            self._pieces = []
        frames: list[memoryview] = []
        view = memoryview(data)
        offset, end = 0, len(data)
        while end - offset >= 4:
            (length,) = _LENGTH.unpack_from(data, offset)
            if length > self.limit:
                raise FrameTooLargeError(length, self.limit)
            if end - offset - 4 < length:
                break
            frames.append(view[offset + 4 : offset + 4 + length])
            offset += 4 + length
        if offset < end:
            rest = data[offset:]
            self._pieces, self._have = [rest], len(rest)
            self._need = 4 if len(rest) < 4 else 4 + _LENGTH.unpack_from(rest)[0]
        return frames

    @property
    def partial(self) -> bool:
        """Whether part of a frame is waiting for the rest."""
        return bool(self._pieces)


def peer_address(transport: asyncio.BaseTransport | None) -> str:
    """Who is at the other end, "host:port"."""
    name: Any = transport.get_extra_info("peername") if transport is not None else None
    if isinstance(name, tuple) and len(name) >= 2:
        return f"[{name[0]}]:{name[1]}" if ":" in str(name[0]) else f"{name[0]}:{name[1]}"
    return str(name or "unknown")


class FrameProtocol(asyncio.Protocol):
    """One connection. Subclasses override the five `on_` methods; none of them may raise.

    `high`: waiting bytes at which it is paused. `paused_since`, `closing_since`: loop times, `None` and 0 when not.
    """

    def __init__(self, max_frame: int, *, high: int = 1024 * 1024) -> None:
        self.reader = FrameReader(max_frame)
        self.high = high
        self.transport: asyncio.Transport | None = None
        self.address = "unknown"
        self.paused_since: float | None = None
        self.closing = False
        self.closing_since = 0.0
        self._held = False
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._loop = asyncio.get_running_loop()

    # ---------------------------------------------------------------------------------------- for subclasses

    def on_open(self) -> None:
        """The connection is there."""

    def on_frames(self, frames: list[memoryview]) -> None:
        """Frames arrived."""

    def on_bad_stream(self, message: str) -> None:
        """The other end does not speak our protocol; nothing more will be read."""

    def on_writable(self, flag: bool) -> None:
        """The other end reads too slowly (False), or has caught up."""

    def on_close(self, error: Exception | None) -> None:
        """The connection is gone."""

    # ------------------------------------------------------------------------------------------------ reading

    def hold(self) -> None:
        """Read nothing more for now, until `resume`; what the other end sends waits in the kernel, and then with it."""
        if not self._held and self.transport is not None and not self.transport.is_closing():
            self._held = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Undo `hold`."""
        if self._held:
            self._held = False
            if self.paused_since is None and self.transport is not None and not self.transport.is_closing():
                self.transport.resume_reading()

    # ------------------------------------------------------------------------------------------------ writing

    def send(self, body: bytes) -> None:
        """Queue one frame; it leaves at `flush`."""
        if self.transport is None or self.closing:
            return
        self._out.append(_LENGTH.pack(len(body)))
        self._out.append(body)
        self._out_bytes += 4 + len(body)

    def flush(self) -> None:
        """Write all queued frames in one go."""
        if not self._out or self.transport is None:
            return
        data = b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        self.transport.write(data)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the other end has not taken yet."""
        return self._out_bytes + (self.transport.get_write_buffer_size() if self.transport is not None else 0)

    def close(self) -> None:
        """Write what is queued, then close."""
        self.flush()
        self.closing_since = self.closing_since or self._loop.time()
        self.closing = True
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close at once and forget what is queued."""
        self.closing = True
        self._out.clear()
        if self.transport is not None:
            self.transport.abort()

    # ------------------------------------------------------------------------------------------------ asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast(asyncio.Transport, transport)
        self.address = peer_address(transport)
        self.transport.set_write_buffer_limits(high=self.high)
        self.on_open()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self.closing:
            return
        try:
            frames = self.reader.feed(data)
        except FrameTooLargeError as error:
            self.on_bad_stream(str(error))
            return
        if frames:
            self.on_frames(frames)

    def pause_writing(self) -> None:
        """Called by the loop."""
        if self.paused_since is None and not self.closing:
            self.paused_since = self._loop.time()
            if self.transport is not None:
                self.transport.pause_reading()
            self.on_writable(False)

    def resume_writing(self) -> None:
        """Called by the loop."""
        if self.paused_since is not None:
            self.paused_since = None
            if self.transport is not None and not self.closing and not self._held:
                self.transport.resume_reading()
            self.on_writable(True)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop."""
        self.transport = None
        self.closing = True
        self._out.clear()
        self.on_close(error)
