"""A history: the calls of all clients with what they asked, what they were told, and when.

Times are numbers of any one monotonic unit. Call A precedes call B in real time when A ended before B started; equal times
count as overlapping, which can hide nothing but a tie.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from enum import Enum
from math import inf
from typing import Any

__all__ = ["History", "Operation", "Outcome"]


class Outcome(Enum):
    """How a call ended. `UNKNOWN`: it may take effect at any later time, or never; `FAILED`: it certainly never did."""

    OPEN = "open"
    OK = "ok"
    UNKNOWN = "unknown"
    FAILED = "failed"


class Operation:
    """One call of `client`: `name` with `arguments`, from `start` to `end` (`inf` unless it returned or failed)."""

    __slots__ = ("arguments", "client", "end", "name", "number", "outcome", "result", "start")

    def __init__(self, number: int, client: Hashable, name: str, arguments: tuple[Any, ...], start: float) -> None:
        self.number = number
        self.client = client
        self.name = name
        self.arguments = arguments
        self.start = start
        self.end = inf
        self.outcome = Outcome.OPEN
        self.result: Any = None

    @property
    def known(self) -> bool:
        """Whether the client was told a result."""
        return self.outcome is Outcome.OK

    def __repr__(self) -> str:
        told = (
            f" -> {self.result!r}" if self.known else "" if self.outcome is Outcome.OPEN else f" {self.outcome.value}"
        )
        asked = ", ".join(map(repr, self.arguments))
        return f"#{self.number} client {self.client} {self.name}({asked}){told} [{self.start:g}, {self.end:g}]"


class History:
    """All calls in the order in which they were recorded. A call that never ends counts as one of unknown outcome."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def call(self, client: Hashable, name: str, *arguments: Any, at: float) -> Operation:
        """`client` calls `name(*arguments)`; hand what is returned here to `returned`, `unknown` or `failed`."""
        operation = Operation(len(self.operations), client, name, arguments, at)
        self.operations.append(operation)
        return operation

    def returned(self, operation: Operation, result: Any, at: float) -> None:
        """The call was answered. Raises `ValueError` when it had ended before, or ends before it started."""
        self._end(operation, Outcome.OK, at)
        operation.result = result

    def unknown(self, operation: Operation, at: float) -> None:
        """The client gave up at `at`; the call may still take effect."""
        self._end(operation, Outcome.UNKNOWN, at)
        operation.end = inf

    def failed(self, operation: Operation, at: float) -> None:
        """The client was told that the call has had and will have no effect."""
        self._end(operation, Outcome.FAILED, at)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    def __len__(self) -> int:
        return len(self.operations)

    @staticmethod
    def _end(operation: Operation, outcome: Outcome, at: float) -> None:
        if operation.outcome is not Outcome.OPEN:
            raise ValueError(f"{operation!r} has ended already")
        if at < operation.start:
            raise ValueError(f"{operation!r} cannot end at {at:g}, before it started")
        operation.outcome = outcome
        operation.end = at
