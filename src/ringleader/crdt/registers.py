"""Registers hold one value. Concurrent writes are never lost silently: both stand until somebody overwrites them.

`LWWRegister` shows one of them (the greatest hybrid clock stamp, then the greatest replica id), `MVRegister` shows all.
A write that has seen another always wins over it, whatever the clocks say.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from ringleader.clock.hlc import format_stamp
from ringleader.clock.version import ReplicaId, short
from ringleader.crdt.base import register
from ringleader.crdt.cells import Cell
from ringleader.crdt.entries import Entries, Entry
from ringleader.crdt.identity import read_only
from ringleader.crdt.values import check_value, freeze
from ringleader.crdt.wire import Decoder

__all__ = ["Conflict", "LWWRegister", "MVRegister", "latest"]

V = TypeVar("V")


class Conflict(Generic[V]):
    """One of several concurrent values: who wrote it, and when by their hybrid clock."""

    __slots__ = ("replica", "stamp", "value")

    def __init__(self, value: V, replica: ReplicaId, stamp: int) -> None:
        self.value = value
        self.replica = replica
        self.stamp = stamp

    def __repr__(self) -> str:
        return f"Conflict({self.value!r} by {short(self.replica)} at {format_stamp(self.stamp)})"


def _priority(entry: Entry) -> tuple[int, ReplicaId]:
    return entry[2], entry[0]


def latest(cell: Entries) -> Entry:
    """The entry `(replica, n, stamp, ...)` that last-write-wins shows: greatest stamp, then greatest replica id."""
    return cell[0] if len(cell) == 1 else max(cell, key=_priority)


class _Register(Cell, Generic[V]):
    """A cell of (replica, n, stamp, value)."""

    __slots__ = ()
    _width = 3

    @classmethod
    def _check_entry(cls, entry: Entry, source: Decoder) -> Entry:
        return entry[0], entry[1], source.at_stamp(entry[2]), source.value(entry[3])

    def set(self, value: V) -> None:
        """Write; replaces every value seen here. Raises `UsageError` for what cannot be replicated."""
        checked = check_value(value)
        if self._doc.me is None:
            raise read_only()
        self._write(self._doc.stamp(), checked)

    def _assign(self, value: Any) -> None:
        self.set(value)

    def _rewrite(self, before: Entries) -> None:
        self._write(self._doc.stamp(), latest(before)[3])

    def conflicts(self) -> list[Conflict[V]]:
        """All values that stand, the one last-write-wins shows first; empty when nobody disagrees."""
        if len(self._cell) < 2:
            return []
        return [Conflict(e[3], e[0], e[2]) for e in sorted(self._cell, key=_priority, reverse=True)]

    def _explain_entry(self, entry: Entry) -> str:
        return f"{short(entry[0])}:{entry[1]} at {format_stamp(entry[2])}: {entry[3]!r}"


@register
class LWWRegister(_Register[V]):
    """Last write wins; the losers of a race can still be seen with `conflicts()`. None when never written."""

    __slots__ = ()
    tag = 4
    name = "LWWRegister"

    def _value(self) -> V | None:
        return latest(self._cell)[3] if self._cell else None

    @property
    def value(self) -> V | None:
        """The value shown, None when there is none."""
        return self._value()


@register
class MVRegister(_Register[V]):
    """Keeps all concurrent values. `value`: a list, in canonical order, equal values once; usually of one."""

    __slots__ = ()
    tag = 5
    name = "MVRegister"

    def _value(self) -> list[V]:
        distinct = {freeze(entry[3]): entry[3] for entry in self._cell}
        from ringleader.crdt.values import sort_keys

        return [distinct[key] for key in sort_keys(distinct)]

    @property
    def value(self) -> list[V]:
        """All values that stand."""
        return self._value()
