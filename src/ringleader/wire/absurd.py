"""Numbers in a peer's message that no correct node can have sent: what holds them is refused as a whole, and said.

A member is trusted, so this is no wall against a hostile one; it keeps a broken one from carrying the others to where
numbers end. A term may be ahead by many elections, not by more than any cluster will ever hold.
"""

from __future__ import annotations

import msgspec

__all__ = ["LARGEST", "TERM_AHEAD", "absurdity"]

LARGEST = (1 << 63) - 1
"""The largest number that stands anywhere in a message between nodes."""
TERM_AHEAD = 1 << 32
"""By how much a term may be ahead of ours: an election every millisecond, for fifty days."""


def absurdity(message: object, term: int) -> str:
    """What is absurd about a message to a node in `term`, or ""."""
    if not isinstance(message, msgspec.Struct):
        return "it is no message"
    for field in message.__struct_fields__:
        value = getattr(message, field)
        if type(value) is int:
            if not 0 <= value <= LARGEST:
                return f"{type(message).__name__} with {field} {value}"
            if field == "term" and value > term + TERM_AHEAD:
                return f"{type(message).__name__} of term {value}, while this node is in term {term}"
    return ""
