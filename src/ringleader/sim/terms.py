"""How a term is written where people read it, whatever the protocol."""

from __future__ import annotations

from ringleader.consensus.paxos.ballot import MEMBERS, ballot_word

__all__ = ["term_word"]


def term_word(term: int) -> str:
    """A term of Raft as it is, a ballot of Paxos as `2n3`.

    What is not below `MEMBERS` is a ballot: no run that anybody has the patience for holds so many elections.
    """
    return ballot_word(term) if term >= MEMBERS else str(term)
