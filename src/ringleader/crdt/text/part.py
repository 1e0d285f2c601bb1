"""What one replica tells another about a text: events in a canonical order, and for a whole state the finished text.

Events are told as *chains* (runs by one replica, each event made right after the one before) in an order that depends
on the events alone, so that equal versions give equal bytes wherever and in whatever order the events arrived: a chain
comes after the chains it builds on; where several may come, the latest to become possible is first (so that branches
stay together, which spares the walker moves), and among those the smallest id.

Packed: `[chains, runs, positions, content, base, snapshot]`

* chains: for each `replica index, first n, count, number of parents, parents as dots ...` in one flat list
* runs: for each run of the log `count * 3 + kind`; positions: the distance from where the run before it ended
* content: all that was inserted, in order; snapshot: the finished text (nil in a delta)
* base: nil, or what replaces dropped history: `[text, heads as dots, for each replica how many events are in it]`
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

from ringleader.clock.version import VersionVector
from ringleader.crdt.text.graph import CausalGraph, Span
from ringleader.crdt.text.oplog import BACKSPACE, DELETE, INSERT, OpLog
from ringleader.crdt.wire import Decoder, Encoder, bad

__all__ = ["Base", "Chain", "Dot", "TextPart", "export"]

Dot = tuple[bytes, int]
"""An event's id: replica, and its number there from 1."""

Chain = tuple[bytes, int, int, tuple[Dot, ...]]
"""`(replica, first n, count, parents of the first)`; no parents: the beginning (or the base)."""

_MAX = 1 << 40  # characters or events; positions beyond cannot be honest


class Base:
    """What stands in for dropped history: the text there, its version, and the ids of its heads."""

    __slots__ = ("heads", "text", "version")

    def __init__(self, text: str = "", heads: tuple[Dot, ...] = (), version: Mapping[bytes, int] | None = None) -> None:
        self.text = text
        self.heads = heads
        self.version = VersionVector(version or {})


class TextPart:
    """Chains, and their operations as columns of a log (its graph is not used). Never changed once made."""

    __slots__ = ("base", "chains", "log", "snapshot")

    def __init__(self, chains: list[Chain], log: OpLog, base: Base, snapshot: str | None) -> None:
        self.chains = chains
        self.log = log
        self.base = base
        self.snapshot = snapshot

    def pack(self, out: Encoder) -> list[Any]:
        """As lists, ints and strings."""
        flat: list[int] = []
        for replica, n, count, parents in self.chains:
            flat += (out.replica(replica), n, count, len(parents))
            flat += [out.dot(*parent) for parent in parents]
        runs: list[int] = []
        positions: list[int] = []
        expected = 0
        for kind, position, _, count in self.log.runs(0, self.log.end):
            runs.append(count * 3 + kind)
            positions.append(position - expected)
            expected = position + (count if kind == INSERT else 0 if kind == DELETE else 1 - count)
        base: list[Any] | None = None
        if self.base.heads:
            counts = [self.base.version.get(replica, 0) for replica in out.replicas]
            base = [self.base.text, [out.dot(*head) for head in self.base.heads], counts]
        return [flat, runs, positions, "".join(self.log.contents), base, self.snapshot]

    @staticmethod
    def parse(raw: Any, source: Decoder) -> TextPart:
        """The reverse of `pack`; every shape and bound is checked. Raises `DecodeError`."""
        flat, runs, positions, content, base, snapshot = source.array(raw, 6)
        if type(content) is not str or (snapshot is not None and type(snapshot) is not str):
            bad("a text's content is not a string")
        log = _parse_log(source.array(runs), source.array(positions), content)
        chains, total = _parse_chains(source.array(flat), source)
        if total != log.end:
            bad(f"{total} events but {log.end} operations")
        part = TextPart(chains, log, _parse_base(base, source), snapshot)
        if snapshot is not None:
            inserted = len(content) + len(part.base.text)
            if not max(0, inserted - (log.end - len(content))) <= len(snapshot) <= inserted:
                bad("the finished text cannot come from these operations")
        return part


def _parse_log(runs: list[Any], positions: list[Any], content: str) -> OpLog:
    if len(runs) != len(positions) or not set(map(type, runs)) | set(map(type, positions)) <= {int}:
        bad("runs and positions do not match")
    log = OpLog()
    if not runs:
        if content:
            bad("content without operations")
        return log
    if min(runs) < 3 or max(runs) > _MAX or min(positions) < -_MAX or max(positions) > _MAX:
        bad("a run or position is out of range")
    log.kinds = bytearray([run % 3 for run in runs])
    counts = [run // 3 for run in runs]
    ends = list(accumulate(counts))
    if ends[-1] > _MAX:
        bad("too many events")
    log.end = ends[-1]
    log.starts = array("q", [0, *ends[:-1]])
    expected = taken = 0
    places: list[int] = []
    contents: list[str] = []
    for kind, count, distance in zip(log.kinds, counts, positions, strict=True):
        position = expected + distance
        lowest = position
        if kind == INSERT:
            contents.append(content[taken : taken + count])
            taken += count
            expected = position + count
        else:
            contents.append("")
            if kind == BACKSPACE:
                lowest = position - count + 1
            expected = lowest
        if lowest < 0 or position > _MAX:
            bad("a position is out of range")
        places.append(position)
    if taken != len(content):
        bad("the content does not match the operations")
    log.positions = array("q", places)
    log.contents = contents
    return log


def _parse_chains(flat: list[Any], source: Decoder) -> tuple[list[Chain], int]:
    if not set(map(type, flat)) <= {int}:
        bad("a chain is not made of integers")
    chains: list[Chain] = []
    last: dict[int, int] = {}
    total = at = 0
    size, replicas = len(flat), source._width
    names, counts = source._replicas, source._counts
    while at < size:
        if size - at < 4:
            bad("a chain is cut short")
        index, n, count, width = flat[at : at + 4]
        at += 4
        if not (0 <= index < replicas and 0 < count <= _MAX and last.get(index, 0) < n and 0 <= width <= size - at):
            bad("a chain is out of range")
        end = n + count - 1
        if end > counts[index]:
            bad("a dot lies beyond the message's version")
        parents: list[Dot] = []
        for raw in flat[at : at + width]:  # as `Decoder.dot`, which is too slow for what there are most of
            m, other = divmod(raw, replicas)
            if m < 1 or m > counts[other]:
                bad("a dot lies beyond the message's version")
            if other == index and m >= n:
                bad("a chain builds on itself")
            parents.append((names[other], m))
        if width > 1 and len(set(parents)) != width:
            bad("a chain builds on one event twice")
        chains.append((names[index], n, count, tuple(parents)))
        last[index] = end
        total += count
        at += width
    return chains, total


def _parse_base(raw: Any, source: Decoder) -> Base:
    if raw is None:
        return Base()
    text, heads, counts = source.array(raw, 3)
    if type(text) is not str:
        bad("a base's text is not a string")
    dots = tuple(source.dot(dot) for dot in source.array(heads))
    if not dots:
        bad("a base without heads")
    version = {}
    for index, n in enumerate(source.array(counts, source._width)):
        if source.integer(n, 0, _MAX):
            version[source.dot(n * source._width + index)[0]] = n
    return Base(text, dots, version)


def export(log: OpLog, base: Base, since: Mapping[bytes, int] | None, snapshot: str | None) -> TextPart:
    """The part that tells the events beyond `since` (None: all) in canonical order."""
    graph = log.graph
    spans = graph.spans_beyond(since or {})
    chains: list[Chain] = []
    told = OpLog()
    for pieces in _in_order(graph, _chains(graph, spans)):
        start = pieces[0][0]
        replica, n = graph.id_of(start)
        parents = tuple(sorted(graph.id_of(parent) for parent in graph.parents_of(start)))
        if not parents:
            parents = base.heads
        chains.append((replica, n, sum(end - start for start, end in pieces), parents))
        for piece in pieces:
            for kind, position, lv, count in log.runs(*piece):
                told.push(kind, position, count, log.content(lv, count) if kind == INSERT else "")
    return TextPart(chains, told, base if since is None else Base(), snapshot)


def _chains(graph: CausalGraph, spans: Iterable[Span]) -> list[list[Span]]:
    """The spans cut at entries and joined to the longest chains, each a list of spans."""
    chains: list[list[Span]] = []
    open_at: dict[int, list[Span]] = {}  # last event of a chain -> the chain
    for start, end in spans:
        at = graph.entry_at(start)
        while start < end:
            stop = min(end, graph.ends[at])
            parents = graph.parents[at] if start == graph.starts[at] else (start - 1,)
            chain = None
            if len(parents) == 1 and (chain := open_at.get(parents[0])) is not None:
                name, n = graph.id_of(parents[0])
                chain = chain if graph.id_of(start) == (name, n + 1) else None
            if chain is None:
                chain = []
                chains.append(chain)
            else:
                del open_at[parents[0]]
            chain.append((start, stop))
            open_at[stop - 1] = chain
            start = stop
            at += 1
    return chains


def _in_order(graph: CausalGraph, chains: list[list[Span]]) -> list[list[Span]]:
    """Chains in the canonical order of the module's docstring."""
    if len(chains) < 2:
        return chains
    places = sorted((start, end, row) for row, chain in enumerate(chains) for start, end in chain)
    starts = [start for start, _, _ in places]
    waiting = [0] * len(chains)
    children: list[list[int]] = [[] for _ in chains]
    for row, chain in enumerate(chains):
        on: set[int] = set()
        for parent in graph.parents_of(chain[0][0]):
            at = bisect_right(starts, parent) - 1
            if at >= 0 and parent < places[at][1]:
                on.add(places[at][2])
        waiting[row] = len(on)
        for other in on:
            children[other].append(row)

    def by_id(row: int) -> Dot:
        return graph.id_of(chains[row][0][0])

    stack = sorted((row for row in range(len(chains)) if not waiting[row]), key=by_id, reverse=True)
    ordered: list[list[Span]] = []
    while stack:
        row = stack.pop()
        ordered.append(chains[row])
        ready = []
        for child in children[row]:
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
        ready.sort(key=by_id, reverse=True)
        stack += ready
    return ordered
