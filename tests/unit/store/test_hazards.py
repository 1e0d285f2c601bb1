"""What went wrong in real systems, one test each."""

from __future__ import annotations

import pytest

from ringleader.errors import Reason
from ringleader.store.commands import (
    Batch,
    Compact,
    Delete,
    ExpireLeases,
    Failure,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseListResult,
    Put,
    PutResult,
    SessionClose,
    SessionOpen,
    Txn,
)
from ringleader.store.limits import Limits
from ringleader.store.store import Store
from unit.store.helpers import Log


def test_an_entry_left_out_or_applied_twice_is_noticed() -> None:
    store = Store()
    store.apply(1, Batch(1, 0, []))
    with pytest.raises(ValueError, match="entry 1 was given to be applied after entry 1"):
        store.apply(1, Batch(1, 0, []))
    with pytest.raises(ValueError, match="entry 3"):
        store.skip(3)
    with pytest.raises(ValueError, match="version 9"):
        store.apply(2, Batch(9, 0, []))


def test_compaction_never_takes_revisions_back_even_across_a_restart() -> None:
    log = Log()
    log.put(b"a")
    last = log.put(b"b")
    log.do(Delete(b"a", b"\0"))
    log.do(Compact(last + 1))  # nothing is left but the revision
    other = Log()
    other.store.restore(log.store.snapshot())
    other.index = log.index
    assert other.store.revision == last + 1
    assert other.put(b"a") == last + 2


@pytest.mark.parametrize("way", ["at once", "trimmed", "from a snapshot"])
def test_a_watch_from_the_compaction_revision_gets_the_delete_there_but_not_what_was_before(way: str) -> None:
    """etcd 19179: the delete was lost. What it deleted lies before the compaction, and is told alike by all members."""
    log = Log()
    log.put(b"a", b"old")
    log.do(Delete(b"a"))
    deleted = log.store.revision
    log.put(b"b", b"1")
    log.put(b"b", b"2")
    log.do(Compact(deleted))
    if way == "trimmed":
        log.store.trim()
    elif way == "from a snapshot":
        log.store.restore(log.store.snapshot())
    revision, events = log.poll(log.watch(b"a", b"c", start=deleted, prev_kv=True))
    assert revision == deleted + 2
    assert [(event.deleted, event.kv.key, event.kv.mod_revision) for event in events] == [
        (True, b"a", deleted),
        (False, b"b", deleted + 1),
        (False, b"b", deleted + 2),
    ]
    assert [event.prev_kv and event.prev_kv.value for event in events] == [None, None, b"1"]


def test_progress_is_never_reported_ahead_of_events() -> None:
    log = Log()
    watcher = log.watch(b"k", b"l")
    for number in range(10):
        log.put(b"k%d" % number, bytes(100))
    told = 1
    while watcher in log.store.watches.ready():
        revision, events = log.poll(watcher, 250)
        assert [event.kv.mod_revision for event in events] == list(range(told + 1, revision + 1))
        told = revision
    assert told == log.store.revision == 11


def test_a_revision_is_never_split_however_small_the_bite() -> None:
    log = Log()
    watcher = log.watch(b"a", b"z")
    log.do(Txn([], [Put(b"a", bytes(50)), Put(b"b", bytes(50)), Put(b"c", bytes(50))]))
    log.put(b"d")
    assert [event.kv.key for event in log.poll(watcher, 0)[1]] == [b"a", b"b", b"c"]
    assert [event.kv.key for event in log.poll(watcher, 0)[1]] == [b"d"]


def test_a_watch_that_starves_is_told_that_history_is_gone() -> None:
    log = Log()
    watcher = log.watch(b"a")
    for _ in range(5):
        log.put(b"a")
    log.do(Compact(4))
    assert watcher in log.store.watches.ready()
    failure = log.store.watches.poll(watcher, 100)
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.compact_revision) == (Reason.COMPACTED, 4)
    assert len(log.store.watches) == 0


def test_compaction_does_not_end_a_watch_that_missed_nothing() -> None:
    log = Log()
    watcher = log.watch(b"quiet")
    for _ in range(5):
        log.put(b"loud")
    log.do(Compact(6))
    assert log.poll(watcher) == (6, [])
    log.put(b"quiet")
    assert [event.kv.mod_revision for event in log.poll(watcher)[1]] == [7]


def test_a_watch_from_a_compacted_revision_is_refused_and_one_from_the_future_waits() -> None:
    log = Log()
    for _ in range(5):
        log.put(b"a")
    log.do(Compact(4))
    failure = log.store.watches.create(b"a", b"", 3, False, False, False)
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.compact_revision) == (Reason.COMPACTED, 4)
    watcher = log.watch(b"a", start=9)
    assert log.poll(watcher) == (8, [])
    log.put(b"a")
    log.put(b"a")
    assert watcher not in log.store.watches.ready()
    log.put(b"a")
    assert [event.kv.mod_revision for event in log.poll(watcher)[1]] == [9]


def test_watches_go_on_after_a_snapshot_was_installed() -> None:
    leader, follower = Log(), Log()
    for log in (leader, follower):
        log.put(b"a")
    resumes, starved = follower.watch(b"a"), follower.watch(b"a", start=2)
    leader.put(b"b")
    leader.put(b"a")
    leader.do(Compact(3))
    follower.store.restore(leader.store.snapshot())
    assert [event.kv.mod_revision for event in follower.poll(resumes)[1]] == [4]
    assert isinstance(follower.store.watches.poll(starved, 100), Failure)


def test_a_lease_ends_by_the_log_alone_and_never_before_its_time() -> None:
    log = Log()
    log.do(LeaseGrant(5000, 1))
    log.do(Put(b"k", b"", 1))
    log.time_ms = 4999  # an old leader, stuck for a while, proposes what it believed to be due
    assert log.do(ExpireLeases([1])) == LeaseListResult(2, [])
    log.do(LeaseKeepAlive(1))
    log.time_ms = 9998
    assert log.store.due_leases(9998) == []
    assert log.do(ExpireLeases([1])) == LeaseListResult(2, [])
    log.time_ms = 9999
    assert log.store.due_leases(9999) == [1]
    assert log.keys() == [b"k"]  # being due is not being over
    assert log.do(ExpireLeases([1])) == LeaseListResult(3, [1])
    assert log.keys() == []


def test_log_time_never_goes_back() -> None:
    log = Log()
    log.time_ms = 5000
    log.do(LeaseGrant(2000, 1))
    log.time_ms = 100
    log.do(LeaseKeepAlive(1))
    assert log.store.time_ms == 5000
    assert log.store.due_leases(6999) == []


def test_a_fencing_token_never_goes_back() -> None:
    log = Log()
    tokens = []
    for _ in range(3):
        tokens.append(log.put(b"lock"))
        log.do(Delete(b"lock"))
        log.do(Compact(log.store.revision))
        log.store.restore(log.store.snapshot())
    assert tokens == sorted(set(tokens))


# ------------------------------------------------------------------------------------------------------ sessions


def test_a_command_repeated_after_a_failover_runs_once_and_gets_its_own_answer() -> None:
    log = Log()
    log.do(SessionOpen())
    first = log.calls(1, 1, (1, Put(b"a", b"1")), (2, Put(b"b", b"2")))
    again = log.calls(1, 1, (2, Put(b"b", b"2")), (1, Put(b"a", b"1")), (3, Put(b"a", b"3")))
    assert again[:2] == first[::-1]
    assert log.store.revision == 4


def test_a_repetition_gets_its_answer_from_a_restored_member_too() -> None:
    log = Log()
    log.do(SessionOpen())
    first = log.calls(1, 1, (1, Put(b"a", b"1")), (2, Compact(99)))
    log.store.restore(log.store.snapshot())
    assert log.calls(1, 1, (1, Put(b"a", b"1")), (2, Compact(99))) == first


def test_a_late_copy_of_an_acknowledged_command_does_not_run() -> None:
    log = Log()
    log.do(SessionOpen())
    log.calls(1, 1, (1, Put(b"a", b"old")))
    log.calls(1, 2, (2, Put(b"a", b"new")))
    [late] = log.calls(1, 1, (1, Put(b"a", b"old")))
    assert isinstance(late, Failure)
    assert late.unknown
    assert log.store.revision == 3


def test_an_expired_session_says_unknown_and_runs_nothing() -> None:
    log = Log(Limits(session_ttl_ms=1000))
    log.do(SessionOpen())
    log.calls(1, 1, (1, Put(b"a", b"")))
    log.time_ms = 999
    log.calls(1, 1)  # an envelope without commands keeps it alive
    log.time_ms = 1998
    assert isinstance(log.calls(1, 1, (2, Put(b"a", b"")))[0], PutResult)
    log.time_ms = 2998
    [result] = log.calls(1, 1, (1, Put(b"a", b"")))
    assert isinstance(result, Failure)
    assert (result.reason, result.unknown) == (Reason.SESSION_EXPIRED, True)
    assert log.store.revision == 3


def test_a_result_too_large_to_keep_is_answered_unknown_and_does_not_run_again() -> None:
    log = Log(Limits(session_bytes=1000))
    log.do(SessionOpen())
    log.put(b"a", bytes(600))
    log.calls(1, 1, (1, Put(b"a", bytes(600), prev_kv=True)), (2, Put(b"a", bytes(600), prev_kv=True)))
    revision = log.store.revision
    log.store.restore(log.store.snapshot())
    first, second = log.calls(1, 1, (1, Put(b"a", b"")), (2, Put(b"a", b"")))
    assert isinstance(first, Failure)
    assert first.unknown
    assert isinstance(second, PutResult)
    assert log.store.revision == revision


def test_what_all_sessions_keep_together_is_bounded() -> None:
    log = Log(Limits(sessions_bytes=1500))
    log.put(b"a", bytes(600))
    for session in range(1, 6):
        log.do(SessionOpen())
        log.calls(session, 1, (1, Put(b"a", bytes(600), prev_kv=True)))
    revision = log.store.revision
    assert log.store._sessions.kept_bytes <= 1500
    kept = [log.calls(session, 1, (1, Put(b"a", b"")))[0] for session in range(1, 6)]
    assert [isinstance(one, PutResult) for one in kept] == [True, True, False, False, False]
    assert log.store.revision == revision
    log.calls(1, 2)
    log.calls(2, 1, (2, SessionClose()))
    assert log.store._sessions.kept_bytes == 0


def test_all_sessions_keep_a_bounded_number_of_small_results() -> None:
    log = Log(Limits(sessions_results=10))
    for session in (1, 2, 3):
        log.do(SessionOpen())
        log.calls(session, 1, *((seq, Put(b"a", b"")) for seq in range(1, 5)))
    assert set(log.store._sessions.by_id) == {2, 3}, "the one idle for longest has ended"
    assert log.store._sessions.kept == 8
    (gone,) = log.calls(1, 1, (4, Put(b"a", b"")))
    assert isinstance(gone, Failure)
    assert (gone.reason, gone.unknown) == (Reason.SESSION_EXPIRED, True)
    log.store.restore(log.store.snapshot())
    assert log.store._sessions.kept == 8
    log.calls(2, 5)
    assert log.store._sessions.kept == 4
    log.calls(3, 1, *((seq, Put(b"a", b"")) for seq in range(5, 20)))
    assert set(log.store._sessions.by_id) == {3}, "but never the one that is at work"


def test_a_client_that_acknowledges_far_ahead_costs_no_time() -> None:
    log = Log()
    log.do(SessionOpen())
    log.calls(1, 1, (1, Put(b"a", b"")))
    log.calls(1, 1 << 60, (1 << 60, Put(b"a", b"")))
    assert log.store.revision == 3
    assert log.calls(1, 0, (1 << 60, Put(b"a", b"")))[0] == PutResult(3)
