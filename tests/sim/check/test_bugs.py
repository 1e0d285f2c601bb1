"""Every planted bug is found, by a trace that no shorter one could replace, and the trace holds on cores without memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringleader.sim.check import Counterexample, Limits, load, text_of
from sim.check.bugs import BUGS, Bug


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_is_found(bug: Bug, tmp_path: Path) -> None:
    """With the bug the scope breaks; the file replays the same; without the bug the same events break nothing."""
    with bug.planted():
        result = bug.scope.check(Limits(states=1_500_000))
        assert result.violation.startswith(bug.finds), result.line()
        assert result.violation, result.line()
        assert len(result.lines) == bug.events
        path = tmp_path / "found.txt"
        path.write_text(text_of(Counterexample(bug.scope, result.violation, result.lines)), encoding="utf-8")
        found = load(path)
        assert found.lines == result.lines
        assert found.replay().problem == result.violation
        assert "VIOLATION" in path.read_text(encoding="utf-8")
    try:
        assert found.replay().problem == ""
    except ValueError:
        pass  # a message of the buggy run was never sent by correct cores
