"""Each bug of the museum is found again, within a few seeds; without them the same seeds are clean."""

from __future__ import annotations

import pytest
from tools.bughunt import DOCUMENT, begins, parted

from ringleader.sim.options import draw
from ringleader.sim.run import run_seed
from sim.bugs import BUGS, Bug

SEEDS = 25
"""Seeds to try for a bug. Nearly all show at once; the number leaves room for other code to shift the course of a seed."""


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_bug_is_found(bug: Bug) -> None:
    with bug.planted():
        for seed in range(1, SEEDS + 1):
            report = run_seed(seed, bug.focus(draw(seed)))
            if report.failure is not None:
                break
    assert report.failure is not None, f"{bug.name} was not found with {SEEDS} seeds"
    assert report.tail, "a failure shows what led to it"
    clean = run_seed(seed, bug.focus(draw(seed)))
    assert clean.ok, f"without the bug the same seed must be clean: {clean.line()}"


def test_the_table_in_the_docs_names_all_bugs() -> None:
    """`python -m tools.bughunt --write` makes its rows."""
    _, rows, _ = parted(DOCUMENT.read_text(encoding="utf-8"))
    assert ["|".join(row.split("|")[:4]) + "|" for row in rows] == [begins(bug) for bug in BUGS]


def test_the_museum_covers_the_hazards() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    assert len({bug.hazard for bug in BUGS if bug.hazard <= 34}) >= 25
    assert len({bug.hazard for bug in BUGS if 2 <= bug.hazard <= 16}) >= 8
