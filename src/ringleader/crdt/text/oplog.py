"""The operation log: what was typed where, exactly as it was typed, beside the causal graph.

This is all that is stored and sent. Events stand in the order of their local versions, in columns, one row per *run*:

| kind | run of n events at position p means |
|---|---|
| INSERT | characters inserted at p, p+1, ... p+n-1 (typing on) |
| DELETE | n times "remove the character at p" (the delete key, or a selection) |
| BACKSPACE | characters removed at p, p-1, ... p-n+1 |

Positions are those the author saw. How they map to another replica's text is found by the walker, when it is needed.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator

from ringleader.crdt.text.graph import CausalGraph, Frontier

__all__ = ["BACKSPACE", "DELETE", "INSERT", "OpLog", "Run"]

INSERT, DELETE, BACKSPACE = 0, 1, 2

Run = tuple[int, int, int, int]
"""`(kind, position, first lv, number of events)`"""


class OpLog:
    """Columns of runs, and the graph that says who knew what."""

    __slots__ = ("contents", "end", "graph", "kinds", "positions", "starts")

    def __init__(self) -> None:
        self.graph = CausalGraph()
        self.starts = array("q")
        self.kinds = bytearray()
        self.positions = array("q")
        self.contents: list[str] = []
        self.end = 0

    def push(self, kind: int, position: int, count: int, content: str) -> None:
        """Add a run of `count` events; it is joined to the run before where it goes on.

        The joining is greedy event by event, so the runs depend only on the events, never on how they came in.
        """
        if self.kinds:
            last = len(self.kinds) - 1
            before = self.end - self.starts[last]
            if kind == INSERT:
                if self.kinds[last] == INSERT and self.positions[last] + before == position:
                    self.contents[last] += content
                    self.end += count
                    return
            elif self.kinds[last] != INSERT:
                taken = self._continue_delete(last, before, kind, position, count)
                if taken == count:
                    return
                count -= taken
                if kind == BACKSPACE:
                    position -= taken
        self.starts.append(self.end)
        self.kinds.append(DELETE if kind == BACKSPACE and count == 1 else kind)
        self.positions.append(position)
        self.contents.append(content)
        self.end += count

    def _continue_delete(self, last: int, before: int, kind: int, position: int, count: int) -> int:
        """How many events of a removal go on from run `last` of `before` events; they are added to it."""
        known, at = self.kinds[last], self.positions[last]
        same_place = position == at and (known == DELETE)
        step_back = position == at - before and (known == BACKSPACE or before == 1)
        if not (same_place or step_back):
            return 0
        direction = DELETE if same_place else BACKSPACE
        taken = count if count == 1 or kind == direction else 1
        self.kinds[last] = direction
        self.end += taken
        return taken

    def runs(self, start: int, end: int) -> Iterator[Run]:
        """The runs of the events `[start, end)`, the first and last cut to fit."""
        if start >= end:
            return
        starts, rows = self.starts, len(self.starts)
        at = bisect_right(starts, start) - 1
        while start < end:
            stop = starts[at + 1] if at + 1 < rows else self.end
            if stop > end:
                stop = end
            kind = self.kinds[at]
            position = self.positions[at]
            if kind == INSERT:
                position += start - starts[at]
            elif kind == BACKSPACE:
                position -= start - starts[at]
            yield kind, position, start, stop - start
            start = stop
            at += 1

    def content(self, lv: int, count: int) -> str:
        """What the `count` insert events from `lv` on inserted; they may span several runs."""
        at = bisect_right(self.starts, lv) - 1
        offset = lv - self.starts[at]
        piece = self.contents[at][offset : offset + count]
        while len(piece) < count:
            at += 1
            piece += self.contents[at][: count - len(piece)]
        return piece

    def inserts_before(self, lv: int, position: int) -> bool:
        """Whether event `lv` inserted a character at `position - 1`."""
        if lv < 0:
            return False
        at = bisect_right(self.starts, lv) - 1
        return self.kinds[at] == INSERT and self.positions[at] + lv - self.starts[at] + 1 == position

    def truncate(self, end: int, heads: Frontier) -> None:
        """Take back all events from `end` on, here and in the graph; `heads` is what the heads were."""
        while self.starts and self.starts[-1] >= end:
            self.starts.pop()
            self.positions.pop()
            self.contents.pop()
            self.kinds.pop()
        if self.starts:
            count = end - self.starts[-1]
            if self.kinds[-1] == INSERT:
                self.contents[-1] = self.contents[-1][:count]
            elif count == 1:
                self.kinds[-1] = DELETE
        self.end = end
        self.graph.truncate(end, heads)
