"""What a checker says of a history: that it is in order, why it cannot be, or that it does not know."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ringleader.sim.history.operations import Operation

__all__ = ["Decision", "Verdict"]


class Decision(Enum):
    """`UNDECIDED` is never "ok": whoever asked has to check in another way, or with a larger budget."""

    OK = "ok"
    VIOLATION = "violation"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Verdict:
    """`reason`: of anything but "ok", one sentence. `culprits`: few operations that cannot be put in order together.

    `steps`: the work done, in steps of the model (or operations looked at).
    """

    decision: Decision
    reason: str = ""
    culprits: tuple[Operation, ...] = ()
    steps: int = 0

    @property
    def ok(self) -> bool:
        """Whether the history is certainly in order."""
        return self.decision is Decision.OK

    def __str__(self) -> str:
        lines = [self.decision.value + (f": {self.reason}" if self.reason else "")]
        return "\n".join([*lines, *(f"  {operation!r}" for operation in self.culprits)])
