"""The core by hand: nodes that are silent, wrong, gone or refuse, and the end."""

from __future__ import annotations

from ringleader.client.options import ClientOptions
from ringleader.errors import (
    DeadlineError,
    NotAppliedError,
    OutcomeUnknownError,
    Reason,
)
from ringleader.wire.frames import (
    Hello,
    Ping,
    Refused,
    Results,
    Submit,
    Welcome,
)
from unit.client.corekit import error_of, put
from unit.client.fakes import Bench, FakeCluster


def test_a_silent_node_is_left_in_bounded_time() -> None:
    bench = Bench(seed=5)
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    assert bench.core.node == "n1"
    bench.down = {1}  # takes nothing, says nothing
    call = bench.core.submit([put(1)], 10.0)
    start = bench.now
    while call not in bench.done:
        bench.settle(0.1)
    options = bench.core.options
    assert isinstance(bench.done[call], list)
    assert bench.now - start <= options.ping_interval + options.ping_timeout + options.connect_timeout
    assert any(isinstance(frame, Ping) for _, frame in bench.sent)


def test_an_idle_client_notices_a_dead_connection() -> None:
    bench = Bench(options=ClientOptions(prefer_leader=False))
    bench.settle()
    before = bench.core.node
    bench.down = {next(info.id for info in bench.cluster.infos if info.name == before)}
    bench.settle(15.0)
    assert bench.core.node not in ("", before)


def test_a_node_that_keeps_a_call_waiting_is_left() -> None:
    bench = Bench()
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    call = bench.core.submit([put(1)], 10.0)
    bench.flush()
    link = bench.active()
    bench.pipes[link].there.popleft()  # the node is cut off from the others: it answers pings, and nothing else
    bench.settle(9.0)
    assert isinstance(bench.done[call], list)


def test_connecting_is_bounded_and_tries_the_others() -> None:
    bench = Bench(FakeCluster(), seed=1)
    bench.flush()
    assert len(bench.dials) == 1
    bench.core.tick(bench.now + 1.0)
    out = bench.core.take_output()
    assert out.close == [1]
    assert len(out.dial) == 1
    assert out.dial[0][1] != bench.dials[0]


def test_wrong_version_and_wrong_cluster_are_said() -> None:
    for welcome, reason in (
        (Welcome(99, "c1", 1, "n1", 1, []), "version 99"),
        (Welcome(1, "c2", 1, "n1", 1, []), "'c2'"),
    ):
        bench = Bench(FakeCluster(1), options=ClientOptions(cluster="c1"))
        call = bench.core.submit([put(0)], 1.0)
        bench.flush()
        bench.core.connected(1)
        bench.flush()
        assert bench.sent == [(1, Hello("ringleader", 1, "c1", ""))]
        bench.core.received(1, welcome)
        bench.down = {1}
        assert reason in bench.core.trouble
        bench.flush()
        bench.core.tick(bench.now + 1.5)
        bench.flush()
        assert type(error_of(bench, call)) is DeadlineError


def test_a_refused_connection_is_left() -> None:
    bench = Bench(seed=2)
    bench.flush()
    bench.core.connected(1)
    bench.core.received(1, Refused(0, Reason.WRONG_CLUSTER, "not here"))
    bench.flush()
    assert 1 not in bench.pipes
    assert len(bench.dials) == 2


def test_results_of_the_wrong_number_end_the_connection() -> None:
    bench = Bench()
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    call = bench.core.submit([put(1)], 5.0)
    bench.flush()
    link = bench.active()
    frame = bench.pipes[link].there[0]
    assert isinstance(frame, Submit)
    bench.core.received(link, Results(frame.frame, []))
    bench.settle()
    assert isinstance(bench.done[call], list)
    assert link not in bench.pipes


def test_closing_ends_everything() -> None:
    bench = Bench()
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    flying = bench.core.submit([put(1)], 5.0)
    bench.flush()
    waiting = bench.core.submit([put(2)], 5.0)
    watch = bench.core.watch(b"a")
    link = bench.active()
    bench.core.close()
    out = bench.core.take_output()
    ends = dict(out.done)
    assert type(ends[flying]) is OutcomeUnknownError
    assert type(ends[waiting]) is NotAppliedError
    assert isinstance(dict(out.events)[watch], NotAppliedError)
    assert out.close == [link]
    last = out.send[-1][1] if isinstance(out.send[-1][1], Submit) else out.send[-2][1]
    assert isinstance(last, Submit)
    assert last.session == 1
    assert bench.core.next_wakeup() == float("inf")
