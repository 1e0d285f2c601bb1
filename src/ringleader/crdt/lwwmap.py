"""A flat map of plain values in which, for each key, the last write wins; removing is a write too."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

from ringleader.clock.hlc import format_stamp
from ringleader.clock.version import VersionVector, short
from ringleader.crdt.base import register
from ringleader.crdt.cells import Cells
from ringleader.crdt.entries import EMPTY, Entries, Entry
from ringleader.crdt.identity import read_only
from ringleader.crdt.registers import Conflict, latest
from ringleader.crdt.values import check_mapping, check_value, freeze, thaw
from ringleader.crdt.wire import Decoder

__all__ = ["LWWMap"]

K = TypeVar("K")
V = TypeVar("V")


@register
class LWWMap(Cells, Generic[K, V]):
    """Key -> plain value. Concurrent writes (and removals) of one key: the greatest hybrid clock stamp shows.

    The losers can be seen with `conflicts(key)` until somebody overwrites them. Cells of (replica, n, stamp, present,
    value). A removal is remembered until it is causally stable.
    """

    __slots__ = ()
    tag = 13
    name = "LWWMap"
    _width = 4

    @classmethod
    def _check_entry(cls, entry: Entry, source: Decoder) -> Entry:
        return entry[0], entry[1], source.at_stamp(entry[2]), source.flag(entry[3]), source.value(entry[4])

    def _shows(self, cell: Entries) -> bool:
        return latest(cell)[3]  # type: ignore[no-any-return]  # entries are plain tuples

    def _peek(self, key: Any) -> Any:
        return self.get(thaw(key))

    def __setitem__(self, key: K, value: V) -> None:
        kind = type(value)
        plain = kind is bytes or (kind is int and -(1 << 63) <= cast(int, value) < 1 << 64)
        checked = value if plain else check_value(value)
        frozen = freeze(key)
        doc = self._doc
        n = doc.mint(self, frozen)
        if doc.eager:
            before = self._cells.get(frozen, EMPTY)
            self._cells[frozen] = ((doc.me, n, doc.stamp(), True, checked),)
            doc.settle(lambda: self._restore(frozen, n, before))
        else:
            self._cells[frozen] = ((doc.me, n, doc.stamp(), True, checked),)

    def __getitem__(self, key: K) -> V:
        cell = self._cells.get(freeze(key))
        if cell is not None:
            entry = latest(cell)
            if entry[3]:
                return entry[4]  # type: ignore[no-any-return]  # entries are plain tuples
        raise KeyError(key)

    def get(self, key: K, default: V | None = None) -> V | None:
        """The value at `key`, or `default`."""
        try:
            return self[key]
        except KeyError:
            return default

    def __delitem__(self, key: K) -> None:
        if self._doc.me is None:
            raise read_only()
        if key not in self:
            raise KeyError(key)
        with self._doc.transaction():
            self._write(freeze(key), self._doc.stamp(), False, None)
            self._faded()

    def update(self, items: Mapping[K, V]) -> None:
        """Set many, as one delta. Raises `UsageError` for what is no mapping."""
        check_mapping(items)
        with self.transaction():
            for key, value in items.items():
                self[key] = value

    def clear(self) -> None:
        """Remove every key seen here."""
        with self.transaction():
            for key in list(self):
                del self[key]

    def _assign(self, value: Any) -> None:
        check_mapping(value)
        with self.transaction():
            for key in list(self):
                if key not in value:
                    del self[key]
            self.update(value)

    def _rewrite(self, key: Any, before: Entries) -> None:
        self._write(key, self._doc.stamp(), *latest(before)[3:])

    def __iter__(self) -> Iterator[K]:
        return iter([thaw(key) for key in self._visible()])

    def keys(self) -> list[K]:
        """The keys in canonical order."""
        return list(self)

    def items(self) -> ItemsView[K, V]:
        """The keys and values, a copy, in canonical order of keys."""
        return self._value().items()

    def _value(self) -> dict[K, V]:
        return {thaw(key): latest(self._cells[key])[4] for key in self._visible()}

    @property
    def value(self) -> dict[K, V]:
        """A plain dict, in canonical order of keys."""
        return self._value()

    def conflicts(self, key: K) -> list[Conflict[V | None]]:
        """All concurrent values at `key`, the one shown first (None stands for a removal); empty without a conflict."""
        cell = self._cells.get(freeze(key), EMPTY)
        if len(cell) < 2:
            return []
        return [Conflict(e[4], e[0], e[2]) for e in sorted(cell, key=lambda e: (e[2], e[0]), reverse=True)]

    def _stabilize(self, stable: VersionVector) -> None:
        self._drop_hidden(stable)

    def _explain_entry(self, entry: Entry) -> str:
        what = repr(entry[4]) if entry[3] else "removed"
        return f"{what} by {short(entry[0])}:{entry[1]} at {format_stamp(entry[2])}"
