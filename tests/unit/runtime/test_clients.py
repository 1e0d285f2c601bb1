"""A flood of requests is read in portions, so that the loop comes round to everything else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import time

import msgspec

from ringleader.runtime.clients import ClientDoor
from ringleader.runtime.complaints import Complaints
from ringleader.wire.frames import MAGIC, PROTOCOL_VERSION, ClientFrame, Hello, Ping

FLOOD = 4000


class Handler:
    """Counts the frames of each round of the loop."""

    def __init__(self) -> None:
        self.frames = 0
        self.bytes_in_round = 0
        self.most_in_round = 0
        self.fresh = True

    def client_opened(self, conn: int, identity: str = "") -> None:
        pass

    def client_closed(self, conn: int) -> None:
        pass

    def client_writable(self, conn: int, flag: bool) -> None:
        pass

    def client_frame(self, conn: int, frame: ClientFrame) -> None:
        if self.fresh:
            self.fresh = False
            asyncio.get_running_loop().call_soon(self.round_over)
        self.frames += 1
        self.bytes_in_round += 1
        self.most_in_round = max(self.most_in_round, self.bytes_in_round)

    def round_over(self) -> None:
        self.fresh, self.bytes_in_round = True, 0


def framed(frame: ClientFrame) -> bytes:
    body = msgspec.msgpack.encode(frame)
    return struct.pack(">I", len(body)) + body


async def flood(intake: int) -> Handler:
    handler = Handler()
    complaints = Complaints(logging.getLogger("test"), time.monotonic)
    door = ClientDoor(handler, complaints, intake=intake)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(door.factory, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(4)]
    for writer in writers:
        writer.write(framed(Hello(MAGIC, PROTOCOL_VERSION)) + framed(Ping(1)) * FLOOD)
    async with asyncio.timeout(60):
        while handler.frames < len(writers) * (FLOOD + 1):
            await asyncio.sleep(0)
    for writer in writers:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    door.abort_all()
    server.close()
    await asyncio.sleep(0.01)
    return handler


async def test_everything_is_read_but_not_at_once() -> None:
    handler = await flood(1)
    assert handler.frames == 4 * (FLOOD + 1), "nothing is lost by waiting"


async def test_the_others_wait_for_the_next_round() -> None:
    whole = await flood(1 << 30)
    portions = await flood(1)
    assert portions.most_in_round <= whole.most_in_round
    assert portions.frames == whole.frames
