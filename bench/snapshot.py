"""What snapshots cost: a million keys (memory, restart, latency while one is taken), and a member that was away too long.

    python -m bench.snapshot million [--keys N] [--seconds S]
    python -m bench.snapshot catchup [--mib N]

Three nodes on loopback as real processes. Writes are sent at a fixed rate whether or not earlier ones were answered, and
their latency counts from when they should have been sent. Memory is `RssAnon` as /proc says, in MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import ringleader
from bench.cluster import RingleaderCluster, cpu_seconds, get
from ringleader.errors import RingleaderError

__all__ = ["main"]


def memory(pid: int) -> float:
    """Anonymous memory of a process, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no RssAnon")


def metric(cluster: RingleaderCluster, name: str, wanted: str) -> float:
    """A number that a node tells Prometheus; -1 when it cannot be asked."""
    for line in (get(f"http://{cluster.https[name]}/metrics", 5.0) or b"").decode().splitlines():
        if line.startswith(wanted):
            return float(line.rsplit(" ", 1)[1])
    return -1.0


def leader(cluster: RingleaderCluster) -> str:
    """The node that leads."""
    while True:
        for name in cluster.clients:
            if cluster.processes[name].poll() is None and metric(cluster, name, "ringleader_is_leader") == 1:
                return name
        time.sleep(0.2)


def slow_turns(cluster: RingleaderCluster, name: str) -> dict[str, float]:
    """How many turns of the loop took longer than a bound, by bound in seconds."""
    text = (get(f"http://{cluster.https[name]}/metrics", 5.0) or b"").decode()
    counts = {}
    for line in text.splitlines():
        if line.startswith("ringleader_loop_turn_seconds_bucket"):
            counts[line.split('le="')[1].split('"')[0]] = float(line.rsplit(" ", 1)[1])
    total = counts.get("+Inf", 0.0)
    return {bound: total - count for bound, count in counts.items() if bound != "+Inf" and float(bound) >= 0.005}


async def fill(client: ringleader.Client, keys: int, size: int, per_txn: int) -> None:
    """Write `keys` keys of `size` bytes in transactions."""
    numbers = iter(range(0, keys, per_txn))

    async def worker() -> None:
        for first in numbers:
            numbered = range(first, min(first + per_txn, keys))
            await client.kv.txn(
                success=[
                    ringleader.op.put(b"key-%010d" % number, (b"%010d" % number).ljust(size, b"."))
                    for number in numbered
                ]
            )

    await asyncio.gather(*(worker() for _ in range(6)))


class Pace:
    """Puts at a fixed rate. `took`: (when it was due, seconds until it was answered)."""

    def __init__(self, clients: list[ringleader.Client], rate: int, size: int, keys: int) -> None:
        self.clients = clients
        self.rate = rate
        self.value = b"v" * size
        self.keys = keys
        self.took: list[tuple[float, float]] = []
        self.errors: list[str] = []
        self.running = True

    async def _put(self, number: int, due: float) -> None:
        try:
            await self.clients[number % len(self.clients)].kv.put(
                b"key-%010d" % (number * 7919 % self.keys), self.value
            )
            self.took.append((due, time.perf_counter() - due))
        except RingleaderError as error:
            self.errors.append(str(error))

    async def run(self) -> None:
        """Until `running` is unset."""
        tasks: set[asyncio.Task[None]] = set()
        due = time.perf_counter()
        number = 0
        while self.running:
            now = time.perf_counter()
            while due <= now:
                task = asyncio.ensure_future(self._put(number, due))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                due += 1 / self.rate
                number += 1
            await asyncio.sleep(max(due - time.perf_counter(), 0.0005))
        await asyncio.gather(*tasks)


def quantiles(took: list[float]) -> dict[str, float]:
    """In milliseconds."""
    took = sorted(took)
    count = len(took)
    if not count:
        return {"count": 0}
    parts = {"p50": took[count // 2], "p99": took[count * 99 // 100], "max": took[-1]}
    return {"count": count, **{name: round(value * 1e3, 2) for name, value in parts.items()}}


async def watch(look: Callable[[], None], every: float = 0.05) -> None:
    """Call `look` until cancelled."""
    while True:
        look()
        await asyncio.sleep(every)


async def million(keys: int, size: int, rate: int, seconds: float) -> dict[str, object]:
    """Bytes per key, latency quiet and while snapshots are taken, restart."""
    extra = ["--snapshot-bytes", str(12 << 20), "--snapshot-entries", "1000000000"]
    result: dict[str, object] = {"keys": keys, "value": size, "rate": rate}
    with RingleaderCluster(3, extra=extra) as cluster:
        cluster.wait_ready()
        lead = leader(cluster)
        pid = cluster.processes[lead].pid
        empty = memory(pid)
        clients = [ringleader.connect(",".join(cluster.clients.values())) for _ in range(16)]
        begun = time.perf_counter()
        await fill(clients[0], keys, size, 100)
        result["fill_s"] = round(time.perf_counter() - begun, 1)

        def taking() -> bool:
            return any(list((cluster.folder / name).glob("snap-*.tmp")) for name in cluster.clients)

        while taking():
            await asyncio.sleep(0.5)
        await asyncio.sleep(3)
        result["bytes_per_key"] = round((memory(pid) - empty) * 1048576 / keys)
        spans: list[tuple[float, bool]] = []
        before = slow_turns(cluster, lead)
        watching = asyncio.ensure_future(watch(lambda: spans.append((time.perf_counter(), taking()))))
        pace = Pace(clients, rate, size, keys)
        running = asyncio.ensure_future(pace.run())
        await asyncio.sleep(seconds)
        pace.running = False
        await running
        watching.cancel()
        after = slow_turns(cluster, lead)
        busy = {round(at, 1) for at, flag in spans if flag}
        quiet = [took for due, took in pace.took if round(due, 1) not in busy]
        during = [took for due, took in pace.took if round(due, 1) in busy]
        result["quiet_ms"], result["taking_ms"] = quantiles(quiet), quantiles(during)
        result["taking_share"] = round(len(during) / max(len(pace.took), 1), 2)
        result["slow_turns"] = {bound: after[bound] - before[bound] for bound in after}
        result["longest_turn_s"] = metric(cluster, lead, "ringleader_loop_turn_longest_seconds")
        result["errors"] = pace.errors[:3]
        result["memory_MiB"] = round(memory(pid))
        follower = next(name for name in cluster.clients if name != lead)
        cluster.kill(follower)
        begun = time.perf_counter()
        cluster.start(follower)
        while not cluster.ready(follower):
            await asyncio.sleep(0.05)
        result["restart_s"] = round(time.perf_counter() - begun, 1)
        result["restart_cpu_s"] = round(cpu_seconds([cluster.processes[follower].pid]), 1)
        result["restarted_bytes_per_key"] = round((memory(cluster.processes[follower].pid) - empty) * 1048576 / keys)
        for client in clients:
            await client.close()
    return result


async def catchup(mib: int, rate: int) -> dict[str, object]:
    """A member comes back after `mib` MiB of the state have changed, while writes go on."""
    size = 4096
    keys = mib * 1048576 // size
    result: dict[str, object] = {"mib": mib, "rate": rate}
    with RingleaderCluster(3) as cluster:
        cluster.wait_ready()
        lead = leader(cluster)
        away = next(name for name in cluster.clients if name != lead)
        clients = [ringleader.connect(",".join(cluster.clients.values())) for _ in range(8)]
        await clients[0].kv.put(b"first", b"1")
        cluster.kill(away)
        begun = time.perf_counter()
        await fill(clients[0], keys, size, 60)
        result["fill_s"] = round(time.perf_counter() - begun, 1)
        folder = cluster.folder
        while any(list((folder / name).glob("snap-*.tmp")) for name in cluster.clients):
            await asyncio.sleep(0.5)
        pace = Pace(clients, rate, 256, 100_000)
        running = asyncio.ensure_future(pace.run())
        await asyncio.sleep(5)
        quiet = [took for _, took in pace.took]
        lead = leader(cluster)
        pid = cluster.processes[lead].pid
        base = memory(pid)
        lead_turns = slow_turns(cluster, lead)
        peaks = {"leader": base, "away": 0.0}
        begun = time.perf_counter()
        cluster.start(away)
        back = cluster.processes[away].pid

        def look() -> None:
            peaks["leader"] = max(peaks["leader"], memory(pid))
            with contextlib.suppress(OSError):
                peaks["away"] = max(peaks["away"], memory(back))

        watching = asyncio.ensure_future(watch(look))
        loop = asyncio.get_running_loop()
        while True:
            applied = await loop.run_in_executor(None, metric, cluster, away, "ringleader_applied_index")
            there = await loop.run_in_executor(None, metric, cluster, lead, "ringleader_applied_index")
            if applied > 1 and applied > there - 500:
                break
            if time.perf_counter() - begun > 300:
                result["stuck"] = [applied, there]
                break
            await asyncio.sleep(0.2)
        result["caught_up_s"] = round(time.perf_counter() - begun, 1)
        during = [took for due, took in pace.took if due >= begun]
        await asyncio.sleep(5)
        pace.running = False
        await running
        watching.cancel()
        settled = memory(back)
        result["quiet_ms"], result["catching_up_ms"] = quantiles(quiet), quantiles(during)
        result["errors"] = pace.errors[:3]
        result["leader_MiB"] = {"before": round(base), "peak_extra": round(peaks["leader"] - base)}
        result["away_MiB"] = {"after": round(settled), "peak_extra": round(peaks["away"] - settled)}
        turns = slow_turns(cluster, lead)
        result["leader_slow_turns"] = {bound: turns[bound] - lead_turns[bound] for bound in turns}
        result["away_slow_turns"] = slow_turns(cluster, away)
        longest = {name: metric(cluster, name, "ringleader_loop_turn_longest_seconds") for name in (lead, away)}
        result["longest_turn_s"] = {"leader": longest[lead], "away": longest[away]}
        for client in clients:
            await client.close()
    return result


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("million", "catchup"))
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rate", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--mib", type=int, default=1024)
    a = parser.parse_args()
    if a.what == "million":
        print(json.dumps(asyncio.run(million(a.keys, a.size, a.rate or 2000, a.seconds))))
    else:
        print(json.dumps(asyncio.run(catchup(a.mib, a.rate or 500))))


if __name__ == "__main__":
    main()
