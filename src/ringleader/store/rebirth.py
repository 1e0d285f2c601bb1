"""From a back-up to the snapshot that a new cluster starts with, piece by piece: what is kept in memory is the history alone.

What made sense only in the old cluster's time goes, and what others may remember of it can never come again:

* Revisions go on `REVISION_STEP` above the back-up's, so that a fencing token, a create revision, that the old cluster
  gave out after the back-up is never given out anew or overtaken from below. History is compacted there: a watch from
  before is told so, instead of missing what the old cluster did since.
* Leases start their time anew: their holders could not keep them alive meanwhile. New ones get ids `REVISION_STEP` above,
  so that whoever kept the id of a lease that the old cluster granted after the back-up does not touch somebody else's.
* Client sessions are gone: a retry from before is answered "outcome unknown". New ones get ids above likewise.
* The members are those of the new cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice
from operator import attrgetter

import msgspec

from ringleader.store.chunks import ChunkReader
from ringleader.store.commands import KeyValue
from ringleader.store.limits import Limits
from ringleader.store.members import Members, founders
from ringleader.store.snapshot import (
    AUTH,
    BASE,
    END,
    HEAD,
    LEASES,
    MEMBERS,
    PER_CHUNK,
    Head,
    LeaseRow,
    cut,
    sealed,
)
from ringleader.store.survey import Survey

__all__ = ["FIRST_INDEX", "REVISION_STEP", "reborn"]

REVISION_STEP = 1_000_000_000
"""Of revisions, lease ids and session ids.

More than a cluster writes between a back-up and its loss: a day at over ten thousand writes a second."""
FIRST_INDEX = 1
"""The index in the new log of the entry that the state stands for."""

_encode = msgspec.msgpack.Encoder().encode
_kvs = msgspec.msgpack.Decoder(list[KeyValue]).decode


def reborn(
    survey: Survey, again: Iterable[bytes | memoryview], members: dict[int, str], limits: Limits
) -> Iterator[bytes]:
    """The pieces of the new cluster's snapshot, whose `members` are names by id.

    `survey`: of the whole back-up, made with `keep`. `again`: the pieces of the same back-up once more.
    """
    return sealed(_bodies(survey, again, Members(limits, founders(members))))


def _bodies(
    survey: Survey, again: Iterable[bytes | memoryview], members: Members
) -> Iterator[tuple[int, bytes | None]]:
    old = survey.head
    revision = old.revision + REVISION_STEP
    yield (
        HEAD,
        _encode(
            Head(
                revision,
                revision,
                FIRST_INDEX,
                old.time_ms,
                old.next_lease + REVISION_STEP,
                old.next_session + REVISION_STEP,
                old.settings,
                old.full,
                old.version,
            )
        ),
    )
    rows = (LeaseRow(one.id, one.ttl_ms, old.time_ms + one.ttl_ms, one.owner) for one in survey.lease_rows)
    while part := list(islice(rows, PER_CHUNK)):
        yield LEASES, _encode(part)
    yield AUTH, survey.auth
    yield MEMBERS, members.image()
    for kvs in cut(_alive(survey.changed, again)):
        assert kvs is not None
        yield BASE, _encode(kvs)
    yield END, b""


def _alive(changed: dict[bytes, KeyValue], again: Iterable[bytes | memoryview]) -> Iterator[KeyValue]:
    """All keys as they are at the end of the history, in key order."""
    key = attrgetter("key")
    later = sorted((kv for kv in changed.values() if kv.version), key=key)
    return merge((kv for kv in _base(again) if kv.key not in changed), later, key=key)


def _base(pieces: Iterable[bytes | memoryview]) -> Iterator[KeyValue]:
    reader = ChunkReader()
    for piece in pieces:
        chunk = reader.read(piece)
        if chunk is not None and chunk[0] == BASE:
            yield from _kvs(chunk[1])
    reader.finish()
