"""What runs the suite: every protocol, and quorums of other sizes than majorities."""

from __future__ import annotations

import msgspec

from ringleader.consensus.protocols import PROTOCOLS, Choice

__all__ = ["KINDS", "Kind", "alone"]


class Kind(msgspec.Struct, frozen=True):
    """A protocol and how many members vote at the start."""

    choice: Choice
    voters: int

    def __str__(self) -> str:
        quorum = f"-q{self.choice.phase2}" if self.choice.phase2 else ""
        return f"{self.choice.protocol}-{self.voters}{quorum}"


KINDS = [Kind(Choice(protocol), voters) for protocol in PROTOCOLS for voters in (3, 5)]
if "paxos" in PROTOCOLS:
    KINDS += [Kind(Choice("paxos", 2), 5), Kind(Choice("paxos", 4), 5), Kind(Choice("paxos", 1), 3)]


def alone(kind: Kind) -> Kind:
    """The same protocol with one voter."""
    return Kind(Choice(kind.choice.protocol), 1)
