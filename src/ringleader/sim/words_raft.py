"""Raft in words: its entries, records, messages and roles, whole enough to follow an argument by."""

from __future__ import annotations

import msgspec

from ringleader.consensus.raft import Raft
from ringleader.consensus.raft.messages import (
    Append,
    AppendReply,
    InstallSnapshot,
    RaftMessage,
    SnapshotReply,
    TimeoutNow,
    Vote,
    VoteReply,
)
from ringleader.consensus.raft.records import HARD, RESET
from ringleader.consensus.shape import Entry, Record, Role
from ringleader.sim.picture import Sign
from ringleader.sim.words import Stance, Words, entry_word

__all__ = ["RAFT_WORDS"]


def _entry(entry: Entry) -> str:
    return entry_word(entry, str(entry.term))


def _record(record: Record) -> str:
    """What a record of a core says."""
    if record.kind == HARD:
        term, vote = msgspec.msgpack.decode(record.payload, type=tuple[int, int])
        return f"term {term}" + (f", vote for n{vote}" if vote else ", no vote")
    if record.kind == RESET:
        index, _ = msgspec.msgpack.decode(record.payload, type=tuple[int, int])
        return f"that its log begins after entry {index}"
    first, entries = msgspec.msgpack.decode(record.payload, type=tuple[int, list[Entry]])
    return f"{_entries(first, entries)}"


def _message(message: RaftMessage) -> str:
    """What a message says."""
    match message:
        case Append(entries=[]):
            return f"heartbeat of term {message.term}, log agrees at {message.prev_index}? commit {message.commit}"
        case Append(term=term, prev_index=previous, prev_term=of, entries=entries, commit=commit):
            return (
                f"append {_entries(previous + 1, entries)} after {previous} of term {of}, commit {commit} (term {term})"
            )
        case AppendReply(ok=True):
            return f"I have all up to {message.index} on disk (term {message.term})"
        case AppendReply(rejected=0, index=0):
            return f"refused: the term is {message.term}"
        case AppendReply():
            return f"refused: no such entry {message.rejected}; try after {message.index} (term {message.term})"
        case Vote(pre=pre):
            ask = "would you vote for me" if pre else "vote for me"
            return f"{ask} in term {message.term}? My log ends at {message.last_index}, term {message.last_term}"
        case VoteReply(granted=True, pre=pre):
            return f"{'I would' if pre else 'my vote is yours'} (term {message.term})"
        case VoteReply(pre=pre):
            return f"no{', I would not' if pre else ''} (term {message.term})"
        case InstallSnapshot():
            return f"snapshot of entries 1 to {message.meta.index} (term {message.term})"
        case SnapshotReply():
            return f"I have all up to {message.index} on disk (term {message.term})"
        case TimeoutNow():
            return f"stand for election now (term {message.term})"


def _entries(first: int, entries: list[Entry]) -> str:
    last = first + len(entries) - 1
    words = " ".join(map(_entry, entries))
    return f"entry {first} [{words}]" if first == last else f"entries {first} to {last} [{words}]"


def _routine(message: RaftMessage) -> bool:
    return (type(message) is AppendReply and message.ok) or (type(message) is Append and not message.entries)


def _stance(core: Raft) -> Stance:
    return Stance(core.role, int(core.pre), core.term, core.leader)


def _role(core: Raft) -> tuple[str, str, Sign]:
    if core.role is Role.LEADER:
        return f"LEADS term {core.term}", f"leader of term {core.term}", Sign.LEADS
    if core.role is Role.CANDIDATE and core.pre:
        text = f"asks whether it would win term {core.term + 1} (it stays in term {core.term})"
        return text, f"would I win term {core.term + 1}?", Sign.STANDS
    if core.role is Role.CANDIDATE:
        return f"stands for election in term {core.term}", f"candidate in term {core.term}", Sign.STANDS
    text = f"follows n{core.leader} in term {core.term}" if core.leader else f"is a follower in term {core.term}"
    return text, text.removeprefix("is a "), Sign.FOLLOWS


def _restarted(core: Raft) -> str:
    return f"term {core.term}" + (f", vote for n{core.vote}" if core.vote else "")


def _log(core: Raft) -> str:
    log, commit = core.log, core.commit
    parts = [f"(snapshot to {log.offset})"] if log.offset else []
    for index, entry in enumerate(log.slice(log.first, log.last), log.first):
        if index == commit + 1:
            parts.append("|")
        parts.append(_entry(entry))
    if commit == log.last:
        parts.append("|")
    return " ".join(parts)


RAFT_WORDS = Words(
    slot="entry",
    slots="entries",
    takes="as entry",
    message=_message,
    routine=_routine,
    record=_record,
    stance=_stance,
    role=_role,
    led=lambda core: f"leads term {core.term}; all have entry 1 [1.-]",
    restarted=_restarted,
    term=lambda core: f"term {core.term}",
    log=_log,
    entry=_entry,
    decided=("commits {span}", "commits {span}"),
)
