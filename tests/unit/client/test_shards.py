"""Groups of workers on a real node of this process: what a worker is told, when, and what it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

import ringleader
from ringleader import Client, NotAppliedError, Reason, Shard, ShardChange, Shards, UsageError, op


async def changes(shards: Shards, count: int) -> list[ShardChange]:
    async with asyncio.timeout(60):
        return [await anext(shards) for _ in range(count)]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nothing tells of."""
    async with asyncio.timeout(60):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)


async def rest(db: Client, group: str, workers: int) -> ringleader.ShardGroup:
    """Wait until every shard is with the worker who should have it."""
    async with asyncio.timeout(60):
        while True:
            seen = await db.shards(group).look()
            if len(seen.workers) == workers and not seen.unowned and not seen.moving:
                return seen
            await asyncio.sleep(0.005)


async def test_hand_over_waits_for_the_release_and_tokens_rise(db: Client) -> None:
    async with db.shards("jobs", count=8, name="one") as one:
        first = {change.shard.id: change.shard for change in await changes(one, 8)}
        assert sorted(first) == list(range(8))
        assert all(shard.owned and not shard.stopping.is_set() for shard in first.values())
        assert (one.group, one.count, one.epoch, len(one.owned)) == ("jobs", 8, 1, 8)
        async with db.shards("jobs", count=8, name="two") as two:
            stops = await changes(one, 4)
            assert {change.kind for change in stops} == {"stop"}
            moving = [change.shard for change in stops]
            assert all(shard.owned and shard.stopping.is_set() and not shard.lost.is_set() for shard in moving)
            started = asyncio.create_task(changes(two, 4))
            await asyncio.sleep(0.3)
            assert not started.done(), "the old owner has not stopped"
            seen = await two.look()
            assert sorted(seen.moving) == sorted(shard.id for shard in moving)
            assert [worker.name for worker in seen.workers] == ["one", "two"]
            await one.release(*moving[1:])
            await one.release(moving[0], *moving)
            assert not any(shard.owned or shard.lost.is_set() for shard in moving)
            with pytest.raises(NotAppliedError, match="released") as caught:
                _ = moving[0].fencing_token
            assert caught.value.reason is Reason.LEASE_LOST
            taken = [change.shard for change in await started]
            assert sorted(shard.id for shard in taken) == sorted(shard.id for shard in moving)
            assert all(shard.fencing_token > first[0].fencing_token for shard in taken)
            guarded = await db.kv.txn(compare=[taken[0].condition], success=[op.put("work", "done")])
            assert guarded.succeeded
            condition = taken[0].condition
        with pytest.raises(StopAsyncIteration):
            await anext(two)
        assert taken[0].stopping.is_set()
        assert not taken[0].owned
        assert not (await db.kv.txn(compare=[condition], success=[op.put("work", "again")])).succeeded
        back = await changes(one, 4)
        assert sorted(change.shard.id for change in back) == sorted(shard.id for shard in taken)
    seen = await db.shards("jobs").look()
    assert (seen.workers, len(seen.unowned), await db.leases.list()) == ([], 8, [])


async def test_a_lost_lease_is_told_at_once_and_the_worker_comes_back(db: Client) -> None:
    async with db.shards("jobs", count=4) as shards:
        had = [change.shard for change in await changes(shards, 4)]
        before = shards.worker
        (lease,) = await db.leases.list()
        await db.leases.revoke(lease)
        lost = await changes(shards, 4)
        assert {change.kind for change in lost} == {"lost"}
        assert all(shard.lost.is_set() and shard.stopping.is_set() and not shard.owned for shard in had)
        assert shards.owned == []
        await until(lambda: shards.worker not in ("", before))
        await asyncio.sleep(0.3)
        seen = await shards.look()
        assert len(seen.unowned) == 4, "work on them has not stopped: they are not taken again"
        await shards.release(*had)
        again = [change.shard for change in await changes(shards, 4)]
        assert min(shard.fencing_token for shard in again) > max(shard._token for shard in had)


async def test_a_pause_of_the_process_is_noticed_before_anything_else(
    db: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with db.shards("jobs", count=2, ttl=600.0) as shards:
        (one, _) = [change.shard for change in await changes(shards, 2)]
        loop = asyncio.get_running_loop()
        now = loop.time
        monkeypatch.setattr(loop, "time", lambda: now() + 601)
        assert not one.owned
        assert shards.owned == []
        with pytest.raises(NotAppliedError, match="time ran out"):
            one.check()


async def test_a_pause_shorter_than_the_lease_moves_nothing(db: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async with db.shards("jobs", count=2, ttl=600.0) as shards:
        had = [change.shard for change in await changes(shards, 2)]
        loop = asyncio.get_running_loop()
        now = loop.time
        monkeypatch.setattr(loop, "time", lambda: now() + 300)
        await until(lambda: shards._lease.remaining > 400)
        assert all(shard.owned for shard in had)
        assert (shards.epoch, len(shards.owned)) == (1, 2)


async def test_claims_and_workers_deleted_by_someone(db: Client) -> None:
    async with db.shards("jobs", count=4) as shards:
        had = {change.shard.id: change.shard for change in await changes(shards, 4)}
        await db.kv.delete(had[2].key)
        (lost,) = await changes(shards, 1)
        assert (lost.kind, lost.shard) == ("lost", had[2])
        assert had[1].owned
        await shards.release(had[2])
        (start,) = await changes(shards, 1)
        assert (start.kind, start.shard.id) == ("start", 2)
        before = shards.worker
        await db.kv.delete("ringleader/shards/jobs/members/", prefix=True)
        lost_all = await changes(shards, 4)
        assert {change.kind for change in lost_all} == {"lost"}
        await asyncio.sleep(0.1)
        assert shards.worker == before, "it comes back when its work has stopped"
        await shards.release(*[change.shard for change in lost_all])
        assert {change.kind for change in await changes(shards, 4)} == {"start"}
        assert shards.worker != before


async def test_a_shard_given_back_without_need_comes_again(db: Client) -> None:
    async with db.shards("jobs", count=1) as shards:
        (start,) = await changes(shards, 1)
        token = start.shard.fencing_token
        await shards.release(start.shard)
        (again,) = await changes(shards, 1)
        assert again.shard is not start.shard
        assert again.shard.fencing_token > token


async def test_run_has_one_task_for_each_shard(db: Client) -> None:
    active: dict[int, str] = {}

    def handler(name: str) -> Callable[[Shard], asyncio.Future[None]]:
        async def work(shard: Shard) -> None:
            assert shard.id not in active
            assert shard.owned
            active[shard.id] = name
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)  # cleaning up takes its time
                assert active.pop(shard.id) == name

        return lambda shard: asyncio.ensure_future(work(shard))

    workers = {n: asyncio.create_task(db.shards("jobs", count=32, name=n).run(handler(n))) for n in "abcd"}
    seen = await rest(db, "jobs", 4)
    assert [len(worker.shards) for worker in seen.workers] == [8, 8, 8, 8]
    await until(lambda: len(active) == 32)
    workers["b"].cancel()
    await asyncio.wait([workers["b"]])
    assert "b" not in active.values()
    await rest(db, "jobs", 3)
    await until(lambda: len(active) == 32)
    assert set(active.values()) == {"a", "c", "d"}
    for task in workers.values():
        task.cancel()
    await asyncio.wait(workers.values())
    assert active == {}


async def test_an_error_of_a_handler_ends_run_after_all_others(db: Client) -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def work(shard: Shard) -> None:
        begun.append(shard.id)
        if shard.id == 3:
            await until(lambda: len(begun) == 4)
            raise ValueError("shard three")
        if shard.id == 2:
            return  # done: stays idle
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(shard.id)

    with pytest.raises(ValueError, match="shard three"):
        await db.shards("jobs", count=4).run(work)
    assert sorted(ended) == [0, 1]
    assert await db.leases.list() == []


async def test_leaving_ends_run_first(db: Client) -> None:
    owned: list[bool] = []
    shards = db.shards("jobs", count=4)

    async def work(shard: Shard) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            owned.append(shard.owned)

    running = asyncio.create_task(shards.run(work))
    await until(lambda: len(shards.owned) == 4)
    with pytest.raises(UsageError, match="under way"):
        await shards.run(work)
    await shards.leave()
    assert owned == [True] * 4, "the shards were still this worker's while it cleaned up"
    await running
    assert await db.leases.list() == []


async def test_claims_decided_under_an_old_table_are_not_made(db: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """While releases are on their way the watch may bring a new table: what was to be claimed is decided anew."""
    shards = db.shards("jobs", count=4)
    shards._me, shards._returned, shards._claim = "me", [(0, 5)], [1, 2]
    calls = 0

    async def write(compare: object, success: object) -> ringleader.TxnResult:
        nonlocal calls
        calls += 1
        shards._board.table_revision += 1
        return ringleader.TxnResult(9, True, [ringleader.TxnResult(9, True, [])])

    monkeypatch.setattr(shards, "_txn", write)
    await shards._write()
    assert calls == 1, "the release, and no claim"


async def test_what_can_never_succeed_is_told(db: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> ringleader.TxnResult:
        raise UsageError("not allowed", reason=Reason.PERMISSION_DENIED)

    async with db.shards("jobs", count=4) as shards:
        monkeypatch.setattr(shards, "_txn", refuse)
        with pytest.raises(UsageError, match="not allowed"):
            await changes(shards, 1)


async def test_few_writes_for_many_shards(db: Client) -> None:
    before = (await db.status()).revision
    groups = [db.shards("jobs", count=256, weight=weight) for weight in (1.0, 1.0, 2.0)]
    await asyncio.gather(*(shards.join() for shards in groups))
    seen = await rest(db, "jobs", 3)
    assert sorted(len(worker.shards) for worker in seen.workers) == [64, 64, 128]
    assert seen.revision - before < 60, "joins, a few tables, claims of sixty"
    await asyncio.gather(*(shards.leave() for shards in groups))


async def test_history_compacted_under_the_watch(db: Client) -> None:
    async with db.shards("jobs", count=4) as shards:
        await changes(shards, 4)
        put = await db.kv.put("a", "1")
        await db.kv.compact(put.revision)
        async with db.shards("jobs", count=4) as other:
            await shards.release(*[change.shard for change in await changes(shards, 2)])
            assert len(await changes(other, 2)) == 2


async def test_wrong_use(db: Client) -> None:
    with pytest.raises(UsageError, match="power of two"):
        db.shards("jobs", count=100)
    with pytest.raises(UsageError, match="needs a name"):
        db.shards("")
    with pytest.raises(UsageError, match="weight"):
        db.shards("jobs", weight=0)
    with pytest.raises(UsageError, match="number of seconds above 0"):
        db.shards("jobs", ttl=0)
    shards = db.shards("jobs", count=4)
    with pytest.raises(UsageError, match="not joined"):
        await anext(shards)
    async with shards:
        with pytest.raises(UsageError, match="joined before"):
            await shards.join()
        with pytest.raises(UsageError, match="there are 4, not 8"):
            await db.shards("jobs", count=8).join()
    with pytest.raises(UsageError, match="joined before"):
        await shards.join()
    assert (await db.shards("nothing").look()).count == 0


async def test_a_closed_client_is_told() -> None:
    async with ringleader.embedded() as db:
        shards = await db.shards("jobs", count=2)
        (one, _) = [change.shard for change in await changes(shards, 2)]
    assert {change.kind for change in await changes(shards, 2)} == {"lost"}
    with pytest.raises(NotAppliedError) as caught:
        await anext(shards)
    assert caught.value.reason is Reason.CLOSED
    assert one.lost.is_set()
    assert not one.owned
    await shards.leave()
