"""Is there an order of all calls, respecting real time, in which each has the result it was given? An exact search.

Wing & Gong (1993) with Lowe's just-in-time linearisation ("Testing for linearizability", 2017): go through the ends of the
calls in time order and keep every configuration that could be the case, as (state, calls that took effect before their
end). A call takes effect only when the end of some call demands it. Equal configurations are explored once; a history
falls into partitions where the model allows it (Horn & Kroening, "Faster linearizability checking via P-compositionality",
2015).

A call of unknown outcome stays ready to take effect for ever. A configuration that has used such calls up is dropped when
another one, otherwise equal, has used fewer: it can do all that the first can.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from ringleader.sim.history.models import Model
from ringleader.sim.history.operations import Operation, Outcome
from ringleader.sim.history.verdict import Decision, Verdict

__all__ = ["check_linearizable"]

_Configuration = tuple[Any, int]


class _BudgetEnded(Exception):
    """The search has taken as many steps as it may."""


class _Search:
    """One partition at a time; counts model steps over all of them."""

    def __init__(self, model: Model, budget: int) -> None:
        self.model = model
        self.budget = budget
        self.steps = 0

    def stuck(self, operations: Sequence[Operation]) -> tuple[Operation, list[Any]] | None:
        """The first call whose end no configuration survives, and the states possible before; None: there is an order."""
        ends = sorted((op.end, 1, op.number, op) for op in operations if op.known)
        starts = [(op.start, 0, op.number, op) for op in operations]
        slots: dict[int, int] = {}  # number of a call under way -> its bit
        free: list[int] = []
        underway: dict[int, Operation] = {}  # bit -> call
        unknown = 0  # bits of calls that will never end
        configurations: set[_Configuration] = {(self.model.initial(), 0)}
        for _, is_end, number, op in sorted([*starts, *ends], key=lambda event: event[:3]):
            if not is_end:
                bit = free.pop() if free else 1 << len(underway)
                slots[number] = bit
                underway[bit] = op
                if not op.known:
                    unknown |= bit
                continue
            bit = slots[number]
            after = self._end(configurations, bit, underway, unknown)
            if not after:
                return op, [state for state, _ in configurations]
            configurations = after
            del underway[bit]
            free.append(bit)
        return None

    def _end(
        self, before: Iterable[_Configuration], bit: int, underway: dict[int, Operation], unknown: int
    ) -> set[_Configuration]:
        """All configurations in which the call of `bit` has taken effect, reached by letting calls under way take effect."""
        step = self.model.step
        after: set[_Configuration] = set()
        queue = deque(sorted(before, key=lambda item: (item[1] & unknown).bit_count()) if unknown else before)
        seen: dict[tuple[Any, int], list[int]] = {}
        for state, used in queue:
            seen.setdefault((state, used & ~unknown), []).append(used & unknown)
        while queue:
            state, used = queue.popleft()
            if used & bit:
                after.add((state, used & ~bit))
                continue
            for other, op in underway.items():
                if used & other:
                    continue
                self.steps += 1
                legal, next_state = step(state, op)
                if not legal or (other & unknown and next_state == state):
                    continue
                spent = (used | other) & unknown
                known = seen.setdefault((next_state, (used | other) & ~unknown), [])
                if any(less & spent == less for less in known):
                    continue
                known.append(spent)
                queue.append((next_state, used | other))
            if self.steps > self.budget:
                raise _BudgetEnded
        return after


def check_linearizable(history: Iterable[Operation], model: Model, *, budget: int = 5_000_000) -> Verdict:
    """Whether `history` is linearizable with regard to `model`. `budget`: most steps of the model that may be taken.

    Returns "violation" with a shortest-possible set of calls of one partition, "undecided" when the budget ends first.
    """
    partitions: dict[Hashable, list[Operation]] = {}
    for op in history:
        if op.outcome is not Outcome.FAILED:
            partitions.setdefault(model.partition(op), []).append(op)
    search = _Search(model, budget)
    for key, operations in partitions.items():
        try:
            stuck = search.stuck(operations)
        except _BudgetEnded:
            reason = f"the budget of {budget} steps ended in partition {key!r} ({len(operations)} operations)"
            return Verdict(Decision.UNDECIDED, reason, (), search.steps)
        if stuck is not None:
            steps = search.steps
            culprits = _shorten(model, operations, stuck[0], max(budget // 4, 1))
            states = ", ".join(sorted(map(repr, dict.fromkeys(stuck[1])))[:4])
            reason = f"no order explains {stuck[0]!r}; the state when it ended could only be one of: {states}"
            return Verdict(Decision.VIOLATION, reason, tuple(culprits), steps)
    return Verdict(Decision.OK, "", (), search.steps)


def _shorten(model: Model, operations: Sequence[Operation], last: Operation, budget: int) -> list[Operation]:
    """Leave out calls, many at once at first, as long as what remains is a violation still."""
    rest = [op for op in operations if op.start <= last.end]
    # What ended later counts as unfinished: the violation is there already when `last` ends.
    search = _Search(model, budget)
    size = max(len(rest) // 2, 1)
    while True:
        at, shrunk = 0, False
        while at < len(rest):
            chunk, fewer = rest[at : at + size], rest[:at] + rest[at + size :]
            try:
                gone = all(model.removable(op, fewer) for op in chunk) and search.stuck(fewer) is not None
            except _BudgetEnded:
                return rest
            if gone:
                rest, shrunk = fewer, True
            else:
                at += size
        if size == 1 and not shrunk:
            return rest
        size = max(size // 2, 1)
