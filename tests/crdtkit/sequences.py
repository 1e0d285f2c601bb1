"""Text, list and document as kinds for the exhaustive search: a few operations each, and their specifications.

The specifications are pure functions from the visible operations to a value, like those in `kinds.py`. They stand on a
Fugue tree written from the paper, in which an operation means what its writer saw: they work out, operation by
operation, what was visible to it, so they share neither code nor data structure with the types.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from crdtkit.kinds import Kind, Op, Rec, latest, maximal, named, unseen
from ringleader.crdt import JsonDocument, List, LWWRegister, PNCounter, Text

Id = tuple[bytes, int]
ROOT: Id = (b"", 0)


def ordered(recs: list[Rec]) -> list[Rec]:
    """The operations in an order in which each comes after all that it has seen."""
    return sorted(recs, key=lambda rec: (rec.before.events(), rec.replica))


def past_of(rec: Rec, recs: list[Rec]) -> list[Rec]:
    """What had happened before `rec`."""
    return [other for other in recs if rec.sees(other)]


def letter(replica: bytes, events: int) -> str:
    """The character that a replica inserts after so many events of its own: another one each time."""
    return chr(ord("A") + 40 * (replica[0] - ord("a")) + events)


def letter_of(rec: Rec) -> str:
    return letter(rec.replica, rec.before.get(rec.replica, 0))


def typed(root: Any) -> str:
    assert root._doc.me is not None
    return letter(root._doc.me, root._doc.n)


class Tree:
    """Places in Fugue order: a place is a left or a right child of another; siblings by id."""

    def __init__(self) -> None:
        self.children: dict[Id, tuple[list[Id], list[Id]]] = {ROOT: ([], [])}

    def walk(self, node: Id = ROOT) -> list[Id]:
        left, right = self.children[node]
        return [
            *(i for c in sorted(left) for i in self.walk(c)),
            node,
            *(i for c in sorted(right) for i in self.walk(c)),
        ]

    def hang(self, new: Id, parent: Id, side: int) -> None:
        self.children[new] = ([], [])
        self.children[parent][side].append(new)

    def right_after(self, place: Id) -> tuple[Id, int]:
        if not self.children[place][1]:
            return place, 1
        order = self.walk()
        return order[order.index(place) + 1], 0


# ---- text: everything inserted, less what anybody removed -----------------------------------------------------------


class Typing(NamedTuple):
    """What text operations meant: the places made (with parent, side, character) and the places removed."""

    made: dict[int, list[tuple[Id, Id, int, str]]]
    gone: dict[int, set[Id]]

    def shown(self, which: list[Rec]) -> tuple[Tree, dict[Id, str]]:
        tree, chars = Tree(), dict[Id, str]()
        for rec in which:
            for new, parent, side, char in self.made[id(rec)]:
                tree.hang(new, parent, side)
                chars[new] = char
        for rec in which:
            for place in self.gone[id(rec)]:
                chars.pop(place, None)
        return tree, chars


def text(root: Any, op: Op) -> None:
    length = len(root)
    if op[0] == "insert":
        root.insert(_at(op[1], length), typed(root))
    elif op[0] == "word":
        root.insert(_at(op[1], length), typed(root) + typed(root).lower())
    elif op[0] == "remove" and length:
        root.delete(min(op[1], length - 1))


def _at(index: int, length: int) -> int:
    return length if index < 0 else min(index, length)


def text_spec(recs: list[Rec]) -> str:
    typing = Typing({}, {})
    done: list[Rec] = []
    for rec in ordered(recs):
        tree, chars = typing.shown(past_of(rec, done))
        visible = [place for place in tree.walk() if place in chars]
        typing.made[id(rec)], typing.gone[id(rec)] = _edit(rec, tree, visible)
        done.append(rec)
    tree, chars = typing.shown(done)
    return "".join(chars.get(place, "") for place in tree.walk())


def _edit(rec: Rec, tree: Tree, visible: list[Id]) -> tuple[list[tuple[Id, Id, int, str]], set[Id]]:
    if rec.op[0] == "remove":
        return [], {visible[min(rec.op[1], len(visible) - 1)]}
    if rec.op[0] == "drop":
        return [], set(visible)
    content = letter_of(rec) + (letter_of(rec).lower() if rec.op[0] == "word" else "")
    at = _at(rec.op[1] if rec.op[0] != "write" else 0, len(visible))
    left = visible[at - 1] if at else ROOT
    made = []
    for k, char in enumerate(content):
        new = (rec.replica, rec.before.get(rec.replica, 0) + 1 + k)
        parent, side = tree.right_after(left)
        tree.hang(new, parent, side)
        made.append((new, parent, side, char))
        left = new
    return made, set()


# ---- list: elements in Fugue order; removing is observed; values and moves are last-writer-wins -----------------------


class Meaning(NamedTuple):
    """What one list operation meant: the element (its id), and the place it made, if any."""

    element: Id
    place: tuple[Id, Id, int] | None


def items(root: Any, op: Op) -> None:
    length = len(root)
    if op[0] == "insert":
        root.insert(_at(op[1], length), typed(root))
    elif op[0] == "remove" and length:
        del root[0]
    elif op[0] == "set" and length:
        root[0] = typed(root)
    elif op[0] == "move" and length > 1:
        root.move(0, length - 1)


def _list_view(which: list[Rec], meant: dict[int, Meaning]) -> tuple[Tree, list[tuple[Id, Id, str]]]:
    """The tree, and of each visible element: itself, its place, its value; in order."""
    tree = Tree()
    about: dict[Id, list[Rec]] = {}
    for rec in which:
        meaning = meant[id(rec)]
        about.setdefault(meaning.element, []).append(rec)
        if meaning.place is not None:
            tree.hang(*meaning.place)
    standing: dict[Id, tuple[Id, str]] = {}  # place -> element, value
    for element, own in about.items():
        removals, writes, moves = named(own, "remove"), named(own, "insert", "set"), named(own, "move")
        alive = [rec for rec in writes if unseen(rec, removals) and unseen(rec, writes)]
        if any(unseen(rec, removals) for rec in writes):
            place = element
            if moves:
                made = meant[id(latest(maximal(moves)))].place
                assert made is not None
                place = made[0]
            standing[place] = (element, letter_of(latest(alive)))
    return tree, [(standing[place][0], place, standing[place][1]) for place in tree.walk() if place in standing]


def list_spec(recs: list[Rec]) -> list[str]:
    meant: dict[int, Meaning] = {}
    done: list[Rec] = []
    for rec in ordered(recs):
        tree, visible = _list_view(past_of(rec, done), meant)
        new = (rec.replica, rec.before.get(rec.replica, 0) + 1)
        if rec.op[0] == "insert":
            at = _at(rec.op[1], len(visible))
            meant[id(rec)] = Meaning(new, (new, *tree.right_after(visible[at - 1][1] if at else ROOT)))
        elif rec.op[0] == "move":
            meant[id(rec)] = Meaning(visible[0][0], (new, *tree.right_after(visible[-1][1])))
        else:
            meant[id(rec)] = Meaning(visible[0][0], None)
        done.append(rec)
    return [value for _, _, value in _list_view(done, meant)[1]]


# ---- document: one key that different types may be put at -------------------------------------------------------------

TYPES: dict[str, type[Any]] = {"plain": LWWRegister, "count": PNCounter, "write": Text}


def document(root: Any, op: Op) -> None:
    if op[0] == "plain":
        root["k"] = typed(root)
    elif op[0] == "count":
        root.counter("k").increment(1)
    elif op[0] == "write":
        root.text("k").insert(0, typed(root))
    elif "k" in root:
        del root["k"]


class Slot(NamedTuple):
    """One type at the key: the creations that stand, and its value (None: nothing is in it)."""

    created: list[Rec]
    value: Any


def _slot(kind: str, recs: list[Rec]) -> Slot:
    """What stands of one type: a creation, and content, until somebody who saw it removes the key."""
    drops = named(recs, "drop")
    writes = named(recs, kind)
    left = [rec for rec in writes if unseen(rec, drops)]
    creations = [rec for rec in writes if _creates(rec, kind, past_of(rec, recs))]
    standing = [rec for rec in creations if unseen(rec, drops) and unseen(rec, creations)]
    if kind == "count":
        return Slot(standing, len(left) or None)
    if kind == "plain":
        return Slot(standing, letter_of(latest([rec for rec in left if unseen(rec, writes)])) if left else None)
    return Slot(standing, text_spec(writes + drops) or None)


def _creates(rec: Rec, kind: str, past: list[Rec]) -> bool:
    """Whether a write makes its place (again): it was not there, or for a plain value, not the one that shows."""
    slot = _slot(kind, past)
    if not slot.created and slot.value is None:
        return True
    return kind == "plain" and (not slot.created or _shown(past) != kind)


def _shown(recs: list[Rec]) -> str | None:
    """The type that shows: the latest creation."""

    def when(kind: str) -> tuple[int, bytes, int]:
        made = [(rec.stamp - (kind == "plain"), rec.replica) for rec in _slot(kind, recs).created]
        return (*max(made, default=(-1, b"")), TYPES[kind].tag)  # (a plain value is stamped after its place)

    there = [kind for kind in TYPES if (slot := _slot(kind, recs)).created or slot.value is not None]
    return max(there, key=when) if there else None


def document_spec(recs: list[Rec]) -> dict[str, Any]:
    kind = _shown(recs)
    if kind is None:
        return {}
    empty = {"plain": None, "count": 0, "write": ""}[kind]
    value = _slot(kind, recs).value
    return {"k": empty if value is None else value}


SEQUENCES = [
    Kind("Text", Text, [("insert", 0), ("remove", 0), ("insert", -1)], text, text_spec, alike=False),
    Kind("Text in words", Text, [("word", -1), ("insert", 1), ("remove", 0)], text, text_spec, alike=False),
    Kind("List", List, [("insert", 0), ("remove",), ("insert", -1)], items, list_spec, alike=False),
    Kind("List with moves", List, [("insert", -1), ("set",), ("move",), ("remove",)], items, list_spec, alike=False),
    Kind(
        "JsonDocument",
        JsonDocument,
        [("plain",), ("drop",), ("write",), ("count",)],
        document,
        document_spec,
        alike=False,
    ),
]
