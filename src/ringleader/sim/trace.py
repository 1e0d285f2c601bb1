"""What happened, event by event: cheap tuples while a seed runs, words when somebody asks.

A run keeps only the last events (a ring); a replay keeps all of them. Nothing is put into words before it is shown, so a
run that succeeds pays for one tuple per event.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

from ringleader.sim.terms import term_word

__all__ = ["FIRST_CLIENT", "Kind", "Trace", "TraceEvent", "name_of"]

FIRST_CLIENT = 101
"""Actors are numbered: nodes from 1, clients from here, 0 is the world itself."""


TERMS = frozenset(("term", "ballot", "promised"))
"""Fields of messages and entries that hold a term or ballot."""


class Kind(IntEnum):
    """What sort of thing happened."""

    NOTE = 0
    """Something the world did: a fault began or ended. `detail`: text."""
    DELIVER = 1
    """A message (`detail`) from `peer`, sent at `sent`, reached `node`."""
    LOSE = 2
    """A message (`detail`) from `peer`, sent at `sent`, never reached `node`."""
    DISK = 3
    """`node` carried out disk operations; `detail`: the list."""
    ROLE = 4
    """`node` changed its role, term or leader; `detail`: text."""
    COMMIT = 5
    """`node` learnt that entries are committed; `detail`: (first index, last index)."""
    CRASH = 6
    """`node` crashed; `detail`: text."""
    START = 7
    """`node` started; `detail`: text."""
    CALL = 8
    """Client `node` called; `detail`: the operation."""
    RETURN = 9
    """Client `node` got its answer; `detail`: the operation and the answer."""
    VIOLATION = 10
    """An invariant broke; `detail`: text."""


class TraceEvent(NamedTuple):
    """One event. `time` and `sent` are the world's seconds; `node` and `peer` number actors (see `FIRST_CLIENT`)."""

    time: float
    kind: Kind
    node: int
    peer: int
    detail: Any
    sent: float

    def line(self) -> str:
        """The event in words, one line."""
        return f"{self.time:10.6f}  {_sentence(self)}"


class Trace:
    """The events of a run: the last `keep` of them, or all (`keep` None)."""

    __slots__ = ("add", "ring")

    def __init__(self, keep: int | None = 400) -> None:
        self.ring: deque[tuple[float, Kind, int, int, Any, float]] = deque(maxlen=keep)
        self.add = self.ring.append
        """Add an event as a plain tuple with the fields of `TraceEvent`."""

    def __iter__(self) -> Iterator[TraceEvent]:
        return (TraceEvent(*event) for event in self.ring)

    def __len__(self) -> int:
        return len(self.ring)

    def between(self, since: float, until: float) -> Trace:
        """The events of that time alone (simulated seconds)."""
        part = Trace(None)
        part.ring.extend(event for event in self.ring if since <= event[0] <= until)
        return part

    def lines(self) -> Iterator[str]:
        """All kept events in words."""
        return (event.line() for event in self)

    def digest(self) -> str:
        """A hash over all kept events in words; two runs of one seed must agree."""
        summary = hashlib.sha256()
        for line in self.lines():
            summary.update(line.encode())
        return summary.hexdigest()


def name_of(actor: int) -> str:
    """`n1`, `c1` ... or `world`."""
    if actor == 0:
        return "world"
    return f"n{actor}" if actor < FIRST_CLIENT else f"c{actor - FIRST_CLIENT + 1}"


def _sentence(event: TraceEvent) -> str:
    name, kind = name_of(event.node), event.kind
    if kind is Kind.DELIVER:
        return f"{name} <- {name_of(event.peer)}  {_brief(event.detail)}  (sent {event.sent:.6f})"
    if kind is Kind.LOSE:
        return f"{name} <- {name_of(event.peer)}  LOST {_brief(event.detail)}  (sent {event.sent:.6f})"
    if kind is Kind.DISK:
        return f"{name} disk: {', '.join(_brief(op) for op in event.detail)}"
    if kind is Kind.COMMIT:
        first, last = event.detail
        return f"{name} committed {first}" + (f" to {last}" if last > first else "")
    words = {Kind.CRASH: "CRASHED ", Kind.START: "started ", Kind.CALL: "calls ", Kind.RETURN: "has the answer ",
             Kind.VIOLATION: "VIOLATION "}.get(kind, "")  # fmt: skip
    return f"{name} {words}{event.detail if isinstance(event.detail, str) else _brief(event.detail)}"


def _brief(value: Any) -> str:
    """A value in few words: long bytes and lists are only counted."""
    if isinstance(value, bytes | bytearray | memoryview | msgspec.Raw):
        data = bytes(value)
        return repr(data) if len(data) <= 24 else f"<{len(data)} bytes>"
    if isinstance(value, list | tuple):
        parts = [_brief(item) for item in value[:6]]
        if len(value) > 6:
            parts.append(f"... {len(value)} in all")
        return "[" + ", ".join(parts) + "]"
    fields = getattr(value, "__struct_fields__", None)
    if fields is None:
        return repr(value) if not callable(value) else type(value).__name__
    defaults = value.__struct_defaults__
    shown = []
    for place, name in enumerate(fields):
        item, back = getattr(value, name), place - len(fields) + len(defaults)
        if back < 0 or not _is_default(item, defaults[back]):
            shown.append(f"{name}={term_word(item) if name in TERMS and isinstance(item, int) else _brief(item)}")
    return f"{type(value).__name__}({', '.join(shown)})"


def _is_default(item: Any, default: Any) -> bool:
    """Whether a field says nothing: it has its default (an empty list's is a factory)."""
    return (isinstance(item, int | bytes | str) and item == default) or item == [] or item is default
