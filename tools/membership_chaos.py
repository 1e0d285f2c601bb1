"""Change the members of a real cluster under load, and judge what clients were told: no lost write, no long stall.

    python -m tools.membership_chaos [--clients 16] [--rate 1000] [--seed 1]

Three `ringleader start` processes take writes at a fixed rate while two more join as learners and become voters; one node
is killed for good (kill -9, its folder deleted), a new one joins in its place and the dead one is removed; leadership is
handed over; then two are removed, the leader among them, until three are left, none of whom the configuration of the first
three names. The wiped node tries to come back under its old identity and is turned away. The judge is that of
`tools.ledger`; a stall is the longest time in which no write was acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bench.cluster import HOST, RingleaderCluster

import ringleader
from ringleader.cli.freeports import free_ports
from ringleader.errors import NotAppliedError, Reason, RingleaderError
from tools.ledger import Judgement, Load, judge, read_log

__all__ = ["Report", "membership_chaos"]

PATIENCE = 60.0


class ChangingCluster(RingleaderCluster):
    """Three nodes to begin with; others join them."""

    def join(self, name: str, members: list[str]) -> None:
        """Start a node that becomes a member by asking `members`."""
        client, peer, http = (f"{HOST}:{port}" for port in free_ports(3))
        self.clients[name], self.https[name] = client, http
        command = [sys.executable, "-m", "ringleader", "start", "--name", name, "--data-dir", str(self.folder / name)]
        command += ["--join", ",".join(self.peer_ports[member] for member in members), "--cluster-token", "bench"]
        command += ["--listen-client", client, "--listen-peer", peer, "--http", http]
        self.peer_ports[name] = peer
        self.spawn(name, [*command, *self.extra])

    @property
    def peer_ports(self) -> dict[str, str]:
        """Peer addresses by name, of those that joined too; `peers` names only the first members."""
        if not hasattr(self, "_peer_ports"):
            self._peer_ports = dict(self.peers)
        return self._peer_ports

    def ended(self, name: str) -> bool:
        """Whether the process is gone."""
        return self.processes[name].poll() is not None


@dataclass
class Report:
    """What a run showed. Times in seconds; `stalls`: the longest within each step."""

    stalls: dict[str, float] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)
    judgement: Judgement = field(default_factory=Judgement)
    problems: list[str] = field(default_factory=list)

    @property
    def longest_stall(self) -> float:
        """Over all steps in which the cluster was changed on purpose; the kill is a failure, not a change."""
        return max(stall for step, stall in self.stalls.items() if not step.startswith("kill"))

    def summary(self) -> dict[str, Any]:
        """As JSON."""
        found = self.judgement
        return {
            "writes": found.writes,
            "acknowledged": found.acknowledged,
            "unknown": found.unknown,
            "refused": found.refused,
            "reads": found.reads,
            "steps, s": {step: round(seconds, 2) for step, seconds in self.steps.items()},
            "longest stall in each step, s": {step: round(stall, 2) for step, stall in self.stalls.items()},
            "longest stall by a change, s": round(self.longest_stall, 2),
            "slowest acknowledged write, s": round(found.slowest_write, 2),
            "check seconds": round(found.check_seconds, 2),
            "problems": found.problems + self.problems,
        }


class Course:
    """The steps, each timed."""

    def __init__(self, cluster: ChangingCluster, load: Load, client: ringleader.Client, report: Report) -> None:
        self.cluster = cluster
        self.load = load
        self.client = client
        self.report = report
        self.spans: dict[str, tuple[float, float]] = {}

    async def step(self, name: str, work: Awaitable[object]) -> None:
        """Do it, give the cluster a moment, and note the time."""
        begun = time.monotonic()
        await work
        self.report.steps[name] = time.monotonic() - begun
        await asyncio.sleep(1.0)
        self.spans[name] = (begun, time.monotonic())

    async def run(self) -> None:
        """Grow, replace, transfer, shrink."""
        client = self.client
        await self.step("join n4", self._grow("n4", ["n1"]))
        await self.step("join n5", self._grow("n5", ["n4", "n2"]))
        await self.step("transfer to n4", _insist(lambda: client.cluster.transfer("n4", timeout=PATIENCE)))
        await self.step("kill n2 for good", self._kill("n2"))
        await self.step("join n6", self._grow("n6", ["n5"]))
        await self.step("remove n2, dead", _insist(lambda: client.cluster.remove("n2", timeout=PATIENCE)))
        await self.step("n2 comes back wiped", self._turned_away("n2"))
        await self.step("remove n1", self._remove("n1"))
        leader = (await client.cluster.members(timeout=PATIENCE)).leader
        await self.step(f"remove {leader}, the leader", self._remove(leader))
        names = [member.name for member in (await client.cluster.members(timeout=PATIENCE)).members]
        expected = sorted({"n3", "n4", "n5", "n6"} - {leader})
        if sorted(names) != expected:
            self.report.problems.append(f"the members are {names}, not {expected}")

    async def _grow(self, name: str, members: list[str]) -> None:
        self.cluster.join(name, members)
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(RingleaderError, KeyError):
                seen = await self.client.cluster.members(timeout=5.0)
                if seen.member(name).role != "learner" and not seen.change:
                    return
            if time.monotonic() > end or self.cluster.ended(name):
                raise RuntimeError(f"{name} does not become a voter:\n{self.cluster.log_text(name)[-2000:]}")
            await asyncio.sleep(0.05)

    async def _kill(self, name: str) -> None:
        self.cluster.kill(name)
        shutil.rmtree(self.cluster.folder / name)

    async def _turned_away(self, name: str) -> None:
        """Started as it always was, with an empty folder, it must end by itself and say why."""
        self.cluster.start(name)
        await self._ends(name)
        if "was removed from this cluster" not in self.cluster.log_text(name):
            self.report.problems.append(f"{name} does not say why it stopped: {self.cluster.log_text(name)[-500:]}")

    async def _remove(self, name: str) -> None:
        await _insist(lambda: self.client.cluster.remove(name, timeout=PATIENCE))
        await self._ends(name)

    async def _ends(self, name: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self.cluster.ended(name):
            if time.monotonic() > end:
                self.report.problems.append(f"{name} is no member and still runs")
                return
            await asyncio.sleep(0.05)


async def _insist(change: Callable[[], Awaitable[ringleader.Member]]) -> None:
    """Again while members are silent: on a busy machine one that is well may be, for a moment."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            await change()
            return
        except NotAppliedError as error:
            if error.reason not in (Reason.MEMBER_LAGS, Reason.QUORUM_LOSS) or time.monotonic() > end:
                raise
        await asyncio.sleep(0.1)


def stalls(load: Load, spans: dict[str, tuple[float, float]]) -> dict[str, float]:
    """For each step the longest time in which no write was acknowledged."""
    ends = sorted(end for _, end in load.last_start_ok)
    found = {}
    for step, (begun, done) in spans.items():
        inside = [begun, *(end for end in ends if begun < end < done), done]
        found[step] = max(after - before for before, after in itertools.pairwise(inside))
    return found


async def membership_chaos(clients: int, rate: float, seed: int, extra: list[str] | None = None) -> Report:
    """One run; the report says what was found."""
    report = Report()
    with ChangingCluster(3, extra=extra) as cluster:
        cluster.wait_ready()
        load = Load(cluster.endpoints, clients, rate, seed)
        running = asyncio.create_task(load.run())
        await asyncio.sleep(2.0)
        async with ringleader.connect(cluster.endpoints, timeout=10.0) as client:
            course = Course(cluster, load, client, report)
            try:
                await course.run()
            except RingleaderError as error:
                if error.reason is Reason.CLOSED:
                    raise
                report.problems.append(f"a step failed: {error}")
            alive = ",".join(address for name, address in cluster.clients.items() if not cluster.ended(name))
        load.stopping = True
        await running
        log = await read_log(alive)
    report.stalls = stalls(load, course.spans)
    report.judgement = judge(load.history, log)
    return report


def main() -> None:
    """The command line; exit code 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    report = asyncio.run(membership_chaos(a.clients, a.rate, a.seed))
    print(json.dumps(report.summary(), indent=1))
    sys.exit(1 if report.judgement.problems or report.problems else 0)


if __name__ == "__main__":
    main()
