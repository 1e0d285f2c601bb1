"""Kill, pause, add and dismiss the workers of a group of shards, and judge whether each shard had one owner at a time.

    python -m tools.shards_chaos [--seconds 300] [--workers 8] [--shards 256] [--ttl 3]

A three-node cluster and the workers are real processes. Each worker runs a handler for each of its shards that says, several
times a second, "shard, token, moment": a moment of the machine's monotonic clock, taken *before* the shard said that it is
owned, so it is a moment of certain ownership. A handler that is told to stop takes its time, and goes on saying so.
The recorder also plays the resource that is fenced: it refuses a token lower than one that it has seen.

Judged at the end, from these words and from the group's keys in the store, change by change:

* owners: the moments of a token all lie after those of every lower token of the same shard;
* tokens: every token is a claim by that worker in the store, and claims of a shard never overlap;
* recovery: after each disturbance every shard is worked on by a living worker within the lease + 2 s, and no shard is ever
  without an owner for longer;
* moves: each table moves exactly as many shards as any balanced table for these members has to move, counted here by a
  formula of its own; claims follow the table; nobody claims a shard anew that was his already; a pause shorter than the
  lease moves nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bench.cluster import RingleaderCluster

import ringleader
from ringleader.errors import NotAppliedError

__all__ = ["Figures", "Journal", "Recorder", "Word", "chaos", "judge_owners", "minimal_moves"]

GROUP = "chaos"
BEAT = 0.25
SLACK = 2.0
"""Seconds beyond the lease within which every shard has an owner again, on a machine that does nothing else."""
PREFIX = f"ringleader/shards/{GROUP}/"


# ------------------------------------------------------------------------------------------------------- a worker


async def work(endpoints: str, name: str, shards: int, ttl: float, careless: bool) -> None:
    """A worker process, until SIGTERM. `careless`: it does not ask whether it still owns what it works on."""
    dice = random.Random(name)

    def say(shard: ringleader.Shard, known: int) -> None:
        moment = time.monotonic()
        try:
            token = known if careless and known else shard.fencing_token
        except NotAppliedError:
            return
        os.write(1, f"{shard.id} {token} {moment:.6f}\n".encode())

    async def handler(shard: ringleader.Shard) -> None:
        token = shard.fencing_token if shard.owned else 0
        try:
            while True:
                say(shard, token)
                await asyncio.sleep(BEAT)
        finally:
            for _ in range(dice.randrange(4)):
                say(shard, token)
                await asyncio.sleep(0.02)
            say(shard, token)

    async with ringleader.connect(endpoints, timeout=10.0, name=name) as db:
        running = asyncio.create_task(db.shards(GROUP, count=shards, ttl=ttl, name=name).run(handler))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running


# ------------------------------------------------------------------------------------------------- what was said


@dataclass(frozen=True, slots=True)
class Word:
    """`worker` (its name) certainly owned `shard` with `token` at `moment`."""

    worker: str
    shard: int
    token: int
    moment: float


class Recorder:
    """All words, and the fenced resource."""

    def __init__(self, shards: int) -> None:
        self.words: list[Word] = []
        self.highest = [0] * shards
        self.refused = 0
        self.since = 0.0
        self.living: set[str] = set()
        self.first: dict[int, float] = {}  # the first moment since `since` at which one of `living` worked on a shard

    def hear(self, word: Word) -> None:
        """A word has come."""
        self.words.append(word)
        if word.token < self.highest[word.shard]:
            self.refused += 1  # said before a pause and sent after it, or a fault: `judge_owners` tells
            return
        self.highest[word.shard] = word.token
        if word.moment >= self.since and word.worker in self.living:
            self.first.setdefault(word.shard, word.moment)

    def expect(self, since: float, living: set[str]) -> None:
        """From now on `first` tells when each shard was first worked on again, by one of `living`."""
        self.since, self.living, self.first = since, living, {}


def judge_owners(words: Iterable[Word]) -> tuple[list[str], list[float]]:
    """Every moment at which someone certainly owned a shard that someone else with a higher token had owned before; and for
    how many seconds nobody worked on a shard between two owners.
    """
    spans: dict[tuple[int, int], tuple[float, float, str]] = {}
    problems, gaps = [], []
    for w in words:
        first, last, worker = spans.get((w.shard, w.token), (w.moment, w.moment, w.worker))
        if worker != w.worker:
            problems.append(f"shard {w.shard}: token {w.token} is used by {worker} and by {w.worker}")
        spans[w.shard, w.token] = (min(first, w.moment), max(last, w.moment), worker)
    before: dict[int, tuple[int, float, str]] = {}
    for (shard, token), (first, last, worker) in sorted(spans.items()):
        if shard in before and first <= before[shard][1]:
            old, until, other = before[shard]
            problems.append(
                f"shard {shard}: {worker} began with token {token} while {other} still worked with token {old}"
                f" ({until - first:.3f} s)"
            )
        elif shard in before:
            gaps.append(first - before[shard][1])
        if shard not in before or last > before[shard][1]:
            before[shard] = (token, last, worker)
    return problems, gaps


# ------------------------------------------------------------------------------------------- what is in the store


def minimal_moves(old: list[str], members: set[str]) -> int:
    """How many shards must change owner so that the members' counts differ by one at most: the rest stays."""
    held = sorted((sum(owner == member for owner in old) for member in members), reverse=True)
    each, more = divmod(len(old), len(members))
    return len(old) - sum(min(has, each + (place < more)) for place, has in enumerate(held))


@dataclass
class Journal:
    """The group's keys, followed change by change, and everything about them that is not as it should be."""

    shards: int
    members: dict[str, str] = field(default_factory=dict)  # id: name
    owners: list[str] = field(default_factory=list)
    claims: dict[int, tuple[str, int]] = field(default_factory=dict)
    epochs: int = 0
    moves: int = 0
    claimed: dict[tuple[int, int], str] = field(default_factory=dict)  # (shard, token): name of the worker
    problems: list[str] = field(default_factory=list)
    _previous: dict[int, str] = field(default_factory=dict)

    def put(self, key: str, value: str, created: int) -> None:
        """A key was put."""
        kind, _, rest = key.removeprefix(PREFIX).partition("/")
        if kind == "members":
            self.members[rest] = json.loads(value)["name"]
        elif kind == "table":
            self._table(json.loads(value))
        elif kind == "claims":
            self._claim(int(rest), value, created)

    def delete(self, key: str) -> None:
        """A key was deleted."""
        kind, _, rest = key.removeprefix(PREFIX).partition("/")
        if kind == "members":
            self.members.pop(rest)
        elif kind == "claims":
            self.claims.pop(int(rest))

    @property
    def settled(self) -> bool:
        """Whether every shard is with the one who should have it, and the table is for these members."""
        return set(self.owners) == set(self.members) and all(
            self.claims.get(shard, ("", 0))[0] == owner for shard, owner in enumerate(self.owners)
        )

    def _table(self, written: dict[str, Any]) -> None:
        names = [node[0] for node in written["table"]["nodes"]]
        owners = [names[row[0]] for row in written["table"]["rows"]]
        self.epochs += 1
        if written["epoch"] != self.epochs:
            self.problems.append(f"epoch {written['epoch']} follows {self.epochs - 1}")
        if set(names) != set(self.members):
            self.problems.append(f"the table of epoch {self.epochs} is not for the members of its revision")
        counts = [owners.count(name) for name in names]
        if max(counts) - min(counts) > 1:
            self.problems.append(f"epoch {self.epochs} is not balanced: {counts}")
        old = self.owners or [""] * self.shards
        moved = sum(a != b for a, b in zip(old, owners, strict=True))
        if moved != minimal_moves(old, set(names)):
            self.problems.append(f"epoch {self.epochs} moves {moved}, needed are {minimal_moves(old, set(names))}")
        self.moves += moved
        self.owners = owners

    def _claim(self, shard: int, worker: str, token: int) -> None:
        if shard in self.claims:
            self.problems.append(f"shard {shard} is claimed by {worker} while {self.claims[shard]} is there")
        if not self.owners or self.owners[shard] != worker:
            self.problems.append(f"shard {shard} is claimed by {worker}, whose it is not in epoch {self.epochs}")
        if self._previous.get(shard) == worker:
            self.problems.append(f"shard {shard} was given back by {worker} and claimed again")
        self._previous[shard] = worker
        self.claims[shard] = (worker, token)
        self.claimed[shard, token] = self.members.get(worker, "?")


# ------------------------------------------------------------------------------------------------------- the run


@dataclass
class Figures:
    """What a run showed. Times in seconds."""

    seconds: float = 0.0
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    words: int = 0
    refused: int = 0
    epochs: int = 0
    moves: int = 0
    claims: int = 0
    gaps: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """As JSON."""
        gaps = sorted(self.gaps) or [0.0]
        return {
            "seconds": round(self.seconds),
            "disturbances": {kind: len(times) for kind, times in sorted(self.recoveries.items())},
            "all owned again, median s": {
                k: round(statistics.median(t), 2) for k, t in sorted(self.recoveries.items())
            },
            "all owned again, worst s": {k: round(max(t), 2) for k, t in sorted(self.recoveries.items())},
            "hand-overs": len(self.gaps),
            "nobody worked on a shard between two owners, median s": round(statistics.median(gaps), 3),
            "nobody worked on a shard between two owners, worst s": round(gaps[-1], 2),
            "moments of ownership": self.words,
            "late writes refused by their token": self.refused,
            "epochs": self.epochs,
            "shards moved": self.moves,
            "claims": self.claims,
            "problems": self.problems[:50],
        }


class Run:
    """The workers, and what is done to them."""

    def __init__(self, endpoints: str, shards: int, ttl: float, seed: int, careless: bool, slack: float) -> None:
        self.endpoints = endpoints
        self.shards = shards
        self.ttl = ttl
        self.slack = slack
        self.careless = careless
        self.dice = random.Random(seed)
        self.recorder = Recorder(shards)
        self.journal = Journal(shards)
        self.figures = Figures()
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.listeners: list[asyncio.Task[None]] = []
        self.started = 0

    async def start(self) -> None:
        """One more worker."""
        self.started += 1
        name = f"w{self.started}"
        command = [sys.executable, "-m", "tools.shards_chaos", "--worker", name, "--endpoints", self.endpoints]
        command += ["--shards", str(self.shards), "--ttl", str(self.ttl), *(["--careless"] if self.careless else [])]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        self.processes[name] = process
        self.listeners.append(asyncio.create_task(self._listen(name, process)))

    async def _listen(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            with contextlib.suppress(ValueError):  # the last line of one who was killed
                shard, token, moment = line.decode().split()
                self.recorder.hear(Word(name, int(shard), int(token), float(moment)))

    async def follow(self, db: ringleader.Client) -> None:
        """Keep the journal."""
        async for event in db.kv.watch(PREFIX, prefix=True, start_revision=2):
            if event.deleted:
                self.journal.delete(event.key_text)
            else:
                self.journal.put(event.key_text, event.text, event.create_revision)

    async def recovered(self, kind: str, since: float, bound: float | None = None) -> None:
        """Wait until living workers work on every shard again, and all is in its place; notes how long the first took."""
        bound = self.ttl + self.slack if bound is None else bound
        end = since + bound + 20.0
        self.recorder.expect(since, set(self.processes))
        first = self.recorder.first
        while len(first) < self.shards and time.monotonic() < end:
            await asyncio.sleep(0.02)
        took = (max(first.values()) if len(first) == self.shards else time.monotonic()) - since
        self.figures.recoveries.setdefault(kind, []).append(took)
        if took > bound:
            self.figures.problems.append(
                f"{kind}: every shard owned again after {took:.2f} s, later than {bound:.2f} s"
            )
        while not (self.journal.settled and len(self.journal.members) == len(self.processes)):
            if time.monotonic() > end:
                self.figures.problems.append(f"{kind}: the group did not come to rest")
                break
            await asyncio.sleep(0.02)

    def _victims(self, count: int) -> list[str]:
        return self.dice.sample(sorted(self.processes), count)

    async def disturb(self, kind: str) -> None:
        """Do one thing to the workers, and see it through."""
        count = 2 if kind == "kill two" else 1
        victims = self._victims(count) if kind != "add" else []
        processes = [self.processes[name] for name in victims]
        epochs = self.journal.epochs
        since = time.monotonic()
        if kind == "add":
            await self.start()
            while len(self.journal.members) < len(self.processes) and time.monotonic() < since + 30:
                await asyncio.sleep(0.01)
            since = time.monotonic()
        elif kind in ("kill", "kill two"):
            for name in victims:
                self.processes.pop(name).kill()
        elif kind == "leave":
            self.processes.pop(victims[0]).terminate()
        elif kind == "blink":
            processes[0].send_signal(signal.SIGSTOP)
            await asyncio.sleep(self.ttl / 3)
            processes[0].send_signal(signal.SIGCONT)
        elif kind == "pause":
            processes[0].send_signal(signal.SIGSTOP)
            paused = self.processes.pop(victims[0])
            await self.recovered(kind, since)
            await asyncio.sleep(max(0.0, since + self.ttl + 0.5 + self.dice.random() - time.monotonic()))
            paused.send_signal(signal.SIGCONT)
            self.processes[victims[0]] = paused
            since, kind = time.monotonic(), "resume"
        await self.recovered(kind, since)
        if kind == "blink" and self.journal.epochs != epochs:
            self.figures.problems.append("a pause shorter than the lease has moved shards")
        if kind in ("kill", "kill two", "leave"):
            for process in processes:
                await process.wait()

    async def stop(self) -> None:
        """End all workers."""
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes.values():
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                await process.wait()
        await asyncio.gather(*self.listeners)


def _next_kind(dice: random.Random, alive: int, workers: int) -> str:
    if alive < workers:
        return "add"
    kinds = ["kill", "kill", "kill two", "pause", "pause", "blink", "leave"]
    return dice.choice([*kinds, "add"] if alive < workers + 3 else kinds)


async def chaos(
    seconds: float, workers: int, shards: int, ttl: float, seed: int, *, careless: bool = False,
    kinds: list[str] | None = None, slack: float = SLACK,
) -> Figures:  # fmt: skip
    """One run of at least `seconds`, or through `kinds`; the figures say what was found. `slack`: more for a busy machine."""
    with RingleaderCluster() as cluster:
        cluster.wait_ready()
        run = Run(cluster.endpoints, shards, ttl, seed, careless, slack)
        async with ringleader.connect(cluster.endpoints) as db:
            following = asyncio.create_task(run.follow(db))
            begun = time.monotonic()
            try:
                for _ in range(workers):
                    await run.start()
                await run.recovered("start", begun, bound=28.0 + slack)
                end = begun + seconds
                while kinds if kinds is not None else time.monotonic() < end:
                    kind = kinds.pop(0) if kinds else _next_kind(run.dice, len(run.processes), workers)
                    await run.disturb(kind)
                    await asyncio.sleep(run.dice.random())
                    if following.done():
                        following.result()
            finally:
                await run.stop()
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
    figures, journal, recorder = run.figures, run.journal, run.recorder
    figures.seconds = time.monotonic() - begun
    figures.words, figures.refused = len(recorder.words), recorder.refused
    figures.epochs, figures.moves, figures.claims = journal.epochs, journal.moves, len(journal.claimed)
    overlaps, figures.gaps = judge_owners(recorder.words)
    figures.problems += overlaps + journal.problems
    longest = ttl + slack + BEAT  # the last word of an owner is up to one beat older than his end
    figures.problems += [f"a shard had no owner for {gap:.2f} s" for gap in figures.gaps if gap > longest]
    figures.problems += [
        f"shard {shard}: {worker} works with token {token}, which is no claim of his"
        for worker, shard, token in sorted({(w.worker, w.shard, w.token) for w in recorder.words})
        if journal.claimed.get((shard, token)) != worker
    ]
    return figures


def main() -> None:
    """The command line; exit code 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--shards", type=int, default=256)
    parser.add_argument("--ttl", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--careless", action="store_true", help="workers do not look whether they still own a shard")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--endpoints", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.worker:
        asyncio.run(work(a.endpoints, a.worker, a.shards, a.ttl, a.careless))
        return
    figures = asyncio.run(chaos(a.seconds, a.workers, a.shards, a.ttl, a.seed, careless=a.careless))
    print(json.dumps(figures.summary(), indent=1))
    sys.exit(1 if figures.problems else 0)


if __name__ == "__main__":
    main()
