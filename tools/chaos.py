"""Hurt a real cluster under load and judge what clients were told: nothing acknowledged lost, nothing applied twice.

    python -m tools.chaos [--leader-kills 10] [--pauses 0] [--cluster-kills 3] [--partitions 0] [--nodes 3]
                          [--clients 8] [--rate 500] [--seed 1] [--consensus raft] [--phase2-quorum 0]

`ringleader start` processes, real disks, real sockets. Clients write unique values at a fixed total rate and read some
back; now and then the leader is killed by SIGKILL, or paused by SIGSTOP for longer than anyone waits for it, or every node
at once is killed, or the leader is cut off. With partitions each node lives in a network namespace of its own
(`tools.netns`; root, Linux), and there are three ways to be cut off in turns: alone, with a minority (when there are five
nodes), and one way only: it hears but is not heard, or is heard and hears nothing. Clients reach every node all the time,
also the deposed leader: it must not answer them wrongly. `tools.ledger` judges.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.cluster import RingleaderCluster, get

from tools.ledger import Judgement, Load, judge, keep_history, read_log
from tools.netns import Namespaces, inside_own_namespace

__all__ = ["Plan", "Report", "chaos", "find_leader"]

WRITES_AGAIN_WITHIN = 60.0
"""Seconds after which it counts as never, also on a busy machine."""
PAUSE = 4.0
"""Seconds of a pause or a partition: past the longest election time-out (2 s by default) with room to elect."""
SETTLE = 0.5
CUTS = ("alone", "minority", "hears only", "speaks only")


@dataclass(frozen=True)
class Plan:
    """How many of each fault, and the load: `rate` writes a second by `clients` clients. `consensus`, `phase2_quorum`: what
    the nodes are told.
    """

    leader_kills: int = 10
    pauses: int = 0
    cluster_kills: int = 3
    partitions: int = 0
    nodes: int = 3
    clients: int = 8
    rate: float = 500.0
    seed: int = 1
    consensus: str = "raft"
    phase2_quorum: int = 0

    @property
    def command(self) -> list[str]:
        """Options for the nodes."""
        quorum = ["--phase2-quorum", str(self.phase2_quorum)] if self.phase2_quorum else []
        return ["--consensus", self.consensus, *quorum]

    def faults(self) -> list[str]:
        """The faults in a shuffled order."""
        cuts = [cut for cut in CUTS if cut != "minority" or self.nodes >= 5]
        faults = ["leader kill"] * self.leader_kills + ["leader pause"] * self.pauses
        faults += ["cluster kill"] * self.cluster_kills
        faults += [f"cut: {cuts[place % len(cuts)]}" for place in range(self.partitions)]
        random.Random(self.seed).shuffle(faults)
        return faults


@dataclass
class Report:
    """What a run showed: for each fault how many seconds until a write begun afterwards was acknowledged; the judgement."""

    outages: dict[str, list[float]] = field(default_factory=dict)
    judgement: Judgement = field(default_factory=Judgement)

    @property
    def leader_outages(self) -> list[float]:
        """Of all faults that cost the leader alone."""
        return [each for fault, found in self.outages.items() if fault != "cluster kill" for each in found]

    def summary(self) -> dict[str, Any]:
        """As JSON."""
        found = self.judgement
        table = {
            fault: {"times": len(each), "median s": round(statistics.median(each), 2), "worst s": round(max(each), 2)}
            for fault, each in sorted(self.outages.items())
        }
        leader = self.leader_outages or [0.0]
        return {
            "writes": found.writes,
            "acknowledged": found.acknowledged,
            "unknown": found.unknown,
            "refused": found.refused,
            "reads": found.reads,
            "writes again": table,
            "writes again after the leader was lost, median s": round(statistics.median(leader), 2),
            "writes again after the leader was lost, worst s": round(max(leader), 2),
            "slowest acknowledged write s": round(found.slowest_write, 2),
            "check seconds": round(found.check_seconds, 2),
            "problems": found.problems,
        }


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


class Faults:
    """Does harm to a cluster and undoes it; `do` returns the seconds without acknowledged writes."""

    def __init__(self, cluster: RingleaderCluster, load: Load, net: Namespaces | None, seed: int) -> None:
        self.cluster = cluster
        self.load = load
        self.net = net
        self.random = random.Random(seed)

    async def do(self, fault: str) -> float:
        """Carry out one fault and wait until the cluster is whole again."""
        leader = await _wait_for_leader(self.cluster)
        begun = time.monotonic()
        if fault == "leader kill":
            self.cluster.kill(leader)
            outage = await _outage(self.load, begun)
            self.cluster.start(leader)
        elif fault == "leader pause":
            outage = await self._pause(leader, begun)
        elif fault == "cluster kill":
            for process in self.cluster.processes.values():
                process.kill()
            for name, process in self.cluster.processes.items():
                process.wait()
                self.cluster.start(name)
            outage = await _outage(self.load, begun)
        else:
            outage = await self._cut(leader, fault.removeprefix("cut: "))
        await asyncio.to_thread(self.cluster.wait_ready)
        await asyncio.sleep(SETTLE)
        return outage

    async def _pause(self, leader: str, begun: float) -> float:
        process = self.cluster.processes[leader]
        process.send_signal(signal.SIGSTOP)
        try:
            outage = await _outage(self.load, begun)
            await asyncio.sleep(max(0.0, begun + PAUSE - time.monotonic()))
        finally:
            process.send_signal(signal.SIGCONT)
        return outage

    async def _cut(self, leader: str, kind: str) -> float:
        assert self.net is not None
        others = [name for name in self.cluster.clients if name != leader]
        with self._healing():
            if kind == "minority":
                companions = self.random.sample(others, (len(others) + 1) // 2 - 1)
                rest = [name for name in others if name not in companions]
                for name in [leader, *companions]:
                    await asyncio.to_thread(self.net.cut, name, rest)
            else:
                speaks, hears = kind == "speaks only", kind == "hears only"
                await asyncio.to_thread(self.net.cut, leader, others, speaks=speaks, hears=hears)
            begun = time.monotonic()  # writes went on while the rules were made
            outage = await _outage(self.load, begun)
            await asyncio.sleep(max(0.0, begun + PAUSE - time.monotonic()))
        return outage

    @contextlib.contextmanager
    def _healing(self) -> Iterator[None]:
        assert self.net is not None
        try:
            yield
        finally:
            self.net.heal()


async def chaos(plan: Plan, command: list[str] | None = None) -> Report:
    """One run; the report says what was found. `command`: more options for the nodes."""
    report = Report()
    with contextlib.ExitStack() as stack:
        names = [f"n{place + 1}" for place in range(plan.nodes)]
        net = stack.enter_context(Namespaces(names)) if plan.partitions else None
        cluster = stack.enter_context(RingleaderCluster(plan.nodes, extra=[*plan.command, *(command or [])], net=net))
        cluster.wait_ready()
        await keep_history(cluster.endpoints)
        load = Load(cluster.endpoints, plan.clients, plan.rate, plan.seed)
        running = asyncio.create_task(load.run())
        await asyncio.sleep(2.0)
        faults = Faults(cluster, load, net, plan.seed)
        for fault in plan.faults():
            report.outages.setdefault(fault, []).append(await faults.do(fault))
        load.stopping = True
        await running
        log = await read_log(cluster.endpoints)
    report.judgement = judge(load.history, log)
    return report


def main() -> None:
    """The command line; exit code 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field_name in Plan.__dataclass_fields__:
        default = getattr(Plan, field_name)
        parser.add_argument("--" + field_name.replace("_", "-"), type=type(default), default=default)
    plan = Plan(**vars(parser.parse_args()))
    if plan.partitions:
        inside_own_namespace("tools.chaos")
    report = asyncio.run(chaos(plan))
    print(json.dumps(report.summary(), indent=1))
    sys.exit(1 if report.judgement.problems else 0)


if __name__ == "__main__":
    main()
