"""How many copies each node should hold: its weighted share, within what distinct nodes and zones allow.

A node holds at most one copy of a partition; a zone holds as few of them as the number of zones permits. Shares that
would exceed this are cut there and the rest is dealt out again by weight (water-filling); then they are rounded so that
every node is within one of its share and the sum is exact, rounding up first those who hold that much already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, fsum

from ringleader.placement.node import Node

__all__ = ["Targets", "targets"]

_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Targets:
    """`copies` per partition that are possible; `zone_of` node; `zone_limit`: copies of one partition in a zone.

    `ideal`: each node's share by weight, at most one copy a partition. `share`: the same within the zones' limits.
    `counts`: the share rounded, summing to partitions * copies. `low`, `high`: the share rounded down and up.
    """

    copies: int
    zone_of: tuple[int, ...]
    zone_limit: int
    zones: int
    ideal: tuple[float, ...]
    share: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def low(self) -> list[int]:
        """The fewest copies of each node that are less than one below its share."""
        return [floor(s + _EPSILON) for s in self.share]

    @property
    def high(self) -> list[int]:
        """The most copies of each node that are less than one above its share."""
        return [ceil(s - _EPSILON) for s in self.share]


def targets(nodes: Sequence[Node], partitions: int, copies: int, held: Sequence[int]) -> Targets:
    """The targets for `partitions` with `copies` each; `held` is what each node holds now."""
    copies = min(copies, len(nodes))
    zone_of = _zones(nodes)
    zones = max(zone_of) + 1
    size = [0] * zones
    for z in zone_of:
        size[z] += 1
    limit = 1
    while sum(min(limit, s) for s in size) < copies:
        limit += 1
    total = partitions * copies
    weights = [n.weight for n in nodes]
    ideal = _fill(weights, [float(partitions)] * len(nodes), total)
    share = list(ideal)
    caps = [float(partitions * min(limit, s)) for s in size]
    members: list[list[int]] = [[] for _ in range(zones)]
    for i, z in enumerate(zone_of):
        members[z].append(i)
    fixed: set[int] = set()
    while True:
        over = [z for z in range(zones) if z not in fixed and fsum(share[i] for i in members[z]) > caps[z] + _EPSILON]
        if not over:
            break
        for z in over:
            for i, x in zip(
                members[z],
                _fill([weights[i] for i in members[z]], [float(partitions)] * len(members[z]), caps[z]),
                strict=True,
            ):
                share[i] = x
        fixed.update(over)
        free = [i for i in range(len(nodes)) if zone_of[i] not in fixed]
        rest = total - fsum(caps[z] for z in fixed)
        for i, x in zip(free, _fill([weights[i] for i in free], [float(partitions)] * len(free), rest), strict=True):
            share[i] = x
    if sum(held) == total and all(
        floor(s + _EPSILON) <= h <= ceil(s - _EPSILON) for h, s in zip(held, share, strict=True)
    ):  # nothing is off by a whole one: what is there stays there
        return Targets(copies, zone_of, limit, zones, tuple(ideal), tuple(share), tuple(held))
    zone_share = [fsum(share[i] for i in members[z]) for z in range(zones)]
    zone_held = [sum(held[i] for i in members[z]) for z in range(zones)]
    zone_counts = _round(zone_share, zone_held, total)
    counts = [0] * len(nodes)
    for z in range(zones):
        part = _round([share[i] for i in members[z]], [held[i] for i in members[z]], zone_counts[z])
        for i, c in zip(members[z], part, strict=True):
            counts[i] = c
    return Targets(copies, zone_of, limit, zones, tuple(ideal), tuple(share), tuple(counts))


def _zones(nodes: Sequence[Node]) -> tuple[int, ...]:
    """A number for each node's zone; a node without a zone is a zone of its own."""
    number: dict[tuple[str, str], int] = {}
    return tuple(
        number.setdefault(("zone", n.zone) if n.zone is not None else ("node", n.name), len(number)) for n in nodes
    )


def _fill(weights: list[float], caps: list[float], total: float) -> list[float]:
    """`total` dealt out by weight, none above its cap; what is cut off goes to the others."""
    out = list(caps)
    open_ = list(range(len(weights)))
    while open_:
        still = set(open_)
        rest = total - fsum(out[i] for i in range(len(out)) if i not in still)
        heavy = max(weights[i] for i in open_)
        scaled = fsum(weights[i] / heavy for i in open_)  # by the heaviest, so that huge weights do not overflow
        unit = rest / scaled
        full = [i for i in open_ if weights[i] / heavy * unit >= caps[i]]
        if not full:
            for i in open_:
                out[i] = max(0.0, weights[i] / heavy * unit)
            break
        closed = set(full)
        open_ = [i for i in open_ if i not in closed]
    return out


def _round(share: list[float], held: Sequence[int], total: int) -> list[int]:
    """Whole numbers next to the shares that sum to `total`; up go first those that hold so much already."""
    low = [floor(s + _EPSILON) for s in share]
    high = [max(lo, ceil(s - _EPSILON)) for lo, s in zip(low, share, strict=True)]
    left = total - sum(low)
    order = sorted(range(len(share)), key=lambda i: (-min(held[i] - low[i], 1), low[i] - share[i], i))
    for i in order:
        if left <= 0:
            break
        if high[i] > low[i]:
            low[i] += 1
            left -= 1
    for i in order:  # only rounding noise of the floats can leave something here
        if left <= 0:
            break
        low[i] += 1
        left -= 1
    return low
