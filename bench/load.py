"""One client process that puts load on our cluster for some seconds and prints what it saw as one JSON object.

    python -m bench.load --endpoints HOST:PORT,... --connections 16 --callers 1 --seconds 3 [--get]

`connections` clients, each with `callers` calls outstanding all the time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

import ringleader
from ringleader.errors import RingleaderError


async def load(
    endpoints: str, connections: int, callers: int, seconds: float, size: int, read: bool
) -> dict[str, float]:
    """Runs the load; returns rps, p50 and p99 (ms), err and the process's CPU seconds per call in microseconds."""
    clients = [ringleader.connect(endpoints) for _ in range(connections)]
    for client in clients:
        await client.kv.put("warm", b"x")
    took: list[float] = []
    errors = 0
    value = b"x" * size
    end = time.perf_counter() + seconds
    cpu = time.process_time()
    start = time.perf_counter()

    async def call(caller: int, client: ringleader.Client) -> None:
        nonlocal errors
        number = 0
        while True:
            key = b"key-%05d-%08d" % (caller, number % 1000)
            number += 1
            begin = time.perf_counter()
            if begin >= end:
                return
            try:
                if read:
                    await client.kv.get(key)
                else:
                    await client.kv.put(key, value)
            except RingleaderError:
                errors += 1
            took.append(time.perf_counter() - begin)

    await asyncio.gather(*(call(i, clients[i % connections]) for i in range(connections * callers)))
    elapsed = time.perf_counter() - start
    cpu = time.process_time() - cpu
    for client in clients:
        await client.close()
    took.sort()
    n = len(took)
    return {
        "rps": n / elapsed,
        "p50": took[n // 2] * 1e3,
        "p99": took[n * 99 // 100] * 1e3,
        "err": errors,
        "client_us": cpu / n * 1e6,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoints", required=True)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--callers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--get", action="store_true")
    a = parser.parse_args()
    try:
        import uvloop
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    print(json.dumps(run(load(a.endpoints, a.connections, a.callers, a.seconds, a.size, a.get))))


if __name__ == "__main__":
    main()
