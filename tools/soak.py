"""Hunt for failures for SOAK_MINUTES (default 10), going on where the last hunt ended.

State lies in .soak/: `state.json` holds the next seed and what all hunts add up to; each failure is kept as `seed-N.txt` with
its options and trace. Exit code 1 when this hunt found a failure, or when after PROBED seeds or more a probe was never hit.
SOAK_JOBS: processes (default: one per core). SOAK_SEEDS: end when so many seeds were run over all hunts, however long it takes
(then SOAK_MINUTES counts only if it is set too). SOAK_FROM: the first seed, where there is no state yet. SOAK_PROTOCOL: raft or
paxos; without it even seeds run the one, odd ones the other.

Beside the seeds go the hunts of the replicated types for the same time, unless SOAK_SEEDS is set: the attacks on every
decoder, random editing of text and documents, and the next pieces of the exhaustive searches, of the types and of the
consensus cores. What they say is in .soak/NAME.txt.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

import msgspec

from ringleader.consensus.protocols import PROTOCOLS
from ringleader.sim.options import draw
from ringleader.sim.run import Report, Summary, Totals, run_drawn

FOLDER = Path(".soak")
FIRST_SEED = 1_000_000
"""Far from the seeds of the test suite, so that soaking adds to what is tested."""
PROBED = 200
"""After so many seeds every probe must have been hit."""


class State(msgspec.Struct):
    """Where the next hunt goes on. `seconds`: of wall clock, over all hunts. `failed`: the seeds that did."""

    following: int
    seconds: float = 0.0
    failed: list[int] = []
    totals: Totals = msgspec.field(default_factory=Totals)


def hunts(minutes: float) -> dict[str, subprocess.Popen[bytes]]:
    """Start the hunts that are programs of their own."""
    commands = {
        "fuzz_crdt": ["--minutes", str(minutes)],
        "fuzz_text": [str(60 * minutes)],
        "explore_crdt": ["--minutes", str(minutes)],
        "explore_cores": ["--minutes", str(minutes)],
    }
    started = {}
    for name, arguments in commands.items():
        with (FOLDER / f"{name}.txt").open("wb") as out:
            command = [sys.executable, "-m", f"tools.{name}", *arguments]
            started[name] = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    return started


def ended(started: dict[str, subprocess.Popen[bytes]]) -> int:
    """Wait for the hunts and tell what they found; how many found a failure."""
    failures = 0
    for name, hunt in started.items():
        failures += hunt.wait() != 0
        print(f"{name}{' FAILED' if hunt.returncode else ''}:\n{(FOLDER / f'{name}.txt').read_text()}", flush=True)
    return failures


def main() -> int:
    """Run seeds until the time is over, or enough of them are run."""
    wanted = int(os.environ.get("SOAK_SEEDS", "0"))
    minutes = float(os.environ.get("SOAK_MINUTES", "1e9" if wanted else "10"))
    jobs = int(os.environ.get("SOAK_JOBS", "0")) or os.cpu_count() or 1
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / "state.json"
    if path.exists():
        state = msgspec.json.decode(path.read_bytes(), type=State)
    else:
        state = State(int(os.environ.get("SOAK_FROM", str(FIRST_SEED))))
    started = hunts(minutes) if not wanted else {}
    print(f"soak: seeds from {state.following} on, {jobs} processes, {state.totals.seeds} seeds run before", flush=True)
    summary = Summary(state.totals)
    failed = hunt(state, path, summary, time.monotonic() + 60.0 * minutes, wanted, jobs)
    print("\n".join(summary.lines()))
    print(f"{state.seconds:.0f} s of wall clock over all hunts; failed: {state.failed or 'none'}")
    missing = summary.probes.missing() if summary.totals.seeds >= PROBED else []
    return 1 if ended(started) or failed or missing else 0


def hunt(state: State, path: Path, summary: Summary, until: float, wanted: int, jobs: int) -> int:
    """Run seeds, keeping the state on file; how many failed."""
    failed, following, since = 0, state.following, time.monotonic()
    unfinished: dict[Future[Report], int] = {}
    with ProcessPoolExecutor(jobs, get_context("spawn"), max_tasks_per_child=200) as pool:
        while True:
            while len(unfinished) < 2 * jobs and time.monotonic() < until:
                if wanted and summary.totals.seeds + len(unfinished) >= wanted:
                    break
                unfinished[pool.submit(run_drawn, protocol_of(following), following)] = following
                following += 1
            if not unfinished:
                return failed
            done, _ = wait(unfinished, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=unfinished.__getitem__):
                del unfinished[future]
                failed += note(future.result(), summary, state)
            state.following = min(unfinished.values(), default=following)
            now = time.monotonic()
            state.seconds, since = state.seconds + now - since, now
            path.write_bytes(msgspec.json.encode(state))


def protocol_of(seed: int) -> str:
    """What the cluster of that seed runs."""
    return os.environ.get("SOAK_PROTOCOL") or PROTOCOLS[seed % len(PROTOCOLS)]


def note(report: Report, summary: Summary, state: State) -> bool:
    """Count a report; keep and tell a failure, and say whether it is one."""
    summary.add(report)
    if report.failure is None:
        return False
    state.failed.append(report.seed)
    protocol = protocol_of(report.seed)
    again = f"ringleader sim replay {report.seed} --protocol {protocol}"
    head = [report.line(), f"replay: {again}", "", *draw(report.seed, protocol=protocol).lines()]
    (FOLDER / f"seed-{report.seed}.txt").write_text("\n".join([*head, "", *report.tail, ""]))
    print(f"{report.line()}\n  replay it with: {again}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
