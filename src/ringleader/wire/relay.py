"""What nodes say to each other on behalf of clients: forwarded writes and questions for a read index.

These travel on the same links as the consensus messages; their tags do not overlap.
"""

from __future__ import annotations

import msgspec

from ringleader.errors import Reason
from ringleader.store.member_ops import LeaderView

__all__ = ["Forward", "ForwardRefused", "ReadIndex", "ReadIndexReply", "RelayMessage"]


class Forward(msgspec.Struct, array_like=True, gc=False, tag=21):
    """Envelopes (msgpack of `store.commands.Envelope`) for the leader of exactly this `term`, else they are refused.

    That the term is fixed makes "not applied" certain once an entry of a later term is applied.
    """

    term: int
    envelopes: list[msgspec.Raw]


class ForwardRefused(msgspec.Struct, array_like=True, gc=False, tag=22):
    """The envelopes of these `origins` were not, and will not be, put into the log."""

    origins: list[int]
    reason: Reason
    message: str


class ReadIndex(msgspec.Struct, array_like=True, gc=False, tag=23):
    """How far must I have applied to serve a linearizable read? `view`: tell me also how you see the members."""

    token: int
    view: bool = False


class ReadIndexReply(msgspec.Struct, array_like=True, gc=False, tag=24):
    """Up to `index`; 0: ask again, I do not lead."""

    token: int
    index: int
    view: LeaderView | None = None


RelayMessage = Forward | ForwardRefused | ReadIndex | ReadIndexReply
