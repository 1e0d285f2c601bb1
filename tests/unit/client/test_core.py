"""The core by hand: sessions, frames shared, answers lost and asked for again, refusals, deadlines."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from ringleader.client.core import ClientCore
from ringleader.client.options import ClientOptions
from ringleader.errors import (
    DeadlineError,
    NotAppliedError,
    OutcomeUnknownError,
    Reason,
    UnknownDeadlineError,
    UsageError,
)
from ringleader.store.commands import (
    Failure,
    HashKv,
    LeaseKeepAlive,
    Put,
    PutResult,
    Range,
    RangeResult,
    SessionOpen,
)
from ringleader.wire.frames import (
    MAX_FRAME,
    Query,
)
from unit.client.corekit import error_of, put, results_of, submits
from unit.client.fakes import Bench


def test_calls_of_one_turn_share_a_frame_in_one_session() -> None:
    bench = Bench()
    calls = [bench.core.submit([put(n)], 5.0) for n in range(3)]
    reads = [bench.core.query([Range(b"k0")], 5.0), bench.core.query([HashKv()], 5.0)]
    stale = bench.core.query([Range(b"k0")], 5.0, "stale", 50)
    bench.settle()
    opening, work = submits(bench)
    assert opening == (0, 0, [(1, SessionOpen())])
    assert work == (1, 1, [(1, put(0)), (2, put(1)), (3, put(2))])
    queries = [(f.consistency, f.max_staleness_ms, len(f.reads)) for _, f in bench.sent if isinstance(f, Query)]
    assert queries == [("linearizable", 0, 2), ("stale", 50, 1)]
    assert all(isinstance(results_of(bench, call)[0], PutResult) for call in calls)
    assert set(bench.done) == {*calls, *reads, stale}


def test_acknowledges_what_is_answered() -> None:
    bench = Bench()
    for n in range(3):
        bench.core.submit([put(n)], 5.0)
        bench.settle()
    assert [(ack, [seq for seq, _ in commands]) for _, ack, commands in submits(bench)[1:]] == [
        (1, [1]),
        (2, [2]),
        (3, [3]),
    ]


def test_frames_are_bounded() -> None:
    bench = Bench(options=ClientOptions(batch_commands=4, batch_bytes=2000, window=8))
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    bench.sent.clear()
    for n in range(20):
        bench.core.submit([put(n)], 5.0)
    bench.flush()
    assert [len(commands) for _, _, commands in submits(bench)] == [4, 4], "no more than the window in flight"
    bench.settle()
    assert sum(len(commands) for _, _, commands in submits(bench)) == 20
    bench.sent.clear()
    for _ in range(3):
        bench.core.submit([Put(b"big", bytes(1500))], 5.0)
    bench.settle()
    assert [len(commands) for _, _, commands in submits(bench)] == [1, 1, 1], "no more bytes than agreed"


def test_refuses_calls_that_make_no_sense() -> None:
    bench = Bench(options=ClientOptions(max_pending=2, window=4))
    acts: list[Callable[[], int]] = [
        lambda: bench.core.submit([], 5.0),
        lambda: bench.core.submit([put(0)], 0.0),
        lambda: bench.core.submit([put(0)], float("nan")),
        lambda: bench.core.query([Range(b"a")], 5.0, "sometimes"),
        lambda: bench.core.submit([put(0)] * 5, 5.0),
        lambda: bench.core.submit([Put(b"a", bytes(MAX_FRAME))], 5.0),
    ]
    for act in acts:
        with pytest.raises(UsageError):
            act()
    for n in range(2):
        bench.core.submit([put(n)], 5.0)
    with pytest.raises(NotAppliedError) as caught:
        bench.core.submit([put(2)], 5.0)
    assert caught.value.reason is Reason.OVERLOADED
    bench.settle()
    bench.core.submit([put(2)], 5.0)
    bench.core.close()
    with pytest.raises(NotAppliedError) as caught:
        bench.core.submit([put(2)], 5.0)
    assert caught.value.reason is Reason.CLOSED


def test_bytes_under_way_are_bounded() -> None:
    bench = Bench(options=ClientOptions(window_bytes=10_000, batch_bytes=4000, max_pending_bytes=40_000))
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    bench.sent.clear()
    calls = [bench.core.submit([Put(b"k", bytes(3000))], 5.0) for _ in range(13)]
    with pytest.raises(NotAppliedError) as caught:
        bench.core.submit([Put(b"k", bytes(3000))], 5.0)
    assert caught.value.reason is Reason.OVERLOADED
    bench.flush()
    assert len(submits(bench)) == 4
    bench.settle()
    assert all(isinstance(bench.done[call], list) for call in calls)
    bench.core.submit([Put(b"k", bytes(30_000))], 5.0)
    bench.settle()


def test_goes_to_the_leader_and_loses_nothing() -> None:
    bench = Bench(seed=3)
    bench.settle()
    assert bench.core.node == "n1", "the leader, whichever was dialled first"
    call = bench.core.submit([put(0)], 5.0)
    bench.settle()
    again = bench.core.submit([put(1)], 5.0)
    plain = bench.core.submit([put(2)], 5.0, once=False)
    bench.flush()
    bench.topology(2)
    link = bench.active()
    bench.hand(link)
    bench.flush()
    bench.settle()
    assert bench.core.node == "n2"
    assert len(bench.pipes) == 1, "the old connection goes when its answers are here"
    assert all(isinstance(bench.done[c], list) for c in (call, again, plain))
    assert [node for node, _ in bench.cluster.submits[-2:]] == [1, 1], "what was under way was answered where it was"


def test_stays_anywhere_if_told_so() -> None:
    bench = Bench(seed=3, options=ClientOptions(prefer_leader=False))
    bench.settle(3.0)
    assert bench.dials == ["n1:1"] or len(bench.dials) == 1


def test_a_lost_answer_is_asked_for_again_and_runs_once() -> None:
    bench = Bench()
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    call = bench.core.submit([put(1)], 5.0)
    plain = bench.core.submit([put(2)], 5.0, once=False)
    read = bench.core.query([Range(b"k1")], 5.0)
    bench.flush()
    link = bench.active()
    while bench.pipes[link].there:
        bench.deliver(link)
    bench.break_link(link)
    bench.settle()
    assert isinstance(bench.done[call], list)
    assert isinstance(error_of(bench, plain), OutcomeUnknownError)
    assert error_of(bench, plain).reason is Reason.CONNECTION_LOST
    (found,) = results_of(bench, read)
    assert isinstance(found, RangeResult)
    assert found.kvs[0].version == 1, "applied once"


def test_never_sent_and_sent_deadlines_differ() -> None:
    bench = Bench()
    bench.down = {1, 2, 3}
    call = bench.core.submit([put(0)], 1.0)
    read = bench.core.query([Range(b"a")], 1.0)
    bench.settle(1.1)
    for each in (call, read):
        error = error_of(bench, each)
        assert type(error) is DeadlineError
        assert isinstance(error, TimeoutError)
        assert "connection refused" in error.message
    bench.down = set()
    bench.core.submit([put(1)], 5.0)
    bench.settle(2.0)
    call = bench.core.submit([put(2)], 1.0)
    read = bench.core.query([Range(b"a")], 1.0)
    bench.deaf = {1, 2, 3}
    bench.settle(1.1)
    assert type(error_of(bench, call)) is UnknownDeadlineError
    assert "put of 'k2'" in error_of(bench, call).message
    assert type(error_of(bench, read)) is DeadlineError


def test_expired_session_with_nothing_in_doubt_goes_on_in_a_new_one() -> None:
    bench = Bench()
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    bench.cluster.expire_sessions()
    calls = [bench.core.submit([put(1)], 5.0), bench.core.submit([put(2)], 5.0)]
    bench.settle()
    assert all(isinstance(bench.done[call], list) for call in calls)
    assert submits(bench)[-1][0] == 2


def test_expired_session_with_a_lost_answer_is_an_unknown_outcome() -> None:
    bench = Bench()
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    call = bench.core.submit([put(1)], 5.0)
    bench.flush()
    link = bench.active()
    bench.deliver(link)
    bench.break_link(link)
    bench.cluster.expire_sessions()
    bench.settle()
    error = error_of(bench, call)
    assert type(error) is OutcomeUnknownError
    assert error.reason is Reason.SESSION_EXPIRED
    after = bench.core.submit([put(2)], 5.0)
    bench.settle()
    assert isinstance(bench.done[after], list)


def test_refused_is_asked_again_and_follows_the_leader() -> None:
    bench = Bench(seed=1)
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    plain = bench.core.submit([put(1)], 5.0, once=False)
    bench.flush()
    bench.cluster.leader = 3
    assert bench.refuse(bench.active(), Reason.NOT_LEADER, unknown=False, leader=3)
    bench.settle(0.5)
    assert isinstance(bench.done[plain], list), "certainly not applied: even this may be repeated"
    assert bench.core.node == "n3"


def test_refused_with_unknown_outcome() -> None:
    bench = Bench()
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    once = bench.core.submit([put(1)], 5.0)
    plain = bench.core.submit([put(2)], 5.0, once=False)
    bench.flush()
    assert bench.refuse(bench.active(), Reason.DEADLINE, unknown=True, apply=True)
    assert bench.refuse(bench.active(), Reason.DEADLINE, unknown=True, apply=True)
    bench.settle(1.0)
    assert isinstance(bench.done[once], list)
    found = bench.cluster.store.read(Range(b"k1"))
    assert isinstance(found, RangeResult)
    assert found.kvs[0].version == 1
    assert type(error_of(bench, plain)) is OutcomeUnknownError


def test_only_the_culprit_of_a_shared_frame_fails() -> None:
    bench = Bench()
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    bad = bench.core.submit([put(1)], 5.0)
    good = bench.core.submit([put(2)], 5.0)
    bench.flush()
    assert bench.refuse(bench.active(), Reason.INVALID_ARGUMENT, unknown=False)
    while bench.pipes[bench.active()].back:
        bench.hand(bench.active())
    bench.flush()
    assert [len(commands) for _, _, commands in submits(bench)[-2:]] == [1, 1], "each alone"
    assert bench.refuse(bench.active(), Reason.INVALID_ARGUMENT, unknown=False)
    bench.settle()
    assert type(error_of(bench, bad)) is UsageError
    assert isinstance(bench.done[good], list)


def test_failures_of_the_store_are_usage_errors_with_a_remedy() -> None:
    bench = Bench()
    bench.settle()
    call = bench.core.submit([LeaseKeepAlive(99)], 5.0)
    several = bench.core.submit([LeaseKeepAlive(99), put(0)], 5.0)
    ahead = bench.core.query([Range(b"a", revision=1000)], 5.0)
    bench.settle()
    error = error_of(bench, call)
    assert type(error) is UsageError
    assert error.reason is Reason.LEASE_NOT_FOUND
    assert error.node == "n1"
    assert error.hint
    results = bench.done[several]
    assert isinstance(results, list)
    assert isinstance(results[0], Failure)
    assert isinstance(results[1], PutResult)
    assert error_of(bench, ahead).reason is Reason.FUTURE_REVISION


def test_cancelled_calls_are_forgotten_and_acknowledged() -> None:
    bench = Bench()
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    unsent = bench.core.submit([put(1)], 5.0)
    bench.core.cancel(unsent)
    flying = bench.core.submit([put(2)], 5.0)
    bench.flush()
    bench.core.cancel(flying)
    bench.core.cancel(12345)
    after = bench.core.submit([put(3)], 5.0)
    bench.settle()
    assert unsent not in bench.done
    assert flying not in bench.done
    assert isinstance(bench.done[after], list)
    found = bench.cluster.store.read(Range(b"k1"))
    assert isinstance(found, RangeResult)
    assert found.count == 0
    assert submits(bench)[-1][1] == 3, "the number of the cancelled call is acknowledged"


@pytest.mark.parametrize("seed", range(20))
def test_cancelled_at_any_moment_no_slot_leaks_and_no_number_is_used_twice(seed: int) -> None:
    """Calls start, are cancelled and time out at random while connections break; what comes after is as at the start."""
    choice = random.Random(seed)
    bench = Bench(seed=seed, options=ClientOptions(window=16, session_window=32, max_pending=64))
    open_calls: list[int] = []
    sent = 0
    for _ in range(400):
        dice = choice.random()
        if dice < 0.35 and len(open_calls) < 60:
            sent += 1
            open_calls.append(bench.core.submit([Put(b"k", b"%d" % sent)], choice.choice([0.05, 5.0])))
        elif dice < 0.5 and open_calls:
            bench.core.cancel(open_calls.pop(choice.randrange(len(open_calls))))
        elif dice < 0.55:
            bench.settle(choice.choice([0.0, 0.2]))
        elif dice < 0.6 and bench.pipes:
            bench.flush()
            bench.break_link(choice.choice(list(bench.pipes)), arrives=choice.random() < 0.5)
        elif dice < 0.9 and bench.pipes:
            link = choice.choice(list(bench.pipes))
            pipe = bench.pipes[link]
            if not pipe.made:
                bench.connect(link)
            elif pipe.there:
                bench.deliver(link)
            elif pipe.back:
                bench.hand(link)
        else:
            bench.flush()
        open_calls = [call for call in open_calls if call not in bench.done]
    bench.settle(10.0)
    numbers: dict[tuple[int, int], bytes] = {}
    for session, _, commands in submits(bench):
        for seq, command in commands:
            if session and isinstance(command, Put):
                assert numbers.setdefault((session, seq), command.value) == command.value, "a number means one command"
    core = bench.core
    traffic = core._traffic
    assert (
        traffic._in_flight,
        traffic._in_flight_bytes,
        traffic.under_way.calls,
        traffic.under_way._pending_bytes,
    ) == (
        0,
        0,
        {},
        0,
    )
    last = [core.submit([put(n)], 5.0) for n in range(40)]
    bench.settle(1.0)
    assert all(isinstance(bench.done[call], list) for call in last), "all slots are free again"


def test_calls_that_are_over_are_not_kept_while_no_node_can_be_reached() -> None:
    core = ClientCore(["n1:1"], random.Random(1), 0.0)
    value = bytearray(1000)
    gone = 0
    for turn in range(1, 10_001):
        core.tick(turn * 0.01)
        core.submit([Put(b"k", bytes(value))], 1.0)
        core.query([Range(b"k")], 1.0)
        last = core.submit([Put(b"k", bytes(value))], 1e6)
        core.cancel(last)
        out = core.take_output()
        gone += len(out.done)
        for link, _ in out.dial:
            core.closed(link, "refused")
    assert gone > 19_000
    queues = core._traffic._waiting._queues.values()
    assert sum(map(len, queues)) < 5_000
    assert sum(len(call.raws) + len(call.commands) for queue in queues for call in queue if call.done) == 0
    assert sum(not call.done for queue in queues for call in queue) == len(core._under_way.calls)
