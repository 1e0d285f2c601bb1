"""Raft's entries, records and messages in words, whole enough to follow an argument by."""

from __future__ import annotations

import msgspec

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
from ringleader.consensus.shape import Config, Entry, EntryKind, Record, decode_config

__all__ = ["entry_word", "message_sentence", "record_sentence"]


def entry_word(entry: Entry) -> str:
    """`term.command`, as `2.x`; a no-op is `2.-`, a configuration `2.{1 2 3}`."""
    if entry.kind == EntryKind.NOOP:
        what = "-"
    elif entry.kind == EntryKind.CONFIG:
        what = config_word(decode_config(entry.data))
    else:
        what = entry.data.decode(errors="replace")
    return f"{entry.term}.{what}"


def config_word(config: Config) -> str:
    """`{1 2 3}`; `{1 2 3 & 1 4 5}` while majorities of both decide; `{1 2 3 +4}` with a learner."""

    def ids(members: tuple[int, ...]) -> str:
        return " ".join(map(str, members))

    voters = f"{ids(config.outgoing)} & {ids(config.voters)}" if config.outgoing else ids(config.voters)
    return "{" + voters + "".join(f" +{id}" for id in config.learners) + "}"


def record_sentence(record: Record) -> str:
    """What a record of a core says."""
    if record.kind == HARD:
        term, vote = msgspec.msgpack.decode(record.payload, type=tuple[int, int])
        return f"term {term}" + (f", vote for n{vote}" if vote else ", no vote")
    if record.kind == RESET:
        index, _ = msgspec.msgpack.decode(record.payload, type=tuple[int, int])
        return f"that its log begins after entry {index}"
    first, entries = msgspec.msgpack.decode(record.payload, type=tuple[int, list[Entry]])
    return f"{_entries(first, entries)}"


def message_sentence(message: RaftMessage) -> str:
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
    words = " ".join(map(entry_word, entries))
    return f"entry {first} [{words}]" if first == last else f"entries {first} to {last} [{words}]"
