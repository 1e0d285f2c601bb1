"""The core by hand: watches go on across connections, each event once."""

from __future__ import annotations

from ringleader.client.failures import CompactedError
from ringleader.errors import (
    NotAppliedError,
    Reason,
)
from ringleader.store.commands import (
    Batch,
    Compact,
    Delete,
    Envelope,
    Failure,
)
from ringleader.wire.frames import (
    WatchCancel,
    WatchCreate,
    WatchEnd,
    WatchEvents,
)
from unit.client.corekit import put
from unit.client.fakes import Bench


def revisions(bench: Bench, watch: int) -> list[int]:
    return [
        event.kv.mod_revision
        for news in bench.events.get(watch, [])
        if isinstance(news, WatchEvents)
        for event in news.events
    ]


def test_watch_goes_on_across_connections() -> None:
    bench = Bench()
    bench.settle()
    watch = bench.core.watch(b"k", b"l")
    bench.settle()
    assert bench.events[watch] == [WatchEvents(watch, 1, [])]
    for n in range(5):
        bench.core.submit([put(n)], 5.0)
        bench.settle()
        bench.break_link(bench.active())
        bench.settle(2.0)
    bench.core.submit([Delete(b"k0")], 5.0)
    bench.settle()
    assert revisions(bench, watch) == [2, 3, 4, 5, 6, 7]
    bench.core.cancel(watch)
    bench.flush()
    assert isinstance(bench.sent[-1][1], WatchCancel)
    bench.core.submit([put(9)], 5.0)
    bench.settle()
    assert len(revisions(bench, watch)) == 6


def test_watch_from_now_is_never_before_what_the_client_knows() -> None:
    bench = Bench()
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    watch = bench.core.watch(b"k0")
    bench.flush()
    link = bench.active()
    create = bench.pipes[link].there.popleft()
    assert isinstance(create, WatchCreate)
    bench.core.received(link, WatchEvents(create.watch, 1, []))  # from a node that lags behind
    event = bench.cluster.store.watches.create(b"k0", b"", 2, False, False, False)
    assert not isinstance(event, Failure)
    polled = bench.cluster.store.watches.poll(event, 100)
    assert isinstance(polled, tuple)
    bench.core.received(link, WatchEvents(create.watch, 2, polled[1]))
    bench.flush()
    assert revisions(bench, watch) == []


def test_watch_of_compacted_history_ends_clearly() -> None:
    bench = Bench()
    for n in range(4):
        bench.core.submit([put(n)], 5.0)
    bench.core.submit([Compact(4)], 5.0)
    watch = bench.core.watch(b"k0", start_revision=2)
    bench.settle()
    watch = bench.core.watch(b"k0", start_revision=2)
    bench.settle()
    error = bench.events[watch][-1]
    assert isinstance(error, CompactedError)
    assert error.compact_revision == 4
    assert error.reason is Reason.COMPACTED


def test_watch_ended_for_a_while_is_set_up_again() -> None:
    bench = Bench()
    watch = bench.core.watch(b"k", b"l")
    bench.settle()
    bench.core.submit([put(0)], 5.0)
    bench.settle()
    link = bench.active()
    wire = next(f.watch for at, f in reversed(bench.sent) if isinstance(f, WatchCreate) and at == link)
    for reason in (Reason.STOPPING, Reason.OVERLOADED, Reason.FUTURE_REVISION, Reason.UNAUTHENTICATED):
        bench.core.received(link, WatchEnd(wire, reason, "for now"))
        bench.settle(2.0)
        wire = next(f.watch for _, f in reversed(bench.sent) if isinstance(f, WatchCreate))
    bench.core.submit([put(1)], 5.0)
    bench.settle()
    assert revisions(bench, watch) == [2, 3]


def test_too_many_watches_is_said() -> None:
    bench = Bench()
    bench.settle()
    watch = bench.core.watch(b"k")
    bench.flush()
    _, create = bench.sent[-1]
    assert isinstance(create, WatchCreate)
    bench.core.received(bench.active(), WatchEnd(create.watch, Reason.OVERLOADED, "128 watches are enough"))
    bench.flush()
    error = bench.events[watch][-1]
    assert isinstance(error, NotAppliedError)
    assert error.reason is Reason.OVERLOADED


def test_progress_moves_the_place_from_which_a_watch_goes_on() -> None:
    bench = Bench()
    quiet = bench.core.watch(b"quiet", start_revision=1)
    bench.settle()
    for n in range(3):
        bench.core.submit([put(n)], 5.0)
    bench.settle()
    link = bench.active()
    wire = [frame.watch for _, frame in bench.sent if isinstance(frame, WatchCreate)][-1]
    revision = bench.cluster.store.revision
    bench.core.received(link, WatchEvents(wire, revision, []))
    bench.core.received(link, WatchEvents(wire, revision - 2, []))
    bench.sent.clear()
    bench.break_link(link)
    bench.cluster.store.apply(
        bench.cluster.store.applied + 1, Batch(1, 0, [Envelope(0, 0, 0, [(1, Compact(revision))])])
    )
    bench.settle(2.0)
    (again,) = {frame.start_revision for _, frame in bench.sent if isinstance(frame, WatchCreate)}
    assert again == revision + 1, "what was compacted does not concern it"
    news = bench.events[quiet]
    assert all(isinstance(each, WatchEvents) for each in news)
    told = [each.revision for each in news if isinstance(each, WatchEvents)]
    assert told == sorted(told), "it never goes back"
