"""One process that holds many connections, watches or leases open until its standard input ends.

    python -m bench.hold --endpoints HOST:PORT,... --connections 10000 | --watches 10000 | --leases 100000

Prints "ready" and the seconds that it took. Connections say hello and are then silent, all to the first endpoint. Watches
are over ten clients, each watch on a key of its own. Leases live for an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import struct
import sys
import time

import msgspec

import ringleader
from ringleader.node.config import parse_address
from ringleader.wire.frames import MAGIC, PROTOCOL_VERSION, Hello

__all__ = ["main"]

CLIENTS = 10
AT_ONCE = 200
BATCH = 1000


async def connections(endpoints: str, count: int) -> list[asyncio.StreamWriter]:
    """So many connections that have said hello."""
    host, port = parse_address(endpoints.split(",")[0])
    body = msgspec.msgpack.encode(Hello(MAGIC, PROTOCOL_VERSION))
    hello = struct.pack(">I", len(body)) + body
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> asyncio.StreamWriter:
        async with gate:
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(hello)
            (length,) = struct.unpack(">I", await reader.readexactly(4))
            await reader.readexactly(length)
            return writer

    return await asyncio.gather(*(one() for _ in range(count)))


async def watches(clients: list[ringleader.Client], count: int) -> list[object]:
    """So many watches, confirmed."""
    streams = [clients[number % len(clients)].kv.watch(f"watched-{number}") for number in range(count)]
    for start in range(0, count, BATCH):
        await asyncio.gather(*(stream.ready() for stream in streams[start : start + BATCH]))
    return list(streams)


async def leases(clients: list[ringleader.Client], count: int) -> list[object]:
    """So many leases."""
    found: list[object] = []
    for start in range(0, count, BATCH):
        wanted = range(start, min(start + BATCH, count))
        found += await asyncio.gather(*(clients[each % len(clients)].leases.grant(3600.0) for each in wanted))
    return found


async def hold(endpoints: str, what: str, count: int) -> None:
    """Make them, say so, and wait."""
    begun = time.perf_counter()
    async with contextlib.AsyncExitStack() as stack:
        held: object
        if what == "connections":
            held = await connections(endpoints, count)
        else:
            clients = [await stack.enter_async_context(ringleader.connect(endpoints)) for _ in range(CLIENTS)]
            held = await (watches if what == "watches" else leases)(clients, count)
        print(f"ready {time.perf_counter() - begun:.2f}", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        del held


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoints", required=True)
    group = parser.add_mutually_exclusive_group(required=True)
    for what in ("connections", "watches", "leases"):
        group.add_argument(f"--{what}", type=int)
    a = vars(parser.parse_args())
    what = next(each for each in ("connections", "watches", "leases") if a[each])
    asyncio.run(hold(a["endpoints"], what, a[what]))


if __name__ == "__main__":
    main()
