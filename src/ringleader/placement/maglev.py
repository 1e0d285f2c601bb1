"""Maglev: a table with a prime number of slots that the nodes fill in turn, each by its own permutation of the slots.

Eisenbud et al. (NSDI 2016), section 3.4. Look-up is one division and one read; the load is even to within one slot for
equal weights. The price: when a node comes or goes, a few slots of other nodes change hands too.
Weights as in Envoy: in each round a node takes a turn once its weight, relative to the heaviest, has summed up to one.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any

from ringleader.errors import Reason, UsageError
from ringleader.placement.base import Placement, name_seed
from ringleader.placement.keys import Hash, mix, xxh3
from ringleader.placement.node import NodeLike

__all__ = ["Maglev"]

MAX_SIZE = 10_000_000


class Maglev(Placement):
    """A Maglev table of `size` slots, a prime (65,537 by default; the paper asks for 100 times the nodes or more)."""

    __slots__ = ("_size", "_table")
    kind = "maglev"
    minimal = False

    def __init__(
        self, nodes: Iterable[NodeLike] | Mapping[str, float], *, size: int = 65_537, hash: Hash = xxh3
    ) -> None:
        super().__init__(nodes, hash=hash)
        if isinstance(size, bool) or not isinstance(size, int) or not 2 <= size <= MAX_SIZE or not _is_prime(size):
            raise UsageError(
                f"size must be a prime of at most {MAX_SIZE}, not {size!r}", reason=Reason.INVALID_ARGUMENT
            )
        if size < len(self._nodes):
            raise UsageError(f"{len(self._nodes)} nodes do not fit into {size} slots", reason=Reason.INVALID_ARGUMENT)
        self._size = size
        self._table = self._filled()

    def _filled(self) -> array[int]:
        size, count = self._size, len(self._nodes)
        seeds = [name_seed(n.name) for n in self._nodes]
        at = [mix(s, 1) % size for s in seeds]
        skip = [mix(s, 2) % (size - 1) + 1 for s in seeds]
        heaviest = max(n.weight for n in self._nodes)
        share = [n.weight / heaviest for n in self._nodes]
        credit = [0.0] * count
        nobody = 0xFFFF
        table = array("H", [nobody]) * size
        left = size
        while True:
            for i in range(count):
                credit[i] += share[i]
                if credit[i] < 1.0:
                    continue
                credit[i] -= 1.0
                slot, step = at[i], skip[i]
                while table[slot] != nobody:
                    slot += step
                    if slot >= size:
                        slot -= size
                table[slot] = i
                at[i] = slot
                left -= 1
                if not left:
                    return table

    def owner_index(self, h: int) -> int:
        return self._table[h % self._size]

    @property
    def table(self) -> array[int]:
        """Slot to node index (uint16); read it only."""
        return self._table

    def parameters(self) -> dict[str, Any]:
        return {"size": self._size}

    def nbytes(self) -> int:
        """Bytes held by the table."""
        return 2 * self._size


def _is_prime(n: int) -> bool:
    return n >= 2 and all(n % d for d in range(2, int(n**0.5) + 1))
