"""Quorum arithmetic against brute force over all small configurations."""

from itertools import chain, combinations

import pytest

from ringleader.consensus.raft.quorum import has_quorum, quorum_value, vote_lost
from ringleader.consensus.shape import Config

MEMBERS = (1, 2, 3, 4, 5)


def subsets(items: tuple[int, ...]) -> list[tuple[int, ...]]:
    return list(chain.from_iterable(combinations(items, size) for size in range(len(items) + 1)))


def majority(of: tuple[int, ...], members: set[int]) -> bool:
    return 2 * len(members & set(of)) > len(of)


@pytest.mark.parametrize("voters", [subset for subset in subsets(MEMBERS) if subset])
def test_has_quorum_is_a_majority_of_both(voters: tuple[int, ...]) -> None:
    for outgoing in [(), (1, 2, 3), (4, 5), (2, 3, 4, 5)]:
        config = Config(voters, outgoing)
        for members in map(set, subsets(MEMBERS)):
            expected = majority(voters, members) and (not outgoing or majority(outgoing, members))
            assert has_quorum(config, members) == expected
            refused = set(MEMBERS) - members
            assert vote_lost(config, refused) == (not expected)


@pytest.mark.parametrize("voters", [(1,), (1, 2), (1, 2, 3), (1, 2, 3, 4, 5)])
def test_quorum_value_is_the_largest_that_a_quorum_reached(voters: tuple[int, ...]) -> None:
    values = {1: 7, 2: 3, 3: 9, 4: 3, 5: 1}
    config = Config(voters)
    reached = [value for value in range(10) if has_quorum(config, [m for m in voters if values[m] >= value])]
    assert quorum_value(config, values, 0) == max(reached)


def test_without_voters_nothing_is_agreed() -> None:
    assert not has_quorum(Config(()), MEMBERS)
    assert quorum_value(Config(()), {1: 5}, 0) == 0
