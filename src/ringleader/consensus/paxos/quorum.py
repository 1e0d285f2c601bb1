"""Quorum sizes: how many members a new ballot must hear (phase 1), and how many must accept a value (phase 2).

Only a phase-1 and a phase-2 quorum have to meet (Howard, Malkhi and Spiegelman, "Flexible Paxos", 2016); two phase-2 quorums
need not. The phase-2 size is what is configured; the phase-1 size follows from it as the smallest that meets every phase-2
quorum: `n - q2 + 1`. So there is no pair of sizes to get wrong, in whichever configuration arises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

__all__ = ["accepted_by", "check_phase2", "has_phase1", "has_phase2", "phase1_size", "phase2_size"]

Number = TypeVar("Number", int, float)


def phase2_size(voters: int, phase2: int) -> int:
    """How many of `voters` must accept a value: `phase2`, but not more than there are; 0 stands for a majority."""
    return min(phase2, voters) if phase2 else voters // 2 + 1


def phase1_size(voters: int, phase2: int) -> int:
    """How many of `voters` must promise a ballot, so that each phase-2 quorum has one of them."""
    return voters - phase2_size(voters, phase2) + 1


def check_phase2(voters: int, phase2: int) -> None:
    """Raise `ValueError` when a phase-2 quorum of `phase2` (0: a majority) makes no sense for `voters` founding voters."""
    if not 0 <= phase2 <= max(voters, 1):
        raise ValueError(
            f"a phase-2 quorum of {phase2} does not exist among {voters} voters: say 1 to {voters}, or 0 for a majority"
        )


def has_phase1(voters: Sequence[int], members: Iterable[int], phase2: int) -> bool:
    """Whether `members` hold a phase-1 quorum of `voters`."""
    return bool(voters) and len(set(voters).intersection(members)) >= phase1_size(len(voters), phase2)


def has_phase2(voters: Sequence[int], members: Iterable[int], phase2: int) -> bool:
    """Whether `members` hold a phase-2 quorum of `voters`."""
    return bool(voters) and len(set(voters).intersection(members)) >= phase2_size(len(voters), phase2)


def accepted_by(voters: Sequence[int], values: Mapping[int, Number], missing: Number, phase2: int) -> Number:
    """The largest value that a phase-2 quorum of `voters` has reached; a member without one counts as `missing`."""
    if not voters:
        return missing
    ordered = sorted([values.get(member, missing) for member in voters], reverse=True)
    return ordered[phase2_size(len(voters), phase2) - 1]
