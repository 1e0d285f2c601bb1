"""MementoHash: jump hash that also survives the removal of any node, remembering only those that are gone.

Coluzzi, Brocco, Antonucci and Leidi (2023, arXiv:2306.09783). Unlike AnchorHash (Mendelson et al., 2020) it needs no
capacity fixed in advance, and its memory is one entry for each removed bucket, none while nothing was removed: that is
why it stands here in Anchor's place. Buckets are handed out in order, so history is part of the placement: replicas
that apply the same additions and removals in the same order agree (`state()` carries the history to a newcomer).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

from ringleader.errors import Reason, UsageError
from ringleader.placement.base import Placement
from ringleader.placement.jump import jump
from ringleader.placement.keys import Hash, mix, xxh3
from ringleader.placement.node import Node, NodeLike, as_node, as_nodes

__all__ = ["Memento"]


class Memento(Placement):
    """MementoHash over nodes in the order of their coming; no weights.

    `nodes` keeps a node's bucket order. A node added after removals takes over the bucket that was freed last.
    """

    __slots__ = ("_bucket_node", "_last", "_replaced", "_size")
    kind = "memento"
    weighted = False
    order_free = False

    def __init__(self, nodes: Iterable[NodeLike] | Mapping[str, float], *, hash: Hash = xxh3) -> None:
        super().__init__(nodes, hash=hash)
        self._size = len(self._nodes)  # b-array: buckets ever in use, working or removed
        self._last = self._size  # the bucket removed last
        self._replaced: dict[int, tuple[int, int]] = {}  # removed bucket -> (its replacer, the one removed before it)
        self._bucket_node: dict[int, int] = {b: b for b in range(self._size)}

    def bucket(self, h: int) -> int:
        """The working bucket of a hash (algorithm 4 of the paper)."""
        b = jump(h, self._size)
        replaced = self._replaced
        while b in replaced:
            working = replaced[b][0]  # how many buckets worked after b was removed; also the bucket that replaced it
            d = mix(h, b) % working
            while d in replaced and replaced[d][0] >= working:
                d = replaced[d][0]
            b = d
        return b

    def owner_index(self, h: int) -> int:
        return self._bucket_node[self.bucket(h)]

    def remove(self, *names: str | Node) -> Self:
        """A new placement without these nodes, removed in the order given."""
        out = self
        for name in names:
            out = out._without(name.name if isinstance(name, Node) else name)
        return out

    def _without(self, name: str) -> Self:
        node = self._index(name)
        if len(self._nodes) == 1:
            as_nodes([])  # raises: nobody would be left
        b = next(b for b, n in self._bucket_node.items() if n == node)
        size, last, replaced = self._size, self._last, dict(self._replaced)
        if not replaced and b == size - 1:
            size = last = b
        else:
            replaced[b] = (size - len(replaced) - 1, last)
            last = b
        buckets = {k: v for k, v in self._bucket_node.items() if k != b}
        return self._next(buckets, self._nodes, size, last, replaced)

    def add(self, *nodes: NodeLike) -> Self:
        """A new placement with these nodes, added in the order given."""
        out = self
        for node in nodes:
            out = out._with(as_node(node))
        return out

    def _with(self, node: Node) -> Self:
        members = as_nodes((*self._nodes, node))
        size, last, replaced = self._size, self._last, dict(self._replaced)
        if replaced:
            b = last
            last = replaced.pop(b)[1]
        else:
            b = size
            size = last = size + 1
        return self._next({**self._bucket_node, b: len(self._nodes)}, members, size, last, replaced)

    def _next(
        self,
        buckets: dict[int, int],
        nodes: tuple[Node, ...],
        size: int,
        last: int,
        replaced: dict[int, tuple[int, int]],
    ) -> Self:
        order = sorted(buckets)
        new = type(self)([nodes[buckets[b]] for b in order], hash=self._hash)
        new._size, new._last, new._replaced = size, last, replaced
        new._bucket_node = {b: i for i, b in enumerate(order)}
        return new

    def _rebuilt(self, nodes: tuple[Node, ...]) -> Self:
        # Only `reweight` comes here, and weights other than 1.0 are refused by the constructor.
        new = type(self)(nodes, hash=self._hash)
        new._size, new._last, new._replaced = self._size, self._last, self._replaced
        new._bucket_node = self._bucket_node
        return new

    def state(self) -> tuple[int, int, dict[int, tuple[int, int]], dict[int, str]]:
        """The history that is part of the placement: size, last removed, replacements, and the name in each bucket."""
        names = {b: self._nodes[n].name for b, n in self._bucket_node.items()}
        return self._size, self._last, dict(self._replaced), names

    @classmethod
    def restore(
        cls,
        nodes: Iterable[NodeLike],
        state: tuple[int, int, dict[int, tuple[int, int]], dict[int, str]],
        *,
        hash: Hash = xxh3,
    ) -> Self:
        """The placement with this state; `nodes` are the members it names, in any order."""
        by_name = {n.name: n for n in as_nodes(nodes)}
        size, last, replaced, names = state
        if set(names.values()) != set(by_name) or set(names) | set(replaced) != set(range(size)):
            raise UsageError("the state does not belong to these nodes", reason=Reason.INVALID_ARGUMENT)
        order = sorted(names)
        new = cls([by_name[names[b]] for b in order], hash=hash)
        new._size, new._last, new._replaced = size, last, dict(replaced)
        new._bucket_node = {b: i for i, b in enumerate(order)}
        return new

    def _identity(self) -> tuple[object, ...]:
        return (*super()._identity(), self.state())

    def nbytes(self) -> int:
        """Bytes of the replacement table, about."""
        return 100 * len(self._replaced)
