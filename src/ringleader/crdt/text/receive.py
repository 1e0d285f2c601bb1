"""Taking in what another replica tells: its events into our log, and what they mean into our text.

Nothing is changed before everything is known to fit: events that a faulty peer made up are taken out again.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import NamedTuple

from ringleader.crdt.text.graph import Frontier
from ringleader.crdt.text.oplog import INSERT, OpLog
from ringleader.crdt.text.part import Base, Dot, TextPart
from ringleader.crdt.text.replay import BeyondEndError, Zone, merge
from ringleader.crdt.text.rope import Rope
from ringleader.crdt.text.walker import Edit
from ringleader.crdt.wire import bad

__all__ = ["Arrival", "adopt_whole", "carry_out", "prepare"]


NO_ENDS: Mapping[Dot, int] = {}


class _UnknownParentError(Exception):
    """A chain builds on an event that is not here."""


class Arrival(NamedTuple):
    """Events that are in the log already, and what they mean for the text: `edits`; `zone`, for the next merge.

    `end`, `heads`: the log before, to take the events out again.
    """

    edits: list[Edit]
    zone: Zone | None
    end: int
    heads: Frontier


def prepare(log: OpLog, length: int, base: Base, part: TextPart, kept: Zone | None) -> Arrival:
    """Add the events of `part` that are new here to `log`, and work out what they mean for the text of that `length`.

    `kept`: the zone of the last arrival, if nothing was taken out of the log since. It is spent even after an error.
    Raises `DecodeError`, and changes nothing, for events that no honest replica can have made.
    """
    end, heads = log.end, log.graph.heads
    try:
        _add_events(log, base, part)
        return Arrival(*merge(log, heads, log.graph.heads, length, kept), end, heads)
    except _UnknownParentError:
        log.truncate(end, heads)
        bad("an event builds on one that its sender claims we have, and we have not")
    except BeyondEndError:
        log.truncate(end, heads)
        bad("an event's position is beyond the end of the text that its author saw")


def carry_out(arrival: Arrival, log: OpLog, rope: Rope) -> None:
    """Make the edits."""
    for kind, position, count, lv in arrival.edits:
        if kind == INSERT:
            rope.insert(position, log.content(lv, count))
        else:
            rope.delete(position, count)


def _add_events(log: OpLog, base: Base, part: TextPart) -> None:
    graph = log.graph
    told = 0
    for replica, n, count, parents in part.chains:
        known = max(min(max(graph.last_seq(replica), base.version.get(replica, 0)) - n + 1, count), 0)
        if known < count:
            version: Frontier
            if known:
                lv = graph.lv_of(replica, n + known - 1)
                version = _frontier(log, base, ((replica, n + known - 1),)) if lv < 0 else (lv,)
            else:
                version = _frontier(log, base, parents)
            graph.add(replica, n + known, count - known, version)
            for kind, position, lv, length in part.log.runs(told + known, told + count):
                log.push(kind, position, length, part.log.content(lv, length) if kind == INSERT else "")
        told += count


def _frontier(log: OpLog, base: Base, parents: tuple[Dot, ...], ends: Mapping[Dot, int] = NO_ENDS) -> Frontier:
    """The local version meant by `parents`; the base's heads are the beginning here."""
    graph = log.graph
    if len(parents) == 1:
        lv = graph.lv_of(*parents[0])
        if lv >= 0:
            return (lv,)
    if len(parents) == len(base.heads) and set(parents) == set(base.heads):
        return ()
    found = [ends[parent] if parent in ends else graph.lv_of(*parent) for parent in parents]
    if min(found, default=-1) < 0:
        raise _UnknownParentError
    found.sort()
    heads = graph.heads
    for k in range(len(found) - 1):
        if found[k] not in heads or found[k] == found[k + 1]:
            return graph.dominators(found)
    return tuple(found)  # what is a head is in nobody's past, and the newest is in no older one's


def adopt_whole(part: TextPart) -> OpLog:
    """A log with all events of a whole state, for a replica that has none: nothing is replayed."""
    log = OpLog()
    add = log.graph.add
    ends: dict[Dot, int] = {}  # the last events of chains: what nearly all others build on
    for replica, n, count, parents in part.chains:
        if len(parents) == 1 and (lv := ends.get(parents[0])) is not None:
            version: Frontier = (lv,)
        else:
            try:
                version = _frontier(log, part.base, parents, ends)
            except _UnknownParentError:
                bad("an event builds on one that is not in this state")
        ends[replica, n + count - 1] = add(replica, n, count, version) + count - 1
    source = part.log
    log.starts = array("q", source.starts)
    log.kinds = bytearray(source.kinds)
    log.positions = array("q", source.positions)
    log.contents = list(source.contents)
    log.end = source.end
    return log
