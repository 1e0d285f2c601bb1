"""Counters: every addition counts once."""

from __future__ import annotations

import asyncio
import random

import pytest

import ringleader
from ringleader import Client, Counter
from ringleader.errors import DeadlineError, UnknownDeadlineError, UsageError
from ringleader.wire.frames import Submit
from unit.client.fakes import FakeCluster
from unit.client.server import FakeServer


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
