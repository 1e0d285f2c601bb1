"""Read-write lock, semaphore, barriers, queue, counter and cache on a real node of this process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
import pytest

import ringleader
from ringleader import Client, Consumer, Counter, Event, Lease, op
from ringleader.client.engine import Engine
from ringleader.client.options import ClientOptions
from ringleader.errors import DeadlineError, NotAppliedError, Reason, UnknownDeadlineError, UsageError
from ringleader.store.commands import Command, Compact, Delete, Put
from ringleader.wire.frames import Submit
from unit.client.fakes import FakeCluster
from unit.client.server import DirectDialer, FakeServer
from unit.client.test_recipes import keys, queued, until


@pytest.fixture
async def db() -> AsyncIterator[Client]:
    async with ringleader.embedded() as client:
        yield client


def direct(cluster: FakeCluster) -> Client:
    return Client(Engine(["n1:1"], DirectDialer(cluster), ClientOptions()))


async def settled(cluster: FakeCluster) -> None:
    """Wait until nobody asks the nodes for anything any more: they answer at once, so that is when many turns are quiet."""
    quiet = 0
    while quiet < 100:
        before = len(cluster.queries), len(cluster.submits), len(cluster.store.watches)
        await asyncio.sleep(0)
        quiet = quiet + 1 if before == (len(cluster.queries), len(cluster.submits), len(cluster.store.watches)) else 0


async def test_given_back_is_not_lost(db: Client) -> None:
    async with db.lock("job") as lock:
        pass
    await asyncio.sleep(0.01)
    assert not lock.lost.is_set()
    assert not lock.held


# ------------------------------------------------------------------------------------------------------ read-write lock


async def test_readers_share_and_writers_wait_their_turn(db: Client) -> None:
    rw = db.read_write_lock("catalogue")
    first, second = await rw.read(), await rw.read()
    assert first.held
    assert second.held
    writer = asyncio.create_task(rw.write().acquire())
    await queued(db, 3)
    late = asyncio.create_task(rw.read().acquire())
    await queued(db, 4)
    await first.release()
    await asyncio.sleep(0.02)
    assert not writer.done()
    assert not late.done(), "a reader that came after the writer waits behind it: no writer starves"
    await second.release()
    held = await writer
    assert not late.done()
    assert held.fencing_token > second._place.token
    await held.release()
    reader = await late
    assert reader.fencing_token > held._place.token
    await reader.release()
    assert await keys(db) == []


async def test_a_reader_watches_only_the_writer_before_it() -> None:
    cluster = FakeCluster(1)
    async with direct(cluster) as db:
        rw = db.read_write_lock("catalogue")
        writer = await rw.write()
        readers = [asyncio.create_task(rw.read().acquire()) for _ in range(3)]
        await until(lambda: len(cluster.store.watches) == 4)  # one each, and the holder its own key
        await asyncio.sleep(0.02)
        assert len(cluster.store.watches) == 4
        await writer.release()
        held = await asyncio.gather(*readers)
        assert all(each.held for each in held)
        for each in held:
            await each.release()


async def test_a_writer_that_gives_up_lets_readers_pass(db: Client) -> None:
    rw = db.read_write_lock("catalogue")
    async with rw.read():
        with pytest.raises(DeadlineError, match="write lock 'catalogue'"):
            await rw.write(timeout=0.05)
        async with rw.read(timeout=60):
            pass
    writer = rw.write()
    async with writer:
        await db.kv.delete(writer.key)
        async with asyncio.timeout(60):
            await writer.lost.wait()
        with pytest.raises(NotAppliedError):
            writer.check()


# ------------------------------------------------------------------------------------------------------------ semaphore


async def test_so_many_permits_and_no_more_in_order(db: Client) -> None:
    inside = most = 0
    order: list[int] = []

    async def work(number: int) -> None:
        nonlocal inside, most
        async with db.semaphore("builds", 3, value=str(number)) as permit:
            order.append(number)
            inside += 1
            most = max(most, inside)
            assert permit.held
            assert permit.key in {holder.key for holder in await permit.holders()}
            await until(lambda: most == 3)  # as many as may be
            inside -= 1

    tasks = []
    for number in range(8):
        tasks.append(asyncio.create_task(work(number)))
        await until(lambda number=number: len(order) >= min(number + 1, 3))  # type: ignore[misc]  # bound at once
    await asyncio.gather(*tasks)
    assert most == 3
    assert sorted(order) == list(range(8))
    assert await keys(db) == []


async def test_permits_are_handed_on_one_by_one() -> None:
    cluster = FakeCluster(1)
    async with direct(cluster) as db:
        permits = [db.semaphore("builds", 2, value=f"v {n}") for n in range(5)]
        for permit in permits[:2]:
            await permit.acquire()
        waiting = []
        for permit in permits[2:]:
            waiting.append(asyncio.create_task(permit.acquire()))
            await queued(db, 2 + len(waiting))
        await settled(cluster)
        assert [holder.text for holder in await permits[0].holders()] == ["v 0", "v 1"]
        assert not waiting[0].done()
        before = len(cluster.queries)
        await permits[1].release()
        await waiting[0]
        await settled(cluster)
        assert not waiting[1].done()
        assert len(cluster.queries) - before == 2, "the release wakes one waiter, its mark the next"
        waiting[1].cancel()
        await asyncio.wait([waiting[1]])
        await permits[0].release()
        await waiting[2]
        assert [holder.text for holder in await permits[0].holders()] == ["v 2", "v 4"]
        tokens = [permits[n].fencing_token for n in (2, 4)]
        assert tokens == sorted(tokens)
        for permit in permits[2], permits[4]:
            await permit.release()


async def test_all_must_agree_on_the_number_of_permits(db: Client) -> None:
    async with db.semaphore("builds", 2):
        with pytest.raises(UsageError, match="3 permits"):
            await db.semaphore("builds", 3).acquire()
        with pytest.raises(UsageError, match="1 to"):
            db.semaphore("builds", 0)
        with pytest.raises(UsageError, match="permits"):
            db.semaphore("builds", 1 << 70)
        assert len(await keys(db)) == 1


# ------------------------------------------------------------------------------------------------------------- barriers


async def test_nobody_passes_a_barrier_while_it_is_held(db: Client) -> None:
    barrier = db.barrier("gate")
    await barrier.wait(timeout=60)
    assert await barrier.hold()
    assert not await barrier.hold()
    assert await barrier.is_held()
    with pytest.raises(DeadlineError, match="'gate'"):
        await barrier.wait(timeout=0.05)
    waiting = [asyncio.create_task(db.barrier("gate").wait()) for _ in range(5)]
    await asyncio.sleep(0.02)
    assert not any(task.done() for task in waiting)
    assert await barrier.release()
    await asyncio.gather(*waiting)
    assert not await barrier.release()
    async with db.lease(5) as lease:
        await barrier.hold(lease=lease.id)
        waiter = asyncio.create_task(barrier.wait())
    await waiter


async def test_members_begin_and_end_together(db: Client) -> None:
    inside: set[int] = set()
    ended: list[int] = []
    left: list[int] = []

    async def member(number: int, generation: int) -> None:
        async with db.double_barrier("epoch", 4):
            inside.add(number)
            await asyncio.sleep(0.002 * (number % 4))
            ended.append(number)
        assert len(ended) == (generation + 1) * 4, "nobody goes on before all have ended"
        left.append(number)

    tasks = [asyncio.create_task(member(number, 0)) for number in range(3)]
    await queued(db, 3)
    assert inside == set()
    await asyncio.gather(*tasks, member(3, 0))
    assert inside == {0, 1, 2, 3}
    await asyncio.gather(*(member(number, 1) for number in range(4)))
    assert await keys(db) == []


async def test_who_comes_too_late_belongs_to_the_next_round(db: Client) -> None:
    first = [db.double_barrier("epoch", 2) for _ in range(2)]
    await asyncio.gather(*(each.enter() for each in first))
    late = [asyncio.create_task(db.double_barrier("epoch", 2).enter()) for _ in range(2)]
    await queued(db, 5)
    await asyncio.sleep(0.02)
    assert not any(task.done() for task in late)
    await asyncio.gather(*(each.leave() for each in first))
    second = await asyncio.gather(*late)
    await asyncio.gather(*(each.leave() for each in second))
    assert await keys(db) == []


async def test_a_round_ends_with_its_last_members_key(db: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the two, who came next took the member that was leaving for one of its own round."""
    members = [db.double_barrier("epoch", 2) for _ in range(2)]
    await asyncio.gather(*(each.enter() for each in members))

    async def later(self: Lease) -> None:
        """The lease ends, but not yet."""

    with monkeypatch.context() as patch:
        patch.setattr(Lease, "revoke", later)
        await asyncio.gather(*(each.leave() for each in members))
    assert await keys(db) == []
    for each in members:
        await each._lease.revoke()


async def test_a_member_that_dies_inside_counts_as_having_left(db: Client) -> None:
    members = [db.double_barrier("epoch", 3, value=str(n)) for n in range(3)]
    await asyncio.gather(*(each.enter() for each in members))
    dead = min(members, key=lambda each: each._line.token)
    leaving = [asyncio.create_task(each.leave()) for each in members if each is not dead]
    await asyncio.sleep(0.02)
    assert not any(task.done() for task in leaving)
    await db.leases.revoke(dead._lease.id)
    await asyncio.gather(*leaving)
    await dead.lost.wait()
    await dead.leave()
    with pytest.raises(DeadlineError, match="not enough came"):
        await db.double_barrier("epoch", 2, timeout=0.05).enter()
    later = [db.double_barrier("epoch", 2, timeout=60) for _ in range(2)]
    await asyncio.gather(*(each.enter() for each in later))
    await asyncio.gather(*(each.leave() for each in later))
    assert await keys(db) == []


# ---------------------------------------------------------------------------------------------------------------- queue


async def test_first_in_first_out_within_a_priority(db: Client) -> None:
    queue = db.queue("mail")
    for n in range(4):
        await queue.put(f"low {n}")
    await queue.put("high", priority=9)
    async with queue.consumer() as consumer:
        got = [await consumer.get(timeout=60) for _ in range(5)]
        assert [message.text for message in got] == ["high", "low 0", "low 1", "low 2", "low 3"]
        assert got[0].priority == 9
        assert (await queue.size()) == ringleader.QueueSize(5, 5)
        with pytest.raises(DeadlineError, match="'mail'"):
            await consumer.get(timeout=0.02)
        assert [message.deliveries for message in got] == [1] * 5
        for message in got:
            await message.ack()
    assert await keys(db) == []
    with pytest.raises(UsageError, match="priority"):
        await queue.put("x", priority=256)
    with pytest.raises(UsageError, match="lease"):
        await queue.consumer().get()


async def test_each_message_goes_to_one_consumer(db: Client) -> None:
    queue = db.queue("jobs")
    got: list[str] = []

    async def work() -> None:
        async with queue.consumer() as consumer:
            while len(got) < 40:
                with suppress(DeadlineError):
                    async with await consumer.get(timeout=0.3) as message:
                        got.append(message.text)

    workers = [asyncio.create_task(work()) for _ in range(5)]
    for n in range(40):
        await queue.put(str(n))
    await asyncio.gather(*workers)
    assert sorted(got, key=int) == [str(n) for n in range(40)], "each once"
    assert await keys(db) == []


async def test_a_dead_consumers_messages_return_and_it_cannot_acknowledge_them(db: Client) -> None:
    queue = db.queue("jobs")
    await queue.put("a")
    dead = await queue.consumer().open()
    message = await dead.get()
    async with queue.consumer() as alive:
        waiting = asyncio.create_task(alive.get())
        await asyncio.sleep(0.02)
        assert not waiting.done()
        await db.leases.revoke(dead._lease.id)
        again = await waiting
        assert (again.id, again.deliveries) == (message.id, 2)
        assert again.fencing_token > message.fencing_token
        with pytest.raises(NotAppliedError) as caught:
            await message.ack(op.put("effect", "twice"))
        assert caught.value.reason is Reason.LOCK_LOST
        assert await db.kv.get("effect") is None
        await again.ack(op.put("effect", "once"))
        assert (await queue.size()).messages == 0
        with pytest.raises(NotAppliedError):
            await dead.get()
    await dead.close()


async def test_what_fails_is_handed_out_again_at_its_place(db: Client) -> None:
    queue = db.queue("jobs")
    for text in "ab":
        await queue.put(text)
    async with queue.consumer() as consumer:
        with pytest.raises(ValueError, match="boom"):
            await fails(consumer)
        seen = []
        async for message in consumer:
            async with message:
                seen.append((message.text, message.deliveries))
            if len(seen) == 2:
                break
        assert seen == [("a", 2), ("b", 1)]


async def test_an_error_of_the_work_is_not_hidden_by_one_of_the_release() -> None:
    async with FakeServer(FakeCluster(1), 1) as server, ringleader.connect(server.address) as db:
        await db.queue("jobs").put("a")
        async with db.queue("jobs").consumer() as consumer:
            with pytest.raises(ValueError, match="boom"):
                await fails_when_cut_off(consumer, server)
            server.mute = ()
            server.drop()


async def fails_when_cut_off(consumer: Consumer, server: FakeServer) -> None:
    async with await consumer.get():
        consumer._kv._timeout = 0.2  # of the release, which is never answered
        server.mute = (Submit,)
        raise ValueError("boom")


async def fails(consumer: Consumer) -> None:
    async with await consumer.get():
        raise ValueError("boom")


async def test_idle_consumers_stand_in_line_and_only_the_first_watches_the_queue() -> None:
    cluster = FakeCluster(1)
    async with direct(cluster) as db:
        queue = db.queue("jobs")
        consumers = [await queue.consumer().open() for _ in range(4)]
        waiting = []
        for consumer in consumers:
            waiting.append(asyncio.create_task(consumer.get()))
            await settled(cluster)
        before = len(cluster.queries)
        await queue.put("a")
        await waiting[0]
        await settled(cluster)
        assert not any(task.done() for task in waiting[1:])
        assert len(cluster.queries) - before <= 1 + 2 + 3, "put, the first, and the next that becomes the first"
        for task in waiting[1:]:
            task.cancel()
        await asyncio.wait(waiting[1:])
        for consumer in consumers:
            await consumer.close()


async def test_a_cancelled_get_leaves_no_message_claimed(db: Client) -> None:
    queue = db.queue("jobs")
    await queue.put("a")
    async with queue.consumer() as consumer, queue.consumer() as other:
        for turns in range(0, 60, 4):
            task = asyncio.ensure_future(consumer.get())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await (await task).release()
        message = await other.get(timeout=60)
        assert message.text == "a"
        await message.ack()
        while consumer._returning:
            await asyncio.wait(consumer._returning)
    assert await keys(db) == []


# -------------------------------------------------------------------------------------------------------------- counter


async def test_every_addition_counts_once(db: Client) -> None:
    counters = [Counter(db.kv, "visits", 5.0, random.Random(n)) for n in range(4)]  # as if of four processes
    one = db.counter("visits")
    assert db.counter("visits") is one, "all additions of a client go together"
    results = await asyncio.gather(*(counters[n % 4].add(n) for n in range(100)))
    assert await counters[0].get() == sum(range(100))
    assert max(results) == sum(range(100))
    assert len(set(results)) >= 99, "each saw its own sum"
    assert await db.counter("visits").add(-10) == sum(range(100)) - 10
    await counters[1].set(5)
    assert await counters[2].compare_and_set(5, 6)
    assert not await counters[2].compare_and_set(5, 7)
    assert await counters[3].get() == 6


async def test_a_counter_has_64_bits(db: Client) -> None:
    counter = db.counter("big")
    await counter.set((1 << 63) - 2)
    assert await counter.add(1) == (1 << 63) - 1
    with pytest.raises(UsageError, match="beyond 64 bits"):
        await counter.add(1)
    await Counter(db.kv, "big", 5.0, random.Random(1)).set(0)
    assert await counter.add(5) == 5, "what was known of it is old"
    with pytest.raises(UsageError, match="amount"):
        await counter.add(1 << 64)
    await db.kv.put(b"ringleader/counters/text", "no number")
    with pytest.raises(UsageError, match="no number"):
        await db.counter("text").get()
    with pytest.raises(UsageError, match="no number"):
        await db.counter("text").add()


async def test_an_addition_without_an_answer_says_whether_it_may_have_counted() -> None:
    async with FakeServer(FakeCluster(1), 1) as server, ringleader.connect(server.address) as db:
        counter = db.counter("visits")
        await counter.add(1)
        server.mute = (Submit,)
        with pytest.raises(UnknownDeadlineError, match="may have been counted"):
            await counter.add(1, timeout=0.1)
        with pytest.raises(DeadlineError):
            await counter.add(1, timeout=0.1)
        server.mute = ()
        server.drop()
        assert await counter.add(1) == 3, "the first of the two was counted, the second was not"


# ---------------------------------------------------------------------------------------------------------------- cache


async def test_a_cache_keeps_itself_current(db: Client) -> None:
    await db.kv.put("config/a", "1")
    await db.kv.put("other", "x")
    called: list[str] = []
    cache = db.cache("config/")
    with pytest.raises(UsageError, match="opened"):
        await cache.wait_for(1)
    async with cache:
        assert list(cache) == [b"config/a"]
        assert cache["config/a"].text == "1"
        stop = cache.on_change(lambda event: called.append(f"{event.kind} {event.key_text}"))
        put = await db.kv.put("config/b", "2")
        await cache.wait_for(put.revision, timeout=60)
        assert cache.revision >= put.revision
        assert "config/b" in cache
        found = cache.get("config/b")
        assert found is not None
        assert found == await db.kv.get("config/b")
        seen: list[Event] = []

        async def follow() -> None:
            async for event in cache.changes():
                seen.append(event)

        task = asyncio.create_task(follow())
        await asyncio.sleep(0)
        gone = await db.kv.delete("config/a")
        await cache.wait_for(gone.revision, timeout=60)
        assert "config/a" not in cache
        stop()
        last = await db.kv.put("config/c", "3")
        await cache.wait_for(last.revision)
        await asyncio.sleep(0)
        assert [(event.kind, event.key) for event in seen] == [("delete", b"config/a"), ("put", b"config/c")]
        assert called == ["put config/b", "delete config/a"]
        with pytest.raises(DeadlineError, match="revision"):
            await cache.wait_for(last.revision + 1, timeout=0.02)
    await task
    assert cache.error is not None
    assert cache.snapshot() == dict(cache)
    assert len(cache) == 2, "what is there stays readable"


def apply(cluster: FakeCluster, *commands: Command) -> None:
    """Somebody else changes the store, while nobody is connected."""
    raw = msgspec.Raw(msgspec.msgpack.encode(list(enumerate(commands, 1))))
    cluster.apply(Submit(0, 1000, 0, 0, raw))


async def test_a_cache_that_lagged_behind_a_compaction_lists_anew() -> None:
    cluster = FakeCluster(1)
    async with FakeServer(cluster, 1) as server, ringleader.connect(server.address) as db:
        for name in ("a", "b", "c"):
            await db.kv.put(f"k/{name}", "1")
        events: list[str] = []
        async with db.cache("k/") as cache:
            cache.on_change(lambda event: events.append(f"{event.kind} {event.key_text} {event.text}"))
            server.drop()
            apply(cluster, Put(b"k/a", b"2"), Delete(b"k/b"), Put(b"k/d", b"1"), Put(b"elsewhere", b"x"))
            last = cluster.store.revision
            apply(cluster, Compact(last))
            await cache.wait_for(last, timeout=60)
            assert {name: kv.text for name, kv in cache.items()} == {b"k/a": "2", b"k/c": "1", b"k/d": "1"}
            assert events == ["delete k/b ", "put k/a 2", "put k/d 1"]


async def test_a_cache_reaches_a_revision_that_did_not_concern_it(db: Client) -> None:
    await db.kv.put("k/a", "1")
    async with db.cache("k/") as cache:
        elsewhere = await db.kv.put("other", "x")
        await cache.wait_for(elsewhere.revision, timeout=60)
        assert cache.revision >= elsewhere.revision
        later = await db.kv.put("k/a", "2")
        await cache.wait_for(later.revision, timeout=60)
        assert cache["k/a"].text == "2"


async def test_a_slow_reader_of_changes_is_told_and_holds_nobody_up(
    db: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringleader.client.recipes.cache._BUFFER", 5)
    async with db.cache("k/") as cache:
        slow = cache.changes()
        first = asyncio.ensure_future(anext(slow))
        await asyncio.sleep(0)
        for n in range(10):
            last = await db.kv.put(f"k/{n}", "x")
        await cache.wait_for(last.revision)
        await first
        for _ in range(5):
            await anext(slow)
        with pytest.raises(NotAppliedError, match="behind") as caught:
            await anext(slow)
        assert caught.value.reason is Reason.OVERLOADED
        assert len(cache) == 10


async def test_a_cache_of_more_than_one_answer_can_hold(db: Client) -> None:
    big = "x" * 900_000
    for n in range(7):
        await db.kv.put(f"k/{n}", big)
    async with db.cache("k/") as cache:
        assert len(cache) == 7
        assert len(cache["k/6"].value) == 900_000
