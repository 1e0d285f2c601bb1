"""Clients that write unique values at a fixed rate while something bad happens, and the judge of what they were told.

Every call is recorded. In the end the whole history is checked twice: by the order that the revisions claim
(`check_revisions`: strict serializability), and against the log itself, read as a watch from the first revision: nothing
acknowledged is missing, nothing was applied twice, nothing that was refused is there.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field

import ringleader
from ringleader.errors import NotAppliedError, RingleaderError
from ringleader.sim.history import History, Operation, Outcome, check_revisions

__all__ = ["Judgement", "Load", "judge", "keep_history", "read_log"]

KEYS = 40
READ_SHARE = 0.2
MOST_WAITING = 2000


@dataclass
class Judgement:
    """What became of the calls. Times in seconds; `problems`: empty when all is right."""

    writes: int = 0
    acknowledged: int = 0
    unknown: int = 0
    refused: int = 0
    reads: int = 0
    slowest_write: float = 0.0
    check_seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


class Load:
    """Clients that write unique values and read some back, all recorded in one history."""

    def __init__(self, endpoints: str, clients: int, rate: float, seed: int) -> None:
        self.endpoints = endpoints
        self.clients = clients
        self.rate = rate
        self.random = random.Random(seed)
        self.history = History()
        self.stopping = False
        self._connected = asyncio.Semaphore(0)
        self.last_start_ok: list[tuple[float, float]] = []  # (start, end) of acknowledged writes, in order of their end

    async def run(self) -> None:
        """Until `stopping`; then every call under way is waited for."""
        await asyncio.gather(*(self._client(number) for number in range(self.clients)))

    async def connected(self) -> None:
        """Until every client has reached the cluster once."""
        for _ in range(self.clients):
            await self._connected.acquire()

    async def _client(self, number: int) -> None:
        pace = self.clients / self.rate
        calls: set[asyncio.Task[None]] = set()
        async with ringleader.connect(self.endpoints, timeout=10.0) as client:
            self._connected.release()
            due = time.monotonic()
            written = 0
            while not self.stopping:
                due += pace
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if len(calls) > MOST_WAITING:
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


async def keep_history(endpoints: str) -> None:
    """Have the cluster keep every revision: the judge reads them all in the end."""
    async with ringleader.connect(endpoints, timeout=60.0) as client:
        await client.configure(compaction="off")


async def read_log(endpoints: str) -> dict[int, tuple[str, str]]:
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


def judge(history: History, log: dict[int, tuple[str, str]]) -> Judgement:
    """Check the history by itself and against the log."""
    figures = Judgement()
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
    figures.slowest_write = max((op.end - op.start for op in writes if op.outcome is Outcome.OK), default=0.0)
    return figures


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
