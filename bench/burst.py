"""A burst of ten times what the cluster can take: how long the accepted writes took, and how the others were refused.

Clients of their own kind write frames of 50 puts of 256 bytes, encoded beforehand, straight to the leader's socket, so that one
process can offer far more than three nodes take. First the capacity: every connection keeps a few frames outstanding. Then the
same connections offer ten times as much for some seconds, without waiting for answers. Latency is from handing a frame to the
socket to its answer, so it contains the time in the kernel's buffers.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from tools.chaos import find_leader

from bench.cluster import RingleaderCluster
from ringleader.node.config import parse_address
from ringleader.store.commands import Put
from ringleader.wire.frames import MAGIC, PROTOCOL_VERSION, Hello, Refused, Results, ServerFrame, Submit, Welcome

__all__ = ["main"]

CONNECTIONS = 32
PUTS = 50
OUTSTANDING = 2
SECONDS = 4.0
TIMES = 10

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[ServerFrame] = msgspec.msgpack.Decoder(ServerFrame)


class Connection(asyncio.Protocol):
    """One connection: sends prepared frames, notes how and when each was answered."""

    def __init__(self, number: int) -> None:
        puts = [(0, Put(b"burst-%d-%d" % (number, each), b"x" * 256)) for each in range(PUTS)]
        self.commands = msgspec.Raw(_encode(puts))
        self.sent: dict[int, float] = {}
        self.took: list[float] = []
        self.refused: list[float] = []
        self.reasons: Counter[str] = Counter()
        self.number = 0
        self.refill = 0  # so many frames are kept outstanding
        self.welcome: asyncio.Future[Welcome] = asyncio.get_running_loop().create_future()
        self.paused = False
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        # What waits on the client's own side is the client's affair.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 128 * 1024)
        self._write(_encode(Hello(MAGIC, PROTOCOL_VERSION)))

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False

    def _write(self, body: bytes) -> None:
        self.transport.write(struct.pack(">I", len(body)) + body)

    def submit(self) -> None:
        """Send one frame."""
        self.number += 1
        self.sent[self.number] = time.perf_counter()
        self._write(_encode(Submit(self.number, 60_000, 0, 0, self.commands)))

    def data_received(self, data: bytes) -> None:
        data = self._waiting + data
        place = 0
        while len(data) - place >= 4:
            (length,) = struct.unpack_from(">I", data, place)
            if len(data) - place - 4 < length:
                break
            self._take(_decoder.decode(data[place + 4 : place + 4 + length]))
            place += 4 + length
        self._waiting = data[place:]

    def _take(self, frame: ServerFrame) -> None:
        match frame:
            case Welcome():
                self.welcome.set_result(frame)
            case Results(number):
                self.took.append(time.perf_counter() - self.sent.pop(number))
            case Refused(number, reason):
                self.refused.append(time.perf_counter() - self.sent.pop(number))
                self.reasons[reason.value] += 1
            case _:
                return
        while self.refill and len(self.sent) < self.refill:
            self.submit()

    def reset(self) -> None:
        """Forget what was measured."""
        self.took, self.refused, self.reasons = [], [], Counter()


async def run(address: str) -> dict[str, Any]:
    """Capacity, then the burst."""
    loop = asyncio.get_running_loop()
    connections = []
    for number in range(CONNECTIONS):
        _, connection = await loop.create_connection(partial(Connection, number), *parse_address(address))
        await connection.welcome
        connections.append(connection)
    begun = time.perf_counter()
    for connection in connections:
        connection.refill = OUTSTANDING
        connection.submit()
    await asyncio.sleep(SECONDS)
    capacity = sum(len(connection.took) for connection in connections) * PUTS / (time.perf_counter() - begun)
    for connection in connections:
        connection.refill = 0
    await _drain(connections)
    quiet = _percentiles([each for connection in connections for each in connection.took])
    for connection in connections:
        connection.reset()
    offered, seconds = await _burst(connections, capacity * TIMES / PUTS)
    await _drain(connections)
    took = [each for connection in connections for each in connection.took]
    refused = [each for connection in connections for each in connection.refused]
    for connection in connections:
        connection.transport.close()
    return {
        "capacity, puts/s": round(capacity),
        "at capacity, s": quiet,
        "offered, puts/s": round(offered * PUTS / seconds),
        "accepted, puts/s": round(len(took) * PUTS / seconds),
        "accepted, s": _percentiles(took),
        "refused, puts/s": round(len(refused) * PUTS / seconds),
        "refused, s": _percentiles(refused),
        "reasons": dict(sum((connection.reasons for connection in connections), Counter())),
    }


async def _burst(connections: list[Connection], rate: float) -> tuple[int, float]:
    """Offer `rate` frames a second; what a full socket does not take is not offered. Returns the number and the time."""
    begun = time.perf_counter()
    offered = due = 0
    while (passed := time.perf_counter() - begun) < SECONDS:
        due = int(rate * passed)
        takers = [connection for connection in connections if not connection.paused]
        for place in range(min(due - offered, 200) if takers else 0):
            takers[place % len(takers)].submit()
            offered += 1
        await asyncio.sleep(0)
    return offered, time.perf_counter() - begun


async def _drain(connections: list[Connection]) -> None:
    while any(connection.sent for connection in connections):
        await asyncio.sleep(0.01)


def _percentiles(took: list[float]) -> dict[str, float]:
    took = sorted(took) or [0.0]
    return {
        "p50": round(took[len(took) // 2], 4),
        "p99": round(took[len(took) * 99 // 100], 4),
        "max": round(took[-1], 4),
    }


def main() -> None:
    """Measure and print; figures go to .bench/burst.json."""
    with RingleaderCluster() as cluster:
        cluster.wait_ready()
        leader = find_leader(cluster)
        assert leader is not None
        result = asyncio.run(run(cluster.clients[leader]))
    print(json.dumps(result, indent=1))
    Path(".bench").mkdir(exist_ok=True)
    Path(".bench/burst.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
