"""Dropping history that every member has seen.

An event that everybody has (it is *causally stable*) can only be the past of what is still to come. Where the stable
part of the history ends in a critical version, all of it can be replaced by the text at that version: the walker would
not look behind it anyway. Baquero, Almeida & Shoker, "Pure Operation-Based Replicated Data Types" (2017), on causal
stability.
"""

from __future__ import annotations

from ringleader.clock.version import VersionVector
from ringleader.crdt.text.history import text_at
from ringleader.crdt.text.oplog import INSERT, OpLog
from ringleader.crdt.text.part import Base

__all__ = ["drop_history"]


def drop_history(log: OpLog, base: Base, stable: VersionVector) -> tuple[OpLog, Base]:
    """The log without, and the base with, what lies before the newest critical version within `stable`."""
    end = _critical_end(log, stable)
    if not end:
        return log, base
    graph = log.graph
    version = dict(base.version)
    new = OpLog()
    for row, start in enumerate(graph.starts):
        stop = graph.ends[row]
        name, seq = graph.names[graph.entry_agents[row]], graph.seqs[row]
        if start < end:
            version[name] = seq + min(stop, end) - start - 1
        if stop > end:
            first = max(start, end)
            parents = graph.parents_of(first)
            kept = tuple(parent - end for parent in parents if parent >= end)
            new.graph.add(name, seq + first - start, stop - first, kept)
    for kind, position, lv, count in log.runs(end, log.end):
        new.push(kind, position, count, log.content(lv, count) if kind == INSERT else "")
    text = str(text_at(log, base.text, (end - 1,)))
    return new, Base(text, (graph.id_of(end - 1),), version)


def _critical_end(log: OpLog, stable: VersionVector) -> int:
    """The end of the longest beginning of the log that is stable and ends in a critical version with one head."""
    graph = log.graph
    beyond = graph.spans_beyond(stable)
    limit = beyond[0][0] if beyond else log.end  # the first event that is not stable
    lowest = [0] * len(graph.starts)  # for each entry the earliest event that a later entry builds on
    low = log.end
    for row in range(len(graph.starts) - 1, -1, -1):
        lowest[row] = low
        low = min(low, min(graph.parents[row], default=-1))
    best = 0
    frontier: tuple[int, ...] = ()
    for row, start in enumerate(graph.starts):
        if start >= limit:
            break
        parents = graph.parents[row]
        last = graph.ends[row] - 1
        if parents == frontier:
            critical = min(last, lowest[row], limit - 1)
            if critical >= start:
                best = critical + 1
            frontier = (last,)
        else:
            frontier = (*(lv for lv in frontier if lv not in parents), last)
    return best
