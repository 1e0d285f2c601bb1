"""Places: the common ground of maps and models, nested as deep as you like; removing removes exactly what was seen.

Each place is (key, type), so two replicas that create the same key at the same time create the same place, and their
contents merge. If they meant different types, both stand and one is visible. A place exists while somebody's creation
of it stands (its presence) or its content is alive: so an update made at the same time as a removal survives, with only
what that update brought (observed reset-remove, as in Riak's maps, but exact for counters too).
"""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from ringleader.clock.dots import Dot
from ringleader.clock.version import VersionVector, short
from ringleader.crdt.base import Crdt, Shape, shape_of, type_of
from ringleader.crdt.delta import Incoming, Outgoing
from ringleader.crdt.document import Inverse
from ringleader.crdt.entries import EMPTY, Entries, join_entries, pack_entries, parse_entries
from ringleader.crdt.registers import LWWRegister
from ringleader.crdt.values import brief, freeze, sort_keys, thaw
from ringleader.crdt.wire import DEFAULT_LIMITS, Decoder, Encoder, bad
from ringleader.errors import Reason, UsageError

__all__ = ["Places"]

Slot = tuple[Any, int]  # (frozen key, tag)
UNTOUCHED: dict[Any, None] = {}


class Places(Crdt):
    """A node of nested nodes by key. `_values`: the shape of all of them, None when any type may stand at any key."""

    __slots__ = ("_loose", "_slots", "_values")

    def _configure(self, shape: Shape) -> None:
        self._values = shape.inner

    def _shape(self) -> Shape:
        return Shape(type(self), self._values)

    def _bottom(self) -> None:
        self._slots: dict[Any, dict[int, Crdt]] = {}
        # Handles to places that do not exist (yet, or any more): a handle stays good for as long as somebody holds it.
        self._loose: WeakValueDictionary[Slot, Crdt] = WeakValueDictionary()

    # ---- places ------------------------------------------------------------------------------------------------

    def _shape_for(self, key: Any, tag: int) -> Shape:
        """The shape of a place of type `tag` at `key` (frozen)."""
        if self._values is not None and self._values.cls.tag == tag:
            return self._values
        return Shape(type_of(tag))

    def _find(self, key: Any, tag: int) -> Crdt | None:
        found = self._slots.get(key)
        return None if found is None else found.get(tag)

    def _handle(self, key: Any, tag: int) -> Crdt:
        """The node of a place, made (detached) when there is none."""
        node = self._find(key, tag)
        if node is None:
            node = self._loose.get((key, tag))
        if node is None:
            shape = self._shape_for(key, tag)
            node = shape.cls._nested(shape, self._doc, self, key)
            self._loose[(key, tag)] = node
        return node

    def _hang(self, node: Crdt) -> None:
        node._attached = True
        self._slots.setdefault(node._key, {})[node.tag] = node
        self._loose.pop((node._key, node.tag), None)

    def _holds(self, child: Crdt) -> bool:
        places = self._slots.get(child._key)
        return places is not None and places.get(child.tag) is child

    def _drop(self, node: Crdt) -> None:
        node._attached = False
        places = self._slots[node._key]
        del places[node.tag]
        if not places:
            del self._slots[node._key]
        self._loose[node._slot()] = node

    def _attach_child(self, node: Crdt) -> None:
        """A detached child is about to be written: its place comes into being."""
        doc = self._doc
        if isinstance(node, Places):
            _check_depth(self)
        n = doc.mint(self, node._slot())
        assert doc.me is not None
        shown = self._shown(node._key) if doc.eager else None
        node._presence = ((doc.me, n, doc.stamp()),)
        self._hang(node)
        doc.also(lambda: self._uncreate(node, shown))

    def _uncreate(self, node: Crdt, shown: Crdt | None) -> None:
        """Undo a creation, if nothing is left in it; what was shown before is shown again."""
        if node._attached and node._blank():
            self._remove_nodes([node])
            if shown is not None and shown._presence and self._shown(node._key) is not shown:
                self._show_in_its_name(shown)

    def _child_faded(self, child: Crdt) -> None:
        self._doc.touch(self, (child._slot(),))
        child._attached = False
        if not child._residue():
            self._drop(child)
        self._faded()

    def _seen(self, node: Crdt) -> bool:
        return bool(node._presence) or node._alive()

    def _shown(self, key: Any) -> Crdt | None:
        """The visible node at `key` (frozen)."""
        places = self._slots.get(key)
        if not places:
            return None
        shown = [node for node in places.values() if self._seen(node)]
        if len(shown) < 2:
            return shown[0] if shown else None
        return max(shown, key=_created)

    # ---- writing -----------------------------------------------------------------------------------------------

    def _child(self, key: Any, kind: Any) -> Crdt:
        """A handle to the place (key, type); its first write creates it."""
        shape = shape_of(kind)
        node = self._handle(freeze(key), shape.cls.tag)
        if shape.inner is not None and not node._attached:
            node._configure(shape)
        return node

    def _create(self, key: Any, kind: Any) -> Crdt:
        """Create a nested value, or find it; its presence stands until it is removed."""
        node = self._child(key, kind)
        doc = self._doc
        with doc.transaction():
            if not node._attached:
                self._attach_child(node)
            elif self._shown(node._key) is not node or not node._presence:
                self._show(node)
        return node

    def _put(self, key: Any, value: Any) -> None:
        """`self[key] = value`."""
        frozen = freeze(key)
        if isinstance(value, Crdt):
            if value._parent is self and value._key == frozen:
                return  # the second half of m[key] += 1
            raise UsageError(
                f"a {value.name} from elsewhere cannot be put at {brief(key)}: it has a history of its own",
                reason=Reason.INVALID_ARGUMENT,
                hint="Use create(key, kind) and fill it, or assign a plain value",
            )
        with self._doc.transaction():
            if self._values is None:
                shown = self._shown(frozen)
                node = shown if isinstance(shown, LWWRegister) else self._create(key, LWWRegister)
            else:
                node = self._handle(frozen, self._values.cls.tag)
            node._assign(value)

    def _remove_nodes(self, nodes: list[Crdt]) -> None:
        if not nodes:
            return
        doc = self._doc
        if not doc.eager:
            self._remove_now(nodes)
            return
        with doc.transaction():
            again = self._putting_back(nodes)
            self._remove_now(nodes)
            doc.also(again)  # after what the content has told by itself: so it is undone first

    def _remove_now(self, nodes: list[Crdt]) -> None:
        doc = self._doc
        doc.mint(self, nodes[0]._slot())
        doc.touch(self, [node._slot() for node in nodes[1:]])
        dot = doc.dot()
        for node in nodes:
            self._clear_node(node, dot)
        self._faded()

    def _putting_back(self, nodes: list[Crdt]) -> Inverse:
        """What undoes a removal: the places are created again, and what was in them is written again."""
        # What shows is what was created last, so it is created again last.
        kept = [(node, node._presence, node._remember()) for node in sorted(nodes, key=_created)]

        def put_back() -> None:
            for node, presence, content in kept:
                if presence:
                    self._revive(node, presence)
                if content is not None:
                    content()

        return put_back

    def _revive(self, node: Crdt, before: Entries) -> None:
        """Create a place again that was removed, the very node; also where somebody's update has kept it alive."""
        if not node._attached:
            self._attach_child(node)
        elif not node._presence:
            self._show(node)
        else:
            return
        if len(before) == 1:
            self._doc.put_back(node._presence[0][:2], before[0][:2])

    def _show(self, node: Crdt) -> None:
        """Write the creation of an attached place anew: the latest creation is what shows."""
        doc = self._doc
        shown, before = self._shown(node._key), node._presence
        n = doc.mint(self, node._slot())
        assert doc.me is not None
        node._presence = ((doc.me, n, doc.stamp()),)
        doc.also(lambda: self._hide(node, n, shown, before))

    def _show_in_its_name(self, node: Crdt) -> None:
        before = node._presence
        self._show(node)
        if len(before) == 1:
            self._doc.put_back(node._presence[0][:2], before[0][:2])

    def _hide(self, node: Crdt, n: int, shown: Crdt | None, created: Entries) -> None:
        """Undo of showing `node`, if that still stands: what was shown before is shown again."""
        doc = self._doc
        if len(node._presence) != 1 or not doc.same(node._presence[0][:2], (doc.me, n)):
            return
        if not created and node._blank():
            self._remove_nodes([node])
        elif shown is not None and shown is not node and shown._presence:
            self._show_in_its_name(shown)
            if len(created) == 1:
                doc.put_back(node._presence[0][:2], created[0][:2])

    def _remember(self) -> Inverse | None:
        nodes = [node for node in self._nodes() if self._seen(node)]
        return self._putting_back(nodes) if nodes else None

    def _clear_node(self, node: Crdt, dot: Dot) -> None:
        node._presence = EMPTY
        node._clear(dot)
        node._attached = node._alive()
        if not node._attached and not node._residue():
            self._drop(node)

    # ---- the type's own part -----------------------------------------------------------------------------------

    def _nodes(self) -> list[Crdt]:
        return [node for places in self._slots.values() for node in places.values()]

    def _clear(self, dot: Dot) -> None:
        for node in self._nodes():
            self._clear_node(node, dot)

    def _check_clear(self) -> None:
        for node in self._nodes():
            node._check_clear()

    def _alive(self) -> bool:
        return any(self._seen(node) for places in self._slots.values() for node in places.values())

    def _residue(self) -> bool:
        return bool(self._slots)

    def _peek(self, key: Any) -> Any:
        shown = self._shown(key[0])
        return None if shown is None else shown._value()

    @staticmethod
    def _public_key(key: Any) -> Any:
        return thaw(key[0])

    def _part(self, keys: Any, out: Outgoing) -> Any:
        if keys is None:
            return True, {node._slot(): (node._presence, True, out.part_of(node)) for node in self._nodes()}
        slots: dict[Slot, tuple[Entries, bool, Any]] = {}
        for slot in keys:
            node = self._find(*slot)
            if node is None:
                slots[slot] = (EMPTY, True, type_of(slot[1])._empty_part())
            else:
                slots[slot] = (node._presence, True, out.whole_of(node))
        below = out.via.get(self)
        if below:
            touched = out.touched.get
            if slots:
                below = {slot: node for slot, node in below.items() if slot not in slots}
            for slot, node in below.items():
                slots[slot] = (node._presence, False, node._part(touched(node, UNTOUCHED), out))
        return False, slots

    may_refuse = True

    def _admit(self, part: Any, incoming: Incoming) -> None:
        if self._values is not None and not self._values.cls.may_refuse:
            return
        for slot, (_, _, content) in part[1].items():
            if type_of(slot[1]).may_refuse:
                node = self._handle(*slot)
                incoming.prepared.setdefault(node, None)  # (a new node must live until it is joined)
                node._admit(content, incoming)

    def _join(self, part: Any, incoming: Incoming) -> None:
        whole, slots = part
        held = self._slots
        if incoming.changed is not None:
            self._before(slots, whole, incoming)
        for slot, (presence, direct, content) in slots.items():
            if presence and not direct:  # by far the commonest: something changed inside a place that simply stays
                places = held.get(slot[0])
                node = None if places is None else places.get(slot[1])
                if node is not None and node._presence == presence:
                    node._join(content, incoming)
                    continue
            stays = self._join_slot(slot, presence, content, incoming)
            if not whole and (direct or not stays):
                incoming.relay(self, (slot,))
        if whole:
            for node in self._nodes():
                if node._slot() not in slots:
                    self._join_slot(node._slot(), EMPTY, node._empty_part(), incoming)

    def _before(self, slots: dict[Slot, tuple[Entries, bool, Any]], whole: bool, incoming: Incoming) -> None:
        """Note what observers are to be told stood here, before anything is joined: types at one key show or hide."""
        for slot, (presence, _, _) in slots.items():
            node = self._find(*slot)
            if node is None or not presence or node._presence != presence:
                incoming.before(self, slot)
        if whole:
            for node in self._nodes():
                if node._slot() not in slots:
                    incoming.before(self, node._slot())

    def _join_slot(self, slot: Slot, presence: Entries, content: Any, incoming: Incoming) -> bool:
        node = self._find(*slot)
        was = node is not None
        if node is None:
            node = self._handle(*slot)
        before = joined = node._presence
        if before != presence:
            joined = join_entries(before, presence, incoming.mine, incoming.theirs, incoming.duplicates)
            node._presence = joined
        node._join(content, incoming)
        seen = bool(joined) or node._alive()
        stays = seen or node._residue()
        if stays and not was:
            self._hang(node)
        elif was and not stays:
            self._drop(node)
        node._attached = seen
        if stays != was or joined != before:
            incoming.nodes.append(self)
            incoming.keys.append(slot)
            incoming.note(self, slot)
        return stays

    @classmethod
    def _empty_part(cls) -> Any:
        return True, {}

    @classmethod
    def _pack(cls, part: Any, out: Encoder) -> Any:
        whole, slots = part
        by_key: dict[Any, list[int]] = {}
        for key, tag in slots:
            by_key.setdefault(key, []).append(tag)
        packed = []
        for key in sort_keys(by_key):
            for tag in sorted(by_key[key]):
                presence, direct, content = slots[(key, tag)]
                packed.append(
                    [thaw(key), tag, pack_entries(presence, 2, out), direct, type_of(tag)._pack(content, out)]
                )
        return [whole, packed]

    @classmethod
    def _parse(cls, raw: Any, source: Decoder) -> Any:
        source.enter()
        whole, packed = source.array(raw, 2)
        slots: dict[Slot, tuple[Entries, bool, Any]] = {}
        for item in source.array(packed):
            raw_key, tag, raw_presence, direct, content = source.array(item, 5)
            kind = type_of(tag)
            slot = (source.key(raw_key), tag)
            if slot in slots:
                bad("a place occurs twice")
            presence = tuple([(r, n, source.at_stamp(stamp)) for r, n, stamp in parse_entries(raw_presence, 2, source)])
            slots[slot] = (presence, source.flag(direct), kind._parse(content, source))
        source.leave()
        return source.flag(whole), slots

    def _stabilize(self, stable: VersionVector) -> None:
        for node in self._nodes():
            node._stabilize(stable)
            if not self._seen(node) and not node._residue():
                self._drop(node)

    def explain(self) -> str:
        """Each place with who created it, hidden ones included, and what is in it."""
        lines = [f"{self.name} = {self._value()!r}"]
        for key in sort_keys(self._slots):
            for tag, node in sorted(self._slots[key].items()):
                by = ", ".join(f"{short(entry[0])}:{entry[1]}" for entry in node._presence) or "nobody now"
                state = "" if self._shown(key) is node else " (hidden)" if self._seen(node) else " (removed)"
                lines.append(f"  {thaw(key)!r} as {type_of(tag).name}{state}, created by {by}:")
                lines += ["    " + line for line in node.explain().splitlines()]
        return "\n".join(lines)

    def _value(self) -> dict[Any, Any]:
        return {thaw(key): node._value() for key in sort_keys(self._slots) if (node := self._shown(key)) is not None}

    def __bool__(self) -> bool:
        return self._alive()


def _check_depth(parent: Crdt | None) -> None:
    """Raise `UsageError` for a container below one so deep that no reader would take it. (Also ends what contains itself.)"""
    depth = 1
    while parent is not None:
        depth += 1
        parent = parent._parent
    if depth > DEFAULT_LIMITS.depth:
        raise UsageError(
            f"containers are nested at most {DEFAULT_LIMITS.depth} deep",
            reason=Reason.TOO_LARGE,
            hint="Does the value contain itself?",
        )


def _created(node: Crdt) -> tuple[tuple[int, bytes], int]:
    """When the place was created, for choosing which type shows; content without a creation comes last."""
    return max(((entry[2], entry[0]) for entry in node._presence), default=(-1, b"")), node.tag
