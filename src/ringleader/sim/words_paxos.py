"""Paxos in words: its ballots, records, messages and roles, whole enough to follow an argument by.

A ballot is written `2n3`: round 2 of member n3. An entry is written with the ballot in which it was born: `2n3.x`; where it
is not known to be chosen and was accepted in another one, that stands behind it: `1n1.x@2n3`. A hole is `_`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ringleader.consensus.paxos import Paxos
from ringleader.consensus.paxos.ballot import ballot_word
from ringleader.consensus.paxos.messages import (
    Accept,
    Accepted,
    Canvass,
    CanvassReply,
    Chosen,
    Learn,
    Offer,
    PaxosMessage,
    Prepare,
    Promise,
    Refused,
    Run,
    TakeOver,
)
from ringleader.consensus.paxos.records import ACCEPT, CHOSEN, PROMISE
from ringleader.consensus.shape import Entry, Record, Role
from ringleader.sim.picture import Sign
from ringleader.sim.words import Stance, Words, entry_word, span_words

__all__ = ["PAXOS_WORDS"]


def _entry(entry: Entry) -> str:
    return entry_word(entry, ballot_word(entry.term))


def _slots(first: int, entries: Sequence[Entry]) -> str:
    last = first + len(entries) - 1
    return f"slot{'s' if last > first else ''} {span_words(first, last)} [{' '.join(map(_entry, entries))}]"


def _record(record: Record) -> str:
    if record.kind == PROMISE:
        ballot, _, _ = msgspec.msgpack.decode(record.payload, type=tuple[int, int, int])
        return f"the promise of {ballot_word(ballot)}"
    if record.kind == ACCEPT:
        ballot, first, _, entries = msgspec.msgpack.decode(record.payload, type=tuple[int, int, int, list[Entry]])
        return f"{_slots(first, entries)} as accepted in {ballot_word(ballot)}"
    if record.kind == CHOSEN:
        first, entries = msgspec.msgpack.decode(record.payload, type=tuple[int, list[Entry]])
        return f"{_slots(first, entries)} as chosen"
    slot, _ = msgspec.msgpack.decode(record.payload, type=tuple[int, int])
    return f"that its log begins after slot {slot}"


def _message(message: PaxosMessage) -> str:
    ballot = ballot_word(message.ballot)
    match message:
        case Canvass():
            return f"would you promise {ballot}? I know all that is chosen up to {message.commit}"
        case CanvassReply(granted=True):
            return f"I would promise {ballot}"
        case CanvassReply():
            return f"no, I would not promise {ballot}"
        case Prepare(first=first, force=force):
            return f"prepare {ballot}, from slot {first} on" + (", by order of the leader" if force else "")
        case Promise(runs=runs, more=more):
            rest = f"; to be asked again from slot {more} on" if more else ""
            return f"promise {ballot}; chosen up to {message.commit}; accepted: {_report(runs)}{rest}"
        case Refused():
            return f"refuses {ballot}: I have promised {ballot_word(message.promised)}"
        case Accept(entries=[]):
            return f"heartbeat of {ballot}, chosen up to {message.commit}"
        case Accept(first=first, entries=entries):
            return f"accept {_slots(first, entries)} in {ballot}; chosen up to {message.commit}"
        case Accepted(upto=upto, islands=islands):
            beyond = "".join(f", and {span_words(*island)}" for island in islands)
            return f"accepted in {ballot}: all up to {upto}{beyond}"
        case Learn(first=first):
            return f"what was chosen from slot {first} on?"
        case Chosen(first=first, entries=entries):
            return f"chosen: {_slots(first, entries)}"
        case Offer(meta=meta):
            return f"I have a snapshot of slots 1 to {meta.index}"
        case TakeOver():
            return f"stand for election now (ballot {ballot})"


def _report(runs: Sequence[Run]) -> str:
    words = [f"{_slots(run.first, run.entries)} in {ballot_word(run.ballot)}" for run in runs]
    return ", ".join(words) or "nothing above"


def _routine(message: PaxosMessage) -> bool:
    return type(message) is Accepted or (type(message) is Accept and not message.entries)


def _stance(core: Paxos) -> Stance:
    return Stance(core.role, core.canvassed, core.term, core.leader)


def _role(core: Paxos) -> tuple[str, str, Sign]:
    ballot = ballot_word(core.term)
    if core.role is Role.LEADER:
        return f"LEADS in ballot {ballot}", f"leader in {ballot}", Sign.LEADS
    if core.role is Role.CANDIDATE and core.canvassed:
        wanted = ballot_word(core.canvassed)
        return (
            f"asks who would promise {wanted} (it has promised {ballot})",
            f"who would promise {wanted}?",
            Sign.STANDS,
        )
    if core.role is Role.CANDIDATE:
        return f"stands for election in ballot {ballot}: phase 1", f"phase 1 of {ballot}", Sign.STANDS
    text = f"follows n{core.leader} in ballot {ballot}" if core.leader else f"has promised {ballot}, and follows nobody"
    return text, f"follows n{core.leader} in {ballot}" if core.leader else f"promised {ballot}", Sign.FOLLOWS


def _log(core: Paxos) -> str:
    log, commit = core.log, core.commit
    parts = [f"(snapshot to {log.offset})"] if log.offset else []
    for slot, entry in enumerate(log.slice(log.first, log.last), log.first):
        if slot == commit + 1:
            parts.append("|")
        ballot = log.ballot(slot)
        if not ballot:
            parts.append("_")
        else:
            parts.append(_entry(entry) + (f"@{ballot_word(ballot)}" if slot > commit and ballot != entry.term else ""))
    if commit == log.last:
        parts.append("|")
    return " ".join(parts)


PAXOS_WORDS = Words(
    slot="slot",
    slots="slots",
    takes="for slot",
    message=_message,
    routine=_routine,
    record=_record,
    stance=_stance,
    role=_role,
    led=lambda core: f"leads in ballot {ballot_word(core.term)}; slot 1 [{_entry(core.log.at(1))}] is chosen, all know",
    restarted=lambda core: f"promised {ballot_word(core.term)}",
    term=lambda core: f"promised {ballot_word(core.term)}",
    log=_log,
    entry=_entry,
    decided=("knows to be chosen: {span}", "chosen: {span}"),
)
