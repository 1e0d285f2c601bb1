"""Is there an order of all calls, respecting real time, in which each has the result it was given? An exact search.

Wing & Gong (1993) with Lowe's just-in-time linearisation ("Testing for linearizability", 2017): go through the ends of the
calls in time order; a call takes effect only when the end of some call demands it. Depth first; a configuration (how far,
state, calls that took effect before their end) is explored once. A history falls into partitions where the model allows
it (Horn & Kroening, "Faster linearizability checking via P-compositionality", 2015).

Two things make it fast. A call that changes nothing, whatever the state, takes effect as soon as its answer is right:
waiting longer could gain nothing. And a call of unknown outcome stays ready for ever, so a configuration that has used
such calls up is not explored when another one, otherwise equal, has used fewer: that one can do all that the first can.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ringleader.sim.history.models import Model
from ringleader.sim.history.operations import Operation, Outcome
from ringleader.sim.history.verdict import Decision, Verdict

__all__ = ["check_linearizable"]


_Configuration = tuple[int, Any, int]  # ends that lie behind, state, bits of calls that took effect


class _BudgetEnded(Exception):
    """The search has taken as many steps as it may."""


class _End(NamedTuple):
    """The end of a call: its bit, and the calls under way just then, each with its bit; `unknown`: bits that stay for ever."""

    op: Operation
    bit: int
    readers: list[tuple[int, Operation]]
    writers: list[tuple[int, Operation]]
    unknown: int


class _Search:
    """One partition at a time; counts model steps over all of them."""

    def __init__(self, model: Model, budget: int) -> None:
        self.model = model
        self.budget = budget
        self.steps = 0
        self._seen: dict[_Configuration, list[int]] = {}

    def stuck(self, operations: Sequence[Operation]) -> tuple[Operation, list[Any]] | None:
        """The first call whose end no configuration survives, and the states possible before; None: there is an order."""
        ends = self._ends(operations)
        if not ends:
            return None
        self._seen = {}
        furthest = 0
        states: dict[Any, None] = {}
        path: list[Iterator[_Configuration]] = [iter([(0, self.model.initial(), 0)])]
        while path:
            following = next(path[-1], None)
            if following is None:
                path.pop()
                continue
            at, state, used = following
            used = self._read(ends[at], state, used)
            while used & ends[at].bit:
                used &= ~ends[at].bit
                at += 1
                if at == len(ends):
                    return None
                used = self._read(ends[at], state, used)
            if not self._new(at, ends[at], state, used):
                continue
            if at > furthest:
                furthest, states = at, {}
            if at == furthest:
                states[state] = None
            path.append(self._past(at, ends[at], state, used))
        return ends[furthest].op, list(states)

    def _ends(self, operations: Sequence[Operation]) -> list[_End]:
        """All ends in the order of time. A call has one bit from its start to its end, which others have after it."""
        events = [(op.start, 0, op.number, op) for op in operations if op.known or not self.model.reads(op)]
        events += [(op.end, 1, op.number, op) for op in operations if op.known]
        bits: dict[int, int] = {}
        free: list[int] = []
        readers: dict[int, Operation] = {}
        writers: dict[int, Operation] = {}
        unknown, ends = 0, []
        for _, is_end, number, op in sorted(events, key=lambda event: event[:3]):
            group = readers if self.model.reads(op) else writers
            if is_end:
                bit = bits[number]
                ends.append(_End(op, bit, list(readers.items()), list(writers.items()), unknown))
                del group[bit]
                free.append(bit)
                continue
            bit = bits[number] = free.pop() if free else 1 << (len(readers) + len(writers))
            group[bit] = op
            if not op.known:
                unknown |= bit
        return ends

    def _read(self, end: _End, state: Any, used: int) -> int:
        """All readers under way whose answer is right now have taken effect."""
        for bit, op in end.readers:
            if not used & bit:
                self.steps += 1
                if self.model.step(state, op)[0]:
                    used |= bit
        return used

    def _new(self, at: int, end: _End, state: Any, used: int) -> bool:
        """Whether no configuration was explored yet that can do all that this one can."""
        known = self._seen.setdefault((at, state, used & ~end.unknown), [])
        spent = used & end.unknown
        if any(less & spent == less for less in known):
            return False
        known.append(spent)
        return True

    def _past(self, at: int, end: _End, state: Any, used: int) -> Iterator[_Configuration]:
        """Configurations in which the call that ends here has taken effect; those with the fewest writes come first."""
        writers = sorted(end.writers, key=lambda item: (item[0] != end.bit, item[1].end))
        queue = deque([(state, used)])
        while queue:
            before, spent = queue.popleft()
            if self.steps > self.budget:
                raise _BudgetEnded
            for bit, op in writers:
                if spent & bit:
                    continue
                self.steps += 1
                legal, after = self.model.step(before, op)
                if not legal or (bit & end.unknown and after == before):
                    continue
                now = self._read(end, after, spent | bit)
                if not self._new(at, end, after, now):
                    continue
                if now & end.bit:
                    yield at, after, now
                else:
                    queue.append((after, now))


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
