"""Plant each bug of the museum (`tests/sim/bugs.py`) and let the simulator look for it; prints the table of the docs.

    python -m tools.bughunt [--seeds N] [--drawn] [--write] [NAME ...]

Seeds are tried from 1 on until one fails: in a bug's focus if it has one ("focused" in the table), else, and for all of them
with `--drawn`, as they are drawn. CPU seconds are process time and count all seeds tried. `--write` puts the rows that were
made into `docs/verification.md`, and takes out those of bugs that there are no more; the suite holds that the table names all
bugs that there are, and says of them what the code says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from ringleader.sim.options import draw
from ringleader.sim.run import run_seed
from sim.bugs import BUGS, Bug

__all__ = ["DOCUMENT", "HEAD", "begins", "parted"]

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "verification.md"
HEAD = """\
| bug | hazard | what it does | found by seed | CPU seconds | invariant that broke |
|---|---|---|---|---|---|
"""


def begins(bug: Bug) -> str:
    """The cells of a row that do not depend on any run."""
    return f"| {bug.shown} | {bug.hazard or '-'} | {bug.says} |"


def hunt(bug: Bug, seeds: int, *, drawn: bool) -> str:
    """The row of `bug`; one that `seeds` seeds do not find is said to be missed."""
    cpu = 0.0
    with bug.planted():
        for seed in range(1, seeds + 1):
            report = run_seed(seed, draw(seed) if drawn else bug.focus(draw(seed)))
            cpu += report.cpu
            if report.failure is not None:
                note = " (focused)" if bug.focused and not drawn else ""
                return f"{begins(bug)} {seed}{note} | {cpu:.1f} | {report.failure.invariant} |"
    return f"{begins(bug)} missed by {seeds} | {cpu:.1f} | - |"


def parted(text: str) -> tuple[str, list[str], str]:
    """What stands before the rows of the table, the rows, and what follows. Raises `ValueError` where there is no table."""
    before, head, rest = text.partition(HEAD)
    if not head:
        raise ValueError("there is no table of bugs")
    rows, _, after = rest.partition("\n\n")
    return before + head, rows.splitlines(), "\n\n" + after


def merged(text: str, made: Sequence[str]) -> str:
    """The document with these rows in it, the others as they were, in the order of the code."""
    before, old, after = parted(text)
    rows = {row.split("|")[1].strip(): row for row in [*old, *made]}
    return before + "\n".join(rows[bug.shown] for bug in BUGS if bug.shown in rows) + after


def main() -> int:
    """Print a row per bug; exit code 1 when one was not found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=120)
    parser.add_argument("--drawn", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    made = []
    print(HEAD, end="")
    for bug in BUGS:
        if not options.names or bug.name in options.names:
            made.append(hunt(bug, options.seeds, drawn=options.drawn))
            print(made[-1], flush=True)
    if options.write:
        DOCUMENT.write_text(merged(DOCUMENT.read_text(encoding="utf-8"), made), encoding="utf-8")
    return 1 if any(" missed by " in row for row in made) else 0


if __name__ == "__main__":
    sys.exit(main())
