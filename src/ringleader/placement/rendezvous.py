"""Weighted rendezvous (highest random weight): every node draws a number for the key, and the highest draw owns it.

Thaler and Ravishankar (1996); weights by Schindelhauer and Schomaker (2005): a draw u in (0, 1) scores -w / ln(u). The
best balance and the fewest moves that are possible, no table at all, and O(nodes) for a look-up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import log

import xxhash

from ringleader.placement.base import Placement, name_seed
from ringleader.placement.keys import Hash, xxh3
from ringleader.placement.node import NodeLike

__all__ = ["Rendezvous"]

_draw = xxhash.xxh3_64_intdigest


class Rendezvous(Placement):
    """Rendezvous hashing, weighted."""

    __slots__ = ("equal", "seeds")
    kind = "rendezvous"

    def __init__(self, nodes: Iterable[NodeLike] | Mapping[str, float], *, hash: Hash = xxh3) -> None:
        super().__init__(nodes, hash=hash)
        self.seeds = [name_seed(n.name) for n in self._nodes]
        self.equal = len({n.weight for n in self._nodes}) == 1

    def scores(self, h: int) -> Sequence[float]:
        """Each node's score for a hash; the highest owns it.

        With equal weights the 64-bit draws themselves, which sort the same way and need no logarithm.
        """
        data = h.to_bytes(8, "little")
        if self.equal:
            return [_draw(data, seed) for seed in self.seeds]
        return [
            -node.weight / log(((_draw(data, seed) >> 11) + 0.5) * 2.0**-53)
            for seed, node in zip(self.seeds, self._nodes, strict=True)
        ]

    def owner_index(self, h: int) -> int:
        scores = self.scores(h)
        return scores.index(max(scores))

    def walk(self, h: int) -> Iterator[int]:
        """Nodes by falling score: exactly who inherits the key when those before are gone."""
        scores = self.scores(h)
        return iter(sorted(range(len(scores)), key=lambda i: -scores[i]))

    def nbytes(self) -> int:
        """Bytes held by the seeds."""
        return 40 * len(self.seeds)
