"""Gives back moves that need not have been made: puts a copy where it was before, and settles the counts at no cost.

The planner aims at one exact count for each node, while its share rounded down will do as well as rounded up; and its
exchange paths are found one by one. So there can be a copy that travelled in vain. To put it back changes two counts by
one. That is allowed at once if both stay in their bounds; otherwise a chain of exchanges that cost nothing (a copy that
travels anyway goes to another node, or another of a row's former owners stays) carries the difference to where it is
welcome. These are the negative cycles of the minimum-cost flow behind the table that use no copy at rest (Klein, 1967).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringleader.placement.assign import Assignment

__all__ = ["give_back"]

Step = tuple[int, int, int]  # partition, who leaves, who enters
NOBODY = -1  # stands for the slack within the bounds: whoever has room gives to it, whoever can spare takes from it
BUDGET = 250_000  # exchanges looked at: a tenth of a second or so, reached only when very many nodes change at once


def give_back(work: Assignment) -> None:
    """Takes back needless moves until there are none, or the budget is used up."""
    search = _Search(work)
    while search.budget > 0 and search.round():
        pass


class _Search:
    def __init__(self, work: Assignment) -> None:
        self.work = work
        self.low, self.high = work.goal.low, work.goal.high
        self.budget = BUDGET
        self.free: dict[int, dict[int, int]] = {}  # who leaves -> who enters -> in which row, at no cost

    def round(self) -> int:
        """One pass over the rows that changed; how many moves it took back."""
        back = self._needless()
        if not back:
            return 0
        self._exchanges()
        return sum(self._settle(step) for step in back if self.budget > 0)

    def _needless(self) -> list[Step]:
        """Every way to put one copy back where it was."""
        work, out = self.work, list[Step]()
        for p, row in enumerate(work.rows):
            for taker in sorted(work.before[p].difference(row)):
                out += [(p, i, taker) for i in row if i not in work.before[p] and work.allowed(taker, row, i)]
        return out

    def _exchanges(self) -> None:
        """The exchanges that cost nothing, in the rows that changed."""
        work, self.free = self.work, {}
        for p, row in enumerate(work.rows):
            before = work.before[p]
            newcomers = [i for i in range(len(work.nodes)) if i not in before] if not before.issuperset(row) else []
            if not newcomers:
                continue
            self.budget -= len(newcomers) * len(row)
            if self.budget < 0:
                return
            for giver in row:
                exits = self.free.setdefault(giver, {})
                for taker in sorted(before) if giver in before else newcomers:
                    if taker not in exits and work.allowed(taker, row, giver):
                        exits[taker] = p

    def _settle(self, first: Step) -> bool:
        """Takes the step `first` with a shortest chain that keeps all counts in their bounds; False if there is none."""
        work, (p, giver, taker) = self.work, first
        if giver not in work.rows[p] or work.price(p, giver, taker) >= 0:
            return False  # an earlier chain changed this row
        came = self._chain(taker, giver)
        if giver not in came:
            return False
        steps, at = [first], giver
        while at != taker:
            if NOBODY not in (came[at], at):
                steps.append((self.free[came[at]][at], came[at], at))
            at = came[at]
        taken: list[Step] = []
        for q, out, into in steps:
            row = work.rows[q]
            if out not in row or not work.allowed(into, row, out) or work.price(q, out, into) > 0:
                break
            work.put(q, into, out)
            taken.append((q, out, into))
        if len(taken) == len(steps):
            return True
        for q, out, into in reversed(taken):
            work.put(q, out, into)
        return False

    def _chain(self, start: int, end: int) -> dict[int, int]:
        """Who hands a surplus on to whom, breadth first from `start` until `end` has it."""
        held = self.work.held
        came = {start: start}
        queue = deque([start])
        while queue and end not in came:
            at = queue.popleft()
            if at == NOBODY:
                onward = [i for i, h in enumerate(held) if h > self.low[i]]
            else:
                onward = [NOBODY] if held[at] < self.high[at] else []
                onward += self.free.get(at, ())
            self.budget -= len(onward) // 8  # much cheaper than what `_exchanges` looks at
            for to in onward:
                if to not in came:
                    came[to] = at
                    queue.append(to)
        return came
