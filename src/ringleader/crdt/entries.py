"""Dotted entries: the one small structure that most types are made of, and the one rule by which it merges.

An entry is a tuple `(replica, n, ...)`: the dot of the event that wrote it, then what was written. A cell is a tuple of
entries sorted by replica: what has been written and not yet overwritten by anyone who had seen it. More than one entry
means concurrent writes. A write replaces all entries that its writer saw.

The rule of merging (Almeida, Shoker & Baquero, "Delta State Replicated Data Types", 2018, section 7: the causal
join): an entry that only one side has stays if and only if the other side has never seen it. If it has seen it and
does not have it, it was overwritten or removed there. "Present on both sides, so keep it" is all that is added;
presence is judged dot by dot, so an element added twice and removed twice is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from ringleader.clock.version import ReplicaId
from ringleader.crdt.wire import Decoder, Encoder, bad

__all__ = ["EMPTY", "Entries", "Entry", "join_entries", "pack_entries", "parse_entries"]

Entry: TypeAlias = tuple[Any, ...]
Entries: TypeAlias = tuple[Entry, ...]
EMPTY: Entries = ()

_encode = msgspec.msgpack.Encoder().encode


def join_entries(
    mine: Entries,
    theirs: Entries,
    my_version: Mapping[ReplicaId, int],
    their_version: Mapping[ReplicaId, int],
    duplicates: set[ReplicaId],
) -> Entries:
    """The merged cell.

    Each side's version says which events it has seen. `duplicates` collects replica ids that were found to have
    written two different things as one and the same event: a duplicate identity. (The merge stays deterministic even
    then: the greater encoding stays.)
    """
    kept: list[Entry] = []
    for entry in mine:
        replica, n = entry[0], entry[1]
        for other in theirs:
            if other[1] == n and other[0] == replica:
                if other is not entry and other != entry:
                    entry = _settle(entry, other, duplicates)
                kept.append(entry)
                break
        else:
            if n > their_version.get(replica, 0):
                kept.append(entry)
    for other in theirs:
        if other[1] > my_version.get(other[0], 0):
            kept.append(other)
    if len(kept) > 1:
        kept.sort(key=_replica)
    return tuple(kept)


def _replica(entry: Entry) -> ReplicaId:
    return entry[0]  # type: ignore[no-any-return]  # entries are plain tuples


def _settle(one: Entry, other: Entry, duplicates: set[ReplicaId]) -> Entry:
    first, second = _encode(one), _encode(other)
    if first == second:  # unequal only because NaN is not equal to itself
        return one
    duplicates.add(one[0])
    return max((first, one), (second, other), key=lambda pair: pair[0])[1]


def pack_entries(entries: Entries, width: int, out: Encoder) -> Any:
    """A cell for the wire. `width`: items per entry besides the replica. Width 1 and one entry: just the dot."""
    if width == 1:
        if len(entries) == 1:
            return out.dot(entries[0][0], entries[0][1])
        return [out.dot(entry[0], entry[1]) for entry in entries]
    flat: list[Any] = []
    for entry in entries:
        flat.append(out.dot(entry[0], entry[1]))
        flat.extend(entry[2:])
    return flat


def parse_entries(raw: Any, width: int, source: Decoder) -> Entries:
    """A cell from the wire, with what was written still raw: the type checks that. Raises `DecodeError`."""
    if width == 1 and type(raw) is int:
        return (source.dot(raw),)
    items = source.array(raw)
    if len(items) % width:
        bad("a cell has the wrong length")
    entries = tuple([(*source.dot(items[i]), *items[i + 1 : i + width]) for i in range(0, len(items), width)])
    for i in range(1, len(entries)):
        if not entries[i - 1][0] < entries[i][0]:
            bad("a cell's entries are not sorted by replica")
    return entries
