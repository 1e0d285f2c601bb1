"""What becomes of a back-up's state in the new cluster made from it."""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec
import pytest

from ringleader.errors import Reason
from ringleader.store.chunks import split
from ringleader.store.commands import (
    Batch,
    Compact,
    Delete,
    Envelope,
    Failure,
    KeyValue,
    LeaseGrant,
    LeaseInfo,
    LeaseInfoResult,
    LeaseList,
    LeaseListResult,
    LeaseResult,
    Put,
    PutResult,
    Range,
    RangeResult,
    SessionOpen,
    SessionResult,
    Txn,
)
from ringleader.store.limits import Limits
from ringleader.store.rebirth import REVISION_STEP, reborn
from ringleader.store.snapshot import CHANGES, HEAD, sealed
from ringleader.store.store import Store
from ringleader.store.survey import Survey
from unit.store.helpers import ALL, Log


def surveyed(store: Store, *, keep: bool = False) -> Survey:
    survey = Survey(keep=keep)
    for piece in split(store.snapshot()):
        survey.feed(piece)
    survey.finish()
    return survey


def reborn_bytes(store: Store, members: dict[int, str]) -> bytes:
    return b"".join(reborn(surveyed(store, keep=True), split(store.snapshot()), members, Limits()))


def restored(log: Log) -> Log:
    """Through the file's bytes, as a node gets it."""
    data = reborn_bytes(log.store, {1: "a", 2: "b"})
    again = Log()
    again.store.restore(data)
    assert again.store.snapshot() == data, "it is what the new store itself would write"
    again.index, again.time_ms = again.store.applied, again.store.time_ms
    return again


def filled() -> Log:
    log = Log()
    log.do(SessionOpen())
    log.do(LeaseGrant(5000, 7))
    for number in range(20):
        log.put(b"k%d" % (number % 4), b"v%d" % number)
    log.do(Put(b"leased", b"x", 7))
    log.do(Delete(b"k0"))
    log.time_ms = 4000
    log.do(Put(b"late", b"x"))
    return log


def test_revisions_go_on_far_above_and_the_past_is_said_to_be_gone() -> None:
    log = filled()
    new = restored(log)
    before = log.store.revision
    assert new.store.revision == before + REVISION_STEP == new.store.compact_revision
    old_rows, new_rows = log.store.read(Range(b"\0", ALL)), new.store.read(Range(b"\0", ALL))
    assert isinstance(old_rows, RangeResult)
    assert isinstance(new_rows, RangeResult)
    assert new_rows.kvs == old_rows.kvs
    told = new.store.watches.create(b"k1", b"", before + 1, False, False, False)
    assert isinstance(told, Failure)
    assert (told.reason, told.compact_revision) == (Reason.COMPACTED, before + REVISION_STEP)
    put = new.do(Put(b"token", b""))
    assert isinstance(put, PutResult)
    assert put.revision == before + REVISION_STEP + 1
    assert restored(new).store.revision == put.revision + REVISION_STEP


def test_a_survey_says_what_the_store_itself_says() -> None:
    choice = random.Random(3)
    log = Log()
    for step in range(600):
        key = b"k%d" % choice.randrange(40)
        match choice.randrange(8):
            case 0:
                log.do(Delete(key))
            case 1:
                log.do(Delete(key, b"k3"))
            case 2 if step % 3 == 0 and log.store.revision > log.store.compact_revision:
                log.do(Compact(choice.randint(log.store.compact_revision + 1, log.store.revision)))
            case 3:
                log.do(Txn([], [Delete(key), Put(b"l" + key, b"x")]))
            case 4:
                log.do(LeaseGrant(5000))
            case _:
                log.put(key, bytes(choice.randrange(50)))
        if step % 20 == 0:
            found = surveyed(log.store)
            live = log.store.read(Range(b"\0", ALL, count_only=True))
            leases = log.store.read(LeaseList())
            assert isinstance(live, RangeResult)
            assert isinstance(leases, LeaseListResult)
            assert (found.keys, found.used_bytes, found.leases) == (live.count, log.store.used_bytes, len(leases.ids))
            assert found.head.revision == log.store.revision
            assert not found.changed, "nothing of the keys is kept"
            new = restored(log)
            before, after = log.store.read(Range(b"\0", ALL)), new.store.read(Range(b"\0", ALL))
            assert isinstance(before, RangeResult)
            assert isinstance(after, RangeResult)
            assert after.kvs == before.kvs


def test_a_survey_notices_what_is_damaged_or_does_not_follow() -> None:
    pieces = list(split(filled().store.snapshot()))
    with pytest.raises(ValueError, match="cut off"):
        fed(pieces[:-1]).finish()
    with pytest.raises(ValueError, match="wrong checksum"):
        fed([*pieces[:3], bytes(pieces[3][:-1]) + b"\0"])
    older = [KeyValue(b"a", b"", 9, 9, 1), KeyValue(b"b", b"", 8, 8, 1)]
    with pytest.raises(ValueError, match="follows revision"):
        fed(sealed([(HEAD, bytes(pieces[1][5:-8])), (CHANGES, msgspec.msgpack.encode(older))]))


def fed(pieces: Iterable[bytes | memoryview]) -> Survey:
    survey = Survey()
    for piece in pieces:
        survey.feed(piece)
    return survey


def test_it_goes_on_as_any_store_does() -> None:
    new = restored(filled())
    watcher = new.watch(b"k1", start=new.store.revision)
    for number in range(3):
        new.put(b"k1", b"n%d" % number)
    new.do(Delete(b"k2"))
    again = Store()
    again.restore(new.store.snapshot())
    assert again.snapshot() == new.store.snapshot()
    assert again.used_bytes == new.store.used_bytes
    assert [event.kv.value for event in new.poll(watcher)[1]] == [b"n0", b"n1", b"n2"]
    for revision in range(new.store.compact_revision, new.store.revision + 1):
        assert again.hash_kv(revision) == new.store.hash_kv(revision)


def test_leases_start_anew_sessions_are_gone_and_members_are_the_new_ones() -> None:
    log = filled()
    new = restored(log)
    lease = new.store.read(LeaseInfo(7, True))
    assert isinstance(lease, LeaseInfoResult)
    assert (lease.remaining_ms, lease.keys) == (5000, [b"leased"])
    new.index += 1
    answer = new.store.apply(new.index, Batch(1, 4000, [Envelope(1, 1, 0, [(0, Put(b"a", b""))])]))[0][0]
    assert isinstance(answer, Failure)
    assert answer.unknown
    assert [row.name for row in new.store.members.active()] == ["a", "b"]
    given, opened = new.do(LeaseGrant(5000)), new.do(SessionOpen())
    assert isinstance(given, LeaseResult)
    assert isinstance(opened, SessionResult)
    assert min(given.id, opened.session) > REVISION_STEP, "what the old cluster gave out since is never given out anew"
