"""Run one seed and say how it went; run it twice and say whether it is the same run."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import msgspec

from ringleader.sim.judge import check_history
from ringleader.sim.options import Options, draw
from ringleader.sim.probes import Probes
from ringleader.sim.record import Outcome
from ringleader.sim.trace import Kind, Trace
from ringleader.sim.violation import Violation
from ringleader.sim.world import World

__all__ = ["Failure", "Report", "Summary", "Totals", "replay", "run_drawn", "run_seed", "run_seeds", "self_check"]


class Failure(msgspec.Struct, frozen=True):
    """What broke: the name of the invariant, in words, at what simulated time (seconds) and event number."""

    invariant: str
    text: str
    time: float
    step: int


class Report(msgspec.Struct):
    """How a seed went. `simulated` and `cpu` in seconds; `steps`: events; `calls`: of clients, by outcome.

    `fingerprint` sums up the run; two runs of a seed have the same. `searched`: calls that the exact search decided, beside
    the check by revisions, which decides them all. `tail`: the last events before a failure, in words.
    """

    seed: int
    failure: Failure | None
    nodes: int
    steps: int
    simulated: float
    cpu: float
    entries: int
    calls: dict[str, int]
    probes: dict[str, int]
    fingerprint: str
    searched: int = 0
    tail: list[str] = []

    @property
    def ok(self) -> bool:
        """Whether nothing broke."""
        return self.failure is None

    def line(self) -> str:
        """One line for people."""
        speed = self.simulated / max(self.cpu, 1e-9)
        head = f"seed {self.seed}: {self.nodes} nodes, {sum(self.calls.values())} calls, {self.steps} events, {speed:.0f}:1"
        if self.failure is None:
            return f"{head}, ok"
        failure = self.failure
        return f"{head}, FAILED at {failure.time:.6f} s, event {failure.step}: {failure.invariant}: {failure.text}"


def run_seed(
    seed: int,
    options: Options | None = None,
    trace: Trace | None = None,
    made: Callable[[World], None] = lambda world: None,
) -> Report:
    """Run `seed` with its own options, or with those given. Never raises for what the simulated code does.

    `made` is handed the world before it runs. The cyclic garbage collector rests meanwhile: a world lives for a second or
    two and is then dropped whole.
    """
    options = options or draw(seed)
    trace = trace if trace is not None else Trace()
    world = World(options, trace)
    made(world)
    searched = 0
    collecting = gc.isenabled()
    gc.disable()
    started = time.process_time()
    failure: Failure | None = None
    try:
        world.run()
        searched = check_history(world)
    except Violation as violation:
        failure = _failure(world, violation.invariant, violation.text)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({where.name}, {where.filename.rpartition('/')[2]}:{where.lineno})"
        failure = _failure(world, "no exception", text)
    finally:
        cpu = time.process_time() - started
        if collecting:
            gc.enable()
    if failure is not None:
        trace.add((world.timeline.now, Kind.VIOLATION, 0, 0, f"{failure.invariant}: {failure.text}", 0.0))
    return _report(world, failure, cpu, searched)


def _failure(world: World, invariant: str, text: str) -> Failure:
    return Failure(invariant, text, world.timeline.now, world.timeline.steps)


def _report(world: World, failure: Failure | None, cpu: float, searched: int) -> Report:
    outcomes = {outcome.name.lower(): world.log.count(outcome) for outcome in Outcome}
    last = world.truth.hashes[-1]
    fingerprint = f"{world.timeline.steps}-{world.oracle.ledger.last}-{last:016x}-{world.choice.getrandbits(32):08x}"
    return Report(
        seed=world.options.seed,
        failure=failure,
        nodes=world.options.nodes,
        steps=world.timeline.steps,
        simulated=world.timeline.now,
        cpu=cpu,
        entries=world.oracle.ledger.last,
        calls=outcomes,
        probes=dict(world.probes.counts),
        fingerprint=fingerprint,
        searched=searched,
        tail=list(world.trace.lines()) if failure is not None else [],
    )


def replay(seed: int, options: Options | None = None) -> tuple[Report, Trace]:
    """Run `seed` keeping its whole trace."""
    trace = Trace(None)
    return run_seed(seed, options, trace), trace


def self_check(seed: int, options: Options | None = None) -> str:
    """Run `seed` twice; "" when both runs were the same, event by event, else the first event that differs."""
    traces = [replay(seed, options)[1] for _ in range(2)]
    for place, (one, other) in enumerate(zip(*(trace.lines() for trace in traces), strict=False)):
        if one != other:
            return f"event {place} differs:\n  {one}\n  {other}"
    if len(traces[0]) != len(traces[1]):
        return f"one run has {len(traces[0])} events, the other {len(traces[1])}"
    return ""


class Totals(msgspec.Struct):
    """What many seeds add up to. `five`: simulated and CPU seconds of the seeds with five nodes. Times in seconds."""

    seeds: int = 0
    failed: int = 0
    simulated: float = 0.0
    cpu: float = 0.0
    five: tuple[float, float] = (0.0, 0.0)
    steps: int = 0
    calls: int = 0
    searched: int = 0
    probes: dict[str, int] = {}


class Summary:
    """Adds up reports, perhaps on top of what earlier runs came to."""

    def __init__(self, totals: Totals | None = None) -> None:
        self.totals = totals if totals is not None else Totals()
        self.failures: list[Report] = []
        self.probes = Probes()
        for name, count in self.totals.probes.items():
            if name in self.probes.counts:
                self.probes.hit(name, count)

    def add(self, report: Report) -> None:
        """One more seed."""
        totals = self.totals
        totals.seeds += 1
        totals.simulated += report.simulated
        totals.cpu += report.cpu
        totals.steps += report.steps
        totals.calls += sum(report.calls.values())
        totals.searched += report.searched
        if report.nodes == 5:
            totals.five = (totals.five[0] + report.simulated, totals.five[1] + report.cpu)
        if report.failure is not None:
            totals.failed += 1
            self.failures.append(report)
        for name, count in report.probes.items():
            self.probes.hit(name, count)
        totals.probes = self.probes.counts

    def lines(self) -> list[str]:
        """The figures in words."""
        totals = self.totals
        cpu = max(totals.cpu, 1e-9)
        five = f" (five nodes: {totals.five[0] / totals.five[1]:.0f}:1)" if totals.five[1] else ""
        lines = [
            f"{totals.seeds} seeds, {totals.failed} failed; {totals.simulated:.0f} simulated seconds in {totals.cpu:.1f} s "
            f"of CPU: {totals.simulated / cpu:.0f}:1{five}; {totals.steps} events, {totals.steps / cpu:.0f} a second; "
            f"{totals.calls} calls, {totals.calls / max(totals.simulated, 1e-9):.0f} a simulated second, all decided by "
            f"revisions, {totals.searched} by exact search too"
        ]
        missing = self.probes.missing()
        reached = len(self.probes.counts) - len(missing)
        lines.append(f"{reached} probes reached" + (f", never: {', '.join(missing)}" if missing else ", all there are"))
        return lines


def run_seeds(first: int, count: int, jobs: int = 1, protocol: str = "raft") -> Iterator[Report]:
    """Run seeds `first` to `first + count - 1`, `jobs` at a time in processes of their own; reports in order of seeds."""
    seeds = range(first, first + count)
    run = partial(run_drawn, protocol)
    if jobs <= 1:
        yield from map(run, seeds)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        yield from pool.map(run, seeds)


def run_drawn(protocol: str, seed: int) -> Report:
    """Run `seed` as it is drawn for `protocol`."""
    return run_seed(seed, draw(seed, protocol=protocol))
