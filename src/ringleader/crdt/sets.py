"""Sets. They differ in who wins when one replica adds an element while another removes it, and what removing costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, Self, TypeVar

from ringleader.clock.version import VersionVector, short
from ringleader.crdt.base import register
from ringleader.crdt.cells import Cells
from ringleader.crdt.entries import EMPTY, Entries, Entry
from ringleader.crdt.identity import read_only
from ringleader.crdt.values import brief, freeze, thaw
from ringleader.crdt.wire import Decoder
from ringleader.errors import Reason, UsageError

__all__ = ["GSet", "ORSet", "RWSet", "TwoPhaseSet"]

V = TypeVar("V")


class _Set(Cells, Generic[V]):
    """What all sets share: reading. `value` is a frozenset; iteration is in canonical order."""

    __slots__ = ()

    def __iter__(self) -> Iterator[V]:
        return iter([thaw(key) for key in self._visible()])

    def _value(self) -> frozenset[V]:
        shows = self._shows
        return frozenset([thaw(key) for key, cell in self._cells.items() if shows(cell)])

    @property
    def value(self) -> frozenset[V]:
        """The elements."""
        return self._value()

    def add(self, item: V) -> None:
        """Add an element. Raises `UsageError` for what cannot be replicated."""
        raise NotImplementedError

    def update(self, items: Iterable[V]) -> None:
        """Add many, as one delta."""
        with self.transaction():
            for item in items:
                self.add(item)

    def __ior__(self, items: Iterable[V]) -> Self:
        self.update(items)
        return self


class _Removable(_Set[V]):
    __slots__ = ()

    def discard(self, item: V) -> None:
        """Remove an element if it is there."""
        raise NotImplementedError

    def remove(self, item: V) -> None:
        """Remove an element. Raises `KeyError` when it is not there."""
        if item not in self:
            raise KeyError(item)
        self.discard(item)

    def _assign(self, value: Any) -> None:
        """Make the elements these: removes what is not among them, adds what is missing."""
        wanted = {freeze(item): item for item in value}
        with self.transaction():
            for key in self._visible():
                if key not in wanted:
                    self.discard(thaw(key))
            for item in wanted.values():
                if item not in self:
                    self.add(item)


@register
class GSet(_Set[V]):
    """A set that only grows."""

    __slots__ = ()
    tag = 8
    name = "GSet"

    def add(self, item: V) -> None:
        """Add an element; nothing happens when it is there."""
        if self._doc.me is None:
            raise read_only()
        key = freeze(item)
        if key not in self._cells:
            self._write(key)

    def clear(self) -> None:
        """Not for a set that only grows: raises `UsageError`."""
        raise UsageError("a GSet only grows", reason=Reason.UNSUPPORTED, hint="Use an ORSet")


@register
class ORSet(_Removable[V]):
    """Add wins (an optimised observed-remove set, ORSWOT): a removal takes away exactly the additions it has seen.

    Bieniusa et al., "An Optimized Conflict-free Replicated Set" (2012). No tombstones: a removed element leaves
    nothing.
    """

    __slots__ = ()
    tag = 10
    name = "ORSet"

    def add(self, item: V) -> None:
        """Add an element; also when it is there already (a concurrent removal will then not win over this)."""
        key = freeze(item)
        doc = self._doc
        n = doc.mint(self, key)
        if doc.eager:
            before = self._cells.get(key, EMPTY)
            self._cells[key] = ((doc.me, n),)
            doc.settle(lambda: self._restore(key, n, before))
        else:
            self._cells[key] = ((doc.me, n),)

    def discard(self, item: V) -> None:
        """Remove an element if it is there."""
        if self._doc.me is None:
            raise read_only()
        key = freeze(item)
        if key in self._cells:
            self._erase(key)


class _Tombstoned(_Removable[V]):
    """Cells of (replica, n, present): a removal is an entry too."""

    __slots__ = ()
    _width = 2

    @classmethod
    def _check_entry(cls, entry: Entry, source: Decoder) -> Entry:
        return entry[0], entry[1], source.flag(entry[2])

    def _shows(self, cell: Entries) -> bool:
        return all(entry[2] for entry in cell)

    def _rewrite(self, key: Any, before: Entries) -> None:
        self._write(key, self._shows(before))

    def discard(self, item: V) -> None:
        """Remove an element if it is there."""
        if self._doc.me is None:
            raise read_only()
        key = freeze(item)
        cell = self._cells.get(key)
        if cell is not None and self._shows(cell):
            with self._doc.transaction():
                self._write(key, False)
                self._faded()

    def clear(self) -> None:
        """Remove every element seen here."""
        with self.transaction():
            for item in list(self):
                self.discard(item)

    def _explain_entry(self, entry: Entry) -> str:
        return f"{'added' if entry[2] else 'removed'} by {short(entry[0])}:{entry[1]}"


@register
class TwoPhaseSet(_Tombstoned[V]):
    """An element can be added, then removed once and for all; a removal wins over every addition, also later ones.

    The tombstones are the point of this type and are kept for ever.
    """

    __slots__ = ()
    tag = 9
    name = "TwoPhaseSet"

    def add(self, item: V) -> None:
        """Add an element; nothing happens when it is there. Raises `UsageError` when it was removed before."""
        if self._doc.me is None:
            raise read_only()
        key = freeze(item)
        cell = self._cells.get(key)
        if cell is None:
            self._write(key, True)
        elif not self._shows(cell):
            raise UsageError(
                f"{brief(item)} was removed from this two-phase set and cannot come back",
                reason=Reason.INVALID_ARGUMENT,
                hint="Use an ORSet or RWSet where elements come and go",
            )

    def _restore(self, key: Any, n: int, before: Entries) -> None:
        """An addition is undone by removing; a removal is for ever."""
        cell = self._cells.get(key, EMPTY)
        if len(cell) == 1 and cell[0] == (self._doc.me, n, True):
            self._erase(key)


@register
class RWSet(_Tombstoned[V]):
    """Remove wins: an element removed at one replica while added at another is gone (access rights, block lists).

    A removal is remembered until it is causally stable.
    """

    __slots__ = ()
    tag = 11
    name = "RWSet"

    def add(self, item: V) -> None:
        """Add an element; replaces the additions and removals seen here."""
        if self._doc.me is None:
            raise read_only()
        self._write(freeze(item), True)

    def _stabilize(self, stable: VersionVector) -> None:
        self._drop_hidden(stable)
