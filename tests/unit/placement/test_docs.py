"""The documentation's examples run, its pictures are what the code draws now, and its figures are filled in."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tools.docs_placement import IMAGES, ROOT, filled, pictures

PAGES = [ROOT / "docs" / "placement.md", ROOT / "docs" / "learn" / "1-consistent-hashing.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_examples_run(page: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    space: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), space)


def test_pictures_are_up_to_date() -> None:
    """If this fails: `python -m tools.docs_placement`."""
    drawn = pictures()
    for name, svg in drawn.items():
        ElementTree.fromstring(svg)
        assert (IMAGES / name).read_text(encoding="utf-8") == svg, name
    assert {p.name for p in IMAGES.glob("placement-*.svg")} == set(drawn)


def test_every_picture_is_shown() -> None:
    text = PAGES[1].read_text(encoding="utf-8")
    assert set(re.findall(r"img/(placement-\w+\.svg)", text)) == {p.name for p in IMAGES.glob("placement-*.svg")}


def test_figures_are_filled_in() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    found = re.findall(r"<!-- bench:(\w+) -->\n(.*?)<!-- /bench -->", text, re.DOTALL)
    assert [name for name, _ in found] == ["where", "lookups", "ratios", "batches", "tables"]
    assert all(body.strip() for _, body in found)
    assert "| new |" in filled("<!-- bench:x -->\nold\n<!-- /bench -->", {"x": "| new |"})
    with pytest.raises(SystemExit, match="0 marks for y"):
        filled("", {"y": "z"})
