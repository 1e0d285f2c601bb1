"""The chapters on text say what the code does: every example in them is run."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", ["crdt-text.md", "learn/4b-text.md"])
def test_the_examples_of_the_docs(name: str) -> None:
    results = doctest.testfile(str(DOCS / name), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert results.attempted > 10
    assert results.failed == 0
