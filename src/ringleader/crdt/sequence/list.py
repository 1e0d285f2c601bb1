"""`List`: a sequence of values that several people insert into, change, move and remove from at the same time.

Rules. Order: Fugue, so runs inserted at one place stay whole. An element is a nested value: a plain one is a
last-writer-wins register, anything else (a map, a text, a counter) merges by its own rule. Removing an element removes
what the remover had seen of it: a change made at the same time survives, and with it the element. Two moves of one
element at the same time: the later stamp wins, and the element stands in one place (Kleppmann, "Moving Elements in List
CRDTs", 2020).

An element is kept in the way of a map's place, under the id of the place where it was inserted; see `ormap.py`. A
removed element leaves its place in the order behind (about 200 bytes), since later places may hang on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ringleader.crdt.base import Crdt, register
from ringleader.crdt.delta import Incoming, Outgoing
from ringleader.crdt.document import Inverse
from ringleader.crdt.entries import EMPTY, Entries, join_entries, pack_entries, parse_entries
from ringleader.crdt.identity import read_only
from ringleader.crdt.ormap import ORMap
from ringleader.crdt.registers import LWWRegister
from ringleader.crdt.sequence.order import ROOT, Order, dot_of, id_of
from ringleader.crdt.values import brief
from ringleader.crdt.wire import Decoder, Encoder, bad
from ringleader.errors import Reason, UsageError

__all__ = ["List"]

REMEMBERED = 100  # neighbours, by which an undone move finds its way back

Around = tuple[list[bytes], list[bytes]]
"""The elements that stand before one, the nearest first, and those that stand after it."""

Row = tuple[dict[bytes, tuple[bytes, int]], Entries]
"""Of one element: all its places with parent and side, and the moves that stand, `(replica, n, stamp)`."""


@register
class List(ORMap[bytes, Crdt]):
    """A list: `items.append("x")`, `items[0]`, `items[1] = "y"`, `del items[2]`, `items.insert(0, ...)`, `items.move(0,
    3)`.

    What `insert` and `append` take: a plain value, a `dict` or `list` (nested documents), or a type such as `Text` or
    `PNCounter` for an empty one. They return the new element when it is a nested type.
    """

    __slots__ = ("_cache", "_moves", "_order", "_owners", "_places")
    tag = 41
    name = "List"

    def _bottom(self) -> None:
        super()._bottom()
        self._order = Order()
        self._places: dict[bytes, list[bytes]] = {}  # element -> all its places, the first is its own id
        self._owners: dict[bytes, bytes] = {}  # place made by a move -> element
        self._moves: dict[bytes, Entries] = {}
        self._cache: list[bytes] | None = []  # the visible elements in order; None: to be found again

    # ---- reading -----------------------------------------------------------------------------------------------

    def _visible(self) -> list[bytes]:
        if self._cache is None:
            self._cache = [
                element
                for place in self._order.places
                if (element := self._owners.get(place, place)) in self._slots
                and self._place_of(element) == place
                and self._shown(element) is not None
            ]
        return self._cache

    def _place_of(self, element: bytes) -> bytes:
        moves = self._moves.get(element)
        if not moves:
            return element
        latest = max(moves, key=lambda entry: (entry[2], entry[0]))
        return id_of(latest[0], latest[1])

    def _node(self, index: int) -> Crdt:
        node = self._shown(self._visible()[self._index(index)])
        assert node is not None
        return node

    def _index(self, index: int, *, end: bool = False) -> int:
        length = len(self)
        if type(index) is not int:
            raise UsageError(f"a position is an integer, not {brief(index)}", reason=Reason.INVALID_ARGUMENT)
        at = index + length if index < 0 else index
        if not 0 <= at < length + end:
            raise IndexError(f"position {index} of a list of {length} elements")
        return at

    def __len__(self) -> int:
        return len(self._visible())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        node = self._node(index)
        return node.value if isinstance(node, LWWRegister) else node

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(len(self))])

    def __contains__(self, value: object) -> bool:
        return any(item == value for item in self)

    def conflicts(self, index: Any) -> list[Any]:
        """All values written to this element at the same time, when it is a plain value that several wrote."""
        node = self._node(index)
        return list(node.conflicts()) if isinstance(node, LWWRegister) else []

    def _value(self) -> Any:
        return [node._value() for element in self._visible() if (node := self._shown(element)) is not None]

    @property
    def value(self) -> Any:
        """Plain nested data, a copy."""
        return self._value()

    # ---- writing -----------------------------------------------------------------------------------------------

    def insert(self, index: int, value: Any) -> Any:
        """Insert before position `index`; the element if it is a nested type. Raises `IndexError`, `UsageError`."""
        from ringleader.crdt.sequence.json import fill, kind_for

        at = self._index(index, end=True)
        kind = kind_for(value)
        with self._doc.transaction():
            element = self._new_place(at)
            self._places[element] = [element]
            visible = self._visible()
            self._cache = None
            node = self._handle(element, kind.tag)
            self._attach_child(node)
            visible.insert(at, element)
            self._cache = visible
            fill(node, value)
        return None if isinstance(node, LWWRegister) else node

    def append(self, value: Any) -> Any:
        """Insert at the end."""
        return self.insert(len(self), value)

    def extend(self, values: Iterable[Any]) -> None:
        """Append each of `values`, as one change."""
        with self._doc.transaction():
            for value in values:
                self.append(value)

    def __iadd__(self, values: Iterable[Any]) -> List:
        self.extend(values)
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        from ringleader.crdt.sequence.json import fill, kind_for

        node = self._node(index)
        if value is node:
            return  # the second half of items[0] += 1
        kind = kind_for(value)
        with self._doc.transaction():
            if node.tag != kind.tag:
                node = self._handle(node._key, kind.tag)
                self._attach_child(node)
            fill(node, value)

    def __delitem__(self, index: Any) -> None:
        if isinstance(index, slice):
            elements = self._visible()[index]
        else:
            elements = [self._visible()[self._index(index)]]
        if self._doc.me is None:
            raise read_only()
        nodes = [node for element in elements for node in self._slots[element].values() if self._seen(node)]
        for node in nodes:
            node._check_clear()
        self._remove_nodes(nodes)

    def pop(self, index: int = -1) -> Any:
        """Remove an element and return its plain value. Two replicas that pop at once may both get it."""
        value = self._node(index).value
        del self[index]
        return value

    def remove(self, value: Any) -> None:
        """Remove the first element equal to `value`. Raises `ValueError`."""
        for index, item in enumerate(self):
            if item == value:
                del self[index]
                return
        raise ValueError(f"{brief(value)} is not in the list")

    def move(self, index: int, to: int) -> None:
        """Move an element so that it stands at position `to`. Its content and its history go with it."""
        at, to = self._index(index), self._index(to)
        if at == to:
            return
        element = self._visible()[at]
        doc = self._doc
        with doc.transaction():
            before, around = self._place_of(element), self._around(at)
            place = self._new_place(to + (to > at), self._shown(element))
            self._owners[place] = element
            self._places[element].append(place)
            replica, n = dot_of(place)
            self._moves[element] = ((replica, n, doc.stamp()),)
            self._cache = None
            doc.also(lambda: self._move_back(element, place, before, around))

    def _move_back(self, element: bytes, place: bytes, before: bytes, around: Around) -> None:
        """Undo of a move, if it still stands."""
        doc = self._doc
        if self._shown(element) is not None and doc.same(dot_of(self._place_of(element)), dot_of(place)):
            self._stand_between(element, around)
            doc.put_back(dot_of(self._place_of(element)), dot_of(before))

    def _around(self, at: int) -> Around:
        visible = self._visible()
        return visible[max(at - REMEMBERED, 0) : at][::-1], visible[at + 1 : at + 1 + REMEMBERED]

    def _stand_between(self, element: bytes, around: Around) -> None:
        """Undo: move an element that does not stand between the nearest of its old neighbours."""
        visible = self._visible()
        at = visible.index(element)
        ranks = {other: rank for rank, other in enumerate(visible)}
        left = next((ranks[other] for other in around[0] if other in ranks), -1)
        right = next((ranks[other] for other in around[1] if other in ranks), len(visible))
        if not left < at < right:
            self.move(at, left + (left < at) if left >= 0 else 0)

    def _putting_back(self, nodes: list[Crdt]) -> Inverse:
        visible = self._visible()
        places = {element: at for at, element in enumerate(visible)}
        around = {node._key: self._around(places[node._key]) for node in nodes if node._key in places}
        put_back = super()._putting_back(nodes)

        def between() -> None:
            put_back()
            for element, neighbours in around.items():
                if self._shown(element) is not None:
                    self._stand_between(element, neighbours)

        return between

    def _new_place(self, at: int, node: Crdt | None = None) -> bytes:
        """Name the next event and make its place before the visible element `at`; `node`: which element it is for."""
        doc = self._doc
        if not self._attached and self._parent is not None:
            self._parent._attach_child(self)  # type: ignore[attr-defined]  # a parent is a container
        visible = self._visible()
        left = self._place_of(visible[at - 1]) if at else ROOT
        parent, side = self._order.after(left)
        slot = (id_of(doc.me, doc.n + 1), LWWRegister.tag) if node is None and doc.me is not None else None
        n = doc.mint(self, slot if node is None else node._slot())
        assert doc.me is not None
        place = id_of(doc.me, n)
        self._order.add(place, parent, side)
        return place

    def _assign(self, value: Any) -> None:
        with self._doc.transaction():
            del self[:]
            self.extend(value)

    # ---- the type's own part -----------------------------------------------------------------------------------

    def _hang(self, node: Crdt) -> None:
        super()._hang(node)
        self._cache = None

    def _drop(self, node: Crdt) -> None:
        super()._drop(node)
        self._cache = None

    def _clear_node(self, node: Crdt, dot: Any) -> None:
        super()._clear_node(node, dot)
        self._cache = None

    def _child_faded(self, child: Crdt) -> None:
        self._cache = None
        super()._child_faded(child)

    def _residue(self) -> bool:
        return bool(self._slots) or bool(self._places)

    def _path_key(self, child: Crdt) -> Any:
        visible = self._visible()
        return visible.index(child._key) if child._key in visible else None

    @staticmethod
    def _public_key(key: Any) -> Any:
        return key[0]

    def _part(self, keys: Any, out: Outgoing) -> Any:
        elements = self._places if keys is None else dict.fromkeys(element for element, _ in keys)
        rows: dict[bytes, Row] = {}
        for element in elements:
            if (places := self._places.get(element)) is not None:
                parents = {place: self._order.parents[place] for place in places}
                rows[element] = (parents, self._moves.get(element, EMPTY))
        return rows, super()._part(keys, out)

    def _admit(self, part: Any, incoming: Incoming) -> None:
        rows, slots = part
        new = {place: parent for places, _ in rows.values() for place, parent in places.items()}
        if not self._order.fits(new):
            bad("an element hangs on one that its sender claims we have, and we have not")
        super()._admit(slots, incoming)

    def _join(self, part: Any, incoming: Incoming) -> None:
        rows, slots = part
        self._cache = None
        new = {place: parent for places, _ in rows.values() for place, parent in places.items()}
        fitting = self._order.add_all(new)
        assert fitting, "admitted"
        for element, (places, moves) in rows.items():
            known = self._places.setdefault(element, [element])
            for place in places:
                if place not in known:
                    known.append(place)
                    self._owners[place] = element
            mine = self._moves.get(element, EMPTY)
            joined = join_entries(mine, moves, incoming.mine, incoming.theirs, incoming.duplicates)
            if joined != mine:
                self._moves[element] = joined
                incoming.touch(self, (element, LWWRegister.tag))
        super()._join(slots, incoming)

    @classmethod
    def _empty_part(cls) -> Any:
        return {}, super()._empty_part()

    @classmethod
    def _pack(cls, part: Any, out: Encoder) -> Any:
        rows, slots = part

        def packed(place: bytes) -> int:
            return out.dot(*dot_of(place)) if place else 0

        flat = []
        for element in sorted(rows):
            parents, moves = rows[element]
            places = [element, *sorted(place for place in parents if place != element)]
            row = [item for place in places for item in (packed(place), packed(parents[place][0]), parents[place][1])]
            flat.append([row, pack_entries(moves, 2, out)])
        return [flat, super()._pack(slots, out)]

    @classmethod
    def _parse(cls, raw: Any, source: Decoder) -> Any:
        raw_rows, slots = source.array(raw, 2)
        rows: dict[bytes, Row] = {}
        taken: set[bytes] = set()

        def place(dot: Any) -> bytes:
            return id_of(*source.dot(dot))

        for item in source.array(raw_rows):
            raw_row, raw_moves = source.array(item, 2)
            row = source.array(raw_row)
            if not row or len(row) % 3:
                bad("an element's places are cut short")
            parents: dict[bytes, tuple[bytes, int]] = {}
            for at in range(0, len(row), 3):
                parent = ROOT if type(row[at + 1]) is int and row[at + 1] == 0 else place(row[at + 1])
                parents[place(row[at])] = (parent, source.integer(row[at + 2], 0, 1))
            if len(parents) * 3 != len(row) or not taken.isdisjoint(parents):
                bad("a place occurs twice")
            taken |= parents.keys()
            moves = tuple([(r, n, source.at_stamp(stamp)) for r, n, stamp in parse_entries(raw_moves, 2, source)])
            if any(id_of(r, n) not in parents for r, n, _ in moves):
                bad("an element moved to a place that it does not have")
            rows[next(iter(parents))] = (parents, moves)
        parsed = super()._parse(slots, source)
        for key, _ in parsed[1]:
            if type(key) is not bytes or not 9 <= len(key) <= 72:
                bad("an element's id is not a place")
        return rows, parsed

    def explain(self) -> str:
        """Each element with its place, where it was moved, and what is in it."""
        lines = [f"{self.name} = {self._value()!r}; {len(self._order.places) - 1} places"]
        for element in self._visible():
            replica, n = dot_of(element)
            moved = f", moved {len(self._places[element]) - 1} times" if element in self._moves else ""
            lines.append(f"  inserted by {replica!r}:{n}{moved}")
            node = self._shown(element)
            lines += ["    " + line for line in (node.explain() if node is not None else "").splitlines()]
        return "\n".join(lines)

    # Keys are positions here: what a map offers by key, a list does not have.

    def keys(self) -> list[Any]:
        """The positions."""
        return list(range(len(self)))

    def get(self, key: Any) -> Any:
        """The nested value at a position, None beyond the end."""
        return self._node(key) if type(key) is int and 0 <= key < len(self) else None

    def child(self, key: Any, kind: Any) -> Crdt:
        raise UsageError("a list has no keys", reason=Reason.UNSUPPORTED, hint="Use insert or append")

    def create(self, key: Any, kind: Any = None) -> Any:
        raise UsageError("a list has no keys", reason=Reason.UNSUPPORTED, hint="Use insert or append")
