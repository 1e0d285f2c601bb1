"""Calls that wait to be sent, the session that numbers them, and how as many as the bounds allow go into one frame."""

from __future__ import annotations

from collections import deque
from typing import cast

import msgspec

from ringleader.client.calls import ONCE, READ, STATUS, Call, Kind, Session
from ringleader.client.failures import hint_for
from ringleader.client.options import ClientOptions
from ringleader.errors import OutcomeUnknownError, Reason, RingleaderError
from ringleader.store.commands import Read
from ringleader.wire.frames import Query, StatusQuery, Submit

__all__ = ["Waiting"]

_ENCODER = msgspec.msgpack.Encoder()
_TIDY = 1024
"""A queue of that length, or twice as long as after the last time, is looked through for calls that are over."""


class Waiting:
    """One queue for each kind of call; those to be repeated go first. `session`: the present one, if any."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._queues: dict[Kind, deque[Call]] = {kind: deque() for kind in Kind}
        self._stranded: list[tuple[Call, RingleaderError]] = []
        self._tidy_at = _TIDY
        self.session: Session | None = None

    def add(self, call: Call) -> None:
        """A new call."""
        queue = self._queues[call.kind]
        if len(queue) >= self._tidy_at:
            # Calls that nobody waits for any more: while no node can be reached, nothing else takes them out.
            self._queues[call.kind] = queue = deque([each for each in queue if not each.done])
            self._tidy_at = max(_TIDY, 2 * len(queue))
        queue.append(call)

    def add_first(self, call: Call) -> None:
        """A call to be sent again."""
        self._queues[call.kind].appendleft(call)

    def any(self, kind: Kind) -> bool:
        """Whether somebody still waits for a call of this kind that is to be sent."""
        queue = self._queues[kind]
        while queue and queue[0].done:
            queue.popleft()
        return bool(queue)

    def take_stranded(self) -> list[tuple[Call, RingleaderError]]:
        """Calls that `batch` met and that can never be sent again, each with its end."""
        stranded, self._stranded = self._stranded, []
        return stranded

    def batch(self, kind: Kind, room: int) -> list[Call]:
        """Take the calls of the next frame, with about `room` commands or reads at most; those of `ONCE` are numbered."""
        queue = self._queues[kind]
        options = self._options
        calls: list[Call] = []
        count = size = 0
        while queue:
            call = queue[0]
            if call.done:
                queue.popleft()
                continue
            if calls and (
                call.alone
                or kind is STATUS
                or call.group != calls[0].group
                or count + call.count > options.batch_commands
                or size + call.size > options.batch_bytes
            ):
                break
            if kind is ONCE and call.session is not self.session:
                if call.session is not None and call.doubt:
                    self._stranded.append((queue.popleft(), _stranded(call)))
                    continue
                if not self._number(call):
                    break
            queue.popleft()
            call.flying = True
            calls.append(call)
            count += call.count
            size += call.size
            if call.alone or count >= room:
                break
        return calls

    def frame(self, kind: Kind, calls: list[Call], number: int, now: float) -> Submit | Query | StatusQuery:
        """The frame of these calls, which share it; its time is that of the call that has longest."""
        if kind is STATUS:
            return StatusQuery(number)
        timeout = max(1, int((max([call.deadline for call in calls]) - now) * 1000))
        if kind is READ:
            consistency, staleness = calls[0].group
            reads = [cast(Read, read) for call in calls for read in call.commands]  # of a `READ` they are all reads
            return Query(number, timeout, consistency, reads, staleness)
        session = self.session
        if kind is ONCE and session is not None:
            numbered = [(call.seq + at, raw) for call in calls for at, raw in enumerate(call.raws)]
            return Submit(number, timeout, session.number, session.ack, msgspec.Raw(_ENCODER.encode(numbered)))
        numbered = list(enumerate([raw for call in calls for raw in call.raws], 1))
        return Submit(number, timeout, 0, 0, msgspec.Raw(_ENCODER.encode(numbered)))

    def _number(self, call: Call) -> bool:
        """Give `call` numbers of the present session; False when there are none left for now."""
        session = self.session
        if session is None or session.span(call.count) > self._options.session_window:
            return False
        session.assign(call)
        return True


def _stranded(call: Call) -> RingleaderError:
    """The end of a call that may have been applied within a session that is gone: it can never be told."""
    message = f"{call.what()}: its session ended before the answer was known; it may have been applied"
    return OutcomeUnknownError(message, reason=Reason.SESSION_EXPIRED, hint=hint_for(Reason.SESSION_EXPIRED))
