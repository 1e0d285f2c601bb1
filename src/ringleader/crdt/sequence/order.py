"""The order of a list: a tree of places that every replica walks alike.

Weidner & Kleppmann, "The Art of the Fugue" (2023), algorithm 1. A new place is a right child of the place before it or,
when that has right children already, a left child of the place after it. In-order walk; siblings by id. Places are
never removed: later ones hang on them. An id is the bytes of a replica id and the event's number (8 bytes, big-endian).
"""

from __future__ import annotations

from bisect import bisect_left, insort

from ringleader.clock.version import ReplicaId

__all__ = ["ROOT", "Order", "dot_of", "id_of"]

ROOT = b""
LEFT, RIGHT = 0, 1
_MANY = 64  # from so many new places at once the order is walked anew instead of searched for each


def id_of(replica: ReplicaId, n: int) -> bytes:
    """The id of the place that event `(replica, n)` made."""
    return replica + n.to_bytes(8, "big")


def dot_of(place: bytes) -> tuple[ReplicaId, int]:
    """The event that made a place."""
    return place[:-8], int.from_bytes(place[-8:], "big")


class Order:
    """The places of one list: `places` has all of them in order, the root first."""

    __slots__ = ("_children", "parents", "places")

    def __init__(self) -> None:
        self.parents: dict[bytes, tuple[bytes, int]] = {}  # place -> (parent, side)
        self._children: dict[bytes, tuple[list[bytes], list[bytes]]] = {}
        self.places: list[bytes] = [ROOT]

    def __contains__(self, place: bytes) -> bool:
        return place == ROOT or place in self.parents

    def index(self, place: bytes) -> int:
        """Where `place` stands in `places`; the end is looked at first."""
        return len(self.places) - 1 if self.places[-1] == place else self.places.index(place)

    def after(self, left: bytes) -> tuple[bytes, int]:
        """The parent and side for a new place right after `left`."""
        children = self._children.get(left)
        if children is None or not children[RIGHT]:
            return left, RIGHT
        return self.places[self.index(left) + 1], LEFT

    def add(self, place: bytes, parent: bytes, side: int) -> None:
        """Add one place; its parent must be here."""
        siblings = self._hang(place, parent, side)
        at = bisect_left(siblings, place)
        if at:
            self.places.insert(self.index(self._edge(siblings[at - 1], RIGHT)) + 1, place)
        elif side == RIGHT:
            self.places.insert(self.index(parent) + 1, place)
        else:
            first = self._edge(siblings[1], LEFT) if len(siblings) > 1 else parent
            self.places.insert(self.index(first), place)

    def fits(self, rows: dict[bytes, tuple[bytes, int]]) -> bool:
        """Whether each of `rows` hangs on what is here, directly or by others of them."""
        ordered, new = self._hanging(rows)
        return len(ordered) == len(new)

    def _hanging(self, rows: dict[bytes, tuple[bytes, int]]) -> tuple[list[bytes], dict[bytes, tuple[bytes, int]]]:
        """Those of the new places in `rows` that hang on what is here, each after what it hangs on; all new places."""
        new = {place: row for place, row in rows.items() if place not in self}
        ordered: list[bytes] = []
        below: dict[bytes, list[bytes]] = {}
        for place, (parent, _) in new.items():
            if parent in self:
                ordered.append(place)
            else:
                below.setdefault(parent, []).append(place)
        for place in ordered:  # grows while we go
            ordered += below.pop(place, ())
        return ordered, new

    def add_all(self, rows: dict[bytes, tuple[bytes, int]]) -> bool:
        """Add the places of `rows` that are new. False, and nothing added, when one does not hang on what is here."""
        ordered, new = self._hanging(rows)
        if len(ordered) != len(new):
            return False
        if len(new) < _MANY:
            for place in ordered:
                self.add(place, *new[place])
        else:
            for place in ordered:
                self._hang(place, *new[place])
            self._walk()
        return True

    def _hang(self, place: bytes, parent: bytes, side: int) -> list[bytes]:
        self.parents[place] = (parent, side)
        siblings = self._children.setdefault(parent, ([], []))[side]
        insort(siblings, place)
        return siblings

    def _edge(self, place: bytes, side: int) -> bytes:
        """The first (LEFT) or last (RIGHT) place of the subtree at `place`."""
        while (children := self._children.get(place)) is not None and children[side]:
            place = children[side][0 if side == LEFT else -1]
        return place

    def _walk(self) -> None:
        places: list[bytes] = []
        stack: list[tuple[bytes, bool]] = [(ROOT, False)]
        while stack:
            place, opened = stack.pop()
            children = None if opened else self._children.get(place)
            if children is None:
                places.append(place)
                continue
            stack += [(child, False) for child in reversed(children[RIGHT])]
            stack.append((place, True))
            stack += [(child, False) for child in reversed(children[LEFT])]
        self.places = places
