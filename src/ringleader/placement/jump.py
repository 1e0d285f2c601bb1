"""Jump consistent hash: a few multiplications, no memory, near-perfect balance; but nodes come and go at the end.

Lamping and Veach (2014). The nodes' order is part of the placement: node i is bucket i.
"""

from __future__ import annotations

from typing import Self

from ringleader.errors import Reason, UsageError
from ringleader.placement.base import Placement
from ringleader.placement.keys import MASK64
from ringleader.placement.node import Node

__all__ = ["JumpHash", "jump"]


def jump(h: int, buckets: int) -> int:
    """The bucket (0 to buckets-1) of a 64-bit hash; the published algorithm, the same numbers in every language."""
    b, j = -1, 0
    while j < buckets:
        b = j
        h = (h * 2862933555777941757 + 1) & MASK64
        j = int((b + 1) * ((1 << 31) / ((h >> 33) + 1)))
    return b


class JumpHash(Placement):
    """Jump hash over an ordered list of nodes; no weights; only the last node can be removed."""

    __slots__ = ()
    kind = "jump"
    weighted = False
    order_free = False

    def owner_index(self, h: int) -> int:
        return jump(h, len(self._nodes))

    def remove(self, *names: str | Node) -> Self:
        """A new placement without these nodes, which must be the last ones.

        Taking out another would renumber those behind it and move far more keys than its own: that is a `UsageError`.
        """
        gone = {self._index(n.name if isinstance(n, Node) else n) for n in names}
        for i in sorted(gone):
            if i < len(self._nodes) - len(gone):
                raise UsageError(
                    f"node {self._nodes[i].name!r} is not the last one, and jump hash can only remove the last",
                    reason=Reason.UNSUPPORTED,
                    hint="Use Memento, which is jump hash with removals",
                )
        return super().remove(*names)

    def nbytes(self) -> int:
        """Bytes of table: none."""
        return 0
