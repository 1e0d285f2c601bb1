"""Numbers in a peer's message that no correct node can have sent: what holds them is refused as a whole, and said.

A member is trusted, so this is no wall against a hostile one; it keeps a broken one from carrying the others to where
numbers end. A term may be ahead by many elections, not by more than any cluster will ever hold.
"""

from __future__ import annotations

import msgspec

from ringleader.consensus.paxos.ballot import AHEAD as BALLOT_AHEAD

__all__ = ["AHEAD", "LARGEST", "TERM_AHEAD", "absurdity"]

LARGEST = (1 << 63) - 1
"""The largest number that stands anywhere in a message between nodes."""
TERM_AHEAD = 1 << 32
"""By how much a term may be ahead of ours: an election every millisecond, for fifty days."""
AHEAD = {"term": TERM_AHEAD, "ballot": BALLOT_AHEAD, "promised": BALLOT_AHEAD}
"""By how much the field of that name may be ahead; a ballot holds the number of a member beside that of its round."""


def absurdity(message: object, term: int) -> str:
    """What is absurd about a message to a node in `term` (or ballot), or ""."""
    if not isinstance(message, msgspec.Struct):
        return "it is no message"
    for field in message.__struct_fields__:
        value = getattr(message, field)
        if type(value) is int:
            if not 0 <= value <= LARGEST:
                return f"{type(message).__name__} with {field} {value}"
            ahead = AHEAD.get(field)
            if ahead is not None and value > term + ahead:
                return f"{type(message).__name__} of {field} {value}, while this node is in {term}"
    return ""
