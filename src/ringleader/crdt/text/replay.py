"""Which events need the walker, and which can be taken as they are.

A version is *critical* when every other event is either in it or was made knowing all of it. An event between two
critical versions means the same thing to everybody: its position is already right. Only events in between, made beside
others, go through a walker, which is thrown away at the next critical version. Sequential history, which is most
history, therefore costs nothing but the edits themselves (Gentle & Kleppmann, EuroSys 2025, section 3.5 "Clearing the
internal state" and 3.6 "Partial event graph replay").
"""

from __future__ import annotations

from bisect import bisect_right

from ringleader.crdt.text.graph import CausalGraph, Frontier, Side, Span, merge_spans
from ringleader.crdt.text.oplog import DELETE, INSERT, OpLog
from ringleader.crdt.text.walker import BeyondEndError, Edit, Walker

__all__ = ["BeyondEndError", "Zone", "merge", "merge_edits", "zone"]

Chunk = tuple[int, int, Frontier]
"""A chain of events `[start, end)` and the parents of its first."""


def merge_edits(log: OpLog, a: Frontier, b: Frontier, length: int) -> list[Edit]:
    """The edits that turn the text of version `a`, of `length` characters, into the text of `a` and `b` merged.

    Raises `BeyondEndError` when an event that is in `b` only gives a position that its author cannot have seen.
    """
    return merge(log, a, b, length, None)[0]


class Zone:
    """A walker that has visited everything since version `base`, kept for what will be heard of the same stretch.

    `spans`: the events visited, ascending; `end`: all events before it are visited or in `base`; `size`: the number of
    items when it was made. It may be thrown away at any time.
    """

    __slots__ = ("base", "end", "size", "spans", "walker")

    def __init__(self, walker: Walker, base: Frontier, visited: list[Span], end: int) -> None:
        self.walker = walker
        self.base = base
        self.spans = merge_spans(visited)[::-1]
        self.end = end
        self.size = len(walker)

    def takes(self, chunks: list[Chunk]) -> bool:
        """Whether all chunks were made knowing all of `base`; then they are added to the spans."""
        spans = self.spans
        for start, end, parents in chunks:
            if parents != self.base and not all(map(self._has, parents)):
                return False
            if not parents and self.base:
                return False
            if spans[-1][1] == start:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
        return True

    def _has(self, lv: int) -> bool:
        at = bisect_right(self.spans, (lv, _ENDLESS)) - 1
        return at >= 0 and lv < self.spans[at][1]

    def worn(self) -> bool:
        """Whether it has grown so much that it is better made again, from a newer base."""
        return len(self.walker) > 2 * self.size + _GROWTH


_ENDLESS = 1 << 62
_GROWTH = 4096  # items


def merge(log: OpLog, a: Frontier, b: Frontier, length: int, kept: Zone | None) -> tuple[list[Edit], Zone | None]:
    """As `merge_edits`, with what the last call kept, and what to keep for the next.

    With it, hearing more of a stretch that was walked before costs what is new. `kept` must not be used again after an
    error, or after events were taken out of the log.
    """
    edits: list[Edit] | None = None
    if kept is not None and not kept.worn():
        edits = _go_on(log, kept, a)
    if edits is None:
        edits, kept = _anew(log, a, b, length)
    return edits, kept if len(log.graph.heads) > 1 else None


def _go_on(log: OpLog, kept: Zone, a: Frontier) -> list[Edit] | None:
    """The edits of all that is new, by the walker of last time; None when that does not reach back far enough."""
    graph, walker = log.graph, kept.walker
    first_new = max(a, default=-1) + 1  # the newest event of all is always a head
    known, new = _chunks(graph, [(kept.end, first_new)]), _chunks(graph, [(first_new, log.end)])
    if not kept.takes(known + new):
        return None
    for chunk in known:  # our own
        walker.visit(*chunk)
    edits: list[Edit] = []
    walker.edits = edits
    for chunk in _by_branch(new):
        walker.visit(*chunk)
    walker.edits = []
    kept.end = log.end
    return edits


def _anew(log: OpLog, a: Frontier, b: Frontier, length: int) -> tuple[list[Edit], Zone | None]:
    common, spans = log.graph.find_conflicting(a, b)
    known = _chunks(log.graph, [(start, end) for start, end, side in spans if side != Side.ONLY_B])
    new = _chunks(log.graph, [(start, end) for start, end, side in spans if side == Side.ONLY_B])
    return _replay(log, common, _by_branch(known) + _by_branch(new), len(known), length)


def zone(log: OpLog, a: Frontier, b: Frontier) -> tuple[Frontier, list[Chunk]]:
    """The newest common past of `a` and `b` and all that either has beyond it, in causal order."""
    common, spans = log.graph.find_conflicting(a, b)
    return common, _by_branch(_chunks(log.graph, [(start, end) for start, end, _ in spans]))


def _chunks(graph: CausalGraph, spans: list[Span]) -> list[Chunk]:
    chunks: list[Chunk] = []
    for start, end in spans:
        at = graph.entry_at(start)
        while start < end:
            stop = min(end, graph.ends[at])
            chunks.append((start, stop, graph.parents[at] if start == graph.starts[at] else (start - 1,)))
            start = stop
            at += 1
    return chunks


def _by_branch(chunks: list[Chunk]) -> list[Chunk]:
    """The chunks in a causal order that stays on a branch for as long as it can.

    Two people's live edits arrive in turns; visited in turns, each would make the walker undo and redo all the other's.
    """
    last = -1
    for _, end, parents in chunks:
        if last >= 0 and parents != (last,):
            break
        last = end - 1
    else:
        return chunks  # one branch only
    starts = [start for start, _, _ in chunks]
    waiting = [0] * len(chunks)
    children: list[list[int]] = [[] for _ in chunks]
    for row, (_, _, parents) in enumerate(chunks):
        for parent in parents:
            at = bisect_right(starts, parent) - 1
            if at >= 0 and parent < chunks[at][1]:
                children[at].append(row)
                waiting[row] += 1
    stack = [row for row in range(len(chunks) - 1, -1, -1) if not waiting[row]]
    ordered: list[Chunk] = []
    while stack:
        row = stack.pop()
        ordered.append(chunks[row])
        for child in reversed(children[row]):
            waiting[child] -= 1
            if not waiting[child]:
                stack.append(child)
    return ordered


def _replay(
    log: OpLog, common: Frontier, chunks: list[Chunk], first_new: int, length: int
) -> tuple[list[Edit], Zone | None]:
    """Visit `chunks` in order from version `common`; the edits of those from row `first_new` on, and the last walker."""
    limits = _critical_limits(chunks)
    edits: list[Edit] = []
    walker: Walker | None = None
    frontier = base = common
    visited: list[Span] = []
    for row, (start, end, parents) in enumerate(chunks):
        new = row >= first_new
        if row == first_new and walker is not None:
            walker.bound(length)
        before = frontier
        if parents == before:
            frontier = (end - 1,)
            limit = limits[row]
            if limit > start:  # its parents are a critical version, and so is each version up to the limit
                walker = None
                if new:
                    length = _as_typed(log, start, limit, edits, length)
                if limit == end:
                    continue
                start, parents = limit, (limit - 1,)
                before = parents
        else:
            frontier = _advance(before, parents, end - 1)
        if walker is None:
            walker = Walker(log, before, length if new else None)
            base, visited = before, []
        walker.visit(start, end, parents)
        visited.append((start, end))
        if new:
            edits += walker.edits
            for kind, _, count, _ in walker.edits:
                length += count if kind == INSERT else -count
        walker.edits = []
    return edits, None if walker is None else Zone(walker, base, sorted(visited, reverse=True), log.end)


def _advance(frontier: Frontier, parents: Frontier, last: int) -> Frontier:
    return tuple(sorted((*(lv for lv in frontier if lv not in parents), last)))


def _critical_limits(chunks: list[Chunk]) -> list[int]:
    """For each chunk the end of its first part that no later chunk passes by: what follows was made knowing it."""
    order = sorted((start, row) for row, (start, _, _) in enumerate(chunks))
    starts = [start for start, _ in order]
    limits = [0] * len(chunks)
    low = (len(chunks), 0)  # the earliest event, in visiting order, that a later chunk builds on
    for row in range(len(chunks) - 1, -1, -1):
        start, end, parents = chunks[row]
        low_row, low_lv = low
        limits[row] = end if low_row > row else low_lv + 1 if low_row == row else start
        if not parents:
            low = (-1, -1)
        for parent in parents:
            at = bisect_right(starts, parent) - 1
            if at < 0 or parent >= chunks[order[at][1]][1]:
                low = (-1, -1)  # in the common version, before all chunks
            elif (order[at][1], parent) < low:
                low = (order[at][1], parent)
    return limits


def _as_typed(log: OpLog, start: int, end: int, edits: list[Edit], length: int) -> int:
    """Append the events as they are; the text's length, `length` before them, after them."""
    for kind, position, lv, count in log.runs(start, end):
        if kind == INSERT:
            if position > length:
                raise BeyondEndError
            edits.append((INSERT, position, count, lv))
            length += count
            continue
        if position + (count if kind == DELETE else 1) > length:
            raise BeyondEndError
        edits.append((DELETE, position if kind == DELETE else position - count + 1, count, lv))
        length -= count
    return length
