"""Looking back: the text at an older version, what changed between two, and taking one's own edits back.

All three let the walker visit the events between the versions, set its prepare states to one of them, and read the
items.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

from ringleader.clock.version import VersionVector
from ringleader.crdt.text.graph import Frontier
from ringleader.crdt.text.oplog import INSERT, OpLog
from ringleader.crdt.text.replay import merge_edits, zone
from ringleader.crdt.text.rope import Rope
from ringleader.crdt.text.walker import Item, Walker

__all__ = [
    "Restored",
    "TextEdit",
    "TextPast",
    "apply_edits",
    "diff",
    "frontier_of",
    "inserted_places",
    "removed_places",
    "text_at",
]


class TextEdit(NamedTuple):
    """At `position` (in code points, the edits before it being made already) `removed` gives way to `inserted`."""

    position: int
    removed: str
    inserted: str


class TextPast(NamedTuple):
    """In place of a text as it was: the version it had. A text remembers; it is only worked out when somebody asks."""

    version: VersionVector


class Restored(NamedTuple):
    """An undo put back what a removal took: the `length` events from `first` on were undone by the inserts `by` ..."""

    first: int
    length: int
    by: int


def frontier_of(log: OpLog, vector: Mapping[bytes, int]) -> Frontier:
    """The version that includes, of each replica, its events up to `vector[replica]`."""
    graph = log.graph
    last: list[int] = []
    for number, name in enumerate(graph.names):
        lv = graph.last_at_most(number, vector.get(name, 0))
        if lv >= 0:
            last.append(lv)
    return graph.dominators(last)


def apply_edits(rope: Rope, log: OpLog, start: Frontier, end: Frontier) -> None:
    """Turn `rope`, the text of version `start`, into the text of `start` and `end` merged."""
    for kind, position, count, lv in merge_edits(log, start, end, rope.length):
        if kind == INSERT:
            rope.insert(position, log.content(lv, count))
        else:
            rope.delete(position, count)


def text_at(log: OpLog, base: str, version: Frontier) -> Rope:
    """The text of `version`, replayed from the base."""
    rope = Rope(base)
    apply_edits(rope, log, (), version)
    return rope


def _visited(log: OpLog, a: Frontier, b: Frontier) -> Walker:
    """A walker that has visited everything between the common past of `a` and `b` and both."""
    common, chunks = zone(log, a, b)
    walker = Walker(log, common, None)
    for start, end, parents in chunks:
        walker.visit(start, end, parents)
    return walker


def diff(log: OpLog, base: str, a: Frontier, b: Frontier) -> list[TextEdit]:
    """The edits, in ascending order, that turn the text of `a` into the text of `b`."""
    walker = _visited(log, a, b)
    walker.move_to(a)
    walker.move_to(b)  # from here on all items are cut where either version needs it
    walker.move_to(a)
    items = [item for block in walker.blocks for item in block.items]
    before = [item.state == 1 for item in items]
    walker.move_to(b)
    old, new = text_at(log, base, a), text_at(log, base, b)
    edits: list[TextEdit] = []
    position = taken = 0  # in the new text, in the old text
    for item, was in zip(items, before, strict=True):
        if was and item.state == 1:
            position += item.length
            taken += item.length
        elif was:
            _add(edits, position, old.slice(taken, taken + item.length), "")
            taken += item.length
        elif item.state == 1:
            _add(edits, position, "", new.slice(position, position + item.length))
            position += item.length
    return edits


def _add(edits: list[TextEdit], position: int, removed: str, inserted: str) -> None:
    if edits and edits[-1].position + len(edits[-1].inserted) == position:
        last = edits.pop()
        position, removed, inserted = last.position, last.removed + removed, last.inserted + inserted
    edits.append(TextEdit(position, removed, inserted))


def inserted_places(log: OpLog, lv: int, count: int, restored: list[Restored]) -> list[tuple[int, int]]:
    """Where the characters inserted by the `count` events from `lv` on stand now, as `(position, length)`, ascending.

    What was removed is not among them, unless an undo has put it back: then its copy is (`restored`, by lv).
    """
    walker = _visited(log, log.graph.parents_of(lv), log.graph.heads)
    walker.move_to(log.graph.heads)
    wanted = [(lv, lv + count)]
    for first, end in wanted:  # grows while we go: copies of copies
        for link in restored:
            if link.first >= lv:
                wanted += _copies(walker, link, first, end)
    for first, end in wanted:
        walker.cut(first)
        walker.cut(end)
    places: list[tuple[int, int]] = []
    position = 0
    for block in walker.blocks:
        for item in block.items:
            if item.removed:
                continue
            if any(first <= item.lv < end for first, end in wanted):
                places.append((position, item.length))
            position += item.length
    return places


def _copies(walker: Walker, link: Restored, first: int, end: int) -> list[tuple[int, int]]:
    """The inserts of `link` that put back characters with ids `[first, end)`."""
    copies: list[tuple[int, int]] = []
    for offset, length, target, step in walker.targets(link.first, link.length):
        low = target if step > 0 else target - length + 1
        start, stop = max(low, first), min(low + length, end)
        if start < stop:
            skip = start - low if step > 0 else low + length - stop
            copies.append((link.by + offset + skip, link.by + offset + skip + stop - start))
    return copies


def removed_places(log: OpLog, lv: int, count: int, restored: list[Restored]) -> list[tuple[int, int, int]]:
    """Where what the `count` removals from `lv` on took should be put back: `(position, offset, length)`, ascending.

    `offset` counts from the first of the removals. What somebody else removed as well is not among them. All removals
    of one call go forwards.
    """
    walker = _visited(log, log.graph.parents_of(lv), log.graph.heads)
    walker.move_to(log.graph.heads)
    copies = [
        (link.by + offset, length, target)
        for link in restored
        if link.first >= lv
        for offset, length, target, _ in walker.targets(link.first, link.length)
    ]
    for first, length, _ in copies:
        walker.cut(first)
        walker.cut(first + length)
    offsets: dict[int, int] = {}
    for offset, length, target, _ in walker.targets(lv, count):
        walker.cut(target)
        walker.cut(target + length)
        for first in walker.firsts(target, length):
            offsets[first] = offset + first - target
    items = [item for block in walker.blocks for item in block.items]
    return _places(items, offsets, copies)


def _places(
    items: list[Item], offsets: dict[int, int], copies: list[tuple[int, int, int]]
) -> list[tuple[int, int, int]]:
    """Positions for the removed items with ids in `offsets`, among what is visible.

    What an undo has put back stands, for this, where the removed original stood: else two neighbours that were removed
    one by one would come back in the wrong order.
    """
    ranks = {item.lv: rank for rank, item in enumerate(items)}
    ids = sorted(ranks)

    def rank_of(lv: int) -> tuple[int, int]:
        for first, length, target in reversed(copies):  # later copies first: a copy of a copy leads to the original
            if first <= lv < first + length:
                lv = target + lv - first
        owner = ids[bisect_right(ids, lv) - 1]
        return ranks[owner], lv - owner

    visible = [(item, rank_of(item.lv)) for item in items if not item.removed]
    starts = [0, *accumulate(item.length for item, _ in visible)]
    places: list[tuple[int, int, int]] = []
    before = 0  # visible items before this one
    for item in items:
        if not item.removed:
            before += 1
        elif item.lv in offsets and item.state == 2:
            at, rank = before, rank_of(item.lv)
            while at > 0 and visible[at - 1][1] > rank:
                at -= 1
            while at < len(visible) and visible[at][1] < rank:
                at += 1
            places.append((starts[at], offsets[item.lv], item.length))
    return sorted(places)
