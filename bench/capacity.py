"""What many idle things cost: 10,000 connections, 10,000 watches, 100,000 leases on a three-node cluster.

For each: how long it took to make them, memory per piece, the CPU that the three nodes use while nothing happens, and how long
a put takes, beside the same figures of the empty cluster in the same run. Memory is what the node with the most of it added.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import ringleader
from bench.cluster import RingleaderCluster, cpu_seconds

__all__ = ["main"]

LOADS = [("connections", 10_000), ("watches", 10_000), ("leases", 100_000)]
PUTS = 500
PACE = 0.01
IDLE = 5.0
Row = dict[str, float]


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no memory figure of process {pid}")


async def put_latencies(endpoints: str) -> Row:
    """Of puts at a calm pace by one caller, milliseconds."""
    took = []
    async with ringleader.connect(endpoints) as client:
        for number in range(PUTS):
            begun = time.perf_counter()
            await client.kv.put(f"calm-{number % 100}", b"x" * 256)
            took.append((time.perf_counter() - begun) * 1e3)
            await asyncio.sleep(PACE)
    took.sort()
    return {"p50": statistics.median(took), "p99": took[len(took) * 99 // 100]}


def observe(cluster: RingleaderCluster) -> Row:
    """Put latencies, and the idle CPU of all nodes as a share of one core."""
    row = asyncio.run(put_latencies(cluster.endpoints))
    before = cpu_seconds(cluster.pids)
    time.sleep(IDLE)
    row["idle_cpu"] = (cpu_seconds(cluster.pids) - before) / IDLE
    return row


def measure(what: str, count: int) -> tuple[Row, Row]:
    """The empty cluster's row, and that with `count` of `what`."""
    with RingleaderCluster() as cluster:
        cluster.wait_ready()
        quiet = observe(cluster)
        before = [memory(pid) for pid in cluster.pids]
        command = [sys.executable, "-m", "bench.hold", "--endpoints", cluster.endpoints, f"--{what}", str(count)]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert holder.stdout is not None
            told = holder.stdout.readline().split()
            if not told or told[0] != b"ready":
                raise RuntimeError(f"the {what} were not made")
            row = observe(cluster)
            row["seconds"] = float(told[1])
            row["bytes_each"] = max(memory(pid) - was for pid, was in zip(cluster.pids, before, strict=True)) / count
        finally:
            holder.communicate(timeout=60)
    return quiet, row


def main() -> None:
    """Measure and print; figures go to .bench/capacity.json."""
    os.environ["RINGLEADER_MAX_CONNECTIONS"] = "20000"
    results = {}
    for what, count in LOADS:
        quiet, row = measure(what, count)
        results[f"{count:,} {what}"] = {"empty": quiet, "with": row, "ratio": {"p50": row["p50"] / quiet["p50"]}}
        print(
            f"{count:,} {what}: made in {row['seconds']:.1f} s, {row['bytes_each']:,.0f} bytes each on the fullest node; "
            f"put p50 {row['p50']:.2f} ms (empty {quiet['p50']:.2f}: {row['p50'] / quiet['p50']:.2f}x), "
            f"p99 {row['p99']:.2f} ms (empty {quiet['p99']:.2f}); "
            f"idle CPU {row['idle_cpu'] * 100:.1f} % of a core (empty {quiet['idle_cpu'] * 100:.1f} %)",
            flush=True,
        )
    Path(".bench").mkdir(exist_ok=True)
    Path(".bench/capacity.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
