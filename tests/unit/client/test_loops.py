"""One client and several event loops, one after the other, in turns, or at once in threads: each has a core of its own."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import ringleader
from ringleader.client import place
from ringleader.client.client import Client
from ringleader.client.watching import WatchStream
from unit.client.fakes import FakeCluster
from unit.client.server import FakeServer

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""As asyncio says of whatever outlives its loop."""


@contextlib.contextmanager
def served() -> Iterator[FakeServer]:
    """A node on a loop of its own, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = FakeServer(FakeCluster(1), 1)
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        gc.collect()  # here, where the warnings are expected


async def put(db: Client, key: str, value: str) -> None:
    await db.kv.put(key, value, timeout=20)


async def get(db: Client, key: str) -> str:
    found = await db.kv.get(key, timeout=20)
    assert found is not None
    return found.text


def sessions(server: FakeServer) -> set[int]:
    return {frame.session for _, frame in server.cluster.submits if frame.session}


def test_loops_in_turns_keep_their_sessions() -> None:
    """Each change made a new core, and what came for the old one was handed to the new one."""
    with served() as server:
        db = ringleader.connect(server.address)
        loops = [asyncio.new_event_loop() for _ in range(2)]
        for turn in range(4):
            for number, loop in enumerate(loops):
                loop.run_until_complete(put(db, f"k{number}", str(turn)))
                assert loop.run_until_complete(get(db, f"k{number}")) == str(turn)
        assert sessions(server) == {1, 2}
        loops[0].run_until_complete(db.close())
        loops[1].run_until_complete(asyncio.sleep(0.01))
        asyncio.run(down_to(0, server))
        for loop in loops:
            loop.close()


async def down_to(number: int, server: FakeServer) -> None:
    async with asyncio.timeout(20):
        while server.connections > number:
            await asyncio.sleep(0.005)


def test_threads_with_loops_of_their_own_get_their_own_answers() -> None:
    """Calls of one hung as soon as the other made one, for nobody looked after their core any more."""
    with served() as server, ThreadPoolExecutor(3) as threads:
        db = ringleader.connect(server.address)
        together = threading.Barrier(3)

        async def work(name: str) -> None:
            for count in range(20):
                await put(db, name, f"{name} {count}")
                assert await get(db, name) == f"{name} {count}"
            await asyncio.to_thread(together.wait, 20)  # nobody's loop ends before

        list(threads.map(lambda name: asyncio.run(work(name)), "abc", timeout=60))
        assert sessions(server) == {1, 2, 3}
        asyncio.run(db.close())


def test_connections_of_closed_loops_end() -> None:
    """They stayed for the life of the process: one more for each loop."""
    with served() as server:
        db = ringleader.connect(server.address)
        for turn in range(3):
            asyncio.run(put(db, "a", str(turn)))
            asyncio.run(down_to(1, server))
        asyncio.run(db.close())
        asyncio.run(down_to(0, server))


def test_a_watch_goes_on_in_another_loop() -> None:
    with served() as server:
        db = ringleader.connect(server.address)
        first, second = asyncio.new_event_loop(), asyncio.new_event_loop()

        async def begin() -> WatchStream:
            stream = await db.kv.watch("a").ready()
            await put(db, "a", "1")
            assert (await anext(stream)).text == "1"
            return stream

        async def go_on() -> None:
            await put(db, "a", "2")
            assert (await anext(stream)).text == "2"

        stream = first.run_until_complete(begin())
        second.run_until_complete(go_on())
        first.run_until_complete(put(db, "a", "3"))
        first.run_until_complete(put(db, "b", "the other's news would come with this answer"))
        second.run_until_complete(put(db, "b", "and here, too"))
        assert second.run_until_complete(asyncio.wait_for(anext(stream), 20)).text == "3"
        second.run_until_complete(put(db, "a", "4"))
        assert second.run_until_complete(asyncio.wait_for(anext(stream), 20)).text == "4", "and no event twice"
        second.run_until_complete(stream.aclose())
        second.run_until_complete(db.close())
        first.run_until_complete(asyncio.sleep(0))
        first.close()
        second.close()


async def test_a_call_from_outside_any_loop_changes_nothing() -> None:
    """It is refused, as asyncio does; whatever goes on in the loop goes on."""
    async with FakeServer(FakeCluster(1), 1) as server, ringleader.connect(server.address) as db:
        stream = await db.kv.watch("a").ready()
        with pytest.raises(RuntimeError, match="no running event loop"):
            await asyncio.to_thread(lambda: db.kv.get("a").send(None))
        await db.kv.put("a", "1")
        assert (await anext(stream)).text == "1"
        assert len(server.cluster.store.watches) == 1
        await stream.aclose()


def test_a_counter_counts_in_each_loop() -> None:
    """What waited in one loop was dropped when another one added."""
    with served() as server:
        db = ringleader.connect(server.address)
        first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
        counter = db.counter("visits")
        waiting = []
        for _ in range(2):  # the second one waits for the first
            waiting.append(first.create_task(counter.add(timeout=20)))
            first.run_until_complete(asyncio.sleep(0))
        assert second.run_until_complete(counter.add(timeout=20)) == 1
        assert first.run_until_complete(asyncio.gather(*waiting)) == [2, 3]
        assert second.run_until_complete(counter.add(timeout=20)) == 4
        first.run_until_complete(db.close())
        second.run_until_complete(asyncio.sleep(0))
        first.close()
        second.close()


async def test_a_forked_copy_of_a_loop_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was about to leave is the parent's to send."""
    async with FakeServer(FakeCluster(1), 1) as server, ringleader.connect(server.address) as db:
        await db.kv.put("a", "1")
        number = len(server.frames)
        call = db.kv.put("a", "2")
        call.send(None)  # it is to leave at the end of this turn
        with monkeypatch.context() as child:
            child.setattr(place, "_forks", place._forks + 1)
            await asyncio.sleep(0.05)
            assert len(server.frames) == number
        call.close()
