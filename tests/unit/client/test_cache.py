"""Caches keep themselves current, also after a compaction, and tell of their changes."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

import ringleader
from ringleader import Client, Event
from ringleader.errors import DeadlineError, NotAppliedError, Reason, UsageError
from ringleader.store.commands import Command, Compact, Delete, Put
from ringleader.wire.frames import Submit
from unit.client.fakes import FakeCluster
from unit.client.server import FakeServer


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


async def test_a_callback_that_fails_does_not_end_the_following(db: Client) -> None:
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    called: list[str] = []

    def fails(event: Event) -> None:
        raise ZeroDivisionError(event.key_text)

    async with db.cache("config/") as cache:
        cache.on_change(fails)
        cache.on_change(lambda event: called.append(event.key_text))
        for name in ("config/a", "config/b"):
            await cache.wait_for((await db.kv.put(name, "1")).revision)
        assert cache.error is None
    assert called == ["config/a", "config/b"]
    assert [type(context["exception"]) for context in told] == [ZeroDivisionError] * 2
