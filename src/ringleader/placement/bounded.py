"""Consistent hashing with bounded loads: a key goes to the first node in its order of preference that is not full.

Mirrokni, Thorup and Zadimoghaddam (2018, arXiv:1608.01350): with a factor c > 1 no node ever holds more than
ceil(c * average), and a hot spot spills over to the next nodes only. Works over any placement. With weights, a node's
bound is that average times its share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from ringleader.errors import NotAppliedError, Reason, UsageError
from ringleader.placement.base import Placement
from ringleader.placement.keys import Key
from ringleader.placement.node import Node

__all__ = ["BoundedLoads"]


class BoundedLoads:
    """Counts what each node carries (connections, requests, shards) and never exceeds the bound.

    `placement`: who is preferred. `c`: the factor, above 1 (1.25 by default). `loads`: what nodes carry already.
    """

    __slots__ = ("_c", "_loads", "_placement", "_shares", "_total")

    def __init__(self, placement: Placement, c: float = 1.25, loads: Mapping[str, int] | None = None) -> None:
        if isinstance(c, bool) or not isinstance(c, int | float) or not math.isfinite(c) or c <= 1:
            raise UsageError(f"c must be a finite number above 1, not {c!r}", reason=Reason.INVALID_ARGUMENT)
        self._placement = placement
        self._c = Fraction(c)
        weights = [Fraction(n.weight) for n in placement.nodes]
        total = sum(weights)
        self._shares = {n.name: w / total for n, w in zip(placement.nodes, weights, strict=True)}
        self._loads = {n.name: 0 for n in placement.nodes}
        for name, load in (loads or {}).items():
            if placement.node(name) and (isinstance(load, bool) or not isinstance(load, int) or load < 0):
                raise UsageError(
                    f"the load of node {name!r} must be an int of at least 0, not {load!r}",
                    reason=Reason.INVALID_ARGUMENT,
                )
            self._loads[name] = load
        self._total = sum(self._loads.values())

    def capacity(self, name: str, total: int | None = None) -> int:
        """The most that node `name` may carry when all together carry `total` (by default: now)."""
        self._placement.node(name)
        return math.ceil(self._c * self._shares[name] * (self._total if total is None else total))

    def acquire(self, key: Key) -> Node:
        """Counts one more for `key` and gives the node that carries it.

        The bound is that of the load including the new one, so there is always a node with room. (After releases some
        nodes can stand above their present bound; they receive nothing until they are below it.)
        """
        h = self._placement.key_hash(key)
        for i in self._placement.walk(h):
            node = self._placement.nodes[i]
            if self._loads[node.name] < self.capacity(node.name, self._total + 1):
                self._loads[node.name] += 1
                self._total += 1
                return node
        raise NotAppliedError("every node is full", reason=Reason.OVERLOADED)  # pragma: no cover - c > 1 excludes it

    def release(self, node: Node | str) -> None:
        """Counts one less on `node`; raises `UsageError` when it carries nothing."""
        name = node.name if isinstance(node, Node) else node
        self._placement.node(name)
        if not self._loads[name]:
            raise UsageError(f"node {name!r} carries nothing that could be released", reason=Reason.INVALID_ARGUMENT)
        self._loads[name] -= 1
        self._total -= 1

    @property
    def loads(self) -> dict[str, int]:
        """What each node carries now."""
        return dict(self._loads)

    @property
    def total(self) -> int:
        """What all nodes carry together."""
        return self._total
