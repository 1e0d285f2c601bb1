"""The judges of leases and watches: each breach of a promise is noticed, and called by its name."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ringleader.sim.choice import stream
from ringleader.sim.chronicle import Chronicle, Moment
from ringleader.sim.disk import SimDisk
from ringleader.sim.probes import Probes
from ringleader.sim.rot import damage, guarded
from ringleader.sim.timeline import Timeline
from ringleader.sim.truth import Truth
from ringleader.sim.violation import Violation
from ringleader.sim.watching import Watching, Wish
from ringleader.store.commands import (
    Compare,
    Delete,
    DeleteResult,
    Event,
    ExpireLeases,
    KeyValue,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseListResult,
    LeaseResult,
    LeaseRevoke,
    Put,
    PutResult,
    Txn,
    TxnResult,
)
from ringleader.store.limits import Limits
from ringleader.wire.frames import WatchEvents


def at(seconds: float, log_ms: int | None = None) -> Moment:
    return Moment(int(seconds * 1000) if log_ms is None else log_ms, seconds, seconds + 0.01)


def leased() -> Chronicle:
    """Lease 1 of two seconds, granted at 10 s, with keys a and b."""
    chronicle = Chronicle()
    chronicle.carry_out(LeaseGrant(2000), LeaseResult(1, 1, 2000), at(10.0))
    chronicle.carry_out(Put(b"a", b"1", 1), PutResult(2), at(10.1))
    chronicle.carry_out(Put(b"b", b"1", 1), PutResult(3), at(10.2))
    return chronicle


def test_a_lease_and_its_keys_go_together_at_one_revision() -> None:
    chronicle = leased()
    events = chronicle.carry_out(ExpireLeases([1]), LeaseListResult(4, [1]), at(12.1))
    assert [(event.deleted, event.kv.key, event.kv.mod_revision) for event in events] == [
        (True, b"a", 4),
        (True, b"b", 4),
    ]
    assert chronicle.held == {}
    assert chronicle.ended == {1: 12.11}
    with pytest.raises(Violation, match="revisions"):
        leased().carry_out(LeaseRevoke(1), LeaseResult(5, 1, 2000), at(11.0))


def test_a_key_put_without_its_lease_no_longer_goes_with_it() -> None:
    chronicle = leased()
    chronicle.carry_out(Put(b"a", b"2"), PutResult(4), at(10.3))
    events = chronicle.carry_out(LeaseRevoke(1), LeaseResult(5, 1, 2000), at(11.0))
    assert [event.kv.key for event in events] == [b"b"]


@pytest.mark.parametrize("moment", [at(11.9), at(11.0, 12_500)], ids=["log time", "clock"])
def test_a_lease_that_ends_early_is_noticed(moment: Moment) -> None:
    with pytest.raises(Violation, match="early expiry"):
        leased().carry_out(ExpireLeases([1]), LeaseListResult(4, [1]), moment)


def test_a_lease_kept_alive_has_its_time_anew() -> None:
    chronicle = leased()
    chronicle.carry_out(LeaseKeepAlive(1), LeaseResult(3, 1, 2000), at(11.5))
    with pytest.raises(Violation, match="early expiry"):
        chronicle.carry_out(ExpireLeases([1]), LeaseListResult(4, [1]), at(12.5))


def test_a_jump_of_a_clock_excuses_an_early_end() -> None:
    chronicle = leased()
    chronicle.jumps.append((10.5, 1.5))
    chronicle.carry_out(ExpireLeases([1]), LeaseListResult(4, [1]), at(11.0, 12_500))


def test_the_model_decides_compares_for_itself() -> None:
    chronicle = leased()
    txn = Txn([Compare(b"a", "create", "=", 3)], [Put(b"x", b"1")])
    with pytest.raises(Violation, match="as if its compares were True"):
        chronicle.carry_out(txn, TxnResult(4, True, [PutResult(4)]), at(10.5))
    with pytest.raises(Violation, match="no such lease"):
        chronicle.carry_out(Put(b"x", b"1", 7), PutResult(4), at(10.6))


def watched(wish: Wish) -> Watching:
    truth = Truth(Limits(), Probes(), {1: "n1"}, Timeline())
    carry_out = truth.chronicle.carry_out
    carry_out(Put(b"a", b"1"), PutResult(2), at(1.0))
    carry_out(Put(b"b", b"1"), PutResult(3), at(1.0))
    carry_out(Txn([], [Put(b"a", b"2"), Put(b"b", b"2")]), TxnResult(4, True, [PutResult(4), PutResult(4)]), at(1.0))
    carry_out(Delete(b"a"), DeleteResult(5, 1), at(1.0))
    return Watching(truth, 101, wish)


def test_a_watch_from_the_very_first_revision_may_be_told_that_history_is_gone() -> None:
    watching = watched(Wish(b"a", b"z", 1))
    watching.truth.store._mvcc.compact_revision = 3
    assert watching.compacted(3).start == 3
    with pytest.raises(Violation, match="is said to be the oldest revision"):
        watched(Wish(b"a", b"z", 1)).compacted(2)  # which is not what the store says


A2 = Event(False, KeyValue(b"a", b"1", 2, 2, 1))
B3 = Event(False, KeyValue(b"b", b"1", 3, 3, 1))
A4 = Event(False, KeyValue(b"a", b"2", 2, 4, 2))
B4 = Event(False, KeyValue(b"b", b"2", 3, 4, 2))
A5 = Event(True, KeyValue(b"a", b"", 0, 5, 0))
ALL = Wish(b"a", b"z", 2)


@pytest.mark.parametrize(
    ("wish", "revision", "events", "what"),
    [
        (Wish(b"a", b"", 2), 3, [A2, B3], "not filtered"),
        (Wish(b"a", b"", 2, no_delete=True), 5, [A2, A4, A5], "not filtered"),
        (ALL, 3, [B3, A2], "not ordered"),
        (ALL, 3, [A2, A2, B3], "not unique"),
        (ALL, 4, [A2, B3, A4], "not atomic"),
        (ALL, 4, [], "not bookmarkable"),
        (ALL, 9, [A2, B3, A4, B4, A5], "not bookmarkable"),
        (ALL, 5, [A2, A4, B4, A5], "not reliable"),
        (Wish(b"a", b"z", 3), 5, [A4, B4, A5], "not reliable"),
        (ALL, 2, [replace(A2, kv=replace(A2.kv, version=2))], "wrong creation flag"),
        (Wish(b"a", b"", 4, prev_kv=True), 4, [A4], "wrong previous value"),
    ],
)
def test_what_a_watch_does_wrong_has_a_name(wish: Wish, revision: int, events: list[Event], what: str) -> None:
    with pytest.raises(Violation, match=what):
        watched(wish).take(WatchEvents(1, revision, events))


def test_a_watch_that_does_all_right_is_left_in_peace() -> None:
    watching = watched(ALL)
    assert not watching.caught_up(5), "it is not even set up"
    for revision, events in ((1, []), (2, [A2]), (4, [B3, A4, B4]), (5, [A5])):
        watching.take(WatchEvents(1, revision, list(events)))
    assert watching.caught_up(5)
    future = watched(Wish(b"a", b"z", 8))
    future.take(WatchEvents(1, 7, []))
    assert future.caught_up(5)


def test_only_bytes_whose_loss_can_be_noticed_are_damaged() -> None:
    assert guarded(SimDisk(stream(1, "disk"))) == {}
    assert damage(SimDisk(stream(1, "disk")), stream(1, "rot")) is None
