"""The calls under way: which are admitted, and when the time of each is over."""

from __future__ import annotations

from collections.abc import Sequence

from ringleader.client.calls import STATUS, Call, Kind
from ringleader.client.failures import describe, hint_for
from ringleader.client.options import ClientOptions
from ringleader.errors import (
    DeadlineError,
    NotAppliedError,
    OutcomeUnknownError,
    Reason,
    RingleaderError,
    UnknownDeadlineError,
    UsageError,
)
from ringleader.store.commands import Command, Read
from ringleader.wire.frames import MAX_FRAME

__all__ = ["Admission", "closed_error", "deadline_error"]

_FOREVER = float("inf")
_NUMBER = (int, float)
LONGEST = 1e9
"""The longest time that a call may take, seconds."""
_GRAIN = 0.01  # deadlines are looked at this often at most, seconds


class Admission:
    """All calls that are not answered yet, by number, within the bounds on calls and bytes. `deadline`: of the earliest."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._pending_bytes = 0
        self._last_number = 0
        self.calls: dict[int, Call] = {}
        self.deadline = _FOREVER

    def next_number(self) -> int:
        """A number for a call or a watch."""
        self._last_number += 1
        return self._last_number

    def new(self, kind: Kind, items: Sequence[Command] | Sequence[Read], now: float, timeout: float) -> Call:
        """A call, not yet admitted. Raises `UsageError`, or `NotAppliedError` (overloaded)."""
        count = len(items)
        if not count and kind is not STATUS:
            raise UsageError("a call needs at least one operation", reason=Reason.INVALID_ARGUMENT)
        if count > self._options.window:
            message = f"{describe(list(items))}: a call has at most {self._options.window} operations"
            raise UsageError(message, reason=Reason.TOO_MANY_OPERATIONS)
        if not isinstance(timeout, _NUMBER) or not 0 < timeout <= LONGEST:
            message = f"a timeout is a positive number of seconds up to {LONGEST:,.0f}, not {timeout!r}"
            raise UsageError(message, reason=Reason.INVALID_ARGUMENT)
        if len(self.calls) >= self._options.max_pending:
            what = describe(list(items)) if items else "status"
            raise _overloaded(what, f"{len(self.calls)} calls are under way")
        return Call(self._last_number + 1, kind, items, count, now + timeout, timeout)

    def weigh(self, call: Call) -> None:
        """See that the commands of `call`, encoded, fit. Raises as `new` does."""
        call.size = sum(map(len, call.raws)) + 16 * call.count
        if call.size > MAX_FRAME - 1024:
            raise UsageError(
                f"{call.what()}: {call.size} bytes do not fit into a frame of {MAX_FRAME}", reason=Reason.TOO_LARGE,
                hint=hint_for(Reason.TOO_LARGE),
            )  # fmt: skip
        if self._pending_bytes + call.size > self._options.max_pending_bytes:
            raise _overloaded(call.what(), f"{self._pending_bytes} bytes of commands are under way")

    def admit(self, call: Call) -> None:
        """From now on `call` is under way."""
        self._last_number = call.number
        self._pending_bytes += call.size
        self.calls[call.number] = call
        if call.deadline < self.deadline:
            self.deadline = call.deadline

    def forget(self, call: Call) -> None:
        """The call is over: its numbers are free to be acknowledged, and copies on their way mean nothing any more."""
        call.done = True
        call.commands, call.raws = (), []  # it may stay in a queue or a frame for a while: what it carried need not
        del self.calls[call.number]
        self._pending_bytes -= call.size
        if call.session is not None:
            call.session.answered(call)

    def overdue(self, now: float) -> list[Call]:
        """The calls whose time is over at `now`; looks at the others again when the next one's is."""
        overdue: list[Call] = []
        earliest = _FOREVER
        for call in self.calls.values():
            if call.deadline <= now:
                overdue.append(call)
            elif call.deadline < earliest:
                earliest = call.deadline
        self.deadline = max(earliest, now + _GRAIN) if earliest < _FOREVER else _FOREVER
        return overdue


def deadline_error(call: Call, node: str | None, trouble: str, trouble_reason: Reason) -> RingleaderError:
    """The end of a call whose time is over: it says whether it may have been applied, and what went wrong last."""
    if call.unknown:
        message = f"{call.what()}: no answer within {call.timeout:g} s; it may have been applied"
        hint = "Read the keys before you repeat it."
        return UnknownDeadlineError(message, reason=Reason.DEADLINE, node=node, hint=hint)
    known = f" ({trouble})" if trouble else ""
    message = f"{call.what()}: not served within {call.timeout:g} s{known}"
    hint = hint_for(trouble_reason) if trouble else "Give it a longer timeout."
    return DeadlineError(message, reason=Reason.DEADLINE, node=node, hint=hint)


def closed_error(what: str, *, unknown: bool = False) -> RingleaderError:
    """The end of a call or watch whose client was closed."""
    error: type[RingleaderError] = OutcomeUnknownError if unknown else NotAppliedError
    return error(f"{what}: the client was closed", reason=Reason.CLOSED, hint=hint_for(Reason.CLOSED))


def _overloaded(what: str, why: str) -> NotAppliedError:
    return NotAppliedError(f"{what}: {why}", reason=Reason.OVERLOADED, hint=hint_for(Reason.OVERLOADED))
