"""Every call of every simulated client: when it was made, when and how it ended, or that nobody will ever know."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from ringleader.sim.timeline import Timeline

__all__ = ["CallLog", "Outcome", "Record"]


class Outcome(IntEnum):
    """How a call ended."""

    OPEN = 0
    ANSWERED = 1
    UNKNOWN = 2
    NOT_APPLIED = 3


class Record:
    """One call: `client` asked `op` at `call`; `end` and `output` once it has ended (simulated seconds).

    `own`: one of the load's own, on a single key, which the checkers of `sim.history` judge too.
    """

    __slots__ = ("call", "client", "end", "op", "outcome", "output", "own")

    def __init__(self, client: int, op: Any, call: float, own: bool) -> None:
        self.client = client
        self.op = op
        self.own = own
        self.call = call
        self.end = float("inf")
        self.output: Any = None
        self.outcome = Outcome.OPEN


class CallLog:
    """All calls in the order in which they were made."""

    def __init__(self, timeline: Timeline) -> None:
        self.records: list[Record] = []
        self._timeline = timeline

    def call(self, client: int, op: Any, *, own: bool = True) -> Record:
        """A call is made."""
        record = Record(client, op, self._timeline.now, own)
        self.records.append(record)
        return record

    def answered(self, record: Record, output: Any) -> None:
        """The call is answered."""
        record.output = output
        self._end(record, Outcome.ANSWERED)

    def unknown(self, record: Record) -> None:
        """The call has ended for the client, but it may still take effect."""
        self._end(record, Outcome.UNKNOWN)

    def not_applied(self, record: Record) -> None:
        """The call has certainly had no effect."""
        self._end(record, Outcome.NOT_APPLIED)

    def _end(self, record: Record, outcome: Outcome) -> None:
        record.end = self._timeline.now
        record.outcome = outcome

    def count(self, outcome: Outcome) -> int:
        """How many calls ended so."""
        return sum(record.outcome is outcome for record in self.records)
