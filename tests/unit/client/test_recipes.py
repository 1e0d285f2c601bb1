"""Leases, locks and elections on a real node of this process."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

import ringleader
from ringleader import Client, key, op
from ringleader.client import leases
from ringleader.client.engine import Engine
from ringleader.client.options import ClientOptions
from ringleader.client.recipes import patience
from ringleader.client.steady import steady
from ringleader.errors import DeadlineError, NotAppliedError, Reason, UnknownDeadlineError, UsageError
from ringleader.wire.frames import Submit
from unit.client.fakes import FakeCluster
from unit.client.recipekit import keys, no_leases, queued, until
from unit.client.server import DirectDialer, FakeServer


class Ahead:
    """Lets the event loop's clock run ahead by so many `seconds`: its timers are due at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        loop = asyncio.get_running_loop()
        now = loop.time
        monkeypatch.setattr(loop, "time", lambda: now() + self.seconds)


async def test_a_lease_lives_until_it_is_left(db: Client) -> None:
    async with db.lease(60) as lease:
        await db.kv.put("here", "yes", lease=lease.id)
        assert lease.alive
        assert 0 < lease.remaining <= 60
        assert not lease.lost.is_set()
        assert await db.kv.get("here") is not None
        info = await db.leases.info(lease.id, keys=True)
        assert info is not None
        assert (info.ttl, info.keys) == (60.0, [b"here"])
        assert await db.leases.list() == [lease.id]
    assert await db.kv.get("here") is None
    assert await db.leases.list() == []
    assert not lease.lost.is_set(), "given back is not lost"
    with pytest.raises(NotAppliedError, match="revoked"):
        lease.check()


async def test_a_lease_keeps_itself_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead, cluster = Ahead(monkeypatch), FakeCluster(1)
    async with Client(Engine(["n1:1"], DirectDialer(cluster), ClientOptions())) as db, db.lease(600) as lease:
        for _ in range(5):  # in all, four times as long as it lives
            ahead.seconds += 500
            cluster.time_ms += 500_000
            await until(lambda: lease.remaining > 400)
            assert cluster.store.due_leases(cluster.time_ms) == []
        assert not lease.lost.is_set()


async def test_a_lease_taken_away_is_told(db: Client) -> None:
    async with db.lease(3.0) as lease:
        await db.leases.revoke(lease.id)
        async with asyncio.timeout(60):
            await lease.lost.wait()
        assert not lease.alive
        with pytest.raises(NotAppliedError) as caught:
            _ = lease.id
        assert caught.value.reason is Reason.LEASE_LOST
        assert caught.value.hint


async def test_a_lease_that_cannot_be_kept_is_lost_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = Ahead(monkeypatch)
    async with (
        FakeServer(FakeCluster(1), 1) as server,
        ringleader.connect(server.address) as db,
        db.lease(100_000) as lease,
    ):
        server.mute = (Submit,)
        ahead.seconds = 98_000
        assert lease.remaining > 0
        ahead.seconds = 99_900
        assert lease.remaining == 0, "before the store would end it"
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + 60):
            await lease.lost.wait()
        server.mute = ()
        server.drop()


async def test_a_lease_does_not_outlive_a_suspension_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's clock stands still meanwhile, and its timers with it; the store's does not."""
    asleep = [0.0]
    monkeypatch.setattr(leases, "steady", lambda: steady() + asleep[0])
    cluster = FakeCluster(1)
    async with Client(Engine(["n1:1"], DirectDialer(cluster), ClientOptions())) as db, db.lock("a", ttl=600) as lock:
        held = []
        for asleep[0] in (590.0, 600.0):
            held.append(lock.held)
        assert held == [True, False]
        with pytest.raises(NotAppliedError) as lost:
            lock.check()
        assert lost.value.reason is Reason.LOCK_LOST


async def test_leases_one_by_one(db: Client) -> None:
    lease = await db.leases.grant(30)
    assert lease.ttl == 30
    assert (await db.leases.keep_alive(lease.id)).id == lease.id
    await db.leases.revoke(lease.id)
    with pytest.raises(UsageError) as caught:
        await db.leases.keep_alive(lease.id)
    assert caught.value.reason is Reason.LEASE_NOT_FOUND
    assert await db.leases.info(lease.id) is None


async def test_a_cancelled_grant_leaves_no_lease(db: Client) -> None:
    for turns in range(6):
        task = asyncio.ensure_future(db.lease(5).grant())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await (await task).revoke()
    await no_leases(db)


async def test_one_holder_at_a_time_first_come_first_served(db: Client) -> None:
    order: list[int] = []
    tokens: list[int] = []
    inside = 0

    async def work(number: int) -> None:
        nonlocal inside
        async with db.lock("job", ttl=5) as lock:
            inside += 1
            assert inside == 1
            order.append(number)
            tokens.append(lock.fencing_token)
            await asyncio.sleep(0.002)
            inside -= 1

    tasks = []
    async with db.lock("job"):
        for number in range(6):
            tasks.append(asyncio.create_task(work(number)))
            await queued(db, number + 2)
    await asyncio.gather(*tasks)
    assert order == sorted(order)
    assert tokens == sorted(set(tokens)), "fencing tokens only grow"
    assert await keys(db) == []
    assert await db.leases.list() == []


async def test_waiters_watch_only_the_one_before(db: Client) -> None:
    cluster = FakeCluster(1)
    async with Client(Engine(["n1:1"], DirectDialer(cluster), ClientOptions())) as client:
        locks = [client.lock("job") for _ in range(4)]
        await locks[0].acquire()
        waiting = [asyncio.create_task(lock.acquire()) for lock in locks[1:]]
        await until(lambda: len(cluster.store.watches) == 4)  # one each, and the holder its own key
        await asyncio.sleep(0.02)
        assert len(cluster.store.watches) == 4
        before = len(cluster.queries)
        await locks[0].release()
        await waiting[0]
        await asyncio.sleep(0.02)
        assert not waiting[1].done()
        assert len(cluster.queries) - before == 1, "a release wakes one waiter"
        for lock, task in zip(locks[1:], waiting, strict=True):
            await task
            await lock.release()


async def test_a_cancelled_waiter_leaves_the_queue(db: Client) -> None:
    async with db.lock("job"):
        waiters = [asyncio.create_task(db.lock("job").acquire()) for _ in range(3)]
        await queued(db, 4)
        waiters[1].cancel()
        await asyncio.wait([waiters[1]])
        assert len(await keys(db)) == 3
        assert not waiters[2].done()
    first = await waiters[0]
    assert not waiters[2].done()
    await first.release()
    await (await waiters[2]).release()
    assert await keys(db) == []


async def test_who_does_not_wait_gets_what_is_free(db: Client) -> None:
    both = db.read_write_lock("catalogue")
    async with (
        db.lock("a", timeout=0) as lock,
        db.semaphore("s", 1, timeout=0),
        both.read(timeout=0),
        both.read(timeout=0),
    ):
        assert lock.held
        waiting = asyncio.create_task(db.lock("b", timeout=5).acquire())
        taken = (
            db.lock("a", timeout=0), db.semaphore("s", 1, timeout=-1), both.write(timeout=0),
        )  # fmt: skip
        for each in taken:
            with pytest.raises(DeadlineError, match="others hold it"):
                await each.acquire()
        await (await waiting).release()
    async with db.election("e").campaign("me", timeout=0):
        with pytest.raises(DeadlineError, match="others hold it"):
            await db.election("e").campaign("you", timeout=0)
    await db.queue("mail").put("work")
    async with db.queue("mail").consumer() as consumer:
        assert (await consumer.get(timeout=0)).text == "work"
        with pytest.raises(DeadlineError, match="no message within 0 s"):
            await consumer.get(timeout=0)
    barrier = db.barrier("gate")
    await barrier.wait(timeout=0)
    await barrier.hold()
    with pytest.raises(DeadlineError, match="held"):
        await barrier.wait(timeout=0)
    await barrier.release()
    await no_leases(db)
    assert [kv.key for kv in await keys(db) if b"queues" not in kv.key] == []


async def test_cancelling_at_any_moment_leaves_nothing_behind(db: Client) -> None:
    for turns in range(0, 40, 3):
        lock = db.lock("job", ttl=5)
        task = asyncio.ensure_future(lock.acquire())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
            await lock.release()
    await no_leases(db)
    assert await keys(db) == []
    async with db.lock("job", timeout=60):
        pass


async def test_waiting_is_bounded_on_request(db: Client) -> None:
    async with db.lock("job"):
        with pytest.raises(DeadlineError, match="'job'") as caught:
            await db.lock("job", timeout=0.05).acquire()
        assert isinstance(caught.value, TimeoutError)
        assert len(await keys(db)) == 1


async def test_a_store_without_room_is_said_and_not_waited_for_for_ever(
    db: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await db.queue("mail").put("work")
    await db.kv.put("fill", bytes(10_000))
    await db.configure(quota_bytes=5_000)
    with pytest.raises(DeadlineError, match=r"not got within 1 s: .*the store is full"):
        await db.lock("a", timeout=1.0).acquire()
    said = ""
    while "no answer within 0.2 s" not in said:
        try:
            await db.counter("visits").add(1, timeout=0.2)
        except UnknownDeadlineError:
            pass  # in the middle of an attempt nothing is known
        except DeadlineError as error:
            said = str(error)
    assert "the store is full" in said
    monkeypatch.setattr(patience, "ROOM", 0.1)
    with pytest.raises(NotAppliedError) as refused:
        await db.lock("a").acquire()
    assert refused.value.reason is Reason.NO_SPACE
    async with db.queue("mail").consumer() as consumer:
        with pytest.raises(NotAppliedError) as refused:
            await consumer.get()
        assert refused.value.reason is Reason.NO_SPACE
    await no_leases(db)
    await db.configure(quota_bytes=0)
    async with db.lock("a"), db.queue("mail").consumer() as consumer:
        assert (await consumer.get()).text == "work"


async def test_a_lost_lock_is_told(db: Client) -> None:
    async with db.lock("job", value="me") as lock:
        lock.check()
        (held,) = await keys(db)
        assert (held.key, held.text, held.create_revision) == (lock.key, "me", lock.fencing_token)
        assert (await db.kv.txn(compare=[lock.condition], success=[op.put("fenced", "1")])).succeeded
        condition = lock.condition
        await db.kv.delete(lock.key)
        async with asyncio.timeout(60):
            await lock.lost.wait()
        assert not lock.held
        for act in (lock.check, lambda: lock.fencing_token):
            with pytest.raises(NotAppliedError) as caught:
                act()
            assert caught.value.reason is Reason.LOCK_LOST
        assert not (await db.kv.txn(compare=[condition])).succeeded


async def test_a_lock_whose_lease_ends_is_lost(db: Client) -> None:
    async with db.lock("job") as lock:
        (lease,) = await db.leases.list()
        await db.leases.revoke(lease)
        async with asyncio.timeout(60):
            await lock.lost.wait()
        assert not lock.held
        async with db.lock("job", timeout=60) as other:
            assert other.held


async def test_a_lock_is_taken_once(db: Client) -> None:
    lock = db.lock("job")
    with pytest.raises(UsageError):
        lock.check()
    async with lock:
        with pytest.raises(UsageError):
            await lock.acquire()
        assert lock.held, "the slip costs nothing"


async def test_an_election(db: Client) -> None:
    election = db.election("boss")
    assert await election.leader() is None
    seen: list[str | None] = []

    async def observe() -> None:
        async for leader in db.election("boss").observe():
            seen.append(None if leader is None else leader.text)
            if len(seen) == 5:
                return

    observer = asyncio.create_task(observe())
    await until(lambda: bool(seen))
    async with election.campaign("a") as first:
        second = asyncio.create_task(db.election("boss").campaign("b").campaign())
        await queued(db, 2)
        leader = await election.leader()
        assert leader is not None
        assert (leader.text, leader.fencing_token, leader.key) == ("a", first.fencing_token, first.key)
        await first.proclaim("A")
        await until(lambda: seen[-1] == "A")
    leadership = await second
    assert leadership.fencing_token > first._place.token
    await until(lambda: seen[-1] == "b")
    await leadership.resign()
    async with asyncio.timeout(60):
        await observer
    assert seen == [None, "a", "A", "b", None]
    with pytest.raises(NotAppliedError):
        await first.proclaim("late")


async def test_an_embedded_node_is_durable(tmp_path: object) -> None:
    folder = f"{tmp_path}/data"
    async with ringleader.embedded(folder) as db:
        await db.kv.put("a", "1")
        with pytest.raises(ringleader.RingleaderError) as caught:
            async with ringleader.embedded(folder):
                pass
        assert caught.value.reason is Reason.DATA_IN_USE
    async with ringleader.embedded(folder) as db:
        got = await db.kv.get("a")
        assert got is not None
        assert got.text == "1"
        assert (await db.kv.txn(compare=[key("a").version == 1])).succeeded


async def test_an_embedded_node_that_was_not_opened_says_so() -> None:
    db = ringleader.embedded()
    with pytest.raises(UsageError, match="embedded"):
        await db.kv.put("a", "1", timeout=0.2)
    await db.close()


async def test_a_name_with_a_slash_is_another_lock(db: Client) -> None:
    async with db.lock("a/b"), db.lock("a", timeout=60), db.lock("a%2Fb", timeout=60):
        assert len(await keys(db)) == 3
    async with db.election("a/b").campaign("1"), db.election("a").campaign("2", timeout=60):
        pass
