"""Read-write locks on a real node of this process."""

from __future__ import annotations

import asyncio

import pytest

from ringleader import Client
from ringleader.errors import DeadlineError, NotAppliedError
from unit.client.fakes import FakeCluster
from unit.client.recipekit import direct, keys, queued, until


async def test_given_back_is_not_lost(db: Client) -> None:
    async with db.lock("job") as lock:
        pass
    await asyncio.sleep(0.01)
    assert not lock.lost.is_set()
    assert not lock.held


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
