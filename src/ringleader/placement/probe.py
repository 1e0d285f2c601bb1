"""Multi-probe consistent hashing: a few points per node, and a key that looks in several places and takes the closest.

Appleton and O'Reilly (2015, arXiv:1505.00062): with 1 + 1/e probes the peak load is 1 + e times the average; 21 probes
give 1.05. Memory is a few points a node; the look-ups are what costs.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ringleader.errors import Reason, UsageError
from ringleader.placement.base import Placement
from ringleader.placement.keys import SPACE, Hash, mix, xxh3
from ringleader.placement.node import NodeLike
from ringleader.placement.points import check_points, checked_vnodes, sorted_points

__all__ = ["MultiProbe"]

MAX_PROBES = 256


class MultiProbe(Placement):
    """`probes` places per key on a ring with `vnodes` points for a weight of 1.0 (weights in steps of 1/vnodes)."""

    __slots__ = ("_owners", "_points", "_probes", "_vnodes")
    kind = "multiprobe"

    def __init__(
        self,
        nodes: Iterable[NodeLike] | Mapping[str, float],
        *,
        probes: int = 21,
        vnodes: int = 8,
        hash: Hash = xxh3,
    ) -> None:
        super().__init__(nodes, hash=hash)
        if isinstance(probes, bool) or not isinstance(probes, int) or not 1 <= probes <= MAX_PROBES:
            raise UsageError(
                f"probes must be an int from 1 to {MAX_PROBES}, not {probes!r}", reason=Reason.INVALID_ARGUMENT
            )
        self._probes = probes
        self._vnodes = checked_vnodes(vnodes)
        check_points(self._nodes, self._vnodes)
        self._points, self._owners = sorted_points(self._nodes, self._vnodes)

    def _closest(self, h: int) -> int:
        """The point with the smallest clockwise distance from any of the probes."""
        points, count = self._points, len(self._points)
        beyond = points[0] + SPACE
        best, closest = SPACE + 1, 0
        step = mix(h, 0) | 1  # double hashing: probe i is at h + i * step
        place = h
        for _ in range(self._probes):
            i = bisect_left(points, place)
            distance = (points[i] if i < count else beyond) - place
            if distance < best or (distance == best and i % count < closest):
                best, closest = distance, i % count
            place = (place + step) % SPACE
        return closest

    def owner_index(self, h: int) -> int:
        return self._owners[self._closest(h)]

    def walk(self, h: int) -> Iterator[int]:
        """Nodes by the smallest distance of a probe to a point of theirs: who inherits when those before are gone."""
        step = mix(h, 0) | 1
        best = [SPACE + 1] * len(self._nodes)
        places = [(h + k * step) % SPACE for k in range(self._probes)]
        for point, owner in zip(self._points, self._owners, strict=True):
            near = min((point - place) % SPACE for place in places)
            if near < best[owner]:
                best[owner] = near
        return iter(sorted(range(len(best)), key=lambda i: (best[i], i)))

    def parameters(self) -> dict[str, Any]:
        return {"probes": self._probes, "vnodes": self._vnodes}

    @property
    def probes(self) -> int:
        """Places looked at for one key."""
        return self._probes

    def point_arrays(self) -> tuple[array[int], array[int]]:
        """Points (uint64, ascending) and their owners (uint16); read them only."""
        return self._points, self._owners

    def nbytes(self) -> int:
        """Bytes held by the points."""
        return 10 * len(self._points)
