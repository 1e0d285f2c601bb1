"""Undo of one's own changes, as new changes that everybody sees; what others did meanwhile stays.

A counter's increment is undone by the opposite one, an addition to a set by removing that element, a register's write
by writing back what it replaced; but only while our own write still stands: if somebody has overwritten it since,
undoing would take *their* change back, so that step does nothing. What was removed is created again, the very same
places, with what was in it. Three things stay as they are: an addition to a HyperLogLog, a transfer of rights, and a
removal from a two-phase set.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ringleader.crdt.values import brief
from ringleader.errors import Reason, UsageError

if TYPE_CHECKING:
    from ringleader.crdt.document import Document, Inverse

__all__ = ["UndoStack"]


class UndoStack:
    """The steps of one document: `limit` of them are kept. Begins to record when it is made."""

    __slots__ = ("_doc", "_mode", "_redo", "_undo")

    def __init__(self, doc: Document, limit: int = 1000) -> None:
        if type(limit) is not int or not 0 < limit <= 1_000_000:
            raise UsageError(f"an undo stack of at most {brief(limit)} steps", reason=Reason.INVALID_ARGUMENT)
        self._doc = doc
        self._undo: deque[list[Inverse]] = deque(maxlen=limit)
        self._redo: deque[list[Inverse]] = deque(maxlen=limit)
        self._mode = "do"
        doc.listen(undo=self)

    def record(self, inverses: list[Inverse]) -> None:
        """One finished change (called by the document)."""
        if self._mode == "undo":
            self._redo.append(inverses)
            return
        self._undo.append(inverses)
        if self._mode == "do":
            self._redo.clear()

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone step to do again."""
        return bool(self._redo)

    def undo(self) -> bool:
        """Take the last own step back; False when there is none."""
        return self._run("undo", self._undo)

    def redo(self) -> bool:
        """Do the last undone step again; False when there is none, or something else was done since."""
        return self._run("redo", self._redo)

    def _run(self, mode: str, steps: deque[list[Inverse]]) -> bool:
        if not steps:
            return False
        inverses = steps.pop()
        self._mode = mode
        try:
            with self._doc.transaction():
                for inverse in reversed(inverses):
                    inverse()
        finally:
            self._mode = "do"
        return True
