"""A delta: what changed between two versions of a document, as an object to join or as bytes to send.

A whole state is the delta that presumes nothing (`since` is None). Deltas may be sent twice, late or in any order;
a delta may only be joined where everything it builds on (`since`) is already included: joining over a gap would claim
events that never arrived, and they would be lost for good.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from ringleader.clock.version import VersionVector
from ringleader.crdt.wire import DEFAULT_LIMITS, Decoder, Encoder, Limits, bad, read_versions, seal, unseal
from ringleader.errors import Reason

if TYPE_CHECKING:
    from ringleader.crdt.base import Crdt
    from ringleader.crdt.journal import Touched
    from ringleader.crdt.watch import Watchers

__all__ = ["Delta", "Incoming", "Outgoing"]


class Delta:
    """`upto`: the sender's version. `since`: what the receiver must include before (None: nothing, a whole state).

    `tag` names the type; `part` is the type's own plain, immutable description; `stamp` is the greatest hybrid clock
    stamp that the part may contain. `empty`: nothing the receiver would not have.
    """

    __slots__ = ("part", "since", "stamp", "tag", "upto")

    def __init__(self, tag: int, since: VersionVector | None, upto: VersionVector, part: Any, stamp: int) -> None:
        self.tag = tag
        self.since = since
        self.upto = upto
        self.part = part
        self.stamp = stamp

    @property
    def empty(self) -> bool:
        """Whether the delta ends where it begins."""
        return self.since is not None and self.since.covers(self.upto)

    @property
    def whole(self) -> bool:
        """Whether this is a whole state."""
        return self.since is None

    def encode(self) -> bytes:
        """The delta's bytes; the same delta gives the same bytes everywhere."""
        from ringleader.crdt.base import type_of

        out = Encoder(self.upto)
        replicas = out.replicas
        since = None if self.since is None else [min(self.since.get(r, 0), self.upto[r]) for r in replicas]
        raw = type_of(self.tag)._pack(self.part, out)
        return seal([self.tag, replicas, [self.upto[r] for r in replicas], since, raw])

    @staticmethod
    def decode(data: bytes | bytearray | memoryview, limits: Limits = DEFAULT_LIMITS) -> Delta:
        """Read a delta or a state, checking every shape and bound. Raises `DecodeError`; takes bytes from strangers."""
        from ringleader.crdt.base import type_of

        body = unseal(data, limits)
        replicas, upto, since = read_versions(body, limits)
        source = Decoder(replicas, upto, limits)
        part = type_of(body[0])._parse(body[4], source)
        return Delta(
            body[0],
            None if since is None else VersionVector(zip(replicas, since, strict=True)),
            VersionVector(zip(replicas, upto, strict=True)),
            part,
            source.stamp,
        )

    def __repr__(self) -> str:
        kind = "state" if self.since is None else f"delta since {self.since!r}"
        return f"<{kind} upto {self.upto!r}>"


class Outgoing:
    """What a type is told while it describes its part of a delta.

    `since`: the receiver's version (None: describe everything). `part_of(child)` describes a nested node.
    """

    __slots__ = ("_reached", "since", "touched", "via")

    def __init__(self, since: VersionVector | None, touched: Touched | None) -> None:
        self.since = since
        self.touched: Touched = {} if touched is None else touched
        self.via: dict[Crdt, dict[Any, Crdt]] = {}  # container -> slot -> child in which something was touched
        self._reached: dict[Crdt, bool] = {}
        via = self.via
        lost = []
        for node in self.touched:
            parent = node._parent
            if parent is None:
                continue
            # Most nodes hang where another did; only the first at a container has to be followed to the root.
            slots = via.get(parent)
            if slots is not None and node._attached:
                slots[node._key, node.tag] = node
            elif not self._reach(node):
                lost.append(node)
        if lost:  # (the caller keeps what it gave us)
            gone = set(lost)
            self.touched = {node: keys for node, keys in self.touched.items() if node not in gone}

    def _reach(self, node: Crdt) -> bool:
        """Note the way from the root to `node`; False when it no longer hangs on the root."""
        parent = node._parent
        if parent is None:
            return True
        reached = self._reached.get(parent)
        if reached is None:
            reached = self._reached[parent] = self._reach(parent)
            if reached:
                self.via.setdefault(parent, {})
        if not reached or not (node._attached or parent._holds(node)):
            return False
        self.via[parent][node._slot()] = node
        return True

    def part_of(self, node: Crdt) -> Any:
        """What changed in `node` (everything, for a whole state)."""
        if self.since is None:
            return node._part(None, self)
        return node._part(self.touched.get(node, {}), self)

    def whole_of(self, node: Crdt) -> Any:
        """Everything in `node`, whatever the receiver has: for a place whose own presence changed."""
        return node._part(None, Outgoing(None, None))


class Incoming:
    """What a type is told while it joins its part of a delta.

    `mine`, `theirs`: the two versions before the join. `touch(node, key)` records a place that is about to change: it is
    called first, because observers are told what stood there; who does not know yet whether anything will change calls
    `before(node, key)`, and `note(node, key)` when it has. `relay(node,
    keys)` records places that the delta describes, changed or not: what is news to a third replica need not be news
    to us (a place that was added and removed before we heard of it), so all of it goes into the journal. `duplicates`
    collects identities found to have written two different things under one dot.
    """

    __slots__ = ("_watchers", "changed", "duplicates", "keys", "mine", "nodes", "prepared", "theirs", "withdrawals")

    def __init__(self, mine: VersionVector, theirs: VersionVector, watchers: Watchers | None) -> None:
        self.mine = mine
        self.theirs = theirs
        self.nodes: list[Crdt] = []
        self.keys: list[Any] = []
        self._watchers = watchers
        self.changed: Touched | None = None if watchers is None else {}
        self.duplicates: set[bytes] = set()
        self.prepared: dict[Crdt, Any] = {}
        self.withdrawals: list[Callable[[], None]] = []

    def withdraw(self) -> None:
        """Some node refused its part: take back what others have prepared."""
        for withdrawal in reversed(self.withdrawals):
            withdrawal()

    def touch(self, node: Crdt, key: Any) -> None:
        """Record that `key` of `node` is about to change."""
        self.nodes.append(node)
        self.keys.append(key)
        if self.changed is not None:
            self.before(node, key)
            self.changed.setdefault(node, {})[key] = None

    def before(self, node: Crdt, key: Any) -> None:
        """`key` of `node` may be about to change."""
        if self._watchers is not None:
            self._watchers.before(node, key)

    def note(self, node: Crdt, key: Any) -> None:
        """Record that `key` of `node` changed, when it has been relayed already."""
        if self.changed is not None:
            self.changed.setdefault(node, {})[key] = None

    def relay(self, node: Crdt, keys: Collection[Any]) -> None:
        """Record that the delta describes `keys` of `node`."""
        if len(keys) == 1:
            self.nodes.append(node)
            self.keys.extend(keys)
            return
        before = len(self.keys)
        self.keys.extend(keys)
        self.nodes.extend([node] * (len(self.keys) - before))


def check_tag(tag: Any, expected: type[Crdt]) -> None:
    """Refuse a delta of another type. Raises `DecodeError`."""
    if tag != expected.tag:
        from ringleader.crdt.base import type_of

        bad(f"a delta of {type_of(tag).name} cannot be joined into {expected.name} ({Reason.INVALID_ARGUMENT})")
