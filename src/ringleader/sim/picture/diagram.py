"""What a space-time diagram shows, before anybody decides where on the page: lifelines, marks on them, arrows between."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Arrow", "Diagram", "Mark", "Sign"]


class Sign(Enum):
    """What a mark stands for; each has a shape of its own, so that colour is never the only difference."""

    LEADS = "becomes leader"
    STANDS = "stands for election"
    FOLLOWS = "follows"
    COMMIT = "commit"
    SYNC = "on disk"
    CRASH = "crash"
    START = "start"
    CALL = "call"
    RETURN = "answer"
    NOTE = "note"
    VIOLATION = "violation"


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at `time` to `actor` (0: to the world, drawn across all lifelines)."""

    time: float
    actor: int
    sign: Sign
    text: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """A message. `received` None: it was lost, and `sent` is when it left; `told`: when the loss is shown."""

    sent: float
    received: float | None
    sender: int
    receiver: int
    text: str
    told: float = 0.0

    @property
    def time(self) -> float:
        """The moment at which the diagram must have got to it."""
        return self.told if self.received is None else self.received


@dataclass(slots=True)
class Diagram:
    """`names`: of the lifelines by actor number, drawn in the order of the numbers. `events` in the order of time.

    `unit`: what the numbers of the time axis are; empty: there is no axis.
    """

    title: str
    names: dict[int, str]
    events: list[Mark | Arrow] = field(default_factory=list)
    unit: str = "s"
