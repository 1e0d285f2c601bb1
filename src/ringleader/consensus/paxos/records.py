"""Paxos's own typed records: what an acceptor writes to the log, and how replaying them rebuilds it.

Four kinds: PROMISE (ballot, and how much was known), ACCEPT (a run of slots in a ballot), CHOSEN (a run of slots learnt from
others) and RESET (an installed snapshot stands for everything up to a slot). They are the acceptor's events, in order, so
replaying them is just doing them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ringleader.consensus.paxos.acceptor import Acceptor
from ringleader.consensus.paxos.ballot import ballot_word
from ringleader.consensus.shape import Entry, Record, SnapshotMeta

__all__ = [
    "ACCEPT",
    "CHOSEN",
    "KINDS",
    "PROMISE",
    "RESET",
    "accept_record",
    "chosen_record",
    "promise_record",
    "replay",
    "reset_record",
]

PROMISE, ACCEPT, CHOSEN, RESET = 11, 12, 13, 14
"""Other numbers than Raft's, so that a folder of the one is never taken for one of the other."""
KINDS = {PROMISE: "promise", ACCEPT: "accepted slots", CHOSEN: "learnt slots", RESET: "reset"}
"""What the kinds of records are, for people."""

_encode = msgspec.msgpack.Encoder().encode
_promise = msgspec.msgpack.Decoder(tuple[int, int, int])
_accept = msgspec.msgpack.Decoder(tuple[int, int, int, list[Entry]])
_chosen = msgspec.msgpack.Decoder(tuple[int, list[Entry]])
_reset = msgspec.msgpack.Decoder(tuple[int, int])


def promise_record(ballot: int, told: int, commit: int) -> Record:
    """`ballot` is promised; leaders have told that all is chosen up to `told`, and up to `commit` it is known here."""
    return Record(PROMISE, _encode((ballot, told, commit)))


def accept_record(ballot: int, first: int, told: int, entries: Sequence[Entry]) -> Record:
    """`entries` are accepted in `ballot`, in the slots from `first` on, when leaders had told that all is chosen up to
    `told`.

    The record holds a promise too: no crash can part the two.
    """
    return Record(ACCEPT, _encode((ballot, first, told, entries)))


def chosen_record(first: int, entries: Sequence[Entry]) -> Record:
    """`entries` were chosen in the slots from `first` on."""
    return Record(CHOSEN, _encode((first, entries)))


def reset_record(slot: int, birth: int) -> Record:
    """A snapshot stands for everything up to `slot`, whose entry was born in `birth`."""
    return Record(RESET, _encode((slot, birth)))


def replay(snapshot: SnapshotMeta | None, records: Iterable[Record]) -> Acceptor:
    """Rebuild the acceptor from all records found, oldest first, over the newest snapshot.

    Old segments may be gone, so the records may start in the middle; the snapshot must then reach that far.
    Raises `ValueError` when something between the snapshot and the records is missing, or a record makes no sense.
    """
    index, birth = (snapshot.index, snapshot.term) if snapshot else (0, 0)
    acceptor = Acceptor(index, birth)
    known = index  # the member knew all up to here
    for record in records:
        if record.kind == PROMISE:
            ballot, told, commit = _promise.decode(record.payload)
            _promised(acceptor, ballot)
            known = max(known, commit)
            _knew(acceptor, commit)
            acceptor.tell(told)
        elif record.kind == ACCEPT:
            ballot, first, told, entries = _accept.decode(record.payload)
            _promised(acceptor, ballot)
            if ballot < acceptor.promised:
                where = f"in ballot {ballot_word(ballot)} after a promise of {ballot_word(acceptor.promised)}"
                raise ValueError(f"slot {first} is accepted {where}")
            acceptor.accept(ballot, first, entries)
            acceptor.tell(told)
        elif record.kind == CHOSEN:
            first, entries = _chosen.decode(record.payload)
            known = max(known, first + len(entries) - 1)
            _knew(acceptor, first - 1)
            acceptor.learn(first, entries)
        elif record.kind == RESET:
            slot, birth = _reset.decode(record.payload)
            known = max(known, slot)
            if slot > index:
                raise ValueError(f"the newest snapshot ends at slot {index}, but the log starts after slot {slot}")
        else:
            raise ValueError(f"unknown Paxos record kind {record.kind}")
    if known > acceptor.commit:
        gap = acceptor.log.missing(acceptor.commit + 1, known) or acceptor.commit + 1
        raise ValueError(f"the newest snapshot ends at slot {index}, and slot {gap} is missing after it")
    return acceptor


def _promised(acceptor: Acceptor, ballot: int) -> None:
    if ballot > acceptor.promised:
        acceptor.promise(ballot)


def _knew(acceptor: Acceptor, commit: int) -> None:
    """The living member knew `commit` at this point: the same values are held here, unless a record is missing."""
    if commit > acceptor.commit and not acceptor.log.missing(acceptor.commit + 1, commit):
        acceptor.reached(commit)
