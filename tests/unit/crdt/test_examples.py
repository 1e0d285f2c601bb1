"""The examples run and print what they promise; the documents' pictures are up to date and their code runs."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from tools.crdt_pictures import DOCUMENTS, PICTURES, picture, redrawn

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("shopping_cart", ["together: {'items': {'apple': 2, 'bread': 1, 'milk': 2}, 'note': 'ring twice'"]),
        ("feature_flags", ["new_checkout: True", "payments: False", "by a human: [0, 50]", "decided: [0]"]),
        ("presence", ["at first: ['ann', 'bob', 'cat']", "later: ['ann']", "swept: ['ann']", "cursor of ann: 17"]),
        ("rate_limiter", ["in the end: 100 of 100"]),
        ("like_counter", ["likes everywhere: [2000] messages lost: True"]),
    ],
)
def test_example(name: str, says: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    for line in says:
        assert line in printed


def test_the_visitors_of_the_like_counter_are_estimated_well(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "like_counter.py"), run_name="__main__")
    found = re.search(r"visitors: (\d+), estimated (\d+)", capsys.readouterr().out)
    assert found is not None
    assert abs(int(found[1]) - int(found[2])) < 0.03 * int(found[1])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_pictures_are_up_to_date(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "<!-- picture: " in text
    assert redrawn(text) == text, "run python -m tools.crdt_pictures"


@pytest.mark.parametrize("name", list(PICTURES))
def test_all_lines_of_a_picture_end_in_the_same_value(name: str) -> None:
    assert len({line.split("> ")[-1] for line in picture(name).splitlines()}) == 1


def test_the_steps_of_the_chapter_run() -> None:
    """The Python blocks of the chapter are one program; its asserts hold."""
    text = (ROOT / "docs/learn/4-crdts.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) >= 5
    scope: dict[str, object] = {"__name__": "chapter"}
    exec(compile("\n".join(blocks), "4-crdts.md", "exec", dont_inherit=True), scope)


def test_the_first_example_of_the_reference_runs() -> None:
    text = (ROOT / "docs/crdt.md").read_text()
    first = re.search(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert first is not None
    scope: dict[str, Any] = {"__name__": "reference"}
    exec(compile(first[1], "crdt.md", "exec", dont_inherit=True), scope)
    assert str(scope["again"].root.value) == "{'items': {'apple': 2}, 'owner': None}"
