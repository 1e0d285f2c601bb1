"""Barriers and double barriers: nobody passes too early, a round ends as one."""

from __future__ import annotations

import asyncio

import pytest

from ringleader import Client, Lease, RangeResult
from ringleader.errors import DeadlineError
from unit.client.recipekit import keys, queued


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


async def test_a_compaction_under_the_wait_opens_no_barrier(db: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    barrier = db.barrier("gate")
    await barrier.hold()
    real, looks = db.kv.range, []

    async def look(key: bytes) -> RangeResult:
        """As of a revision that is compacted away before it can be watched from."""
        found = await real(key)
        looks.append(found.revision)
        if len(looks) < 3:
            await db.kv.put("other", "1")
            await db.kv.compact((await db.kv.put("other", "2")).revision)
        return found

    monkeypatch.setattr(db.kv, "range", look)
    with pytest.raises(DeadlineError, match="'gate'"):
        await barrier.wait(timeout=0.2)
    assert len(looks) == 3
    waiter = asyncio.create_task(barrier.wait())
    await asyncio.sleep(0.02)
    await asyncio.gather(barrier.release(), barrier.hold())  # who waited goes on, held anew or not
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
