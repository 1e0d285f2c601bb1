"""The ketama ring of memcached clients, byte for byte: MD5 points of 32 bits, four from every digest of "name-i".

A client in another language (libmemcached with weighted ketama, spymemcached, twemproxy, uhashring in ketama mode)
sends a key to the same server. A node has floor(vnodes * nodes * weight / sum of weights) digests, so a change of one
node may add or take away points of all: that is ketama's own behaviour. Name nodes as those clients do: "host:port",
and only "host" for memcached's default port 11211.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from ringleader.errors import Reason, UsageError
from ringleader.placement.base import Placement
from ringleader.placement.node import Node, NodeLike
from ringleader.placement.points import MAX_POINTS, checked_vnodes

__all__ = ["KetamaRing"]


def _md5_head(data: bytes) -> int:
    """The first four bytes of MD5, little-endian: ketama's hash of a key."""
    return int.from_bytes(hashlib.md5(data, usedforsecurity=False).digest()[:4], "little")


class KetamaRing(Placement):
    """A ketama-compatible ring; `vnodes` digests (40, four points each) for a node of average weight."""

    __slots__ = ("_owners", "_points", "_vnodes")
    kind = "ketama"
    minimal = False  # with equal weights it is; otherwise every node's number of points depends on the others

    def __init__(self, nodes: Iterable[NodeLike] | Mapping[str, float], *, vnodes: int = 40) -> None:
        super().__init__(nodes, hash=_md5_head)
        self._vnodes = checked_vnodes(vnodes)
        if 4 * self._vnodes * len(self._nodes) > MAX_POINTS:
            raise UsageError(f"more than {MAX_POINTS} points: use fewer vnodes", reason=Reason.TOO_LARGE)
        total = sum(Fraction(n.weight) for n in self._nodes)
        ring: dict[int, int] = {}
        for i, node in enumerate(self._nodes):
            digests = int(self._vnodes * len(self._nodes) * Fraction(node.weight) / total)
            if digests == 0:
                raise UsageError(
                    f"node {node.name!r}: weight {node.weight:g} is too small for ketama, it would get no point",
                    reason=Reason.INVALID_ARGUMENT,
                    hint="Raise vnodes or the weight, or use Ring",
                )
            for d in range(digests):
                word = hashlib.md5(f"{node.name}-{d}".encode(), usedforsecurity=False).digest()
                for at in (0, 4, 8, 12):
                    ring[int.from_bytes(word[at : at + 4], "little")] = i
        self._points = array("I", sorted(ring))
        self._owners = array("H", [ring[p] for p in self._points])

    def owner_index(self, h: int) -> int:
        i = bisect_left(self._points, h)
        return self._owners[i if i < len(self._points) else 0]

    def walk(self, h: int) -> Iterator[int]:
        """Nodes clockwise from the hash."""
        start = bisect_left(self._points, h)
        seen: set[int] = set()
        for k in range(len(self._points)):
            owner = self._owners[(start + k) % len(self._points)]
            if owner not in seen:
                seen.add(owner)
                yield owner

    def _rebuilt(self, nodes: tuple[Node, ...]) -> KetamaRing:
        return KetamaRing(nodes, vnodes=self._vnodes)

    def parameters(self) -> dict[str, Any]:
        return {"vnodes": self._vnodes}

    def nbytes(self) -> int:
        """Bytes held by the ring's arrays."""
        return 6 * len(self._points)

    def arcs(self) -> Iterator[tuple[int, int, Node]]:
        """The circle of 2**32 as `(start, end, owner)`, half open, in order."""
        start = 0
        for p, o in zip(self._points, self._owners, strict=True):
            yield start, p + 1, self._nodes[o]
            start = p + 1
        if start < 1 << 32:
            yield start, 1 << 32, self._nodes[self._owners[0]]
