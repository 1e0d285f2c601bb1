"""Raft's own typed records: what it writes to the log, and how replaying them rebuilds a log.

Three kinds: HARD (term and vote), ENTRIES (first index and entries; replaces everything from that index on) and RESET (the
log begins anew after an installed snapshot).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ringleader.consensus.raft.entries import EntryLog
from ringleader.consensus.shape import Entry, Record, SnapshotMeta

__all__ = ["ENTRIES", "HARD", "KINDS", "RESET", "Replayed", "entries_record", "hard_record", "replay", "reset_record"]

HARD, ENTRIES, RESET = 1, 2, 3
KINDS = {HARD: "term and vote", ENTRIES: "entries", RESET: "reset"}
"""What the kinds of records are, for people; no other protocol uses these numbers."""

_encode = msgspec.msgpack.Encoder().encode
_hard = msgspec.msgpack.Decoder(tuple[int, int])
_entries = msgspec.msgpack.Decoder(tuple[int, list[Entry]])
_reset = msgspec.msgpack.Decoder(tuple[int, int])


def hard_record(term: int, vote: int) -> Record:
    """Term and vote, in one record so that no crash can part them (hazard: two separate writes)."""
    return Record(HARD, _encode((term, vote)))


def entries_record(first: int, entries: Sequence[Entry]) -> Record:
    """Entries from index `first` on; whatever the log held from there is thereby cut off."""
    return Record(ENTRIES, _encode((first, entries)))


def reset_record(index: int, term: int) -> Record:
    """The log starts anew after the snapshot at `index`."""
    return Record(RESET, _encode((index, term)))


class Replayed(msgspec.Struct):
    """What the records on disk add up to. `rebased`: the snapshot replaced a log that did not lead to it."""

    term: int
    vote: int
    log: EntryLog
    rebased: bool = False


def replay(snapshot: SnapshotMeta | None, records: Iterable[Record]) -> Replayed:
    """Rebuild term, vote and log from all records found, oldest first, over the newest snapshot.

    Old segments may be gone, so the records may start in the middle; the snapshot must then reach that far.
    Raises `ValueError` when something between the snapshot and the records is missing, or a record makes no sense.
    """
    term = vote = 0
    log = EntryLog()
    for record in records:
        if record.kind == HARD:
            term, vote = _hard.decode(record.payload)
        elif record.kind == RESET:
            log.reset(*_reset.decode(record.payload))
        elif record.kind == ENTRIES:
            first, entries = _entries.decode(record.payload)
            if first > log.last + 1:
                log.reset(first - 1, -1)  # the part before went with an older segment; the snapshot must cover it
            elif first <= log.offset:
                entries = entries[log.offset + 1 - first :]
                first = log.first
            log.truncate(first)
            log.append(entries)
        else:
            raise ValueError(f"unknown Raft record kind {record.kind}")
    return Replayed(term, vote, log, _join(snapshot, log))


def _join(snapshot: SnapshotMeta | None, log: EntryLog) -> bool:
    """Cut the log to what follows the snapshot (the receiver's rule of InstallSnapshot, Raft figure 13).

    Returns whether the log had to begin anew, which the records do not say yet.
    """
    index, term = (snapshot.index, snapshot.term) if snapshot else (0, 0)
    if log.offset > index:
        raise ValueError(f"the newest snapshot ends at entry {index}, but the log starts after entry {log.offset}")
    if log.offset == index:
        log.offset_term = term
    elif log.term(index) == term:
        log.forget(index, term)
    else:
        log.reset(index, term)
        return True
    return False
