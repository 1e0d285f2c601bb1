"""The two node shapes that registers, flags, sets and flat maps are made of: one dotted cell, and cells by key.

What differs between those types is only what a write puts into a cell and how a cell is read; how they are described,
packed, joined and cleared is here, once.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ringleader.clock.dots import Dot
from ringleader.clock.version import VersionVector, short
from ringleader.crdt.base import Crdt
from ringleader.crdt.delta import Incoming, Outgoing
from ringleader.crdt.document import Inverse
from ringleader.crdt.entries import EMPTY, Entries, Entry, join_entries, pack_entries, parse_entries
from ringleader.crdt.identity import read_only
from ringleader.crdt.values import freeze, sort_keys, thaw
from ringleader.crdt.wire import Decoder, Encoder, bad

__all__ = ["Cell", "Cells"]


class Cell(Crdt):
    """A node that is one cell. `_width`: the items of an entry besides its replica (n counts)."""

    __slots__ = ("_cell",)

    _width: ClassVar[int] = 1

    def _bottom(self) -> None:
        self._cell: Entries = EMPTY

    @classmethod
    def _check_entry(cls, entry: Entry, source: Decoder) -> Entry:
        """An entry from the wire with what was written checked. Raises `DecodeError`."""
        return entry

    def _write(self, *payload: Any) -> None:
        """Replace everything seen by one entry of our own."""
        doc = self._doc
        before = self._cell
        n = doc.mint(self, None)
        assert doc.me is not None
        self._cell = ((doc.me, n, *payload),)
        if doc.eager:
            doc.settle(self._restorer(n, before))

    def _restorer(self, n: int, before: Entries) -> Any:
        """A function that takes our write `n` back, if it still stands."""
        return lambda: self._restore(n, before)

    def _restore(self, n: int, before: Entries) -> None:
        if len(self._cell) != 1 or not self._doc.same(self._cell[0][:2], (self._doc.me, n)):
            return  # somebody has written since: undoing would take that back
        if before:
            self._put_back(before)
        else:
            self._erase()

    def _put_back(self, before: Entries) -> None:
        """Undo: write again what `before` showed, in its name."""
        self._rewrite(before)
        if len(before) == 1:
            self._doc.put_back(self._cell[0][:2], before[0][:2])

    def _rewrite(self, before: Entries) -> None:
        """Write again what `before` showed."""
        self._write(*before[0][2:])

    def _erase(self) -> None:
        """Remove everything seen."""
        doc = self._doc
        before = self._cell
        if not before:
            return
        doc.mint(self, None)
        self._cell = EMPTY
        self._faded()
        if doc.eager:
            doc.settle(lambda: None if self._cell else self._put_back(before))

    def clear(self) -> None:
        """Back to the initial value for everything seen here; concurrent writes survive."""
        if self._doc.me is None:
            raise read_only()
        self._erase()

    def _clear(self, dot: Dot) -> None:
        self._cell = EMPTY

    def _remember(self) -> Inverse | None:
        before = self._cell
        return (lambda: None if self._cell else self._put_back(before)) if before else None

    def _alive(self) -> bool:
        return bool(self._cell)

    def _part(self, keys: Any, out: Outgoing) -> Any:
        return self._cell if keys is None or keys else None

    def _join(self, part: Any, incoming: Incoming) -> None:
        if part is None:
            return
        incoming.relay(self, (None,))
        joined = join_entries(self._cell, part, incoming.mine, incoming.theirs, incoming.duplicates)
        if joined != self._cell:
            incoming.touch(self, None)
            self._cell = joined

    @classmethod
    def _empty_part(cls) -> Any:
        return EMPTY

    @classmethod
    def _pack(cls, part: Any, out: Encoder) -> Any:
        return None if part is None else pack_entries(part, cls._width, out)

    @classmethod
    def _parse(cls, raw: Any, source: Decoder) -> Any:
        if raw is None:
            return None
        return tuple([cls._check_entry(entry, source) for entry in parse_entries(raw, cls._width, source)])

    def _explain_entry(self, entry: Entry) -> str:
        return f"{short(entry[0])}:{entry[1]}"

    def explain(self) -> str:
        """The value, and each entry that stands with its dot."""
        lines = [f"{self.name} = {self._value()!r}"]
        lines += ["  written by " + self._explain_entry(entry) for entry in self._cell]
        return "\n".join(lines)


class Cells(Crdt):
    """A node of cells by key. Keys are frozen user values."""

    __slots__ = ("_cells",)

    _width: ClassVar[int] = 1

    def _bottom(self) -> None:
        self._cells: dict[Any, Entries] = {}

    @classmethod
    def _check_entry(cls, entry: Entry, source: Decoder) -> Entry:
        """An entry from the wire with what was written checked. Raises `DecodeError`."""
        return entry

    def _peek(self, key: Any) -> Any:
        cell = self._cells.get(key)
        return cell is not None and self._shows(cell)

    def _shows(self, cell: Entries) -> bool:
        """Whether the cell's key is visible."""
        return True

    def _write(self, key: Any, *payload: Any) -> None:
        """Replace everything seen at `key` (frozen) by one entry of our own."""
        doc = self._doc
        n = doc.mint(self, key)
        cells = self._cells
        before = cells.get(key, EMPTY) if doc.eager else EMPTY
        cells[key] = ((doc.me, n, *payload),)
        if doc.eager:
            doc.settle(lambda: self._restore(key, n, before))

    def _erase(self, key: Any) -> None:
        """Remove everything seen at `key`, without a trace."""
        doc = self._doc
        doc.mint(self, key)
        before = self._cells.pop(key)
        self._faded()
        if doc.eager:
            doc.settle(lambda: None if key in self._cells else self._put_back(key, before))

    def _restore(self, key: Any, n: int, before: Entries) -> None:
        """Take our write `n` back, if it still stands."""
        cell = self._cells.get(key, EMPTY)
        if len(cell) != 1 or not self._doc.same(cell[0][:2], (self._doc.me, n)):
            return
        if before:
            self._put_back(key, before)
        else:
            self._erase(key)

    def _put_back(self, key: Any, before: Entries) -> None:
        """Undo: write again what `before` showed, in its name."""
        self._rewrite(key, before)
        if len(before) == 1:
            self._doc.put_back(self._cells[key][0][:2], before[0][:2])

    def _rewrite(self, key: Any, before: Entries) -> None:
        """Write again what `before` showed."""
        self._write(key, *before[0][2:])

    def clear(self) -> None:
        """Remove every element seen here, as one event; what is added elsewhere at the same time stays."""
        doc = self._doc
        if doc.me is None:
            raise read_only()
        if not self._cells:
            return
        before, keys = self._cells, list(self._cells)
        doc.mint(self, keys[0])
        doc.touch(self, keys[1:])
        self._cells = {}
        self._faded()
        if doc.eager:
            doc.settle(lambda: self._refill(before))

    def _refill(self, before: dict[Any, Entries]) -> None:
        for key, cell in before.items():
            if key not in self._cells:
                self._put_back(key, cell)

    def _clear(self, dot: Dot) -> None:
        self._cells = {}

    def _remember(self) -> Inverse | None:
        before = self._cells.copy()
        return (lambda: self._refill(before)) if before else None

    def _alive(self) -> bool:
        return any(map(self._shows, self._cells.values()))

    def _residue(self) -> bool:
        return bool(self._cells)

    def _part(self, keys: Any, out: Outgoing) -> Any:
        if keys is None:
            return True, self._cells.copy()
        get = self._cells.get
        return False, {key: get(key, EMPTY) for key in keys}

    def _join(self, part: Any, incoming: Incoming) -> None:
        whole, cells = part
        own, mine, theirs, duplicates = self._cells, incoming.mine, incoming.theirs, incoming.duplicates
        touch = incoming.touch
        seen = mine.get
        for key, cell in cells.items():
            ours = own.get(key)
            if ours is None:
                if len(cell) == 1:  # by far the commonest: a key that is new to us, or that we removed
                    entry = cell[0]
                    if entry[1] <= seen(entry[0], 0):
                        continue
                    touch(self, key)
                    own[key] = cell
                else:
                    joined = join_entries(EMPTY, cell, mine, theirs, duplicates)
                    if not joined:
                        continue
                    touch(self, key)
                    own[key] = joined
            elif ours == cell:
                continue
            else:
                joined = join_entries(ours, cell, mine, theirs, duplicates)
                if joined == ours:
                    continue
                touch(self, key)
                if joined:
                    own[key] = joined
                else:
                    del own[key]
        if whole:
            for key in [key for key in own if key not in cells]:
                ours = own[key]
                joined = join_entries(ours, EMPTY, mine, theirs, duplicates)
                if joined != ours:
                    touch(self, key)
                    if joined:
                        own[key] = joined
                    else:
                        del own[key]
        else:
            incoming.relay(self, cells)

    @classmethod
    def _empty_part(cls) -> Any:
        return True, {}

    @classmethod
    def _pack(cls, part: Any, out: Encoder) -> Any:
        whole, cells = part
        order = sort_keys(cells)
        width = cls._width
        return [whole, [thaw(key) for key in order], [pack_entries(cells[key], width, out) for key in order]]

    @classmethod
    def _parse(cls, raw: Any, source: Decoder) -> Any:
        whole, raw_keys, raw_cells = source.array(raw, 3)
        order = [source.key(key) for key in source.array(raw_keys)]
        width = cls._width
        check = cls._check_entry
        cells: dict[Any, Entries] = {}
        for key, packed in zip(order, source.array(raw_cells, len(order)), strict=True):
            if width == 1 and type(packed) is int:
                cells[key] = (source.dot(packed),)
            else:
                cells[key] = tuple([check(entry, source) for entry in parse_entries(packed, width, source)])
        if len(cells) != len(order):
            bad("a key occurs twice")
        if source.flag(whole) and not all(cells.values()):
            bad("a whole state with an empty cell")
        return whole, cells

    def _drop_hidden(self, stable: VersionVector) -> None:
        """Drop the cells that show nothing and that everybody has seen (types with tombstones call this)."""
        get = stable.get
        dead = [
            key
            for key, cell in self._cells.items()
            if not self._shows(cell) and all(entry[1] <= get(entry[0], 0) for entry in cell)
        ]
        for key in dead:
            del self._cells[key]

    # ---- reading as a collection -------------------------------------------------------------------------------

    def __contains__(self, item: Any) -> bool:
        cell = self._cells.get(freeze(item))
        return cell is not None and self._shows(cell)

    def _visible(self) -> list[Any]:
        """The visible keys (frozen) in canonical order."""
        shows = self._shows
        return sort_keys([key for key, cell in self._cells.items() if shows(cell)])

    def __len__(self) -> int:
        return sum(map(self._shows, self._cells.values()))

    def __bool__(self) -> bool:
        return self._alive()

    def _explain_entry(self, entry: Entry) -> str:
        return f"{short(entry[0])}:{entry[1]}"

    def explain(self) -> str:
        """Each key with the dots of the entries that stand, hidden ones included."""
        lines = [f"{self.name} = {self._value()!r}"]
        for key in sort_keys(self._cells):
            written = ", ".join(map(self._explain_entry, self._cells[key]))
            lines.append(f"  {thaw(key)!r}: {written}{'' if self._shows(self._cells[key]) else ' (hidden)'}")
        return "\n".join(lines)
