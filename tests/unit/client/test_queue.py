"""Queues: each message to one consumer, in order, again when that is lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

import ringleader
from ringleader import Client, Consumer, op
from ringleader.errors import DeadlineError, NotAppliedError, Reason, UsageError
from ringleader.wire.frames import Submit
from unit.client.fakes import FakeCluster
from unit.client.recipekit import direct, keys, settled
from unit.client.server import FakeServer


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


async def test_a_message_costs_its_producer_one_round_trip_and_its_consumer_two() -> None:
    cluster = FakeCluster(1)
    async with direct(cluster) as db:
        queue = db.queue("jobs")
        await queue.put("first")

        def trips() -> int:
            return len(cluster.queries) + len(cluster.submits)

        before = trips()
        for n in range(10):
            await queue.put(str(n))
        assert trips() - before == 10
        async with queue.consumer() as consumer:
            (await consumer.get()).text  # noqa: B018  # it has to look first
            before = trips()
            for n in range(5):
                message = await consumer.get()
                assert message.text == str(n)
                await message.ack()
            assert trips() - before == 10
            held = [await consumer.get() for _ in range(3)]
            assert trips() - before == 13, "also when they are kept"
            assert [message.text for message in held] == ["5", "6", "7"]


async def test_what_a_consumer_remembers_never_changes_who_is_first() -> None:
    """It knows what comes next from its last transaction; by then others put, took, gave back and died."""
    cluster = FakeCluster(1)
    async with direct(cluster) as db, direct(cluster) as elsewhere:
        queue, other = db.queue("jobs"), elsewhere.queue("jobs")
        for text in "abcdef":
            await queue.put(text)
        async with queue.consumer() as one, other.consumer() as two:
            await (await one.get()).ack()
            await other.put("urgent", priority=7)
            assert (await one.get()).text == "urgent", "put before it was asked for"
            theirs = await two.get()
            mine = await one.get()
            assert (theirs.text, mine.text) == ("b", "c")
            await theirs.release()
            assert (await one.get()).text == "b", "given back before it was asked for"
            dead = await two.get()
            assert dead.text == "d"
            await mine.ack()
            await elsewhere.leases.revoke(two._lease.id)
            again = await one.get()
            assert (again.text, again.deliveries) == ("d", 2), "its consumer died"
            await elsewhere.kv.delete(one._keys.messages, prefix=True)
            with pytest.raises(DeadlineError):
                await one.get(timeout=0.05)


async def test_order_holds_for_producers_who_know_nothing_of_each_other() -> None:
    cluster = FakeCluster(1)
    async with direct(cluster) as db, direct(cluster) as elsewhere:
        producers = [db.queue("jobs"), elsewhere.queue("jobs")]
        for n in range(20):
            await producers[n % 3 % 2].put(str(n), priority=n % 2)
            if not n % 5:
                await elsewhere.kv.put("news", "")
        async with producers[0].consumer() as consumer:
            got = [(await consumer.get()).text for _ in range(20)]
        assert got == [str(n) for n in (*range(1, 20, 2), *range(0, 20, 2))]


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
