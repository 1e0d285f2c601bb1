"""Flags: on or off. What they differ in is who wins when one replica switches on while another switches off."""

from __future__ import annotations

from typing import Any

from ringleader.clock.version import short
from ringleader.crdt.base import register
from ringleader.crdt.cells import Cell
from ringleader.crdt.entries import Entry
from ringleader.crdt.identity import read_only
from ringleader.crdt.values import brief
from ringleader.crdt.wire import Decoder
from ringleader.errors import Reason, UsageError

__all__ = ["DWFlag", "EWFlag"]


class _Flag(Cell):
    """A cell of (replica, n, on)."""

    __slots__ = ()
    _width = 2

    @classmethod
    def _check_entry(cls, entry: Entry, source: Decoder) -> Entry:
        return entry[0], entry[1], source.flag(entry[2])

    def enable(self) -> None:
        """Switch on."""
        self.set(True)

    def disable(self) -> None:
        """Switch off."""
        self.set(False)

    def set(self, on: bool) -> None:
        """Switch on or off. Raises `UsageError` for anything but a bool."""
        if type(on) is not bool:
            raise UsageError(f"a flag is True or False, not {brief(on)}", reason=Reason.INVALID_ARGUMENT)
        if self._doc.me is None:
            raise read_only()
        self._write(on)

    def _assign(self, value: Any) -> None:
        self.set(value)

    def __bool__(self) -> bool:
        return bool(self._value())

    @property
    def value(self) -> bool:
        """Whether it is on; off when never switched."""
        return bool(self._value())

    def conflicts(self) -> list[bool]:
        """[True, False] when both stand, else empty."""
        return [True, False] if len({entry[2] for entry in self._cell}) == 2 else []

    def _explain_entry(self, entry: Entry) -> str:
        return f"{short(entry[0])}:{entry[1]}: {'on' if entry[2] else 'off'}"


@register
class EWFlag(_Flag):
    """Enable wins: on if anybody switched it on without having seen a later switching off."""

    __slots__ = ()
    tag = 6
    name = "EWFlag"

    def _value(self) -> bool:
        return any(entry[2] for entry in self._cell)

    def _rewrite(self, before: Any) -> None:
        self._write(any(entry[2] for entry in before))


@register
class DWFlag(_Flag):
    """Disable wins: off if anybody switched it off at the same time as others switched it on (kill switches)."""

    __slots__ = ()
    tag = 7
    name = "DWFlag"

    def _value(self) -> bool:
        return bool(self._cell) and all(entry[2] for entry in self._cell)

    def _rewrite(self, before: Any) -> None:
        self._write(all(entry[2] for entry in before))
