"""The one small interface of all placement algorithms: owner, owners, add, remove, reweight, diff.

A placement is immutable: `add`, `remove` and `reweight` give a new one, so readers never lock. Every algorithm supplies
two things: the owner of a 64-bit hash, and the order in which the other nodes follow for that hash.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from ringleader.errors import Reason, UsageError
from ringleader.placement.keys import Hash, Key, checked_hash, key_bytes, mix, xxh3
from ringleader.placement.node import Node, NodeLike, as_node, as_nodes, checked_weight

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ringleader.placement.diff import Diff

__all__ = ["Placement", "Preference", "name_seed", "spread"]


class Preference(tuple[Node, ...]):
    """Distinct nodes in order of preference; the first is the owner.

    `spread` is True when no two of them share a zone (a node without a zone counts as a zone of its own); otherwise
    `shortfall` says why in one sentence, and the nodes are as evenly spread over the zones as the walk allows.
    """

    spread: bool
    shortfall: str

    def __new__(cls, nodes: Iterable[Node], shortfall: str = "") -> Self:
        self = super().__new__(cls, nodes)
        self.spread = not shortfall
        self.shortfall = shortfall
        return self

    def __getnewargs__(self) -> tuple[tuple[Node, ...], str]:
        return (tuple(self), self.shortfall)


class Placement(ABC):
    """Who owns a key. `nodes` are the members; `hash` turns a key's bytes into 64 bits (XXH3 by default)."""

    __slots__ = ("_by_name", "_hash", "_nodes")

    #: The algorithm's short name, as `ringleader ring --algorithm` takes it.
    kind: str = ""
    #: Whether weights are respected; if not, a weight other than 1.0 is an error.
    weighted: bool = True
    #: Whether the same set of nodes gives the same placement whatever their order and history.
    order_free: bool = True
    #: Whether only keys of the changed node ever move (Maglev: nearly).
    minimal: bool = True

    def __init__(self, nodes: Iterable[NodeLike] | Mapping[str, float], *, hash: Hash = xxh3) -> None:
        members = as_nodes(nodes)
        if self.order_free:
            members = tuple(sorted(members, key=lambda n: n.name))
        if not self.weighted:
            for node in members:
                if node.weight != 1.0:
                    raise UsageError(
                        f"node {node.name!r} has weight {node.weight:g}, but {self.kind} has no weights",
                        reason=Reason.UNSUPPORTED,
                        hint="Use Ring, Rendezvous, Maglev or MultiProbe",
                    )
        self._nodes = members
        self._by_name = {n.name: i for i, n in enumerate(members)}
        self._hash = checked_hash(hash)

    # What an algorithm supplies.

    @abstractmethod
    def owner_index(self, h: int) -> int:
        """The owner of a hash (0 to 2**64-1), as an index into `nodes`."""

    def walk(self, h: int) -> Iterator[int]:
        """Every node once, as indices into `nodes`, in order of preference for this hash.

        After the owner come the others by rendezvous score, so that the keys of a failed node scatter evenly.
        """
        first = self.owner_index(h)
        yield first
        scores = [(mix(h, name_seed(n.name)), n.name, i) for i, n in enumerate(self._nodes) if i != first]
        scores.sort(reverse=True)
        for _, _, i in scores:
            yield i

    def parameters(self) -> dict[str, Any]:
        """What, beside nodes and hash, was given to the constructor."""
        return {}

    # What callers use.

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The members; sorted by name, unless their order is part of the placement (jump, Memento)."""
        return self._nodes

    def node(self, name: str) -> Node:
        """The member called `name`; raises `UsageError` if there is none."""
        return self._nodes[self._index(name)]

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, Placement)
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((self.kind, self._nodes))

    def __repr__(self) -> str:
        extra = "".join(f", {k}={v!r}" for k, v in self.parameters().items())
        return f"{type(self).__name__}({len(self._nodes)} nodes{extra})"

    def key_hash(self, key: Key) -> int:
        """The 64-bit hash of a key, as this placement sees it."""
        return self._hash(key_bytes(key))

    def owner(self, key: Key) -> Node:
        """The node that owns `key` (str, bytes or int)."""
        return self._nodes[self.owner_index(self._hash(key_bytes(key)))]

    def owners(self, key: Key, n: int) -> Preference:
        """`n` distinct nodes for `key`, the owner first, in different zones as far as that is possible.

        Raises `UsageError` when `n` is below 1 or above the number of nodes.
        """
        return self.owners_hashed(self.key_hash(key), n)

    def owners_hashed(self, h: int, n: int) -> Preference:
        """As `owners`, for a hash that was computed before."""
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise UsageError(f"n must be an int of at least 1, not {n!r}", reason=Reason.INVALID_ARGUMENT)
        if n > len(self._nodes):
            raise UsageError(
                f"{n} distinct owners were asked for, but there are only {len(self._nodes)} nodes",
                reason=Reason.INVALID_ARGUMENT,
            )
        return spread((self._nodes[i] for i in self.walk(h)), n)

    def add(self, *nodes: NodeLike) -> Self:
        """A new placement with these nodes too."""
        return self._rebuilt((*self._nodes, *(as_node(n) for n in nodes)))

    def remove(self, *names: str | Node) -> Self:
        """A new placement without these nodes; raises `UsageError` for a name that is not there."""
        gone = {self._index(n.name if isinstance(n, Node) else n) for n in names}
        return self._rebuilt(tuple(n for i, n in enumerate(self._nodes) if i not in gone))

    def reweight(self, weights: Mapping[str, float]) -> Self:
        """A new placement with other weights: `{name: weight}`."""
        new = {self._index(name): checked_weight(name, w) for name, w in weights.items()}
        return self._rebuilt(
            tuple(n.with_weight(new[i]) if i in new else n for i, n in enumerate(self._nodes)),
        )

    def diff(self, other: Placement) -> Diff:
        """What moves from this placement to `other`: exact ranges of hashes where they exist, else expected shares."""
        from ringleader.placement.diff import diff

        return diff(self, other)

    def owner_batch(self, keys: object) -> NDArray[np.uint16]:
        """The owners of many keys (a numpy array of ints, or a sequence of keys) as indices into `nodes`.

        Ints are hashed as `owner` hashes them. Needs numpy: raises `UsageError` naming the extra when it is missing.
        """
        from ringleader.placement import batch

        return batch.owners_of(self, keys)

    def owner_batch_hashed(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint16]:
        """As `owner_batch`, for an array of 64-bit hashes that were computed before."""
        from ringleader.placement import batch

        return batch.owners_of_hashes(self, hashes)

    # Inside.

    def _identity(self) -> tuple[object, ...]:
        return (self._nodes, self.parameters(), self._hash)

    def _index(self, name: object) -> int:
        try:
            return self._by_name[name]  # type: ignore[index]  # whatever it is: told below
        except (KeyError, TypeError):
            raise UsageError(f"there is no node {name!r}", reason=Reason.KEY_NOT_FOUND) from None

    def _rebuilt(self, nodes: tuple[Node, ...]) -> Self:
        return type(self)(nodes, hash=self._hash, **self.parameters())


def name_seed(name: str) -> int:
    """A node's 64-bit seed, from its name alone."""
    return xxh3(name.encode("utf-8", "surrogatepass"))


def spread(candidates: Iterable[Node], n: int) -> Preference:
    """The first `n` candidates that share no zone; where zones run out, those whose zone was used least, in order."""
    chosen: list[Node] = []
    spare: list[Node] = []
    used: dict[str, int] = {}
    for node in candidates:
        if node.zone is None or node.zone not in used:
            chosen.append(node)
            if node.zone is not None:
                used[node.zone] = 1
            if len(chosen) == n:
                return Preference(chosen)
        else:
            spare.append(node)
    distinct = len(chosen)
    while len(chosen) < n:
        best = min(range(len(spare)), key=lambda i: (used[spare[i].zone or ""], i))
        node = spare.pop(best)
        used[node.zone or ""] += 1
        chosen.append(node)
    return Preference(chosen, f"{n} owners cannot be in {n} different zones: the nodes are in only {distinct}")
