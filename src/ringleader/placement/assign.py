"""Fills a partition table up to its targets: free places, exchanges, needless moves given back, order."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import ceil, floor

from ringleader.placement.giveback import give_back
from ringleader.placement.keys import mix
from ringleader.placement.node import Node
from ringleader.placement.targets import Targets

__all__ = ["Assignment"]


class Assignment:
    """Rows of owners on their way to the targets. A node may enter a row that has neither it nor too much of its zone.

    `rows`: for each partition the indices of its owners. `held`: how many rows each node is in.
    """

    def __init__(self, nodes: Sequence[Node], rows: list[list[int]], goal: Targets) -> None:
        self.nodes = nodes
        self.goal = goal
        self.rows = [list(r) for r in rows]
        self.before = [frozenset(r) for r in rows]
        self.held = [0] * len(nodes)
        for row in self.rows:
            for i in row:
                self.held[i] += 1
        self._draws = 0
        self._want = list(goal.counts)

    def solve(self) -> None:
        """Runs all the steps."""
        self._drop_illegal()
        self._fill_free_places()
        self._take_from_the_rich()
        self._exchange()
        self._fill_what_is_left()
        give_back(self)
        self._order_primaries()

    def least_moves(self) -> int:
        """The copies that have to travel whatever the zones say: into nodes below their bounds, and into free places."""
        goal, held = self.goal, self.held
        free = len(self.rows) * goal.copies - sum(held)
        above = sum(max(0, h - most) for h, most in zip(held, goal.high, strict=True))
        return max(free + above, sum(max(0, least - h) for h, least in zip(held, goal.low, strict=True)))

    # Small questions.

    def _lacks(self, i: int) -> int:
        return self._want[i] - self.held[i]

    def allowed(self, i: int, row: list[int], leaving: int = -1) -> bool:
        """May node i enter this row (when `leaving` has left it)?"""
        zone_of, zone, inside = self.goal.zone_of, self.goal.zone_of[i], 0
        for j in row:
            if j == i:
                return False
            if zone_of[j] == zone and j != leaving:
                inside += 1
        return inside < self.goal.zone_limit

    def put(self, p: int, i: int, leaving: int = -1) -> None:
        """Node i enters row p, in the place of `leaving` if there is one."""
        row = self.rows[p]
        if leaving >= 0:
            row[row.index(leaving)] = i
            self.held[leaving] -= 1
        else:
            row.append(i)
        self.held[i] += 1

    def price(self, p: int, leaving: int, entering: int) -> int:
        """How many more copies travel when one node enters row p for another: -1, 0 or 1."""
        return (entering not in self.before[p]) - (leaving not in self.before[p])

    def _jitter(self, i: int) -> float:
        """A number in [0, 1) that breaks ties, so that neighbours in one row are not neighbours in all."""
        self._draws += 1
        return (mix(self._draws, i) >> 12) * 2.0**-52 * 0.999

    # The steps.

    def _drop_illegal(self) -> None:
        """Takes out copies beyond the number wanted, and those that crowd a zone (where most can be spared)."""
        zone_of, limit = self.goal.zone_of, self.goal.zone_limit
        for row in self.rows:
            while True:
                inside: dict[int, list[int]] = {}
                for i in row:
                    inside.setdefault(zone_of[i], []).append(i)
                crowd = [i for group in inside.values() if len(group) > limit for i in group]
                if not crowd and len(row) > self.goal.copies:
                    most = max(len(group) for group in inside.values())
                    crowd = [i for group in inside.values() if len(group) == most for i in group]
                if not crowd:
                    break
                out = min(crowd, key=lambda i: (self._lacks(i), i))
                row.remove(out)
                self.held[out] -= 1

    def _fill_free_places(self) -> None:
        """Free places go to the zone, and in it to the node, that lacks most: the greedy rule of Gale and Ryser."""
        goal = self.goal
        members: list[list[int]] = [[] for _ in range(goal.zones)]
        for i, z in enumerate(goal.zone_of):
            members[z].append(i)
        need = [max(0, self._lacks(i)) + self._jitter(i) for i in range(len(self.nodes))]
        lacking = [sum(max(0, self._lacks(i)) for i in group) for group in members]
        zone_need = [n + self._jitter(z) for z, n in enumerate(lacking)]
        for row in self.rows:
            if len(row) == goal.copies:
                continue
            inside = [0] * goal.zones
            hidden: dict[int, float] = {}
            for i in row:
                inside[goal.zone_of[i]] += 1
            for z, n in enumerate(inside):
                if n >= goal.zone_limit:
                    hidden[z] = zone_need[z]
                    zone_need[z] = -1.0
            while len(row) < goal.copies:
                best = max(zone_need)
                if best < 1.0:  # nobody who lacks something is allowed here
                    break
                z = zone_need.index(best)
                group = [i for i in members[z] if need[i] >= 1.0 and i not in row]
                if not group:
                    hidden[z] = zone_need[z]
                    zone_need[z] = -1.0
                    continue
                i = group[0] if len(group) == 1 else max(group, key=need.__getitem__)
                row.append(i)
                self.held[i] += 1
                need[i] = self._lacks(i) + self._jitter(i)
                lacking[z] -= 1
                inside[z] += 1
                zone_need[z] = lacking[z] + self._jitter(z)
                if inside[z] >= goal.zone_limit:
                    hidden[z] = zone_need[z]
                    zone_need[z] = -1.0
            for z, value in hidden.items():
                zone_need[z] = value

    def _take_from_the_rich(self) -> None:
        """Each node that lacks something takes it from nodes that hold too much, always from the one with most."""
        rich = {i for i in range(len(self.nodes)) if self._lacks(i) < 0}
        if not rich:
            return
        where: dict[int, list[int]] = {i: [] for i in rich}
        for p, row in enumerate(self.rows):
            for i in row:
                if i in rich:
                    where[i].append(p)
        for i, places in where.items():  # scattered, so that one newcomer does not take neighbouring partitions only
            places.sort(key=lambda p: mix(p, i + 1))
        poor = [i for i in range(len(self.nodes)) if self._lacks(i) > 0]
        poor.sort(key=lambda i: (-self._lacks(i), i))
        for x in poor:
            blocked: set[int] = set()
            while self._lacks(x) > 0:
                givers = [y for y in rich if y not in blocked and self._lacks(y) < 0]
                if not givers:
                    break
                y = min(givers, key=lambda i: (self._lacks(i), i))
                place = next((p for p in where[y] if self.allowed(x, self.rows[p], y)), None)
                if place is None:
                    blocked.add(y)
                    continue
                where[y].remove(place)
                self.put(place, x, y)

    def _exchange(self) -> None:
        """What no single step could settle: cheapest paths of exchanges, from who lacks to who has, or a free place."""
        stuck: set[int] = set()
        budget = 4 * (sum(max(0, self._lacks(i)) for i in range(len(self.nodes))) + 1)
        while budget:
            budget -= 1
            poor = [i for i in range(len(self.nodes)) if self._lacks(i) > 0 and i not in stuck]
            if not poor:
                return
            x = max(poor, key=lambda i: (self._lacks(i), -i))
            if self._round_otherwise(x):
                continue
            path = self._path(x)
            if path is None:
                stuck.add(x)
                continue
            for p, taker, giver in reversed(path):
                if not self.allowed(taker, self.rows[p], giver) or (giver >= 0 and giver not in self.rows[p]):
                    break  # an earlier step of this path changed the row; the next round starts from what is true now
                self.put(p, taker, giver)

    def _round_otherwise(self, x: int) -> bool:
        """Gives a free place to a node that may be rounded up instead of x; the counts stay next to their shares.

        Which nodes are rounded up is free, and this costs no move beyond the one that fills the place.
        """
        share = self.goal.share
        if self.held[x] < floor(share[x] + 1e-9):
            return False
        able = [i for i in range(len(share)) if self._want[i] <= self.held[i] < ceil(share[i] - 1e-9)]
        able.sort(key=lambda i: (self.held[i] - share[i], i))
        for p, row in enumerate(self.rows):
            if len(row) == self.goal.copies:
                continue
            for i in able:
                if self.allowed(i, row):
                    self.put(p, i)
                    self._want[i] += 1
                    self._want[x] -= 1
                    return True
        return False

    def _path(self, x: int) -> list[tuple[int, int, int]] | None:
        """Steps (partition, who enters, who leaves or -1) from x to a free place or a node with too much.

        The cheapest path (0-1 breadth first): taking back what this plan itself just gave costs nothing, because that
        copy has not travelled yet; displacing a copy that was there before costs one more move.
        """
        came: dict[int, tuple[int, int]] = {x: (-1, -1)}  # node -> (the partition it gives, to whom)
        cost = {x: 0}
        done: set[int] = set()
        queue = deque([x])
        while queue:
            taker = queue.popleft()
            if taker in done:
                continue
            done.add(taker)
            for p, row in enumerate(self.rows):
                if taker in row:
                    continue
                if len(row) < self.goal.copies and self.allowed(taker, row):
                    return self._trace(came, taker, [(p, taker, -1)])
                for giver in row:
                    if giver in done:
                        continue
                    price = cost[taker] + (giver in self.before[p])
                    if price >= cost.get(giver, price + 1) or not self.allowed(taker, row, giver):
                        continue
                    came[giver], cost[giver] = (p, taker), price
                    if self._lacks(giver) < 0:
                        return self._trace(came, giver, [])
                    if price > cost[taker]:
                        queue.append(giver)
                    else:
                        queue.appendleft(giver)
        return None

    def _trace(
        self, came: dict[int, tuple[int, int]], end: int, tail: list[tuple[int, int, int]]
    ) -> list[tuple[int, int, int]]:
        steps = list(tail)
        while came[end][0] >= 0:
            p, taker = came[end]
            steps.append((p, taker, end))
            end = taker
        return steps[::-1]

    def _fill_what_is_left(self) -> None:
        """A copy in a crowded zone, or on a node beyond its target, is better than none: `violations` reports it."""
        for row in self.rows:
            while len(row) < self.goal.copies:
                free = [i for i in range(len(self.nodes)) if i not in row]
                zone_of = self.goal.zone_of
                crowd = {z: sum(zone_of[j] == z for j in row) for z in {zone_of[i] for i in free}}
                i = min(free, key=lambda i: (crowd[zone_of[i]], -self._lacks(i), i))
                row.append(i)
                self.held[i] += 1

    def _order_primaries(self) -> None:
        """Puts first owners in place so that each node is first in its part of the rows it holds, to within one.

        Changing the order moves no data. A balanced order exists (give every owner an equal part of each row; flows
        have whole solutions), and shortest swap paths find it.
        """
        held, copies = self.held, self.goal.copies
        low = [h // copies for h in held]
        high = [-(-h // copies) for h in held]
        first = [0] * len(held)
        for row in self.rows:
            # A fresh row starts with the one that is first least often yet; a kept row keeps its order if it can.
            if first[row[0]] >= high[row[0]]:
                best = min(row, key=lambda i: (first[i] - held[i] / copies, i))
                k = row.index(best)
                row[0], row[k] = row[k], row[0]
            first[row[0]] += 1
        leads: list[set[int]] = [set() for _ in held]
        for p, row in enumerate(self.rows):
            leads[row[0]].add(p)
        for i in range(len(held)):
            while first[i] > high[i] and self._hand_down(i, first, leads, high):
                pass
        for i in range(len(held)):
            while first[i] < low[i] and self._hand_up(i, first, leads, low):
                pass

    def _hand_down(self, start: int, first: list[int], leads: list[set[int]], high: list[int]) -> bool:
        """Node `start` leads one row less, and a node with room leads one more, by a shortest chain of swaps."""
        came: dict[int, tuple[int, int]] = {start: (-1, -1)}
        queue = deque([start])
        while queue:
            y = queue.popleft()
            for p in sorted(leads[y]):
                for x in self.rows[p][1:]:
                    if x in came:
                        continue
                    came[x] = (p, y)
                    if first[x] < high[x]:
                        while x != start:
                            p, y = came[x]
                            self._lead(p, x, leads, first)
                            x = y
                        return True
                    queue.append(x)
        return False

    def _hand_up(self, start: int, first: list[int], leads: list[set[int]], low: list[int]) -> bool:
        """Node `start` leads one row more, and a node that can spare it one less, by a shortest chain of swaps."""
        member_of: list[list[int]] = [[] for _ in self.nodes]
        for p, row in enumerate(self.rows):
            for x in row[1:]:
                member_of[x].append(p)
        came: dict[int, tuple[int, int]] = {start: (-1, -1)}
        queue = deque([start])
        while queue:
            x = queue.popleft()
            for p in member_of[x]:
                y = self.rows[p][0]
                if y in came:
                    continue
                came[y] = (p, x)
                if first[y] > low[y]:
                    while y != start:
                        p, x = came[y]
                        self._lead(p, x, leads, first)
                        y = x
                    return True
                queue.append(y)
        return False

    def _lead(self, p: int, x: int, leads: list[set[int]], first: list[int]) -> None:
        """Node x becomes the first owner of row p."""
        row = self.rows[p]
        k = row.index(x)
        leads[row[0]].discard(p)
        first[row[0]] -= 1
        row[0], row[k] = row[k], row[0]
        leads[x].add(p)
        first[x] += 1
