"""The fast check: the store claims an order of its writes by revisions, so only that one order has to be tried.

Every answer of an etcd-like store carries a revision, which claims the place of the call in the total order. The check
replays that order, compares every answer and holds it against real time, in O(n log n): strict serializability of hundreds
of thousands of calls in seconds. Sound on its own only as far as the claim is used by the answers themselves, so
`check_linearizable` on `without_revisions` of small histories stands beside it.

Values must be unique: by its value a write of unknown outcome is recognised once anybody has seen it. Unknown writes that
nobody saw may explain a missing or changed value if some revision is left over for them; where several compete for the same
revisions the verdict may be "undecided", never silently "ok".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate, pairwise
from typing import Any

from ringleader.sim.history.operations import Operation, Outcome
from ringleader.sim.history.verdict import Decision, Verdict

_MOST_GAPS = 1_000_000

__all__ = ["check_revisions", "revision_of", "wrote"]


class _Violation(Exception):
    def __init__(self, reason: str, *culprits: Operation) -> None:
        self.reason = reason
        self.culprits = culprits


def revision_of(operation: Operation) -> int:
    """The revision that the answer claims."""
    result = operation.result
    revision: int = result if operation.name == "put" else result[0]
    return revision


def wrote(operation: Operation) -> bool:
    """Whether an answered call made a revision of its own."""
    return operation.name == "put" or (operation.name != "get" and operation.result[1])


def _value(operation: Operation) -> Any:
    """What a write leaves behind; None: nothing."""
    return None if operation.name == "delete" else operation.arguments[-1]


@dataclass(slots=True)
class _Demand:
    """An answer that needs a write nobody has reported, on `key`, at a revision in (low, high].

    `low`: the last reported write. `absent`: the unseen one left no value; else it left a value, and not `other_than`.
    `writer`: it can only have been this very write.
    """

    key: Hashable
    low: int
    high: int
    absent: bool
    other_than: Any
    witness: Operation
    writer: Operation | None = None

    def met_by(self, op: Operation) -> bool:
        value = _value(op)
        if self.writer is not None:
            return op is self.writer
        if self.absent:
            return value is None
        return self.other_than is not None if value is None else bool(value != self.other_than)


class _Check:
    def __init__(self, operations: list[Operation], first: int, complete: bool) -> None:
        self.first = first
        self.complete = complete
        self.known = [op for op in operations if op.known]
        self.unknown = [op for op in operations if op.outcome in (Outcome.OPEN, Outcome.UNKNOWN) and op.name != "get"]
        self.writer: dict[Any, Operation] = {}
        for op in operations:
            if op.name in ("put", "cas") and self.writer.setdefault(op.arguments[-1], op) is not op:
                raise ValueError(f"value {op.arguments[-1]!r} is written twice; this check needs unique values")
        self.spare: dict[int, Operation] = {}  # unknown writes that nobody has seen, by number
        self.at: dict[int, Operation] = {}  # revision -> the write that made it
        self.revision: dict[int, int] = {}  # number of a write -> its revision
        self.keys: dict[Hashable, list[int]] = {}  # key -> its revisions, rising
        self.seen_until: dict[tuple[Hashable, int], int] = {}  # (key, write) -> latest revision at which it was seen
        self.demands: dict[tuple[Hashable, int, bool, Any], _Demand] = {}
        self.ends: list[tuple[float, int]] = []
        self.highest: list[int] = []
        self.observed: dict[
            tuple[Hashable, int], int
        ] = {}  # (key, write) -> latest revision at which anything was told
        self.fitting: dict[tuple[Hashable, int], int] = {}  # (key, write) -> latest revision at which it may have held

    def run(self) -> str:
        """Returns why it cannot tell, or nothing. Raises `_Violation`."""
        self._order()
        self._real_time()
        for op in self.known:
            self._replay(op)
        for revision, op in self.at.items():
            if not op.known and op.name == "cas":
                self._expect_value(op, op.arguments[0], revision - 1, op.arguments[1])
        return self._explain_demands()

    # ------------------------------------------------------------------------------------------- the total order

    def _order(self) -> None:
        for op in self.known:
            if wrote(op):
                self._claim(op, revision_of(op))
        for op in self.known:
            if op.name == "get" and op.result[1] is not None:
                _, value, mod = op.result
                writer = self.writer.get(value)
                if writer is None or writer.arguments[0] != op.arguments[0]:
                    raise _Violation(f"the value {value!r} was never written to that key", op)
                if writer.outcome is Outcome.FAILED:
                    raise _Violation("a write that was reported as never applied has been seen", writer, op)
                if writer.known and not wrote(writer):
                    raise _Violation("a refused swap has been seen", writer, op)
                if self.revision.get(writer.number) != mod:
                    self._claim(writer, mod, op)
        self.spare = {op.number: op for op in self.unknown if op.number not in self.revision}
        for revision, op in self.at.items():
            self.keys.setdefault(op.arguments[0], []).append(revision)
        for revisions in self.keys.values():
            revisions.sort()

    def _claim(self, op: Operation, revision: int, witness: Operation | None = None) -> None:
        others = () if witness is None else (witness,)
        if op.number in self.revision:
            reason = f"a write took effect twice, at revisions {self.revision[op.number]} and {revision}"
            raise _Violation(reason, op, *others)
        if revision in self.at:
            raise _Violation(f"two writes claim revision {revision}", self.at[revision], op, *others)
        if revision <= self.first:
            raise _Violation(f"a write claims revision {revision}; the empty store has {self.first}", op, *others)
        self.at[revision] = op
        self.revision[op.number] = revision

    # ------------------------------------------------------------------------------------------------- real time

    def _real_time(self) -> None:
        """What had ended before a call began lies before it: at a lower revision, or at most the same for a mere read."""
        placed = [(op, self.revision.get(op.number, 0), True) for op in self.at.values()]
        placed += [(op, revision_of(op), False) for op in self.known if not wrote(op)]
        placed.sort(key=lambda item: (item[0].start, item[0].number))
        underway: list[tuple[float, int, int, Operation]] = []
        highest, newest = self.first, None
        for op, revision, is_write in placed:
            while underway and underway[0][0] < op.start:
                _, _, ended, other = heappop(underway)
                if ended > highest or newest is None:
                    highest, newest = max(ended, highest), other
            if newest is not None and (revision < highest or (is_write and revision == highest)):
                raise _Violation(
                    f"real time: revision {revision} comes after a call that had ended at revision {highest}",
                    newest,
                    op,
                )
            if revision < self.first:
                raise _Violation(f"revision {revision} lies before the empty store, {self.first}", op)
            heappush(underway, (op.end, op.number, revision, op))

    # ---------------------------------------------------------------------------------------------------- replay

    def _held(self, key: Hashable, revision: int) -> tuple[int, Any]:
        """(revision, value) of the last reported write to `key` up to `revision`; (0, None) when there is none."""
        revisions = self.keys.get(key, [])
        place = bisect_right(revisions, revision)
        if not place:
            return 0, None
        return revisions[place - 1], _value(self.at[revisions[place - 1]])

    def _replay(self, op: Operation) -> None:
        key, revision = op.arguments[0], revision_of(op)
        match op.name:
            case "get":
                self._replay_get(op, key, revision, op.result[1], op.result[2])
            case "delete" if op.result[1]:
                self._expect(op, key, revision - 1, absent=False)
            case "delete":
                self._expect(op, key, revision, absent=True)
            case "cas" if op.result[1]:
                self._expect_value(op, key, revision - 1, op.arguments[1])
            case "cas":
                self._expect(op, key, revision, absent=False, other_than=op.arguments[1])

    def _replay_get(self, op: Operation, key: Hashable, revision: int, value: Any, mod: int) -> None:
        if value is None:
            self._expect(op, key, revision, absent=True)
            return
        at, _ = self._held(key, revision)
        if at != mod:
            between = () if at not in self.at else (self.at[at],)
            text = f"the read at revision {revision} saw the write of {mod}, but revision {at} wrote the key last"
            raise _Violation(
                text if at else f"the read at revision {revision} saw the later write of {mod}", *between, op
            )
        self._saw(key, mod, revision)

    def _saw(self, key: Hashable, mod: int, revision: int) -> None:
        self._note(key, mod, revision)
        self.seen_until[key, mod] = max(self.seen_until.get((key, mod), 0), revision)

    def _note(self, key: Hashable, at: int, revision: int) -> None:
        self.observed[key, at] = max(self.observed.get((key, at), 0), revision)

    def _expect_value(self, op: Operation, key: Hashable, revision: int, value: Any) -> None:
        """The key must have held `value` (None: nothing) right after `revision`."""
        if value is None:
            self._expect(op, key, revision, absent=True)
            return
        at, held = self._held(key, revision)
        if held == value:
            self._saw(key, at, revision)
            return
        self._note(key, at, revision)
        writer = self.writer.get(value)
        if writer is None or writer.arguments[0] != key or writer.number not in self.spare:
            raise _Violation(f"a swap found {value!r} at revision {revision}, where the key held {held!r}", op)
        self.demands[key, at, False, (value,)] = _Demand(key, at, revision, False, None, op, writer)

    def _expect(self, op: Operation, key: Hashable, revision: int, *, absent: bool, other_than: Any = None) -> None:
        """The key must have been absent, or present (`other_than` None), or not `other_than`, right after `revision`."""
        at, held = self._held(key, revision)
        self._note(key, at, revision)
        if (held is None) if absent else (held != other_than):
            self.fitting[key, at] = max(self.fitting.get((key, at), 0), revision)
            return
        demand = self.demands.setdefault(
            (key, at, absent, other_than), _Demand(key, at, revision, absent, other_than, op)
        )
        if revision < demand.high:
            demand.high, demand.witness = revision, op

    # ---------------------------------------------------------------------------------------------- unseen writes

    def _explain_demands(self) -> str:
        """Give revisions that nobody has claimed to unseen writes, the most urgent demand first."""
        taken = sorted(self.at)
        top = max([self.first, *taken, *(revision_of(op) for op in self.known)])
        missing = top - self.first - len(taken)
        if self.complete and missing > len(self.spare):
            reason = (
                f"{missing} revisions up to {top} were made by nobody; {len(self.spare)} writes have an unknown outcome"
            )
            raise _Violation(reason)
        if missing > _MOST_GAPS:
            return f"{missing} revisions were made by others"
        gaps = [gap for low, high in pairwise([self.first, *taken, top + 1]) for gap in range(low + 1, high)]
        segments: dict[tuple[Hashable, int], list[_Demand]] = {}
        for demand in sorted(self.demands.values(), key=lambda demand: demand.high):
            segments.setdefault((demand.key, demand.low), []).append(demand)
        filled: set[int] = set()
        used: set[int] = set()
        for demands in segments.values():
            urgent = demands[0]
            low = max(urgent.low, self.seen_until.get((urgent.key, urgent.low), 0))
            for demand in demands:
                places = gaps[bisect_right(gaps, low) : bisect_right(gaps, demand.high)]
                if not places or not self._able([demand]):
                    raise _Violation(self._why(demand), *self._culprits(demand))
            if self.fitting.get((urgent.key, urgent.low), 0) > urgent.high:
                return f"{urgent.witness!r} needs an unseen write that a later answer may contradict"
            low = max(low, self.fitting.get((urgent.key, urgent.low), 0))
            places = gaps[bisect_right(gaps, low) : bisect_right(gaps, urgent.high)]
            able = [op for op in self._able(demands) if op.number not in used]
            pair = self._pair(able, [place for place in places if place not in filled])
            if pair is None:
                return (
                    f"several unseen writes may compete for the revisions up to {urgent.high}, for {urgent.witness!r}"
                )
            used.add(pair[0].number)
            filled.add(pair[1])
        rest = [op for op in self.spare.values() if op.number not in used]
        return self._fill([gap for gap in gaps if gap not in filled], rest) if self.complete else ""

    def _fill(self, gaps: list[int], rest: list[Operation]) -> str:
        """Every other revision was made by some unseen write too: one that nobody had a chance to see."""
        changed: set[tuple[Hashable, int]] = set()
        for gap in gaps:
            for op in rest:
                key = op.arguments[0]
                at, held = self._held(key, gap)
                segment = (key, at)
                if gap <= max(self._floor(op.start), self.observed.get(segment, 0)):
                    continue
                if op.name != "put" and (segment in changed or self._idle(op, held)):
                    continue
                changed.add(segment)
                rest.remove(op)
                break
            else:
                return f"it is not plain which write of unknown outcome made revision {gap}"
        return ""

    @staticmethod
    def _idle(op: Operation, held: Any) -> bool:
        """Whether `op` changes nothing where its key holds `held`."""
        return (op.name == "cas" and held != op.arguments[1]) or (op.name == "delete" and held is None)

    def _able(self, demands: list[_Demand]) -> list[Operation]:
        """Unseen writes of which a single one would meet all `demands`, which are of one key."""
        key, latest = demands[0].key, min(demand.witness.end for demand in demands)
        spare = (op for op in self.spare.values() if op.arguments[0] == key and op.start <= latest)
        return [op for op in spare if all(demand.met_by(op) for demand in demands)]

    def _pair(self, operations: list[Operation], places: list[int]) -> tuple[Operation, int] | None:
        """One of `operations`, and a revision at which it can have taken effect: not before it began, nor idly."""
        for op in operations:
            floor = self._floor(op.start)
            for place in places:
                held = self._held(op.arguments[0], place)[1]
                if place > floor and not self._idle(op, held):
                    return op, place
        return None

    def _floor(self, time: float) -> int:
        """The highest revision that a call which ended before `time` has shown."""
        if not self.ends:
            self.ends = sorted((op.end, revision_of(op)) for op in self.known)
            self.highest = [self.first, *accumulate((revision for _, revision in self.ends), max)]
        return max(self.first, self.highest[bisect_left(self.ends, (time, 0))])

    def _why(self, demand: _Demand) -> str:
        at, held = self._held(demand.key, demand.high)
        told = "nothing" if demand.absent else "something else"
        return (
            f"{demand.witness.name} found {told} under {demand.key!r} at revision {demand.high}, "
            f"but revision {at} left {held!r} there and no write of unknown outcome explains it"
        )

    def _culprits(self, demand: _Demand) -> list[Operation]:
        return [*([self.at[demand.low]] if demand.low in self.at else []), demand.witness]


def check_revisions(history: Iterable[Operation], *, first: int = 1, complete: bool = True) -> Verdict:
    """Whether the revisions claimed by the answers order the history strictly serializably, each write at most once.

    Operations and results as for `StoreModel`; `first`: the revision of the empty store. `complete`: nobody but these
    clients wrote, so that a revision made by nobody is a violation too. Raises `ValueError` when a value is written twice.
    """
    operations = list(history)
    check = _Check(operations, first, complete)
    try:
        undecided = check.run()
    except _Violation as found:
        return Verdict(Decision.VIOLATION, found.reason, tuple(found.culprits), len(operations))
    return Verdict(Decision.UNDECIDED if undecided else Decision.OK, undecided, (), len(operations))
