"""The asyncio client against a scripted node: sharing frames, cancellation, failover, forks, garbage, clear errors."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import pickle
import struct
import traceback
from typing import Any

import msgspec
import pytest

import ringleader
from ringleader import key, op
from ringleader.client.client import Client
from ringleader.client.engine import Engine
from ringleader.client.failures import CompactedError
from ringleader.client.options import ClientOptions
from ringleader.errors import (
    DeadlineError,
    NotAppliedError,
    OutcomeUnknownError,
    Reason,
    UnknownDeadlineError,
    UsageError,
)
from ringleader.store.commands import Put
from ringleader.wire.frames import MAX_FRAME, Hello, Query, Refused, Submit, WatchCreate
from unit.client.fakes import FakeCluster
from unit.client.server import DirectDialer, FakeServer


def direct(cluster: FakeCluster | None = None) -> Client:
    return Client(Engine(["n1:1"], DirectDialer(cluster or FakeCluster(1)), ClientOptions()))


async def test_keys_and_values_over_tcp() -> None:
    async with FakeServer(FakeCluster(1), 1) as server, ringleader.connect(server.address) as db:
        assert db.node == "n1"
        put = await db.kv.put("greeting", "hallo")
        assert put.previous is None
        again = await db.kv.put(b"greeting", b"moin", prev_kv=True)
        assert again.previous is not None
        assert again.previous.text == "hallo"
        got = await db.kv.get("greeting")
        assert got is not None
        assert (got.text, got.key_text, got.version, got.mod_revision) == ("moin", "greeting", 2, again.revision)
        assert await db.kv.get("nothing") is None
        old = await db.kv.get("greeting", revision=put.revision)
        assert old is not None
        assert old.value == b"hallo"
        await db.kv.put("grey", "2")
        found = await db.kv.range("gre", prefix=True)
        assert [kv.key for kv in found] == [b"greeting", b"grey"]
        assert (len(found), found.count, bool(found), found[1].text) == (2, 2, True, "2")
        last = await db.kv.range("", prefix=True, descending=True, limit=1)
        assert (last[0].key, last.count, last.more) == (b"grey", 2, True)
        gone = await db.kv.delete("gre", prefix=True, prev_kv=True)
        assert (gone.deleted, [kv.key for kv in gone.previous]) == (2, [b"greeting", b"grey"])
        assert (await db.status()).node == "n1"


async def test_transactions_read_well() -> None:
    async with direct() as db:
        first = await db.kv.txn(
            compare=[key("a").missing, key("b").version == 0],
            success=[op.put("a", "1"), op.get("a"), op.txn(success=[op.put("b", "2")])],
            failure=[op.get("a")],
        )
        assert first.succeeded
        assert isinstance(first.results[1], ringleader.RangeResult)
        assert first.results[1][0].text == "1"
        assert isinstance(first.results[2], ringleader.TxnResult)
        conditions = [
            key("a").value == "1", key("a").value != b"2", key("a").version > 0, key("a").version < 2,
            key("a").create_revision == first.revision, key("a").mod_revision == first.revision,
            key("a").lease == 0, key("a").exists, key("", prefix=True).version == 1,
        ]  # fmt: skip
        for condition in conditions:
            assert (await db.kv.txn(compare=[condition])).succeeded, condition
        second = await db.kv.txn(compare=[key("a").value == "9"], failure=[op.range("", prefix=True), op.delete("a")])
        assert not second.succeeded
        listed, deleted = second.results
        assert isinstance(listed, ringleader.RangeResult)
        assert isinstance(deleted, ringleader.DeleteResult)
        assert (len(listed), deleted.deleted) == (2, 1)


async def test_slips_are_told() -> None:
    async with direct() as db:
        for act in (
            lambda: db.kv.put("", "1"),
            lambda: db.kv.put("a", 1),  # type: ignore[arg-type]  # wrong on purpose
            lambda: db.kv.get("a", consistency="maybe"),  # type: ignore[arg-type]  # wrong on purpose
            lambda: db.kv.get("a", max_staleness=-1),
            lambda: db.kv.range("a", prefix=True, range_end="b"),
            lambda: db.kv.txn(compare=[True]),  # type: ignore[list-item]  # wrong on purpose
            lambda: db.kv.txn(success=["put"]),  # type: ignore[list-item]  # wrong on purpose
            lambda: db.kv.put("a", "1", timeout=0),
            lambda: db.lease(0).grant(),
            lambda: db.lock("").acquire(),
        ):
            with pytest.raises(UsageError):
                await act()
        for build in (lambda: key("a").version == "1", lambda: key("a").value == 1, lambda: key("")):
            with pytest.raises(UsageError):
                build()
        with pytest.raises(UsageError):
            ringleader.connect("nowhere:port")
        with pytest.raises(UsageError):
            ringleader.connect(timeout=-1)


async def test_calls_of_one_turn_share_a_frame() -> None:
    async with FakeServer(FakeCluster(1), 1) as server, ringleader.connect(server.address) as db:
        await db.kv.put("warm", "up")
        server.frames.clear()
        await asyncio.gather(*[db.kv.put(f"k{n}", "v") for n in range(50)], *[db.kv.get(f"k{n}") for n in range(50)])
        assert [type(frame) for frame in server.frames] == [Submit, Query]


async def test_a_cancelled_call_leaves_the_connection_usable() -> None:
    async with FakeServer(FakeCluster(1), 1) as server, ringleader.connect(server.address) as db:
        await db.kv.put("warm", "up")
        server.mute = (Submit, Query)
        server.frames.clear()
        tasks = [asyncio.create_task(db.kv.put("a", "1")), asyncio.create_task(db.kv.get("a"))]
        for kind in (Submit, Query):
            await server.has_seen(lambda frame, kind=kind: isinstance(frame, kind))  # type: ignore[misc]  # bound at once
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        server.mute = ()
        await db.kv.put("b", "2")
        assert len(server.writers) == 1, "the same connection"


async def test_deadlines_say_what_is_known() -> None:
    async with FakeServer(FakeCluster(1), 1) as server, ringleader.connect(server.address) as db:
        await db.kv.put("warm", "up")
        server.mute = (Submit, Query)
        with pytest.raises(UnknownDeadlineError, match="put of 'a'") as unknown:
            await db.kv.put("a", "1", timeout=0.2)
        assert unknown.value.node == "n1"
        assert unknown.value.hint
        with pytest.raises(DeadlineError, match="read of 'a'"):
            await db.kv.get("a", timeout=0.05)
        with pytest.raises(TimeoutError):
            await db.kv.put("a", "1", timeout=0.01)


async def cannot_connect(address: str, says: str) -> DeadlineError:
    """It says why it does not come to a connection; with more time when a busy machine did not come to an answer."""
    for seconds in (0.1, 2.0, 30.0):
        with pytest.raises(DeadlineError) as caught:
            async with ringleader.connect(address, timeout=seconds):
                pass
        if says in str(caught.value).lower():
            return caught.value
    raise AssertionError(str(caught.value))


async def test_nobody_there() -> None:
    async with FakeServer(FakeCluster(1), 1) as server:
        address = server.address
    error = await cannot_connect(address, "refused")
    assert address in str(error)
    assert error.reason is Reason.UNREACHABLE
    db = ringleader.connect(address, timeout=0.05)
    with pytest.raises(DeadlineError, match="put of 'a'"):
        await db.kv.put("a", "1")
    await db.close()


async def test_goes_on_when_the_connection_breaks() -> None:
    async with FakeServer(FakeCluster(1), 1) as server, ringleader.connect(server.address) as db:
        seen = []
        stream = db.kv.watch("k", prefix=True)
        await stream.ready()
        for n in range(5):
            await db.kv.put(f"k{n}", "v")
            server.drop()
        await db.kv.put("k5", "v")
        async for event in stream:
            seen.append(event.key_text)
            if len(seen) == 6:
                break
        await stream.aclose()
        assert seen == [f"k{n}" for n in range(6)]
        assert len([f for f in server.frames if isinstance(f, Hello)]) >= 5


async def test_a_write_whose_answer_is_lost_runs_once() -> None:
    cluster = FakeCluster(1)
    async with FakeServer(cluster, 1) as server, ringleader.connect(server.address) as db:
        await db.kv.put("warm", "up")
        server.mute = (Submit,)
        call = asyncio.create_task(db.kv.put("a", "1"))
        await server.has_seen(lambda f: isinstance(f, Submit) and f.ack == 2)
        server.mute = ()
        server.drop()
        await call
        got = await db.kv.get("a")
        assert got is not None
        assert got.version == 1


async def test_garbage_and_oversized_frames_end_the_connection_with_a_reason() -> None:
    not_text = msgspec.msgpack.encode(Refused(0, Reason.NO_LEADER, "me")).replace(b"me", b"\xff\xfe")
    for garbage in (
        struct.pack(">I", MAX_FRAME + 1) + b"x",
        struct.pack(">I", 3) + b"\xc1\xc1\xc1",
        b"HTTP/1.1 400 \r\n",
        struct.pack(">I", len(not_text)) + not_text,
    ):

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter, garbage: bytes = garbage) -> None:
            writer.write(garbage)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        await cannot_connect(f"127.0.0.1:{port}", "frame")
        server.close()
        await server.wait_closed()


async def test_frames_may_come_in_pieces() -> None:
    cluster = FakeCluster(1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = FakeServer(cluster, 1)

        class Slow:
            transport = writer.transport

            def write(self, data: bytes) -> None:
                for at in range(0, len(data), 7):
                    writer.write(data[at : at + 7])

            def close(self) -> None:
                writer.close()

        await inner._serve(reader, Slow())  # type: ignore[arg-type]  # all that the server uses of a writer

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with ringleader.connect(f"127.0.0.1:{port}") as db:
        await db.kv.put("a", "x" * 100)
        got = await db.kv.get("a")
        assert got is not None
        assert len(got.value) == 100
    server.close()
    await server.wait_closed()


async def test_a_slow_reader_pauses_the_watch_and_loses_nothing() -> None:
    async with FakeServer(FakeCluster(1), 1) as server, ringleader.connect(server.address) as db:
        async with db.kv.watch("k", prefix=True, buffer=4) as stream:
            for n in range(40):
                await db.kv.put("k", str(n))
            assert len(stream._buffer.events) < 12, "bounded"
            seen = [int((await anext(stream)).text) for _ in range(40)]
        assert seen == list(range(40))
        assert len([f for f in server.frames if isinstance(f, WatchCreate)]) > 2


async def test_watch_filters_and_previous_values() -> None:
    async with direct() as db:
        start = (await db.kv.put("a", "1")).revision
        await db.kv.put("a", "2")
        await db.kv.delete("a")
        everything = db.kv.watch("a", start_revision=start, prev_kv=True)
        seen = [await anext(everything) for _ in range(3)]
        assert [(e.kind, e.deleted, e.revision) for e in seen] == [
            ("put", False, start), ("put", False, start + 1), ("delete", True, start + 2),
        ]  # fmt: skip
        assert seen[2].previous is not None
        assert seen[2].previous.text == "2"
        assert everything.revision == start + 2
        assert (await anext(db.kv.watch("a", start_revision=start, puts=False))).deleted
        assert (await anext(db.kv.watch("a", start_revision=start + 2, deletes=True))).deleted


async def test_watch_of_compacted_history_says_so() -> None:
    async with direct() as db:
        for n in range(5):
            revision = (await db.kv.put("a", str(n))).revision
        await db.kv.compact(revision)
        with pytest.raises(CompactedError) as caught:
            await anext(db.kv.watch("a", start_revision=2))
        assert caught.value.compact_revision == revision
        copy = pickle.loads(pickle.dumps(caught.value))
        assert (copy.compact_revision, copy.reason, str(copy)) == (revision, Reason.COMPACTED, str(caught.value))


async def test_a_forgotten_watch_is_ended() -> None:
    cluster = FakeCluster(1)
    async with direct(cluster) as db:
        stream = db.kv.watch("a")
        await stream.ready()
        assert len(cluster.store.watches) == 1
        del stream
        gc.collect()
        async with asyncio.timeout(60):
            while len(cluster.store.watches):
                await asyncio.sleep(0.001)


async def test_close_ends_calls_and_watches() -> None:
    async with FakeServer(FakeCluster(1), 1) as server:
        db = await ringleader.connect(server.address)
        await db.kv.put("warm", "up")
        server.frames.clear()
        server.mute = (Submit, Query)
        write = asyncio.create_task(db.kv.put("a", "1"))
        read = asyncio.create_task(db.kv.get("a"))
        watching = asyncio.create_task(_collect(db))
        for kind in (Submit, Query, WatchCreate):
            await server.has_seen(lambda frame, kind=kind: isinstance(frame, kind))  # type: ignore[misc]  # bound at once
        await db.close()
        await db.close()
        with pytest.raises(OutcomeUnknownError):
            await write
        with pytest.raises(NotAppliedError):
            await read
        assert await watching == []
        with pytest.raises(NotAppliedError, match="closed"):
            await db.kv.put("a", "1")


async def _collect(db: Client) -> list[str]:
    return [event.text async for event in db.kv.watch("a")]


def test_another_loop_gets_a_session_of_its_own() -> None:
    cluster = FakeCluster(1)
    db = direct(cluster)

    async def once() -> None:
        await db.kv.put("a", "1")

    asyncio.run(once())
    asyncio.run(once())
    assert [frame.session for _, frame in cluster.submits if frame.session] == [1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
async def test_a_fork_gets_a_session_of_its_own() -> None:
    cluster = FakeCluster(1)
    db = direct(cluster)
    await db.kv.put("a", "1")
    asyncio.get_running_loop()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.events._set_running_loop(None)
            asyncio.run(_put(db))
            sessions = [frame.session for _, frame in cluster.submits if frame.session]
            status = 0 if sessions == [1, 2] else 2
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    await db.kv.put("a", "2")
    assert [frame.session for _, frame in cluster.submits if frame.session] == [1, 1]
    await db.close()


async def _put(db: Client) -> None:
    await db.kv.put("a", "child")


async def test_no_task_per_call() -> None:
    async with direct() as db:
        await db.kv.put("warm", "up")
        before = len(asyncio.all_tasks())
        waiting = [asyncio.ensure_future(db.kv.put(f"k{n}", "v")) for n in range(10)]
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == before + len(waiting), "only those made here"
        await asyncio.gather(*waiting)


def test_commands_are_what_they_say() -> None:
    assert op.put("a", "b", lease=3) == Put(b"a", b"b", 3)


async def called(method: Any, given: dict[str, Any]) -> None:
    result = method(**given)
    if inspect.isawaitable(result):
        await result


@pytest.mark.parametrize("wrong", [1 << 70, -(1 << 70), 1 << 63, -1, "1"])
async def test_numbers_that_the_store_cannot_hold_are_refused_by_name(wrong: Any) -> None:
    """They hung, or raised OverflowError, when the frame was encoded."""
    async with ringleader.embedded() as db:
        asked = 0
        for made in (db.kv, db.leases):
            for name, method in inspect.getmembers(made, inspect.ismethod):
                for parameter in inspect.signature(method).parameters.values():
                    if name.startswith("_") or parameter.annotation != "int":
                        continue
                    given: dict[str, Any] = {"key": "k", "value": "v"} | {parameter.name: wrong}
                    known = inspect.signature(method).parameters
                    with pytest.raises(UsageError, match=parameter.name):
                        await called(method, {each: given[each] for each in given if each in known})
                    asked += 1
        assert asked == 14
        with pytest.raises(UsageError, match="lease"):
            ringleader.op.put("a", "1", lease=wrong)
        with pytest.raises(UsageError, match="limit"):
            ringleader.op.range("a", limit=wrong)
        if wrong != -1:
            with pytest.raises(UsageError, match="version"):
                ringleader.key("a").version == wrong  # noqa: B015  # the comparison is what raises


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), 1e300, 10**400, "1"])
async def test_times_that_make_no_sense_are_refused(wrong: Any) -> None:
    async with ringleader.embedded() as db:
        for call in (db.kv.put("a", "1", timeout=wrong), db.kv.get("a", timeout=wrong), db.leases.grant(wrong)):
            with pytest.raises(UsageError, match="seconds"):
                await call
        assert (await db.kv.put("a", "1", timeout=1e9)).revision == 2


async def test_a_reader_slow_by_bytes_pauses_the_watch_and_other_calls_go_on() -> None:
    """A few large events are as much as many small ones."""
    async with direct() as db:
        stream = await db.kv.watch("big", prefix=True).ready()
        for n in range(20):
            await db.kv.put(f"big{n}", bytes(1_000_000))
        waiting = sum(len(event.kv.value) for event in stream._buffer.events)
        assert 8_000_000 < waiting < 10_000_000
        await db.kv.get("a")
        assert [(await anext(stream)).key_text for _ in range(20)] == [f"big{n}" for n in range(20)], "none left out"
        await stream.aclose()
