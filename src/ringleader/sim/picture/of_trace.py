"""From the trace of a simulated run to a space-time diagram."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ringleader.ports import Sync
from ringleader.sim.picture import arrows_paxos, arrows_raft
from ringleader.sim.picture.diagram import Arrow, Diagram, Mark, Sign
from ringleader.sim.picture.svg import draw
from ringleader.sim.trace import Kind, TraceEvent, name_of

__all__ = ["message_words", "space_time"]

_SIGNS = {
    Kind.NOTE: Sign.NOTE,
    Kind.CRASH: Sign.CRASH,
    Kind.START: Sign.START,
    Kind.CALL: Sign.CALL,
    Kind.RETURN: Sign.RETURN,
    Kind.VIOLATION: Sign.VIOLATION,
}


def space_time(trace: Iterable[TraceEvent], title: str = "") -> str:
    """The SVG of a trace, the same bytes for the same trace. Every event is drawn: hand in the part worth seeing."""
    diagram = Diagram(title, {})
    actors: set[int] = set()
    for event in trace:
        actors.update(actor for actor in (event.node, event.peer) if actor)
        diagram.events.extend(_of_event(event))
    diagram.names = {actor: name_of(actor) for actor in sorted(actors)}
    return draw(diagram)


def _of_event(event: TraceEvent) -> list[Mark | Arrow]:
    time, node, detail = event.time, event.node, event.detail
    if event.kind in (Kind.DELIVER, Kind.LOSE):
        received = time if event.kind is Kind.DELIVER else None
        return [Arrow(event.sent, received, event.peer, node, message_words(detail), time)]
    if event.kind is Kind.DISK:
        syncs = sum(isinstance(op, Sync) for op in detail)
        return [Mark(time, node, Sign.SYNC, "")] if syncs else []
    if event.kind is Kind.COMMIT:
        first, last = detail
        return [Mark(time, node, Sign.COMMIT, f"commits {first}" + (f" to {last}" if last > first else ""))]
    text = detail if isinstance(detail, str) else _call_words(detail)
    if event.kind is Kind.ROLE:
        low = text.lower()
        role = Sign.LEADS if "leader of" in low else Sign.STANDS if "candidate" in low else Sign.FOLLOWS
        return [Mark(time, node, role, text)]
    sign = _SIGNS.get(event.kind)
    return [] if sign is None else [Mark(time, node if sign is not Sign.NOTE else 0, sign, text)]


def message_words(message: Any) -> str:
    """A message in a few words."""
    if isinstance(message, tuple) and len(message) == 2 and isinstance(message[0], int):
        message = message[1]  # the group stands before it
    words = arrows_raft.words(message) or arrows_paxos.words(message)
    if words:
        return words
    return message if isinstance(message, str) else type(message).__name__


def _call_words(detail: Any) -> str:
    """A client's command, or its command and answer."""
    if isinstance(detail, tuple):
        question, answer = detail
        result = answer[0] if isinstance(answer, list) else answer
        revision = getattr(result, "revision", None)
        told = type(result).__name__ if revision is None else f"revision {revision}"
        return f"{_call_words(question)}: {told}"
    key = getattr(detail, "key", None)
    if key is None and getattr(detail, "compares", None):
        key = detail.compares[0].key
    return type(detail).__name__.lower() + (f" {bytes(key).decode(errors='replace')}" if key is not None else "")
