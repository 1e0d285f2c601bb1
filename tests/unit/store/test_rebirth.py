"""What becomes of a back-up's state in the new cluster made from it."""

from __future__ import annotations

from ringleader.errors import Reason
from ringleader.store.commands import (
    Batch,
    Delete,
    Envelope,
    Failure,
    LeaseGrant,
    LeaseInfo,
    LeaseInfoResult,
    LeaseResult,
    Put,
    PutResult,
    Range,
    RangeResult,
    SessionOpen,
    SessionResult,
)
from ringleader.store.limits import Limits
from ringleader.store.rebirth import REVISION_STEP, reborn
from ringleader.store.restoring import Restorer, split
from ringleader.store.snapshot import State
from ringleader.store.store import Store
from unit.store.helpers import ALL, Log


def state_of(store: Store) -> State:
    restorer = Restorer(Limits())
    for piece in split(store.snapshot()):
        restorer.feed(piece)
    return restorer.finish()


def restored(log: Log) -> Log:
    """Through the file's bytes once more, as a node gets it."""
    new = Store()
    new.adopt(reborn(state_of(log.store), {1: "a", 2: "b"}, Limits()))
    again = Log()
    again.store.restore(new.snapshot())
    assert again.store.snapshot() == new.snapshot()
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
