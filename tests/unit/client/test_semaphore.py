"""Semaphores: so many permits and no more, in order, without a crowd at each release."""

from __future__ import annotations

import asyncio

import pytest

from ringleader import Client
from ringleader.errors import UsageError
from unit.client.fakes import FakeCluster
from unit.client.recipekit import direct, keys, queued, settled, until


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
