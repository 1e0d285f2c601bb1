"""The byte quota, the settings that hold it, and compaction that frees memory bit by bit."""

from __future__ import annotations

import pytest

from ringleader.errors import Reason
from ringleader.store.commands import (
    Compact,
    Configure,
    Delete,
    Failure,
    LeaseGrant,
    LeaseResult,
    LeaseRevoke,
    Put,
    PutResult,
    Range,
    RangeResult,
    Result,
    SettingsQuery,
    SettingsResult,
    Txn,
)
from ringleader.store.mvcc import VERSION_BYTES, Change, changes_of
from ringleader.store.store import Store
from unit.store.helpers import Log

SMALL = 20 * (VERSION_BYTES + 101)


def full_log() -> Log:
    """Filled to the brim: 20 live keys of 100 bytes."""
    log = Log()
    log.do(Configure(quota_bytes=SMALL))
    for number in range(20):
        assert isinstance(log.do(Put(b"%c" % (97 + number), bytes(100))), PutResult)
    return log


def settings(log: Log) -> SettingsResult:
    result = log.store.read(SettingsQuery())
    assert isinstance(result, SettingsResult)
    return result


def is_full(result: Result) -> bool:
    return isinstance(result, Failure) and result.reason is Reason.NO_SPACE


def test_what_does_not_fit_is_refused_and_says_the_sizes_and_everything_else_goes_on() -> None:
    log = full_log()
    lease = log.do(LeaseGrant(5000))
    assert settings(log).used_bytes == SMALL
    refused = log.do(Put(b"z", b""))
    assert isinstance(refused, Failure)
    assert refused.reason is Reason.NO_SPACE
    assert f"{SMALL} of {SMALL} bytes" in refused.message
    assert settings(log).full
    assert isinstance(lease, LeaseResult)
    assert is_full(log.do(Txn([], [Range(b"a"), Put(b"a", b"")])))
    assert not is_full(log.do(Txn([], [Range(b"a"), Delete(b"zz")], [Put(b"a", b"")])))
    assert isinstance(log.store.read(Range(b"a")), RangeResult)
    assert not isinstance(log.do(LeaseRevoke(lease.id)), Failure)
    assert log.do(Delete(b"a", b"k")) is not None
    assert is_full(log.do(Put(b"z", b""))), "deleted keys stay in history until a compaction"
    assert not isinstance(log.do(Compact(log.store.revision)), Failure)
    assert is_full(log.do(Put(b"z", b""))) is (log.store.used_bytes > SMALL - SMALL // 20)


def test_it_ends_by_itself_below_95_percent_and_not_before() -> None:
    log = full_log()
    assert is_full(log.do(Put(b"z", b"")))
    log.do(Delete(b"a"))
    log.do(Compact(log.store.revision))
    assert log.store.used_bytes == SMALL - SMALL // 20, "one of twenty is gone, the delete itself costs nothing"
    assert isinstance(log.do(Put(b"z", b"")), PutResult)
    assert is_full(log.do(Put(b"y", bytes(101)))), "and it was the last room"


@pytest.mark.parametrize("last", [Delete(b"a", b"t"), Txn([], [Delete(b"a"), Delete(b"c", b"e")])])
def test_a_compaction_frees_what_the_very_last_change_replaced(last: Delete | Txn) -> None:
    log = full_log()
    assert is_full(log.do(Put(b"z", b"")))
    log.do(last)
    deleted = log.store.revision
    log.do(Compact(deleted))
    live = log.store.read(Range(b"\0", b"\0"))
    assert isinstance(live, RangeResult)
    assert log.store.used_bytes == sum(VERSION_BYTES + len(kv.key) + len(kv.value) for kv in live.kvs)
    assert settings(log).history_bytes == 0
    assert isinstance(log.do(Put(b"z", b"")), PutResult)
    other = Store()
    other.restore(log.store.snapshot())
    assert other.read(SettingsQuery()) == settings(log), "a member that comes by a snapshot counts alike"
    while log.store.trim():
        pass
    again = Store()
    again.restore(log.store.snapshot())
    assert again.snapshot() == other.snapshot() == log.store.snapshot(), "whatever each has trimmed"
    changes = _changes(log, deleted)
    assert changes
    assert all(change.prev is None for change in changes), "and the memory is given back"


def _changes(log: Log, revision: int) -> list[Change]:
    mvcc = log.store._mvcc
    return list(changes_of(mvcc.log[revision - mvcc.first]))


def test_one_put_that_is_too_large_does_not_stop_the_small_ones() -> None:
    log = Log()
    log.do(Configure(quota_bytes=SMALL))
    large = log.do(Put(b"large", bytes(SMALL)))
    assert isinstance(large, Failure)
    assert "there is no room for that" in large.message
    assert not settings(log).full
    assert isinstance(log.do(Put(b"small", b"")), PutResult)


def test_a_larger_quota_ends_it_at_once_and_none_means_no_limit() -> None:
    log = full_log()
    assert is_full(log.do(Put(b"z", b"")))
    log.do(Configure(quota_bytes=2 * SMALL))
    assert isinstance(log.do(Put(b"z", b"")), PutResult)
    log.do(Configure(quota_bytes=0))
    for _ in range(100):
        assert isinstance(log.do(Put(b"z", bytes(100))), PutResult)
    log.do(Configure(quota_bytes=SMALL))
    assert is_full(log.do(Put(b"z", b"")))


def test_a_snapshot_carries_settings_and_fullness() -> None:
    log = full_log()
    log.do(Configure(compaction="revisions", retention_revisions=7))
    assert is_full(log.do(Put(b"z", b"")))
    other = Store()
    other.restore(log.store.snapshot())
    assert other.read(SettingsQuery()) == settings(log)
    assert other.quota.full
    assert other.snapshot() == log.store.snapshot()


@pytest.mark.parametrize(
    "wrong",
    [
        Configure(quota_bytes=-1),
        Configure(compaction="sometimes"),
        Configure(retention_ms=0),
        Configure(retention_revisions=0, quota_bytes=5),
    ],
)
def test_settings_that_make_no_sense_change_nothing(wrong: Configure) -> None:
    log = Log()
    assert log.refused(wrong).reason is Reason.INVALID_ARGUMENT


def test_a_compaction_is_trimmed_in_slices_and_what_is_held_stays() -> None:
    log = Log()
    for number in range(1000):
        log.put(b"k%d" % (number % 10))
        if number % 7 == 0:
            log.do(Delete(b"k%d" % (number % 10)))
    pin = log.store.pin()
    log.do(Compact(900))
    assert log.store.trim(100) is False, "held"
    pin.release()
    assert [log.store.trim(400) for _ in range(4)] == [True, True, False, False]
    assert log.keys(900) == log.keys(900)
    assert isinstance(log.store.read(Range(b"k1", revision=899)), Failure)
    again = Store()
    again.restore(log.store.snapshot())
    for revision in range(900, log.store.revision + 1):
        assert again.hash_kv(revision) == log.store.hash_kv(revision)
