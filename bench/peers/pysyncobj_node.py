"""One of three PySyncObj nodes: says when there is a leader; the leader then puts for some seconds and prints its figures."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from pysyncobj.batteries import ReplDict

from pysyncobj import SyncObj, SyncObjConf


def main() -> None:
    """argv: ports, own place, window, seconds."""
    ports = [int(port) for port in sys.argv[1].split(",")]
    place, window, seconds = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    addresses = [f"127.0.0.1:{port}" for port in ports]
    data = ReplDict()
    conf = SyncObjConf(autoTickPeriod=0.0005, appendEntriesPeriod=0.002, commandsQueueSize=1_000_000)
    others = [address for address in addresses if address != addresses[place]]
    node = SyncObj(addresses[place], others, consumers=[data], conf=conf)
    while not node.isReady() or node._getLeader() is None:
        time.sleep(0.01)
    time.sleep(0.5)
    print("ready", flush=True)
    if str(node._getLeader()) == addresses[place]:
        print(json.dumps(put(data, window, seconds)), flush=True)
    else:
        time.sleep(seconds + 0.5)
        print(flush=True)
    time.sleep(60)


def put(data: Any, window: int, seconds: float) -> dict[str, float]:
    """`window` puts of 256 bytes under way at all times."""
    room = threading.Semaphore(window)
    took: list[float] = []
    failed = 0
    value = "x" * 256
    begin = time.perf_counter()
    number = 0

    def done_at(start: float) -> Any:
        def done(_: Any, error: Any) -> None:
            nonlocal failed
            took.append(time.perf_counter() - start)
            failed += bool(error)
            room.release()

        return done

    while time.perf_counter() - begin < seconds:
        room.acquire()
        number += 1
        data.set(f"key-{number % 1000}", value, callback=done_at(time.perf_counter()))
    for _ in range(window):
        room.acquire()
    took.sort()
    n = len(took)
    return {
        "rps": n / (time.perf_counter() - begin),
        "p50": took[n // 2] * 1e3,
        "p99": took[n * 99 // 100] * 1e3,
        "err": float(failed),
    }


if __name__ == "__main__":
    main()
