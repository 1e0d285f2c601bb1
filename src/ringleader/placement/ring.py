"""The hash ring: each node puts many points (vnodes) on a circle, and a key belongs to the point nearest to its hash.

The classical ring (Karger et al., STOC 1997) gives a key to the next point clockwise. Taking the nearest point instead
(as Pastry does: Rowstron & Druschel, Middleware 2001) costs nothing at look-up and moves as little, but a point's cell
is then half of two gaps rather than one whole gap, which halves the variance of the load: 640 vnodes balance like 1280.

Where a node's points lie, and how weights turn into points, is in `points.py`.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Self

from ringleader.placement.base import Placement
from ringleader.placement.cells import Cells, patched_index, slice_bits
from ringleader.placement.keys import MASK64, SPACE, Hash, Key, key_bytes, xxh3
from ringleader.placement.node import Node, NodeLike, as_node, as_nodes
from ringleader.placement.points import MAX_POINTS, check_points, checked_vnodes, node_points, sorted_points

__all__ = ["DEFAULT_VNODES", "MAX_POINTS", "Ring"]

DEFAULT_VNODES = 640

View = tuple[Hash, "array[int]", int, "array[int]", "array[int]", tuple[Node, ...]]
"""What a look-up reads: hash; index, shift, bounds and owners of the cells; nodes."""


class Ring(Placement):
    """A hash ring with `vnodes` points for a node of weight 1.0.

    Look-up is O(1) once there have been some (one for every four points: `cells.py` says why), before that O(log points);
    20 to 26 bytes a point. A load's coefficient of variation is about sqrt(1 / (2 * vnodes)).
    """

    __slots__ = ("_cells", "_points", "_view", "_vnodes")
    kind = "ring"

    def __init__(
        self,
        nodes: Iterable[NodeLike] | Mapping[str, float],
        *,
        vnodes: int = DEFAULT_VNODES,
        hash: Hash = xxh3,
    ) -> None:
        super().__init__(nodes, hash=hash)
        self._vnodes = checked_vnodes(vnodes)
        check_points(self._nodes, self._vnodes)
        points, owners = sorted_points(self._nodes, self._vnodes)
        self._points = points
        self._cells = Cells(*_cells(points, owners))
        self._view: View | None = None

    def owner(self, key: Key) -> Node:
        """The node that owns `key` (str, bytes or int)."""
        # Spelled out rather than composed of smaller methods: this is the one hot path, and calls are half its cost.
        view = self._view
        if view is None:
            return self._early_owner(key)
        hash, index, shift, bounds, owners, nodes = view
        if type(key) is str:
            try:
                h = hash(key.encode())
            except UnicodeEncodeError:  # a lone surrogate
                h = hash(key_bytes(key))
        elif type(key) is bytes:
            h = hash(key)
        else:
            h = hash(key_bytes(key))
        i = index[h >> shift]
        while bounds[i] < h:
            i += 1
        return nodes[owners[i]]

    def _early_owner(self, key: Key) -> Node:
        """`owner` as long as the cells have no index; from then on everything that a look-up reads is at hand at once.

        Threads that look up meanwhile find no view, or a whole one: it is stored in one step, and all make the same.
        """
        cells = self._cells
        i = cells.find(self._hash(key_bytes(key)))
        if cells.parts is not None:
            self._view = (self._hash, *cells.parts, self._nodes)
        return self._nodes[cells.owners[i]]

    def owner_index(self, h: int) -> int:
        return self._cells.owners[self._cells.find(h)]

    def walk(self, h: int) -> Iterator[int]:
        """Nodes by the distance of their nearest point: exactly who inherits the key when those before are gone."""
        points, owners, count = self._points, self._cells.owners, len(self._points)
        # owners[0] and owners[-1] belong to the two wrapped cells; owners[i + 1] is the owner of point i.
        right = bisect_left(points, h) % count
        left = (right - 1) % count
        seen: set[int] = set()
        for _ in range(count):
            to_right, to_left = (points[right] - h) % SPACE, (h - points[left]) % SPACE
            if to_left <= to_right:
                at, left = left, (left - 1) % count
            else:
                at, right = right, (right + 1) % count
            owner = owners[at + 1]
            if owner not in seen:
                seen.add(owner)
                yield owner

    def add(self, *nodes: NodeLike) -> Self:
        """A new ring with these nodes too; costs the new points, not a new sort of the old ones."""
        fresh = tuple(as_node(n) for n in nodes)
        members = as_nodes((*self._nodes, *fresh))
        check_points(members, self._vnodes)
        ring = self._same_with(members)
        spliced = _splice(self, ring, fresh)
        if spliced is None:
            return self._rebuilt(members)
        ring._points, ring._cells = spliced
        return ring

    def parameters(self) -> dict[str, Any]:
        return {"vnodes": self._vnodes}

    @property
    def vnodes(self) -> int:
        """Points of a node with weight 1.0."""
        return self._vnodes

    @property
    def cells(self) -> Cells:
        """The cells of the circle, for pictures, diffs and batches; read it only."""
        return self._cells

    def arcs(self) -> Iterator[tuple[int, int, Node]]:
        """The circle as `(start, end, owner)`, half open, in order, neighbours with one owner joined."""
        start, owner = 0, -1
        at = 0
        for bound, o in zip(self._cells.bounds, self._cells.owners, strict=True):
            if bound < at:
                continue  # an empty wrapped cell
            if o != owner and at:
                yield start, at, self._nodes[owner]
                start = at
            owner = o
            at = bound + 1
        yield start, SPACE, self._nodes[owner]

    def shares(self) -> dict[str, float]:
        """The exact part of the circle that each node owns; the values sum to 1."""
        out = {n.name: 0 for n in self._nodes}
        for start, end, node in self.arcs():
            out[node.name] += end - start
        return {name: size / SPACE for name, size in out.items()}

    def points(self) -> Iterator[tuple[int, Node]]:
        """Every point with its node, in order around the circle."""
        for i, p in enumerate(self._points):
            yield p, self._nodes[self._cells.owners[i + 1]]

    def nbytes(self) -> int:
        """Bytes held by the ring's arrays."""
        return self._cells.nbytes() + self._points.itemsize * len(self._points)

    def _same_with(self, members: tuple[Node, ...]) -> Self:
        """A ring of these members with its arrays still to be set."""
        ring = object.__new__(type(self))
        Placement.__init__(ring, members, hash=self._hash)
        ring._vnodes = self._vnodes
        ring._view = None
        return ring

    def __getstate__(self) -> tuple[None, dict[str, object]]:
        """For pickle and copy: the slots, without the view, which would bring the index and is made again."""
        slots = (*Placement.__slots__, *Ring.__slots__)
        return None, {**{name: getattr(self, name) for name in slots}, "_view": None}


def _wrap(points: array[int]) -> tuple[int, bool]:
    """The last hash nearer to the last point than to the first one, and whether it lies beyond the circle's start."""
    last = points[-1]
    middle = last + (points[0] + SPACE - last) // 2
    return middle & MASK64, middle >= SPACE


def _edges(points: array[int], first_owner: int, last_owner: int) -> tuple[int, int, int, int]:
    """The wrapped cells: bound and owner of the first, bound of the last point's, owner of the closing one."""
    middle, wrapped = _wrap(points)
    if wrapped:
        return middle, last_owner, MASK64, last_owner
    return 0, first_owner, middle, first_owner


def _cells(points: array[int], owners: array[int]) -> tuple[array[int], array[int]]:
    """Bounds and owners of the cells: the first, one for each point, the closing one."""
    low, low_owner, high, closing_owner = _edges(points, owners[0], owners[-1])
    bounds = array("Q", [low])
    bounds.extend(_midpoints(points))
    bounds.extend((high, MASK64))
    out = array("H", [low_owner])
    out.extend(owners)
    out.append(closing_owner)
    return bounds, out


def _midpoints(points: array[int]) -> array[int]:
    """The middle between each point and the next: half of each lane plus half of its neighbour (points are even)."""
    size = 8 * (len(points) - 1)
    half = int.from_bytes(points.tobytes(), sys.byteorder) >> 1
    sums = half + (half >> 64) & (1 << 8 * size) - 1
    return array("Q", sums.to_bytes(size, sys.byteorder))


def _renumbered(owners: array[int], places: list[int], nodes: int) -> array[int]:
    """Owners by their new numbers when newcomers take the `places` (in order) in a member list that is `nodes` long.

    For each newcomer, those at or behind its place move up by one: for all owners at once, in 16-bit lanes, where
    `owner + 0x8000 - place` has its highest bit set exactly for them.
    """
    if nodes > 0x8000 or len(places) > 32:
        number = sorted(set(range(nodes)).difference(places))
        return array("H", map(number.__getitem__, owners))
    packed = int.from_bytes(owners.tobytes(), sys.byteorder)
    ones = int.from_bytes(b"\0\1" * len(owners), "big")
    for place in places:
        packed += packed + ones * (0x8000 - place) >> 15 & ones
    return array("H", packed.to_bytes(2 * len(owners), sys.byteorder))


def _splice(old: Ring, new: Ring, fresh: tuple[Node, ...]) -> tuple[array[int], Cells] | None:
    """The arrays of `new`, made from those of `old` and the fresh nodes' points; None where only a full build is exact.

    That is when two points are equal (their order is then by name), or when the index needs another size.
    """
    number = {n.name: i for i, n in enumerate(new.nodes)}
    arrivals = sorted((p, number[n.name]) for n in fresh for p in node_points(n, new.vnodes))
    points = old._points
    cells = old._cells
    if slice_bits(len(cells.bounds) + len(arrivals)) != 64 - cells.shift:
        return None
    places = sorted(number[n.name] for n in fresh)
    old_owners = _renumbered(cells.owners, places, len(new.nodes))  # that of point i at i + 1
    out_points, out_owners, bounds = array("Q"), array("H"), array("Q")
    removed: list[int] = []
    added: list[int] = []
    count = len(points)
    at = k = 0  # everything before point `at` is copied, up to and without the bound after it
    while k < len(arrivals):
        point, owner = arrivals[k]
        gap = bisect_left(points, point, at)
        end = points[gap] if gap < count else SPACE
        if 0 < gap < count and point < end and (k + 1 == len(arrivals) or arrivals[k + 1][0] >= end):
            # Alone between two points, as nearly all are: what follows does the same for any number, and the edges.
            out_points.extend(points[at:gap])
            out_points.append(point)
            out_owners.extend(old_owners[at + 1 : gap + 1])
            out_owners.append(owner)
            low, high = (points[gap - 1] + point) >> 1, (point + end) >> 1
            bounds.extend(cells.bounds[at + 1 : gap])
            bounds.append(low)
            bounds.append(high)
            removed.append(cells.bounds[gap])
            added.append(low)
            added.append(high)
            at, k = gap, k + 1
            continue
        stop = k
        while stop < len(arrivals) and arrivals[stop][0] < end:
            stop += 1
        group = arrivals[k:stop]
        if not group or any(a[0] == b[0] for a, b in pairwise(group)):
            return None
        out_points.extend(points[at:gap])
        out_owners.extend(old_owners[at + 1 : gap + 1])
        # bounds[i + 1] lies between points i and i + 1.
        bounds.extend(cells.bounds[at + 1 : gap])
        inner = [p for p, _ in group]
        around = [*points[max(0, gap - 1) : gap], *inner]
        if gap < count:
            around.append(points[gap])
            if gap:
                removed.append(cells.bounds[gap])
        between = [(a + b) >> 1 for a, b in pairwise(around)]
        bounds.extend(between)
        added += between
        out_points.extend(inner)
        out_owners.extend([o for _, o in group])
        at, k = gap, stop
    out_points.extend(points[at:])
    out_owners.extend(old_owners[at + 1 : -1])
    bounds.extend(cells.bounds[at + 1 : -2])
    low, low_owner, high, closing_owner = _edges(out_points, out_owners[0], out_owners[-1])
    removed += [cells.bounds[0], cells.bounds[-2]]
    added += [low, high]
    bounds.insert(0, low)
    bounds.extend((high, MASK64))
    out_owners.insert(0, low_owner)
    out_owners.append(closing_owner)
    return out_points, Cells(bounds, out_owners, patched_index(cells, removed, added))
