"""Quorum arithmetic: what a majority, or both majorities of a joint configuration, agree on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from ringleader.consensus.shape import Config

__all__ = ["has_quorum", "quorum_value", "vote_lost"]

Number = TypeVar("Number", int, float)


def _majority_value(members: tuple[int, ...], values: Mapping[int, Number], missing: Number) -> Number:
    """The largest value that a majority of `members` has reached."""
    ordered = sorted((values.get(member, missing) for member in members), reverse=True)
    return ordered[len(members) // 2]


def quorum_value(config: Config, values: Mapping[int, Number], missing: Number) -> Number:
    """The largest value that a quorum of `config` has reached; a member without one counts as `missing`.

    In a joint configuration both majorities must have reached it (Raft section 6). Without voters: `missing`.
    """
    if not config.voters:
        return missing
    value = _majority_value(config.voters, values, missing)
    if config.outgoing:
        value = min(value, _majority_value(config.outgoing, values, missing))
    return value


def has_quorum(config: Config, members: Iterable[int]) -> bool:
    """Whether `members` hold a majority of the voters (and, during a joint change, of the outgoing ones)."""
    return quorum_value(config, dict.fromkeys(members, 1), 0) == 1


def vote_lost(config: Config, refused: Iterable[int]) -> bool:
    """Whether a quorum can no longer be had once `refused` have said no."""
    no = set(refused)
    return not has_quorum(config, (member for member in config.members() if member not in no))
