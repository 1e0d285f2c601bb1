"""The collaborative editor over real sockets."""

from __future__ import annotations

import importlib.util
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "collaborative_editor.py"


async def test_the_collaborative_editor_example() -> None:
    spec = importlib.util.spec_from_file_location("collaborative_editor", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    texts = await module.demonstration(seed=7)
    assert len(texts) == 4
    assert len(set(texts)) == 1
    assert sorted(texts[0].splitlines()) == [
        "ann: The quick brown fox",
        "ben: jumps over",
        "eve: the lazy dog \N{DOG FACE}",
    ]
