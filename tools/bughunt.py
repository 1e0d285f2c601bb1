"""Plant each bug of the museum (`tests/sim/bugs.py`) and let the simulator look for it; prints the table of the docs.

    python -m tools.bughunt [--seeds N] [NAME ...]

Seeds are tried from 1 on, with the options that they draw, until one fails; a bug that none of them finds is looked for once
more with its focus ("focused" in the table). CPU seconds count all seeds tried.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from ringleader.sim.options import draw
from ringleader.sim.run import run_seed
from sim.bugs import BUGS, Bug


def hunt(bug: Bug, seeds: int) -> tuple[str, float, str]:
    """The first seed from 1 on that finds `bug` ("": none), the CPU seconds of the hunt, and the invariant that broke."""
    cpu = 0.0
    with bug.planted():
        for note in ("", " (focused)"):
            for seed in range(1, seeds + 1):
                options = draw(seed)
                report = run_seed(seed, bug.focus(options) if note else options)
                cpu += report.cpu
                if report.failure is not None:
                    return f"{seed}{note}", cpu, report.failure.invariant
    return "", cpu, "not found"


def main() -> int:
    """Print a row per bug; exit code 1 when one was not found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=120)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    missed = 0
    print("| bug | hazard | what it does | found by seed | CPU seconds | invariant that broke |")
    print("|---|---|---|---|---|---|")
    for bug in BUGS:
        if options.names and bug.name not in options.names:
            continue
        seed, cpu, invariant = hunt(bug, options.seeds)
        missed += not seed
        print(f"| {bug.name} | {bug.hazard} | {bug.says} | {seed or '-'} | {cpu:.1f} | {invariant} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
