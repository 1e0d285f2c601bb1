"""Ballots: numbers that grow, each of which belongs to exactly one member, so that no two members ever use the same.

A ballot is one integer, `round * 1_000_000 + member`: ordered by round, then by member, and readable as it stands (3000002 is
round 3 of member 2; in traces it is written `3n2`). Lamport ("Paxos Made Simple", section 2.4) asks for just this: disjoint
sets of proposal numbers.
"""

from __future__ import annotations

__all__ = ["AHEAD", "MEMBERS", "ballot", "ballot_word", "next_ballot", "owner", "round_of"]

MEMBERS = 1_000_000
"""Member numbers are below this."""
AHEAD = (1 << 32) * MEMBERS
"""By how much a ballot may be ahead of what a member has promised: an election every millisecond, for fifty days."""


def ballot(round: int, member: int) -> int:
    """The ballot of `member` (1 to 999,999) in `round` (1, 2, ...)."""
    assert round > 0, round
    assert 0 < member < MEMBERS, member
    return round * MEMBERS + member


def owner(ballot: int) -> int:
    """The member that alone may lead in `ballot`."""
    return ballot % MEMBERS


def round_of(ballot: int) -> int:
    """The round of `ballot`; 0 for no ballot."""
    return ballot // MEMBERS


def ballot_word(ballot: int) -> str:
    """A ballot for people: `3n2`, round 3 of member 2; `-` for none."""
    return f"{round_of(ballot)}n{owner(ballot)}" if ballot else "-"


def next_ballot(member: int, *ballots: int) -> int:
    """The lowest ballot of `member` in a round above those of all `ballots`."""
    return ballot(round_of(max(ballots)) + 1, member)
