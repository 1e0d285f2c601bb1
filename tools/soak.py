"""Hunt for failures for SOAK_MINUTES (default 10), going on where the last hunt ended.

State lies in .soak/: `next` is the next seed to run; each failure is kept as `seed-N.txt` with its trace. Exit code 1 when
this hunt found a failure. SOAK_JOBS: processes (default: one per core).

Beside them, for the same time, go the hunts of the replicated types: the attacks on every decoder, random editing of text
and documents, and the next pieces of the exhaustive search. What they say is in .soak/NAME.txt.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from ringleader.sim.run import Report, Summary, run_seed

FOLDER = Path(".soak")
FIRST_SEED = 1_000_000
"""Far from the seeds of the test suite, so that soaking adds to what is tested."""


def hunts(minutes: float) -> dict[str, subprocess.Popen[bytes]]:
    """Start the hunts that are programs of their own."""
    commands = {
        "fuzz_crdt": ["--minutes", str(minutes)],
        "fuzz_text": [str(60 * minutes)],
        "explore_crdt": ["--minutes", str(minutes)],
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
    """Run seeds until the time is over."""
    minutes = float(os.environ.get("SOAK_MINUTES", "10"))
    until = time.monotonic() + 60.0 * minutes
    jobs = int(os.environ.get("SOAK_JOBS", "0")) or os.cpu_count() or 1
    FOLDER.mkdir(exist_ok=True)
    started = hunts(minutes)
    state = FOLDER / "next"
    following = int(state.read_text()) if state.exists() else FIRST_SEED
    print(f"soak: seeds from {following} on, {jobs} processes")
    summary = Summary()
    unfinished: dict[Future[Report], int] = {}
    with ProcessPoolExecutor(jobs, get_context("spawn"), max_tasks_per_child=200) as pool:
        while unfinished or time.monotonic() < until:
            while len(unfinished) < 2 * jobs and time.monotonic() < until:
                unfinished[pool.submit(run_seed, following)] = following
                following += 1
            done, _ = wait(unfinished, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                del unfinished[future]
                note(future.result(), summary)
            state.write_text(str(min(unfinished.values(), default=following)))
    print("\n".join(summary.lines()))
    return 1 if ended(started) or summary.failures else 0


def note(report: Report, summary: Summary) -> None:
    """Count a report; keep and tell a failure."""
    summary.add(report)
    if report.failure is None:
        return
    text = "\n".join([report.line(), f"replay: ringleader sim replay {report.seed}", "", *report.tail, ""])
    (FOLDER / f"seed-{report.seed}.txt").write_text(text)
    print(f"{report.line()}\n  replay it with: ringleader sim replay {report.seed}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
