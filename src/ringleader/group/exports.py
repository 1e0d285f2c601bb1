"""Back-ups on their way out: the state of one moment, given to a client piece by piece while writes go on.

A client asks with ticket 0 for a new one and then for one offset after the other; each answer is one part of a snapshot
file. The last part is kept until the next is asked for, so that an answer that got lost can be asked for again. A pinned
state costs memory as history moves on, so an export that nobody asks about is given up, and one cannot last for ever.
"""

from __future__ import annotations

from collections.abc import Generator

import msgspec

from ringleader.consensus.shape import SnapshotMeta
from ringleader.errors import Reason
from ringleader.log import SnapshotEncoder
from ringleader.store.commands import Failure, Result, SnapshotPart, SnapshotRead
from ringleader.store.snapshot import Pin, pieces
from ringleader.store.store import Store

__all__ = ["Exports"]

PART_BYTES = 256 * 1024
"""A part is sent once it is this long."""
STEPS = 2_000
"""Most pieces and places to pause that one part takes, which bounds its time."""
AT_ONCE = 4
"""Back-ups that are being made at once; a finished one, of which the last part is kept for a moment, is none of them."""
IDLE = 60.0
STALE = 5.0
"""Seconds without a question after which a back-up gives way to a new one, if there are too many."""
KEPT = 5.0
"""Seconds for which the last part of a finished one is kept."""
LONGEST = 3600.0

_encode = msgspec.msgpack.Encoder().encode


class _Export:
    def __init__(self, group: int, meta: SnapshotMeta, pin: Pin, now: float) -> None:
        self.pin = pin
        self.begun = self.asked = now
        self.offset = 0  # where `part` starts
        self.part = b""
        self.done = False
        self._pinned = True
        self.file = self._file(SnapshotEncoder(group, meta.index, _encode(meta)))

    def _file(self, encoder: SnapshotEncoder) -> Generator[bytes]:
        yield encoder.start()
        for piece in pieces(self.pin):
            yield encoder.frame(piece) if piece else b""
        yield encoder.end()

    def advance(self) -> None:
        """Make the next part."""
        self.offset += len(self.part)
        parts: list[bytes] = []
        size = steps = 0
        while size < PART_BYTES and steps < STEPS:
            data = next(self.file, None)
            if data is None:
                self.done = True
                self.release()
                break
            parts.append(data)
            size += len(data)
            steps += 1
        self.part = b"".join(parts)

    def release(self) -> None:
        """The pinned state is needed no more. May be called again."""
        self.file.close()
        if self._pinned:
            self._pinned = False
            self.pin.release()


class Exports:
    """All back-ups under way of one member. `now`: local seconds."""

    def __init__(self, store: Store, group: int, first_ticket: int) -> None:
        self._store = store
        self._group = group
        self._ticket = first_ticket
        self._open: dict[int, _Export] = {}

    def __len__(self) -> int:
        return len(self._open)

    def read(self, op: SnapshotRead, meta: SnapshotMeta, now: float) -> Result:
        """The part asked for. `meta`: what a snapshot of this moment stands for."""
        if not op.ticket:
            return self._begin(meta, now)
        export = self._open.get(op.ticket)
        if export is None or not self._store.pinned(export.pin):
            self._end(op.ticket)
            message = "this node does not know of that back-up, or gave it up (it was idle, or the node caught up anew)"
            return Failure(Reason.UNSUPPORTED, f"{message}: start again")
        export.asked = now
        if op.offset == export.offset + len(export.part) and not export.done:
            export.advance()
        elif op.offset != export.offset:
            return Failure(Reason.INVALID_ARGUMENT, f"the back-up stands at byte {export.offset}, not {op.offset}")
        return SnapshotPart(export.pin.head.revision, op.ticket, export.offset, export.part, export.done)

    def _begin(self, meta: SnapshotMeta, now: float) -> Result:
        if not self._room(now):
            return Failure(Reason.OVERLOADED, f"{AT_ONCE} back-ups are under way on this node, which is the limit")
        self._ticket += 1
        export = self._open[self._ticket] = _Export(self._group, meta, self._store.pin(), now)
        export.advance()
        return SnapshotPart(export.pin.head.revision, self._ticket, 0, export.part, export.done)

    def _room(self, now: float) -> bool:
        """Whether another may begin: at the cost of the one longest idle, whose client may well be gone, if need be."""
        finished = [ticket for ticket, export in self._open.items() if export.done]
        if len(finished) >= AT_ONCE:
            self._end(finished[0])
        under_way = [ticket for ticket, export in self._open.items() if not export.done]
        if len(under_way) < AT_ONCE:
            return True
        idlest = min(under_way, key=lambda ticket: self._open[ticket].asked)
        if now < self._open[idlest].asked + STALE:
            return False
        self._end(idlest)
        return True

    def expire(self, now: float) -> None:
        """Give up those that nobody asks about, or that last too long. A finished one waits to be asked once more."""
        for ticket, export in list(self._open.items()):
            kept = KEPT if export.done else IDLE
            if now >= export.asked + kept or now >= export.begun + LONGEST:
                self._end(ticket)

    def _end(self, ticket: int) -> None:
        export = self._open.pop(ticket, None)
        if export is not None:
            export.release()
