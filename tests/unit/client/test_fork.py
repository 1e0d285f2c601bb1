"""After a fork the child shares nothing with its parent that could hurt either: sessions, leases, locks, watches."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import traceback
from collections.abc import Awaitable, Callable

import pytest

import ringleader
import ringleader.sync
from ringleader.errors import NotAppliedError, Reason
from ringleader.store.commands import LeaseRevoke
from ringleader.wire.frames import Submit
from unit.client.fakes import _COMMANDS, FakeCluster
from unit.client.server import FakeServer

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


async def in_child(work: Callable[[], Awaitable[None]]) -> int:
    """Fork, run `work` on a loop of the child's own, and return the child's exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.run(work())  # type: ignore[arg-type]  # any awaitable is a coroutine here
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    return os.waitstatus_to_exitcode(status)


async def test_a_child_gets_a_session_of_its_own_and_no_lease_lock_or_watch_of_its_parent() -> None:
    async with FakeServer(FakeCluster(1), 1) as server, ringleader.connect(server.address) as db:
        lease = await db.lease(5)
        lock = await db.lock("job", ttl=5)
        stream = await db.kv.watch("a").ready()
        counter = db.counter("visits")
        await counter.add(1)
        cache = await db.cache("k/").open()

        async def child() -> None:
            assert not lease.alive
            assert not lock.held
            with pytest.raises(NotAppliedError, match="forked") as caught:
                lease.check()
            assert caught.value.reason is Reason.LEASE_LOST
            with pytest.raises(NotAppliedError):
                lock.check()
            await lock.release()
            await lease.revoke()
            await db.kv.put("a", "child")
            assert (await anext(stream)).text == "child", "set up anew, and nothing left out"
            async with db.lock("other") as other:
                assert other.held
            assert await counter.add(1) == 2
            with pytest.raises(NotAppliedError, match="forked"):
                await cache.wait_for(1)
            await db.close()

        assert await in_child(child) == 0
        assert lease.alive
        assert lock.held
        assert (await anext(stream)).text == "child"
        await db.kv.put("b", "parent")
        sessions = [frame.session for _, frame in server.cluster.submits]
        assert set(sessions) == {0, 1, 2}
        assert sessions[-1] == 1
        ended = [
            c.id
            for _, f in server.cluster.submits
            for _, c in _COMMANDS.decode(f.commands)
            if isinstance(c, LeaseRevoke)
        ]
        assert lease.id not in ended
        assert isinstance(server.frames[-1], Submit)
        assert await counter.get() == 2
        assert cache.error is None
        await cache.close()
        await stream.aclose()
        await lock.release()
        await lease.revoke()


def put_from_a_worker(client: ringleader.sync.Client, number: int) -> int:
    return client.kv.put(f"worker{number}", str(os.getpid())).revision


def test_workers_of_a_forking_pool_share_the_clients_name_only() -> None:
    """As with gunicorn or Celery: the client is made and used before the workers are forked."""
    from cli.harness import Dev

    with Dev("--nodes", "1") as dev, ringleader.sync.connect(dev.endpoints) as client:
        client.kv.put("a", "1")
        workers = [
            multiprocessing.get_context("fork").Process(target=put_from_a_worker, args=(client, n)) for n in range(3)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
        pids = {item.text for item in client.kv.range("worker", prefix=True)}
        assert pids == {str(worker.pid) for worker in workers}
        client.kv.put("a", "2")
