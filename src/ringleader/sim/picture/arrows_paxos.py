"""Paxos's messages in the few words that stand beside an arrow."""

from __future__ import annotations

from collections.abc import Sequence

from ringleader.consensus.paxos.ballot import ballot_word
from ringleader.consensus.paxos.messages import (
    Accept,
    Accepted,
    Canvass,
    CanvassReply,
    Chosen,
    Learn,
    Offer,
    Prepare,
    Promise,
    Refused,
    Run,
    TakeOver,
)

__all__ = ["words"]


def words(message: object) -> str:
    """A message in a few words; "" for what is none of Paxos's."""
    match message:
        case Canvass(ballot=ballot):
            return f"would promise {ballot_word(ballot)}?"
        case CanvassReply(granted=granted):
            return f"would{'' if granted else ' not'} promise"
        case Prepare(ballot=ballot):
            return f"prepare {ballot_word(ballot)}"
        case Promise(ballot=ballot, runs=runs):
            return f"promise {ballot_word(ballot)}" + _found(runs)
        case Refused(promised=promised):
            return f"refused: promised {ballot_word(promised)}"
        case Accept(entries=[]):
            return f"chosen up to {message.commit}"
        case Accept(first=first, entries=entries):
            return f"accept {_span(first, first + len(entries) - 1)} in {ballot_word(message.ballot)}"
        case Accepted(upto=upto, islands=islands):
            return f"accepted to {upto}" + "".join(f", {_span(*island)}" for island in islands)
        case Learn(first=first):
            return f"what is chosen from {first}?"
        case Chosen(first=first, entries=entries):
            return f"chosen: {_span(first, first + len(entries) - 1)}"
        case Offer(meta=meta):
            return f"snapshot to {meta.index}"
        case TakeOver():
            return "take over"
    return ""


def _span(first: int, last: int) -> str:
    return f"{first}" + (f" to {last}" if last > first else "")


def _found(runs: Sequence[Run]) -> str:
    spans = [f"{_span(run.first, run.first + len(run.entries) - 1)} in {ballot_word(run.ballot)}" for run in runs]
    return f", has {', '.join(spans)}" if spans else ""
