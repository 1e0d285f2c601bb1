"""Fail a real node at each of its first disk calls, one call after another, and judge what is left.

    python -m tools.diskfaults [--mode lone|follower] [--crash pwrite64:280,fdatasync:150,...] [--eio fdatasync:50] [--rate 200]

A node runs under `strace`, which kills it exactly at the k-th call of one kind, or makes that call fail with EIO; then it
starts again on the same folder and the next call is the one that fails. `lone`: a cluster of one, so everything that was
acknowledged stands on this disk alone. `follower`: one of three; segments, snapshots and what is kept behind them are tiny, so
that rolls, truncation, compaction and the installing of snapshots all happen while it is away and back. Clients write all the
time; `tools.ledger` judges in the end, and what the node holds is compared with the others. After EIO the node must have
stopped by itself with a message, without a traceback. Needs Linux and strace.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.cluster import RingleaderCluster

import ringleader
from tools.ledger import Judgement, Load, judge, keep_history, read_log

__all__ = ["Report", "disk_faults"]

TINY = ["--segment-bytes", "16384", "--snapshot-entries", "60", "--snapshot-bytes", "65536"]
KEEP = "20"
PATIENCE = 60.0
"""Seconds in which the k-th call has to come; some calls are rare."""
CRASH = "pwrite64:300,fdatasync:150,rename:25,unlink:25"
EIO = "fdatasync:50"


@dataclass
class Report:
    """`rounds`: by kind of call, how often the node failed there; `not_reached`: the call did not come in time."""

    rounds: dict[str, int] = field(default_factory=dict)
    not_reached: dict[str, int] = field(default_factory=dict)
    recoveries: int = 0
    snapshots: set[str] = field(default_factory=set)
    judgement: Judgement = field(default_factory=Judgement)
    problems: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "failed at": self.rounds,
            "not reached": self.not_reached,
            "recoveries": self.recoveries,
            "different snapshots seen": len(self.snapshots),
            "writes": self.judgement.writes,
            "acknowledged": self.judgement.acknowledged,
            "unknown": self.judgement.unknown,
            "refused": self.judgement.refused,
            "reads": self.judgement.reads,
            "problems": self.judgement.problems + self.problems,
        }


def parse_calls(text: str) -> dict[str, range]:
    """Which calls of each kind, from "pwrite64:280,fdatasync:101-150"."""
    calls = {}
    for part in filter(None, text.split(",")):
        call, _, span = part.partition(":")
        first, dash, last = span.partition("-")
        calls[call] = range(int(first), int(last) + 1) if dash else range(1, int(first) + 1)
    return calls


class Victim:
    """The node that suffers. Its processes are strace and, below it, the node."""

    def __init__(self, cluster: RingleaderCluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.log_read = 0

    def start(self, call: str, injection: str) -> None:
        """Start it with a fault at one of its calls."""
        quiet = ["strace", "-qq", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{injection}"]
        self.cluster.start(self.name, quiet)

    def start_whole(self) -> None:
        """Start it without a fault."""
        self.cluster.start(self.name)

    async def ended(self, seconds: float) -> int | None:
        """Its exit code, or None when it still runs after so many seconds."""
        end = time.monotonic() + seconds
        while (code := self.cluster.processes[self.name].poll()) is None and time.monotonic() < end:
            await asyncio.sleep(0.02)
        return code

    def kill(self) -> None:
        """End the node, and so the strace above it."""
        process = self.cluster.processes[self.name]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
        process.kill()
        process.wait()

    def new_log(self) -> str:
        """What it printed since the last call of this."""
        text = self.cluster.log_text(self.name)
        new, self.log_read = text[self.log_read :], len(text)
        return new

    def snapshots(self) -> set[str]:
        """The names of the snapshot files in its folder."""
        return {path.name for path in (self.cluster.folder / self.name).glob("snap-*") if path.suffix != ".tmp"}


class Run:
    """One run over all calls."""

    def __init__(self, cluster: RingleaderCluster, victim: Victim, load: Load, report: Report) -> None:
        self.cluster = cluster
        self.victim = victim
        self.load = load
        self.report = report

    async def crash(self, calls: dict[str, range]) -> None:
        """Kill it at each of the first calls."""
        for call, numbers in calls.items():
            for number in numbers:
                if not await self._round(call, number, f"signal=SIGKILL:when={number}", -signal.SIGKILL):
                    break
                if number % 25 == 0:
                    await self._whole(f"after {call} {number}")
            await self._whole(f"after all of {call}")

    async def errors(self, calls: dict[str, range]) -> None:
        """Let each of the first calls fail with EIO."""
        for call, numbers in calls.items():
            for number in numbers:
                if not await self._round(f"{call}", number, f"error=EIO:when={number}", None):
                    break
                if number % 10 == 0:
                    await self._whole(f"after EIO at {call} {number}")
            await self._whole(f"after EIO at all of {call}")

    async def _round(self, call: str, number: int, injection: str, expected: int | None) -> bool:
        self.victim.start(call, injection)
        code = await self.victim.ended(PATIENCE)
        self.report.snapshots |= self.victim.snapshots()
        text = self.victim.new_log()
        where = f"{call} number {number}, {injection}"
        if code is None:
            self.victim.kill()
            self.report.not_reached[call] = number
            return False
        kind = f"{'EIO ' if expected is None else ''}{call}"
        self.report.rounds[kind] = self.report.rounds.get(kind, 0) + 1
        if expected is not None and code != expected:
            self.report.problems.append(f"at {where}: it ended with {code} by itself: {text[-600:]}")
        if expected is None and (code <= 0 or "Input/output error" not in text):
            self.report.problems.append(f"at {where}: no clear end ({code}): {text[-600:]}")
        if "Traceback" in text:
            self.report.problems.append(f"at {where}: a traceback: {text[-2000:]}")
        return True

    async def _whole(self, where: str) -> None:
        """Start it without faults: it must come up, take part again and be killed at rest."""
        self.victim.start_whole()
        try:
            await asyncio.to_thread(self.cluster.wait_ready, PATIENCE)
        except RuntimeError as error:
            self.report.problems.append(f"{where}: it did not come back: {error}")
        else:
            self.report.recoveries += 1
            await self._compare(where)
        self.victim.kill()
        self.victim.new_log()

    async def _compare(self, where: str) -> None:
        """What the node holds must be what a majority holds, at one revision."""
        timeout = PATIENCE
        async with (
            ringleader.connect(self.cluster.endpoints, timeout=timeout) as all_nodes,
            ringleader.connect(self.cluster.clients[self.victim.name], timeout=timeout) as one,
        ):
            agreed = await all_nodes.kv.range("", prefix=True)
            held = await one.kv.range("", prefix=True, revision=agreed.revision)
        pairs = [[(kv.key, kv.value, kv.mod_revision, kv.version) for kv in found] for found in (agreed, held)]
        if pairs[0] != pairs[1]:
            self.report.problems.append(f"{where}: it holds something else at revision {agreed.revision}")


async def disk_faults(
    mode: str = "lone", crash: str = CRASH, eio: str = EIO, rate: float = 200.0, clients: int = 8, seed: int = 1
) -> Report:
    """One run; the report says what was found."""
    report = Report()
    os.environ["RINGLEADER_KEEP_ENTRIES"] = KEEP
    with RingleaderCluster(1 if mode == "lone" else 3, extra=TINY) as cluster:
        cluster.wait_ready()
        await keep_history(cluster.endpoints)
        victim = Victim(cluster, sorted(cluster.clients)[-1])
        load = Load(cluster.endpoints, clients, rate, seed)
        running = asyncio.create_task(load.run())
        await load.connected()
        await asyncio.sleep(1.0)
        victim.kill()
        run = Run(cluster, victim, load, report)
        await run.crash(parse_calls(crash))
        await run.errors(parse_calls(eio))
        victim.start_whole()
        await asyncio.to_thread(cluster.wait_ready)
        load.stopping = True
        await running
        log = await read_log(cluster.endpoints)
    report.judgement = judge(load.history, log)
    return report


def main() -> None:
    """The command line; exit code 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["lone", "follower"], default="lone")
    parser.add_argument("--crash", default=CRASH)
    parser.add_argument("--eio", default=EIO)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    started = time.monotonic()
    report = asyncio.run(disk_faults(a.mode, a.crash, a.eio, a.rate, a.clients, a.seed))
    summary = report.summary()
    print(json.dumps({**summary, "seconds": round(time.monotonic() - started)}, indent=1))
    sys.exit(1 if summary["problems"] else 0)


if __name__ == "__main__":
    main()
