"""A node for the asyncio client: the scripted cluster behind a real socket, or behind a dialer in the same process."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence

import msgspec

from ringleader.client.transport import Listener, Transport
from ringleader.store.watch import Watcher
from ringleader.wire.frames import ClientFrame, NodeInfo, ServerFrame
from unit.client.fakes import FakeCluster

DECODER = msgspec.msgpack.Decoder(ClientFrame)


def pack(frame: ServerFrame) -> bytes:
    data = msgspec.msgpack.encode(frame)
    return struct.pack(">I", len(data)) + data


class FakeServer:
    """One node on a port of this machine. `mute`: frames of these types are taken and never answered."""

    def __init__(self, cluster: FakeCluster, node: int) -> None:
        self.cluster = cluster
        self.node = node
        self.mute: tuple[type, ...] = ()
        self.frames: list[ClientFrame] = []
        self.news = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.address = ""
        self.server: asyncio.Server | None = None

    async def __aenter__(self) -> FakeServer:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self.server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        self.cluster.infos = [
            NodeInfo(info.id, info.name, self.address) if info.id == self.node else info for info in self.cluster.infos
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.drop()
        assert self.server is not None
        self.server.close()
        await self.server.wait_closed()

    async def has_seen(self, wanted: Callable[[ClientFrame], bool]) -> None:
        """Wait until such a frame has come."""
        async with asyncio.timeout(60):
            while not any(map(wanted, self.frames)):
                self.news.clear()
                await self.news.wait()

    @property
    def connections(self) -> int:
        """How many there are."""
        return sum(not writer.is_closing() for writer in self.writers)

    def drop(self) -> None:
        """Cut all connections."""
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        watches: dict[int, Watcher] = {}
        try:
            while True:
                (length,) = struct.unpack(">I", await reader.readexactly(4))
                frame = DECODER.decode(await reader.readexactly(length))
                self.frames.append(frame)
                self.news.set()
                answers = self.cluster.serve(self.node, frame, watches)
                if not isinstance(frame, self.mute):
                    writer.write(b"".join(map(pack, answers + self.cluster.poll(watches))))
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()


class DirectDialer:
    """The same without bytes: what remains is the cost of the client."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster

    def dial(self, link: int, address: str, listener: Listener) -> Transport:
        return DirectLink(self.cluster, link, listener)


class DirectLink:
    """A link to node 1."""

    def __init__(self, cluster: FakeCluster, link: int, listener: Listener) -> None:
        self.cluster = cluster
        self.link = link
        self.listener = listener
        self.watches: dict[int, Watcher] = {}
        self.closed = False
        asyncio.get_running_loop().call_soon(listener.link_connected, link)

    def send(self, frames: Sequence[ClientFrame]) -> None:
        asyncio.get_running_loop().call_soon(self._answer, list(frames))

    def _answer(self, frames: list[ClientFrame]) -> None:
        answers = [answer for frame in frames for answer in self.cluster.serve(1, frame, self.watches)]
        if not self.closed:
            self.listener.link_received(self.link, answers + self.cluster.poll(self.watches))

    def close(self) -> None:
        self.closed = True
