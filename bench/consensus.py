"""Raft beside Paxos: puts of three nodes, and how five nodes bear slow followers, also with a phase-2 quorum of two.

    python -m bench consensus

Same client, same store, same log; only the protocol differs. Rounds alternate, the median is told. A slow follower is a
process that is stopped (SIGSTOP) for most of the time, in slices: it answers late, as one with a bad disk or network does.
One client, one call at a time, at the leader, so that what is told is the latency of one decision.
"""

from __future__ import annotations

import contextlib
import json
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tools.chaos import find_leader

from bench.cluster import RingleaderCluster
from bench.kv import ROUNDS, SECONDS, SHAPES, Row, ours

__all__ = ["main"]

PAXOS = ["--consensus", "paxos"]
ENGINES: dict[str, list[str]] = {"Raft": [], "Paxos": PAXOS}
FIVE: dict[str, list[str]] = {
    "Raft": [],
    "Paxos, majorities": PAXOS,
    "Paxos, phase-2 quorum 2": [*PAXOS, "--phase2-quorum", "2"],
}
SLOW = (0, 1, 2, 3)
"""Numbers of slow followers, of four."""
STOPPED, RUNS = 0.030, 0.010
"""Seconds for which a slow follower stands still, and then runs."""


def main() -> None:
    """Measure and print; figures go to .bench/consensus.json."""
    puts: dict[str, dict[str, Row]] = {}
    for name, processes, connections, callers in SHAPES:
        rows: dict[str, list[Row]] = {engine: [] for engine in ENGINES}
        for _ in range(ROUNDS):
            for engine, extra in ENGINES.items():
                with RingleaderCluster(extra=extra) as cluster:
                    cluster.wait_ready()
                    rows[engine].append(ours(cluster, processes, connections, callers, read=False))
        middle = {
            engine: {key: statistics.median(r[key] for r in found) for key in found[0]}
            for engine, found in rows.items()
        }
        puts[name] = middle
        _print(name, middle)
    slow = {engine: [_with_slow(extra, count) for count in SLOW] for engine, extra in FIVE.items()}
    print(f"five nodes, one caller: p50 / p99 ms of a put with {', '.join(map(str, SLOW))} slow followers")
    for engine, cells in slow.items():
        print(f"  {engine:24}" + "".join(f"  {p50:7.2f} / {p99:7.2f}" for p50, p99 in cells))
    Path(".bench").mkdir(exist_ok=True)
    Path(".bench/consensus.json").write_text(json.dumps({"puts": puts, "slow followers": slow}, indent=1))


def _print(name: str, row: dict[str, Row]) -> None:
    print(f"put, {name}")
    for engine, figures in row.items():
        ratio = "" if engine == "Raft" else f"  {figures['rps'] / row['Raft']['rps']:.2f}x of Raft's"
        print(
            f"  {engine:6} {figures['rps']:9,.0f}/s  p50 {figures['p50']:7.2f} ms  p99 {figures['p99']:7.2f} ms"
            f"  server {figures['server_us']:6.1f} us/op  errors {figures['err']:.0f}{ratio}",
            flush=True,
        )


def _with_slow(extra: list[str], count: int) -> tuple[float, float]:
    """The median over the rounds of p50 and p99, in milliseconds, with so many slow followers."""
    found: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        with RingleaderCluster(5, extra=extra) as cluster:
            cluster.wait_ready()
            leader = _leader(cluster)
            followers = [name for name in cluster.clients if name != leader]
            with slowed([cluster.processes[name] for name in followers[:count]]):
                told = _load(cluster.clients[leader])
            found.append((told["p50"], told["p99"]))
    return statistics.median(p50 for p50, _ in found), statistics.median(p99 for _, p99 in found)


def _leader(cluster: RingleaderCluster) -> str:
    end = time.monotonic() + 30.0
    while (name := find_leader(cluster)) is None:
        if time.monotonic() > end:
            raise RuntimeError("the cluster has no leader")
        time.sleep(0.05)
    return name


def _load(address: str) -> Row:
    command = [sys.executable, "-m", "bench.load", "--endpoints", address, "--seconds", str(SECONDS)]
    done = subprocess.run([*command, "--connections", "1", "--callers", "1"], stdout=subprocess.PIPE, check=True)
    row: Row = json.loads(done.stdout)
    return row


@contextlib.contextmanager
def slowed(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Meanwhile these processes stand still most of the time."""
    stop = threading.Event()

    def slices() -> None:
        while not stop.is_set():
            _signal(processes, signal.SIGSTOP)
            stop.wait(STOPPED)
            _signal(processes, signal.SIGCONT)
            stop.wait(RUNS)

    thread = threading.Thread(target=slices)
    if processes:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if processes:
            thread.join()


def _signal(processes: list[subprocess.Popen[bytes]], number: int) -> None:
    for process in processes:
        process.send_signal(number)


if __name__ == "__main__":
    main()
