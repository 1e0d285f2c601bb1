"""A client of few words for tests: speaks frames over a socket, and can also speak garbage."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import TypeVar

import msgspec

from ringleader.node import NodeConfig
from ringleader.store.commands import Command, Put
from ringleader.wire.frames import (
    MAGIC,
    PROTOCOL_VERSION,
    ClientFrame,
    Hello,
    Query,
    Refused,
    Results,
    ServerFrame,
    Submit,
    Welcome,
)

T = TypeVar("T")

_decoder: msgspec.msgpack.Decoder[ServerFrame] = msgspec.msgpack.Decoder(ServerFrame)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that gives no sign."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def submit(frame: int, *commands: Command, timeout_ms: int = 60_000) -> Submit:
    """Commands without a session."""
    return Submit(frame, timeout_ms, 0, 0, msgspec.Raw(msgspec.msgpack.encode(list(enumerate(commands, start=1)))))


class WireClient:
    """One connection."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.host, self.port = host, int(port)
        self.frame = 0

    async def open(self, hello: bool = True) -> WireClient:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        if hello:
            self.send(Hello(MAGIC, PROTOCOL_VERSION))
            self.welcome = await self.receive(Welcome)
        return self

    def raw(self, data: bytes) -> None:
        self.writer.write(data)

    def send(self, frame: ClientFrame) -> None:
        body = msgspec.msgpack.encode(frame)
        self.raw(struct.pack(">I", len(body)) + body)

    async def next(self) -> ServerFrame:
        async with asyncio.timeout(60):
            (length,) = struct.unpack(">I", await self.reader.readexactly(4))
            return _decoder.decode(await self.reader.readexactly(length))

    async def receive(self, kind: type[T]) -> T:
        """The next frame of that kind; others are passed over."""
        while True:
            frame = await self.next()
            if isinstance(frame, kind):
                return frame

    async def answer(self) -> Results | Refused:
        """The next answer to a call; other frames are passed over."""
        while True:
            frame = await self.next()
            if isinstance(frame, Results | Refused):
                return frame

    def stop_reading(self) -> None:
        """Take nothing more out of the connection."""
        transport = self.writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()

    async def put(self, key: bytes, value: bytes, timeout_ms: int = 60_000) -> Results | Refused:
        self.frame += 1
        self.send(submit(self.frame, Put(key, value), timeout_ms=timeout_ms))
        return await self.answer()

    async def query(self, query: Query) -> Results | Refused:
        self.send(query)
        return await self.answer()

    async def at_end(self) -> bool:
        """Whether the node has closed the connection, and nothing more came."""
        async with asyncio.timeout(60):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass


def single(folder: object, **change: object) -> NodeConfig:
    """A node of its own on free ports."""
    fields: dict[str, object] = {"listen_client": "127.0.0.1:0", "http": "", "data_dir": str(folder)}
    return msgspec.convert({**fields, **change}, NodeConfig)
