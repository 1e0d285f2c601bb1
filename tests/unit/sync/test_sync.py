"""The blocking client: the same surface as the asynchronous one, and it works, from threads and after a fork."""

from __future__ import annotations

import inspect
import os
import threading
import time
import traceback
from collections.abc import Iterator

import pytest

import ringleader
import ringleader.sync
from ringleader import Leader, key, op
from ringleader.client import Client as AsyncClient
from ringleader.errors import DeadlineError, NotAppliedError, Reason, UsageError

MIRRORED = [
    "Auth",
    "Cluster",
    "KV",
    "Barrier",
    "Cache",
    "Client",
    "Consumer",
    "Counter",
    "DoubleBarrier",
    "Election",
    "Leadership",
    "Lease",
    "Leases",
    "Lock",
    "Message",
    "Queue",
    "ReadLock",
    "ReadWriteLock",
    "Semaphore",
    "Shard",
    "ShardChange",
    "Shards",
    "WatchStream",
    "WriteLock",
]
ATTRIBUTES = {
    "Lease": {"lost"},
    "Message": {"id", "value", "fencing_token", "deliveries"},
    "Semaphore": {"permits"},
    "DoubleBarrier": {"count"},
}
"""What is no property of the asynchronous class but an attribute of its objects."""
OTHERWISE = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
}
"""What has another name without asyncio."""
ASYNC_ONLY = {"__await__", "__init__", "__module__", "__doc__", "__dict__", "__weakref__", "__del__"}


def surface(cls: type) -> dict[str, object]:
    """The public names of a class and of those it builds on, and the protocols it takes part in."""
    found: dict[str, object] = {}
    for base in reversed(cls.__mro__[:-1]):
        if not base.__module__.startswith("ringleader"):
            continue
        for name, value in vars(base).items():
            dunder = name.startswith("__")
            if name in ASYNC_ONLY or (name.startswith("_") and not dunder) or name in ("__parameters__",):
                continue
            if dunder and not callable(value):
                continue
            found[name] = value
    return found


@pytest.mark.parametrize("name", MIRRORED)
def test_same_names_and_arguments(name: str) -> None:
    theirs, ours = surface(getattr(ringleader, name)), surface(getattr(ringleader.sync, name))
    wanted = {OTHERWISE.get(each, each) for each in theirs}
    wanted |= ATTRIBUTES.get(name, set())
    extra = set(ours) - wanted - {"name", "__class_getitem__", "__init_subclass__"}
    assert not wanted - set(ours), "missing in ringleader.sync"
    assert not extra, "only in ringleader.sync"
    for each, value in theirs.items():
        if not inspect.isfunction(value):
            continue
        mirror = ours[OTHERWISE.get(each, each)]
        assert inspect.isfunction(mirror), each
        assert not inspect.iscoroutinefunction(mirror), each
        there, here = inspect.signature(value), inspect.signature(mirror)
        assert list(there.parameters.values()) == list(here.parameters.values()), each
        if inspect.iscoroutinefunction(value):
            assert there.return_annotation == here.return_annotation, each


@pytest.mark.parametrize("name", ["connect", "embedded"])
def test_same_ways_in(name: str) -> None:
    there, here = inspect.signature(getattr(ringleader, name)), inspect.signature(getattr(ringleader.sync, name))
    assert there == here


@pytest.fixture
def db() -> Iterator[ringleader.sync.Client]:
    with ringleader.sync.embedded() as client:
        yield client


def test_keys_values_and_transactions(db: ringleader.sync.Client) -> None:
    put = db.kv.put("a", "1")
    got = db.kv.get("a")
    assert got is not None
    assert (got.text, got.mod_revision) == ("1", put.revision)
    result = db.kv.txn(compare=[key("a").value == "1"], success=[op.put("b", "2")])
    assert result.succeeded
    assert [kv.key_text for kv in db.kv.range("", prefix=True)] == ["a", "b"]
    assert db.kv.delete("", prefix=True).deleted == 2
    assert db.status().role == "leader"
    assert db.node == "n1"
    db.kv.compact(put.revision)
    with pytest.raises(UsageError):
        db.kv.put("", "1")


def test_watch(db: ringleader.sync.Client) -> None:
    with db.kv.watch("k", prefix=True) as stream:
        for n in range(3):
            db.kv.put(f"k{n}", str(n))
        assert [next(stream).text for _ in range(3)] == ["0", "1", "2"]
        threading.Timer(0.05, stream.close).start()
        assert list(stream) == [], "ends when another thread closes it"
        assert stream.revision >= 4


def test_leases_locks_elections(db: ringleader.sync.Client) -> None:
    with db.lease(60) as lease:
        assert lease.alive
        assert 0 < lease.remaining <= lease.ttl == 60
        db.kv.put("a", "1", lease=lease.id)
        assert db.leases.list() == [lease.id]
        assert not lease.lost.is_set()
        assert not lease.lost.wait(0.01)
    assert db.kv.get("a") is None
    with db.lock("job") as lock:
        token = lock.fencing_token
        with pytest.raises(DeadlineError), db.lock("job", timeout=0.05):
            pass
        db.kv.delete(lock.key)
        assert lock.lost.wait(60)
        assert not lock.held
        with pytest.raises(NotAppliedError) as caught:
            lock.check()
        assert caught.value.reason is Reason.LOCK_LOST
    with db.lock("job") as lock:
        assert lock.fencing_token > token
    election = db.election("boss")
    with election.campaign("me") as leadership:
        leadership.proclaim("still me")
        observed = election.observe()
        leader = next(observed)
        assert isinstance(leader, Leader)
        assert leader == election.leader()
        assert leader.text == "still me"
        observed.close()  # type: ignore[attr-defined]  # it is a generator
    assert election.leader() is None


def test_read_write_locks_and_semaphores(db: ringleader.sync.Client) -> None:
    rw = db.read_write_lock("catalogue")
    with rw.read() as one, rw.read() as two:
        assert one.held
        assert two.fencing_token > one.fencing_token
        with pytest.raises(DeadlineError), rw.write(timeout=0.05):
            pass
    with rw.write() as writer:
        assert writer.held
        assert db.kv.txn(compare=[writer.condition], success=[op.put("a", "1")]).succeeded
    with db.semaphore("builds", 2, value="me") as permit, db.semaphore("builds", 2) as other:
        assert [holder.text for holder in permit.holders()] == ["me", ""]
        assert (permit.permits, permit.name) == (2, "builds")
        db.kv.delete(other.key)
        assert other.lost.wait(60)


def test_barriers(db: ringleader.sync.Client) -> None:
    gate = db.barrier("gate")
    assert gate.hold()
    assert gate.is_held()
    timer = threading.Timer(0.02, gate.release)
    timer.start()
    gate.wait(timeout=60)
    timer.join()
    order: list[str] = []

    def member() -> None:
        with db.double_barrier("epoch", 2) as barrier:
            assert (barrier.count, barrier.lost.is_set()) == (2, False)
            order.append("in")
        order.append("out")

    threads = [threading.Thread(target=member) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert order == ["in", "in", "out", "out"]


def test_queue_and_counter(db: ringleader.sync.Client) -> None:
    queue, counter = db.queue("jobs"), db.counter("done")
    ids = [queue.put(str(n), priority=n) for n in range(3)]
    with queue.consumer() as jobs:
        assert not jobs.lost.is_set()
        for message in jobs:
            with message:
                assert message.held
                assert (message.id, message.deliveries, message.value) == (
                    ids[message.priority],
                    1,
                    message.text.encode(),
                )
                assert db.kv.txn(compare=[message.condition]).succeeded
                assert message.fencing_token > 0
            if counter.add(1) == 3:
                break
        queue.put("again")
        message = jobs.get(timeout=60)
        message.release()
        assert jobs.get().deliveries == 2
        assert queue.size() == ringleader.QueueSize(1, 1)
    counter.set(7)
    assert counter.compare_and_set(7, 8)
    assert counter.get() == 8


def test_cache(db: ringleader.sync.Client) -> None:
    db.kv.put("k/a", "1")
    called: list[bytes] = []
    with db.cache("k/") as cache:
        stop = cache.on_change(lambda event: called.append(event.key))
        changes = cache.changes()

        def put_once_it_is_followed() -> None:
            while not cache._inner._readers:
                time.sleep(0.001)
            db.kv.put("k/b", "2")

        other = threading.Thread(target=put_once_it_is_followed)
        other.start()
        assert next(changes).text == "2"
        other.join(60)
        assert cache["k/b"].text == "2"
        assert "k/a" in cache
        assert cache.wait_for(cache.revision) is cache
        assert dict(cache) == cache.snapshot()
        assert len(cache) == 2
        stop()
        changes.close()  # type: ignore[attr-defined]  # it is a generator
    assert called == [b"k/b"]
    assert cache.error is not None


def test_watch_in_batches(db: ringleader.sync.Client) -> None:
    last = db.kv.txn(success=[op.put("k1", "1"), op.put("k2", "2")]).revision
    with db.kv.watch("k", prefix=True, start_revision=1) as stream:
        batch = stream.batch()
        assert batch is not None
        assert [event.key_text for event in batch.events] == ["k1", "k2"]
        assert (batch.revision, stream.revision) == (last, last)
    assert stream.batch() is None


def test_shards(db: ringleader.sync.Client) -> None:
    with db.shards("jobs", count=4, name="one") as shards:
        had = {}
        for change in shards:
            assert change.kind == "start"
            had[change.shard.id] = change.shard
            if len(had) == 4:
                break
        assert sorted(had) == [0, 1, 2, 3]
        shard = had[2]
        assert db.kv.txn(compare=[shard.condition], success=[op.put("a", "1")]).succeeded
        assert shards.owned == [had[n] for n in range(4)], "the same objects"
        assert not shard.lost.is_set()
        db.kv.delete(shard.key)
        change = next(shards)
        assert (change.kind, change.shard) == ("lost", shard)
        assert shard.lost.wait(60)
        shards.release(shard)
        again = next(shards).shard
        assert again.fencing_token > 0
        assert again is not shard
        with pytest.raises(NotAppliedError):
            shard.check()
        (worker,) = shards.look().workers
        assert (worker.id, worker.name) == (shards.worker, "one")
    assert list(shards) == []


def test_shards_with_a_thread_for_each(db: ringleader.sync.Client) -> None:
    active: set[int] = set()
    ended: list[int] = []

    def work(shard: ringleader.sync.Shard) -> None:
        active.add(shard.id)
        shard.stopping.wait()
        ended.append(shard.id)

    shards = db.shards("jobs", count=8)
    thread = threading.Thread(target=shards.run, args=(work,))
    thread.start()
    deadline = time.monotonic() + 60
    while len(active) < 8 and time.monotonic() < deadline:
        time.sleep(0.005)
    shards.leave()
    thread.join(60)
    assert sorted(ended) == list(range(8))

    def fail(shard: ringleader.sync.Shard) -> None:
        if shard.id == 1:
            raise ValueError("shard one")
        shard.stopping.wait()
        ended.append(shard.id)

    ended.clear()
    with pytest.raises(ValueError, match="shard one"):
        db.shards("jobs", count=4).run(fail)
    assert set(ended) <= {0, 2, 3}
    assert db.leases.list() == []


def test_threads_share_a_client_and_a_lock_keeps_them_apart(db: ringleader.sync.Client) -> None:
    count = 0

    def work() -> None:
        nonlocal count
        for _ in range(5):
            with db.lock("count"):
                seen = count
                time.sleep(0.001)
                count = seen + 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == 20


def test_a_blocking_call_on_the_loop_is_refused(db: ringleader.sync.Client) -> None:
    from ringleader.sync._runner import run

    async def inside() -> None:
        db.kv.put("a", "1")

    with pytest.raises(UsageError, match="event loop"):
        run(inside())


def test_nobody_there() -> None:
    with pytest.raises(DeadlineError, match=r"127\.0\.0\.1:9"), ringleader.sync.connect("127.0.0.1:9", timeout=0.05):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_gets_a_thread_and_a_session_of_its_own() -> None:
    from ringleader.client.engine import Engine
    from ringleader.client.options import ClientOptions
    from unit.client.fakes import FakeCluster
    from unit.client.server import DirectDialer

    cluster = FakeCluster(1)
    inner = AsyncClient(Engine(["n1:1"], DirectDialer(cluster), ClientOptions()))
    client = ringleader.sync.Client(inner).open()
    client.kv.put("a", "1")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            client.kv.put("a", "child")
            status = 0 if [f.session for _, f in cluster.submits if f.session] == [1, 2] else 2
            client.close()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    client.kv.put("a", "2")
    assert [f.session for _, f in cluster.submits if f.session] == [1, 1]
    client.close()
