"""One call of the user, from the moment it is asked until it is answered, and the session that numbers its commands."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import msgspec

from ringleader.client.failures import describe
from ringleader.store.commands import Command, Read

__all__ = ["ONCE", "OPEN", "PLAIN", "READ", "STATUS", "Call", "Flight", "Kind", "Session"]


class Kind(IntEnum):
    """What may be done with a call when the connection is lost.

    `ONCE`: repeated under its number within the session. `PLAIN`: sent once, then its outcome is unknown. `READ`, `STATUS`:
    repeated freely. `OPEN`: the opening of a session, belongs to nobody.
    """

    ONCE = 0
    PLAIN = 1
    READ = 2
    STATUS = 3
    OPEN = 4


ONCE, PLAIN, READ, STATUS, OPEN = Kind
"""For those who ask at every call: in CPython 3.11 to say `Kind.READ` costs as much as to call a function."""


class Call(msgspec.Struct, eq=False):
    """A call. `count`: of its commands or reads. `raws`: its commands encoded. `group`: what may share a frame with it.

    `flying`: a copy is on its way. `doubt`: a copy was sent whose fate is unknown. `done`: answered, or nobody waits.
    """

    number: int
    kind: Kind
    commands: Sequence[Command] | Sequence[Read]
    count: int
    deadline: float
    timeout: float
    raws: Sequence[msgspec.Raw] = ()
    size: int = 0
    group: tuple[str, int] = ("", 0)
    session: Session | None = None
    seq: int = 0
    alone: bool = False
    flying: bool = False
    doubt: bool = False
    done: bool = False

    @property
    def unknown(self) -> bool:
        """Whether the outcome could not be told if the call ended now."""
        return (self.flying or self.doubt) and self.kind <= PLAIN

    def what(self) -> str:
        """The call in a few words."""
        return describe(list(self.commands)) if self.commands else "status"


class Flight:
    """A frame on its way: the calls in it, in order, and when it was sent."""

    __slots__ = ("calls", "count", "kind", "sent_at", "size")

    def __init__(self, kind: Kind, calls: list[Call], count: int, sent_at: float) -> None:
        self.size = sum([call.size for call in calls])
        self.kind = kind
        self.calls = calls
        self.count = count
        self.sent_at = sent_at


class Session:
    """A session of the store: gives sequence numbers out and knows below which all are answered."""

    __slots__ = ("_next", "_unanswered", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self._next = 1
        self._unanswered: dict[int, Call] = {}  # in order of the numbers, since they are only ever appended

    def assign(self, call: Call) -> None:
        """Give the commands of `call` the next numbers."""
        call.session = self
        call.seq = self._next
        self._next += call.count
        self._unanswered[call.seq] = call

    def answered(self, call: Call) -> None:
        """The answer of `call` is here, or nobody waits for it any more: its numbers will not be used again."""
        self._unanswered.pop(call.seq, None)

    @property
    def ack(self) -> int:
        """All numbers below this one are answered."""
        return next(iter(self._unanswered), self._next)

    def span(self, more: int) -> int:
        """How far the numbers would run ahead of the oldest unanswered one with `more` commands."""
        return self._next + more - self.ack
