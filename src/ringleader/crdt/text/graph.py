"""The causal graph: which event was made knowing which others.

Every single edit (one character typed, one character removed) is an *event*. It has two names:

* its **id** `(agent, seq)`, the same on every replica: the replica that made it, and its number there, growing from 1;
* its **local version** (lv), the place where it arrived *here*: 0, 1, 2 ... Parents always have smaller lvs.

People type in runs, so events are kept as run-length entries: `[start, end)` by one agent, consecutive `seq`s, the
first event with the entry's `parents`, each further one with exactly the event before it as its parent. A *version* (a
frontier) is a sorted tuple of lvs, none an ancestor of another; `()` is the beginning.

The algorithms walk back from versions by a heap that always takes the largest lv next, as described in Gentle &
Kleppmann, "Collaborative Text Editing with Eg-walker" (EuroSys 2025), section 3.2 and appendix. They cost what lies
*between* two versions, never the whole history.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from enum import IntEnum
from heapq import heappop, heappush

__all__ = ["CausalGraph", "Frontier", "Side", "Span", "merge_spans"]

Span = tuple[int, int]
"""Events `[start, end)` by local version."""

Frontier = tuple[int, ...]
"""A version: the local versions of its heads, ascending."""


class Side(IntEnum):
    """In which of two compared versions an event lies."""

    ONLY_A = 1
    ONLY_B = 2
    SHARED = 3


class CausalGraph:
    """Run-length entries of the event graph, with an index from ids to local versions. Agents are byte strings."""

    __slots__ = ("_index", "_rows", "_seqs", "ends", "entry_agents", "heads", "names", "parents", "seqs", "starts")

    def __init__(self) -> None:
        # Columns, one row per entry.
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.entry_agents: list[int] = []
        self.seqs: list[int] = []
        self.parents: list[Frontier] = []
        # Agents: number -> name, name -> number, number -> its rows and the seqs at which they start.
        self.names: list[bytes] = []
        self._index: dict[bytes, int] = {}
        self._rows: list[list[int]] = []
        self._seqs: list[list[int]] = []
        self.heads: Frontier = ()

    def __len__(self) -> int:
        """The number of events."""
        return self.ends[-1] if self.ends else 0

    # -- agents and ids -------------------------------------------------------------------------------------------

    def agent_number(self, name: bytes) -> int:
        """The number of agent `name`, a new one when it was never seen."""
        number = self._index.get(name)
        if number is None:
            number = self._index[name] = len(self.names)
            self.names.append(name)
            self._rows.append([])
            self._seqs.append([])
        return number

    def last_seq(self, name: bytes) -> int:
        """The highest seq known of agent `name`; 0 when none is."""
        number = self._index.get(name)
        if number is None or not self._rows[number]:
            return 0
        row = self._rows[number][-1]
        return self.seqs[row] + self.ends[row] - self.starts[row] - 1

    def lv_of(self, name: bytes, seq: int) -> int:
        """The local version of event `(name, seq)`; -1 when it is not known."""
        number = self._index.get(name)
        if number is None:
            return -1
        at = bisect_right(self._seqs[number], seq) - 1
        if at < 0:
            return -1
        row = self._rows[number][at]
        lv = self.starts[row] + seq - self.seqs[row]
        return lv if lv < self.ends[row] else -1

    def last_at_most(self, number: int, seq: int) -> int:
        """The local version of the last event of agent `number` with at most `seq`; -1 when there is none."""
        at = bisect_right(self._seqs[number], seq) - 1
        if at < 0:
            return -1
        row = self._rows[number][at]
        return min(self.starts[row] + seq - self.seqs[row], self.ends[row] - 1)

    def id_of(self, lv: int) -> tuple[bytes, int]:
        """The id `(agent, seq)` of local version `lv`."""
        at = self.entry_at(lv)
        return self.names[self.entry_agents[at]], self.seqs[at] + lv - self.starts[at]

    def spans_beyond(self, vector: Mapping[bytes, int]) -> list[Span]:
        """The local versions of all events with a seq above `vector.get(agent, 0)`, ascending."""
        spans: list[Span] = []
        for number, name in enumerate(self.names):
            since = vector.get(name, 0) + 1
            rows = self._rows[number]
            for at in range(max(bisect_right(self._seqs[number], since) - 1, 0), len(rows)):
                row = rows[at]
                start = self.starts[row] + max(since - self.seqs[row], 0)
                if start < self.ends[row]:
                    spans.append((start, self.ends[row]))
        spans.sort()
        return spans

    # -- entries --------------------------------------------------------------------------------------------------

    def entry_at(self, lv: int) -> int:
        """The row of the entry that holds `lv`."""
        return bisect_right(self.starts, lv) - 1

    def parents_of(self, lv: int) -> Frontier:
        """The parents of the one event `lv`."""
        at = self.entry_at(lv)
        return self.parents[at] if lv == self.starts[at] else (lv - 1,)

    def add(self, name: bytes, seq: int, count: int, parents: Frontier) -> int:
        """Append `count` events of agent `name` from `seq` on, the first with `parents`; the lv of the first.

        The caller has checked that `seq > last_seq(name)` and that `parents` is a version of this graph.
        """
        agent = self.agent_number(name)
        start = self.ends[-1] if self.ends else 0
        if (
            start
            and len(parents) == 1
            and parents[0] == start - 1
            and self.entry_agents[-1] == agent
            and self.seqs[-1] + start - self.starts[-1] == seq
        ):
            self.ends[-1] = start + count  # the entry simply goes on
        else:
            self._rows[agent].append(len(self.starts))
            self._seqs[agent].append(seq)
            self.starts.append(start)
            self.ends.append(start + count)
            self.entry_agents.append(agent)
            self.seqs.append(seq)
            self.parents.append(parents)
        self._advance_heads(parents, start + count - 1)
        return start

    def truncate(self, end: int, heads: Frontier) -> None:
        """Take back all events from `end` on; `heads` is what the heads were."""
        while self.starts and self.starts[-1] >= end:
            agent = self.entry_agents.pop()
            self._rows[agent].pop()
            self._seqs[agent].pop()
            for column in (self.starts, self.ends, self.seqs, self.parents):
                column.pop()
        if self.ends:
            self.ends[-1] = min(self.ends[-1], end)
        self.heads = heads

    def _advance_heads(self, parents: Frontier, last: int) -> None:
        if parents == self.heads:
            self.heads = (last,)
        else:
            self.heads = (*(head for head in self.heads if head not in parents), last)  # `last` is the largest

    # -- questions ------------------------------------------------------------------------------------------------

    def contains(self, frontier: Frontier, target: int) -> bool:
        """Is event `target` in version `frontier`? (-1, the beginning, is in every version.)"""
        if target < 0 or target in frontier:
            return True
        queue: list[int] = [-head for head in frontier if head > target]
        queue.sort()
        starts, parents = self.starts, self.parents
        while queue:
            lv = -heappop(queue)
            at = bisect_right(starts, lv) - 1
            start = starts[at]
            if start <= target:
                return True
            while queue and -queue[0] >= start:
                heappop(queue)
            for parent in parents[at]:
                if parent == target:
                    return True
                if parent > target:
                    heappush(queue, -parent)
        return False

    def dominators(self, versions: Iterable[int]) -> Frontier:
        """The frontier of `versions`: those that are not an ancestor of another."""
        wanted = sorted(set(versions), reverse=True)
        if len(wanted) == 2:  # a merge of two, by far the most frequent
            high, low = wanted
            return (high,) if self.contains((high,), low) else (low, high)
        kept: list[int] = []
        for lv in wanted:  # descending: an ancestor always comes after its descendants
            if not (kept and self.contains(tuple(kept), lv)):
                kept.append(lv)
        return tuple(reversed(kept))

    def diff(self, a: Frontier, b: Frontier) -> tuple[list[Span], list[Span]]:
        """The events only in `a` and only in `b`, each as spans in descending order."""
        if len(a) == 1 and len(b) == 1:  # along one entry, by far the most frequent question
            x, y = a[0], b[0]
            if x == y:
                return [], []
            low, high = (x, y) if x < y else (y, x)
            at = bisect_right(self.starts, high) - 1
            if self.starts[at] <= low:
                spans = [(low + 1, high + 1)]
                return ([], spans) if x < y else (spans, [])
        return self._diff_by_heap(a, b)

    def _diff_by_heap(self, a: Frontier, b: Frontier) -> tuple[list[Span], list[Span]]:
        starts, parents = self.starts, self.parents
        flags: dict[int, int] = {}
        queue: list[int] = []
        shared = 0  # events in the queue that are known to be in both; when only such are left, we are done
        for side, frontier in ((1, a), (2, b)):
            for lv in frontier:
                known = flags.get(lv)
                if known is None:
                    flags[lv] = side
                    heappush(queue, -lv)
                elif known != side and known != 3:
                    flags[lv] = 3
                    shared += 1
        only: tuple[list[Span], list[Span]] = ([], [])
        while len(queue) > shared:
            lv = -heappop(queue)
            flag = flags.pop(lv)
            if flag == 3:
                shared -= 1
            at = bisect_right(starts, lv) - 1
            start = starts[at]
            while queue and -queue[0] >= start:  # more heads inside this entry
                other = -heappop(queue)
                other_flag = flags.pop(other)
                if other_flag == 3:
                    shared -= 1
                if other_flag != flag:
                    if flag != 3:
                        only[flag - 1].append((other + 1, lv + 1))
                    lv, flag = other, 3
            if flag != 3:
                only[flag - 1].append((start, lv + 1))
            for parent in parents[at]:
                known = flags.get(parent)
                if known is None:
                    flags[parent] = flag
                    heappush(queue, -parent)
                    shared += flag == 3
                elif known != flag and known != 3:
                    flags[parent] = 3
                    shared += 1
        return merge_spans(only[0]), merge_spans(only[1])

    def find_conflicting(self, a: Frontier, b: Frontier) -> tuple[Frontier, list[tuple[int, int, Side]]]:
        """The newest version that everything in `a` and `b` above it builds upon, and the events above it.

        Returns `(common, spans)`, the spans ascending as `(start, end, side)`. Within the graph of `a` and `b`,
        `common` is a *critical version*: each event is either in it or was made knowing all of it.
        """
        # A point is a whole version, its lvs negated so that the heap gives the largest first. A merge is only taken
        # apart when something else is still open, so that two sides that start from the same merge meet there.
        queue: list[tuple[tuple[int, ...], int]] = []
        heappush(queue, (_point(a), 1))
        heappush(queue, (_point(b), 2))
        spans: list[tuple[int, int, Side]] = []
        while True:
            point, flag = heappop(queue)
            while queue and queue[0][0] == point:
                flag |= heappop(queue)[1]
            if point is _BEGINNING or point == _BEGINNING:  # it sorts last, so everything else is done
                return (), _ascending(spans)
            if not queue:
                return tuple(-lv for lv in reversed(point)), _ascending(spans)
            for lv in point[1:]:
                heappush(queue, ((lv,), flag))
            common = self._walk_entry(-point[0], flag, queue, spans)
            if common is not None:
                return common, _ascending(spans)

    def _walk_entry(
        self, top: int, flag: int, queue: list[tuple[tuple[int, ...], int]], spans: list[tuple[int, int, Side]]
    ) -> Frontier | None:
        """Walk back from `top` through its entry, taking along the points inside it; the common version if met."""
        at = bisect_right(self.starts, top) - 1
        start, end = self.starts[at], top + 1
        while True:
            if not queue:
                return (end - 1,)
            point, other = queue[0]
            if point == _BEGINNING or -point[0] < start:
                break
            heappop(queue)
            last = -point[0]
            if last + 1 < end:
                spans.append((last + 1, end, Side(flag)))
                end = last + 1
            flag |= other
            for lv in point[1:]:
                heappush(queue, ((lv,), other))
        spans.append((start, end, Side(flag)))
        heappush(queue, (_point(self.parents[at]), flag))
        return None


_BEGINNING: tuple[int, ...] = (1,)  # sorts after every real point (-lv <= 0), so it is taken last


def _point(version: Frontier) -> tuple[int, ...]:
    return tuple(-lv for lv in reversed(version)) if version else _BEGINNING


def _ascending(spans: list[tuple[int, int, Side]]) -> list[tuple[int, int, Side]]:
    merged: list[tuple[int, int, Side]] = []
    for start, end, side in sorted(spans):
        if merged and merged[-1][1] == start and merged[-1][2] == side:
            merged[-1] = (merged[-1][0], end, side)
        else:
            merged.append((start, end, side))
    return merged


def merge_spans(spans: list[Span]) -> list[Span]:
    """Join neighbouring spans of a descending list."""
    merged: list[Span] = []
    for start, end in spans:
        if merged and merged[-1][0] == end:
            merged[-1] = (start, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
