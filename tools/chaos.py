"""Kill real nodes under load and judge what clients were told: nothing acknowledged lost, nothing applied twice.

    python -m tools.chaos [--leader-kills 10] [--cluster-kills 3] [--clients 8] [--rate 500]

Three `ringleader start` processes, real disks, real sockets. Clients write unique values at a fixed total rate and read some
back; now and then the leader, or every node at once, is killed by SIGKILL and started again. In the end the whole history is
checked twice: by the order that the revisions claim (`check_revisions`), and against the log itself, read as a watch from
the first revision.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from bench.cluster import RingleaderCluster, get

import ringleader
from ringleader.errors import NotAppliedError, RingleaderError
from ringleader.sim.history import History, Operation, Outcome, check_revisions

__all__ = ["Figures", "chaos"]

KEYS = 40
READ_SHARE = 0.2
WRITES_AGAIN_WITHIN = 30.0


@dataclass
class Figures:
    """What a run showed. Times in seconds."""

    writes: int = 0
    acknowledged: int = 0
    unknown: int = 0
    refused: int = 0
    reads: int = 0
    leader_outages: list[float] = field(default_factory=list)
    cluster_outages: list[float] = field(default_factory=list)
    check_seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """As JSON."""
        leader = self.leader_outages or [0.0]
        return {
            "writes": self.writes,
            "acknowledged": self.acknowledged,
            "unknown": self.unknown,
            "refused": self.refused,
            "reads": self.reads,
            "leader kills": len(self.leader_outages),
            "writes again after a leader kill, median s": round(statistics.median(leader), 2),
            "writes again after a leader kill, worst s": round(max(leader), 2),
            "whole-cluster kills": len(self.cluster_outages),
            "writes again after a cluster kill, worst s": round(max(self.cluster_outages or [0.0]), 2),
            "check seconds": round(self.check_seconds, 2),
            "problems": self.problems,
        }


class Load:
    """Clients that write unique values and read some back, all recorded in one history."""

    def __init__(self, endpoints: str, clients: int, rate: float, seed: int) -> None:
        self.endpoints = endpoints
        self.clients = clients
        self.rate = rate
        self.random = random.Random(seed)
        self.history = History()
        self.stopping = False
        self.last_start_ok: list[tuple[float, float]] = []  # (start, end) of acknowledged writes, in order of their end

    async def run(self) -> None:
        """Until `stopping`; then every call under way is waited for."""
        await asyncio.gather(*(self._client(number) for number in range(self.clients)))

    async def _client(self, number: int) -> None:
        pace = self.clients / self.rate
        calls: set[asyncio.Task[None]] = set()
        async with ringleader.connect(self.endpoints, timeout=10.0) as client:
            due = time.monotonic()
            written = 0
            while not self.stopping:
                due += pace
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if len(calls) > 2000:
                    continue  # bounded: the cluster is away, and enough is waiting for it
                written += 1
                calls.add(task := asyncio.create_task(self._put(client, number, written)))
                task.add_done_callback(calls.discard)
                if self.random.random() < READ_SHARE:
                    calls.add(task := asyncio.create_task(self._get(client, number)))
                    task.add_done_callback(calls.discard)
            if calls:
                await asyncio.wait(calls)

    def _key(self) -> str:
        return f"key-{self.random.randrange(KEYS)}"

    async def _put(self, client: ringleader.Client, number: int, written: int) -> None:
        key, value = self._key(), f"{number}-{written}"
        call = self.history.call(f"{number}-{written}", "put", key, value, at=time.monotonic())
        try:
            result = await client.kv.put(key, value)
        except NotAppliedError:
            self.history.failed(call, time.monotonic())
        except RingleaderError:
            self.history.unknown(call, time.monotonic())
        else:
            self.history.returned(call, result.revision, time.monotonic())
            self.last_start_ok.append((call.start, call.end))

    async def _get(self, client: ringleader.Client, number: int) -> None:
        key = self._key()
        call = self.history.call(f"{number}-r", "get", key, at=time.monotonic())
        try:
            found = await client.kv.range(key)
        except RingleaderError:
            self.history.failed(call, time.monotonic())
        else:
            seen = (found[0].text, found[0].mod_revision) if found else (None, 0)
            self.history.returned(call, (found.revision, *seen), time.monotonic())

    def first_success_after(self, moment: float) -> float | None:
        """When the first write that was begun after `moment` was acknowledged."""
        return min((end for start, end in self.last_start_ok if start >= moment), default=None)


def find_leader(cluster: RingleaderCluster) -> str | None:
    """The node that says that it leads, in the newest term."""
    leaders = []
    for name, address in cluster.https.items():
        body = get(f"http://{address}/status")
        if body is not None:
            with contextlib.suppress(ValueError, KeyError):
                status = json.loads(body)
                if status["role"] == "leader":
                    leaders.append((status["term"], name))
    return max(leaders)[1] if leaders else None


async def _wait_for_leader(cluster: RingleaderCluster) -> str:
    end = time.monotonic() + WRITES_AGAIN_WITHIN
    while (name := await asyncio.to_thread(find_leader, cluster)) is None:
        if time.monotonic() > end:
            raise RuntimeError("the cluster has no leader")
        await asyncio.sleep(0.05)
    return name


async def _outage(load: Load, since: float) -> float:
    """Seconds from `since` until a write begun afterwards is acknowledged."""
    end = since + WRITES_AGAIN_WITHIN
    while (again := load.first_success_after(since)) is None:
        if time.monotonic() > end:
            return WRITES_AGAIN_WITHIN
        await asyncio.sleep(0.02)
    return again - since


async def chaos(
    leader_kills: int, cluster_kills: int, clients: int, rate: float, seed: int, command: list[str] | None = None
) -> Figures:
    """One run; the figures say what was found. `command`: more options for the nodes."""
    figures = Figures()
    with RingleaderCluster(extra=command) as cluster:
        cluster.wait_ready()
        load = Load(cluster.endpoints, clients, rate, seed)
        running = asyncio.create_task(load.run())
        await asyncio.sleep(2.0)
        kinds = ["leader"] * leader_kills + ["cluster"] * cluster_kills
        random.Random(seed).shuffle(kinds)
        for kind in kinds:
            victims = [await _wait_for_leader(cluster)] if kind == "leader" else list(cluster.clients)
            moment = time.monotonic()
            for name in victims:
                cluster.processes[name].kill()
            for name in victims:
                cluster.processes[name].wait()
            if kind == "cluster":
                for name in victims:
                    cluster.start(name)
            outage = await _outage(load, moment)
            (figures.leader_outages if kind == "leader" else figures.cluster_outages).append(outage)
            if kind == "leader":
                cluster.start(victims[0])
            await asyncio.to_thread(cluster.wait_ready)
            await asyncio.sleep(0.5)
        load.stopping = True
        await running
        log = await _read_log(cluster.endpoints)
    _judge(load.history, log, figures)
    return figures


async def _read_log(endpoints: str) -> dict[int, tuple[str, str]]:
    """Every write there ever was, by revision: a watch from the first revision."""
    log: dict[int, tuple[str, str]] = {}
    async with ringleader.connect(endpoints) as client:
        end = (await client.kv.put("the end", "the end")).revision
        async with client.kv.watch("", prefix=True, start_revision=2) as events:
            async for event in events:
                revision = event.revision
                if revision in log:
                    raise AssertionError(f"revision {revision} was told twice")
                if revision == end:
                    return log
                log[revision] = (event.key_text, event.text)
    return log


def _judge(history: History, log: dict[int, tuple[str, str]], figures: Figures) -> None:
    started = time.perf_counter()
    operations = list(history)
    writes = [op for op in operations if op.name == "put"]
    figures.writes, figures.reads = len(writes), len(operations) - len(writes)
    figures.acknowledged = sum(op.outcome is Outcome.OK for op in writes)
    figures.unknown = sum(op.outcome is Outcome.UNKNOWN for op in writes)
    figures.refused = sum(op.outcome is Outcome.FAILED for op in writes)
    verdict = check_revisions(operations)
    if not verdict.ok:
        figures.problems.append(f"history: {verdict}")
    figures.problems += list(_against_log(writes, log))
    figures.check_seconds = time.perf_counter() - started


def _against_log(writes: list[Operation], log: dict[int, tuple[str, str]]) -> list[str]:
    problems = []
    by_value: dict[str, list[int]] = {}
    for revision, (_, value) in log.items():
        by_value.setdefault(value, []).append(revision)
    for op in writes:
        found = by_value.pop(op.arguments[1], [])
        if len(found) > 1:
            problems.append(f"applied twice, at {found}: {op!r}")
        if op.outcome is Outcome.OK and found != [op.result]:
            problems.append(f"acknowledged but not in the log at its revision (found {found}): {op!r}")
        if op.outcome is Outcome.FAILED and found:
            problems.append(f"said to be not applied, but it was, at {found}: {op!r}")
    problems += [f"nobody wrote {value!r}, found at {found}" for value, found in by_value.items()]
    return problems


def main() -> None:
    """The command line; exit code 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leader-kills", type=int, default=10)
    parser.add_argument("--cluster-kills", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    figures = asyncio.run(chaos(a.leader_kills, a.cluster_kills, a.clients, a.rate, a.seed))
    print(json.dumps(figures.summary(), indent=1))
    sys.exit(1 if figures.problems else 0)


if __name__ == "__main__":
    main()
