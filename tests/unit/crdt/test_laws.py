"""Every type, under any delivery with duplicates, reordering and loss: the laws hold and the value is as specified."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crdtkit.kinds import KINDS, Kind
from crdtkit.laws import ACTIONS, random_script, run

numbers = st.integers(0, 59)
scripts = st.lists(st.tuples(st.sampled_from(ACTIONS), numbers, numbers, numbers), max_size=30)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@given(script=scripts)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
def test_laws(kind: Kind, script: list[tuple[str, int, int, int]]) -> None:
    run(kind, script)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_laws_in_long_runs(kind: Kind) -> None:
    rng = random.Random(kind.name)
    for _ in range(12):
        run(kind, random_script(rng, 60))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_garbage_collection_never_changes_a_value(kind: Kind) -> None:
    rng = random.Random(kind.name)
    for _ in range(25):
        run(kind, random_script(rng, 40), garbage=True)
