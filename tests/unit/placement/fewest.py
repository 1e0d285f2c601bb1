"""The exact fewest moves between two partition tables, by minimum-cost flow: what the planner is measured against.

The flow starts from the old table, which costs nothing, and is pushed until every row is full, no zone is crowded and
every node has its share rounded down or up. A unit goes through a row, a zone of that row, and a node; a copy that was not
there before costs one. What must be put right is worth more than any number of copies, so it is done first.
"""

from __future__ import annotations

from heapq import heappop, heappush
from math import ceil, floor

from ringleader.placement import PartitionTable
from ringleader.placement.targets import Targets

MUST = 1 << 20
FAR = 1 << 40


class Flow:
    """Arcs in arrays; arc a and its reverse are a and a ^ 1. Successive cheapest paths with potentials (primal-dual)."""

    def __init__(self, size: int) -> None:
        self.out: list[list[int]] = [[] for _ in range(size)]
        self.head: list[int] = []
        self.room: list[int] = []
        self.cost: list[int] = []

    def arc(self, a: int, b: int, room: int, cost: int, back: int = 0) -> None:
        for frm, to, cap, price in ((a, b, room, cost), (b, a, back, -cost)):
            self.out[frm].append(len(self.head))
            self.head.append(to)
            self.room.append(cap)
            self.cost.append(price)

    def cheapest(self, source: int, sink: int) -> int:
        """The lowest cost of any amount of flow from source to sink. No arc inside may cost less than nothing."""
        total, out, head, room, cost = 0, self.out, self.head, self.room, self.cost
        height = [0] * len(out)
        height[source], height[sink] = MUST, -MUST  # no arc costs less than nothing between these
        while True:
            distance = [FAR] * len(out)
            distance[source] = 0
            heap = [(0, source)]
            while heap:
                d, v = heappop(heap)
                if d > distance[v]:
                    continue
                if v == sink:
                    break
                for a in out[v]:
                    if room[a]:
                        w = head[a]
                        there = d + cost[a] + height[v] - height[w]
                        if there < distance[w]:
                            distance[w] = there
                            heappush(heap, (there, w))
            end = distance[sink]
            if end == FAR:
                return total
            for v, d in enumerate(distance):
                height[v] += min(d, end)
            price = height[sink] - height[source]
            if price >= 0:
                return total
            total += price * self._push(source, sink, height)

    def _push(self, source: int, sink: int, height: list[int]) -> int:
        """Pushes unit after unit along arcs that cost nothing beyond the heights; how many there were."""
        out, head, room, cost = self.out, self.head, self.room, self.cost
        pushed, dead = 0, set[int]()
        while True:
            path: list[int] = []
            on = {source}
            v = source
            while v != sink:
                for a in out[v]:
                    w = head[a]
                    if room[a] and w not in on and w not in dead and cost[a] + height[v] == height[w]:
                        path.append(a)
                        on.add(w)
                        v = w
                        break
                else:
                    dead.add(v)
                    if not path:
                        return pushed
                    v = head[path.pop() ^ 1]
            for a in path:
                room[a] -= 1
                room[a ^ 1] += 1
            pushed += 1


def fewest_moves(old: PartitionTable, new: PartitionTable, goal: Targets) -> int:
    """The fewest moves from `old` to any table for the members of `new` that is as even and as spread out as it."""
    q, n, zones = new.partitions, len(new.nodes), goal.zones
    number = {x.name: i for i, x in enumerate(new.nodes)}
    before = [{number[old.nodes[i].name] for i in row if old.nodes[i].name in number} for row in old.rows]
    source, sink, row0, cell0 = 0, 1, 2, 2 + q
    node0 = cell0 + q * zones
    flow = Flow(node0 + n)
    must = 0
    held = [0] * n
    for p, kept in enumerate(before):
        inside = [0] * zones
        for i in kept:
            inside[goal.zone_of[i]] += 1
            held[i] += 1
        legal = sum(min(k, goal.zone_limit) for k in inside)
        assert legal <= goal.copies, "fewer copies than before are not needed here"
        if legal < goal.copies:
            flow.arc(source, row0 + p, goal.copies - legal, -MUST)
            must += goal.copies - legal
        for z, k in enumerate(inside):
            stays = min(k, goal.zone_limit)
            flow.arc(row0 + p, cell0 + p * zones + z, goal.zone_limit - stays, 0, stays)
            if k > stays:
                flow.arc(cell0 + p * zones + z, sink, k - stays, -MUST)
                must += k - stays
        for i in range(n):
            cell = cell0 + p * zones + goal.zone_of[i]
            flow.arc(cell, node0 + i, int(i not in kept), int(i not in kept), int(i in kept))
    for i in range(n):
        least, most = floor(goal.share[i] + 1e-6), ceil(goal.share[i] - 1e-6)
        for size, price, out in (
            (held[i] - most, -MUST, True),
            (min(held[i], most) - least, 0, True),
            (least - held[i], -MUST, False),
            (most - max(held[i], least), 0, False),
        ):
            if size > 0:
                must += size if price else 0
                flow.arc(source if out else node0 + i, node0 + i if out else sink, size, price)
    moves = flow.cheapest(source, sink) + MUST * must
    assert moves < MUST, "no table is as even as that"
    return moves
