"""Whoever silences mypy or ruff says why, beside it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SILENCED = re.compile(r"# (type: ignore(\[[\w, -]+\])?|noqa(: [A-Z0-9]+(, ?[A-Z0-9]+)*)?)(?P<reason>.*)$")


def test_every_silenced_line_has_a_reason() -> None:
    found = 0
    for folder in ("src", "bench", "tools", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                silenced = SILENCED.search(line)
                if silenced:
                    found += 1
                    assert re.fullmatch(r"  # .+", silenced["reason"]), (
                        f"{path.relative_to(ROOT)}:{number} gives no reason"
                    )
    assert found > 10, "they are looked for"
