"""Quorum sizes against brute force."""

from __future__ import annotations

from itertools import combinations

import pytest

from ringleader.consensus.paxos.quorum import accepted_by, check_phase2, has_phase1, has_phase2


@pytest.mark.parametrize("voters", range(1, 7))
@pytest.mark.parametrize("phase2", range(8))
def test_every_phase_1_quorum_meets_every_phase_2_quorum(voters: int, phase2: int) -> None:
    members = tuple(range(1, voters + 1))
    subsets = [frozenset(subset) for size in range(voters + 1) for subset in combinations(members, size)]
    first = [subset for subset in subsets if has_phase1(members, subset, phase2)]
    second = [subset for subset in subsets if has_phase2(members, subset, phase2)]
    assert first
    assert second
    assert all(one & two for one in first for two in second)
    smaller = [subset for subset in subsets if any(subset | {member} in first for member in members)]
    assert any(not one & two for one in smaller for two in second), "the phase-1 quorum is larger than it needs to be"


def test_strangers_do_not_count() -> None:
    assert not has_phase2((1, 2, 3), [1, 8, 9], 0)
    assert has_phase2((1, 2, 3), [1, 3, 9], 0)
    assert not has_phase1((), [], 0)


def test_what_a_phase_2_quorum_has_reached() -> None:
    values = {1: 10, 2: 7, 3: 5, 4: 2}
    voters = (1, 2, 3, 4, 5)
    assert [accepted_by(voters, values, 0, phase2) for phase2 in (1, 2, 3, 4, 5, 0)] == [10, 7, 5, 2, 0, 5]


def test_a_phase_2_quorum_that_does_not_exist_is_refused() -> None:
    for phase2 in (-1, 4):
        with pytest.raises(ValueError, match="does not exist among 3 voters"):
            check_phase2(3, phase2)
    check_phase2(3, 0)
    check_phase2(3, 3)
