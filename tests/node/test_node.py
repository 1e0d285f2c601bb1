"""One real node: it serves, keeps what it acknowledged, and answers every kind of abuse with a reason."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from node.wireclient import WireClient, single, submit, until
from ringleader.errors import NotAppliedError, Reason, UsageError
from ringleader.node import Node, NodeConfig
from ringleader.runtime.disk import DiskFailedError
from ringleader.runtime.framing import FrameProtocol
from ringleader.store.commands import Put, PutResult, Range, RangeResult
from ringleader.wire.frames import (
    MAGIC,
    MAX_FRAME,
    PROTOCOL_VERSION,
    Hello,
    Ping,
    Pong,
    Query,
    Refused,
    Results,
    ServerFrame,
    Submit,
    Welcome,
)

DEEP = b"\x95\x03\x01\x01\xa1x\x91" + b"\x94\x04\x90\x91" * 1_000
"""A query whose transactions nest without end."""
NO_TEXT = b"\x93\x01\xa1\xff\x01"
"""A hello whose magic is not UTF-8."""


async def read(client: WireClient, key: bytes) -> bytes:
    answer = await client.query(Query(900, 60_000, "linearizable", [Range(key)]))
    assert isinstance(answer, Results)
    assert isinstance(answer.results[0], RangeResult)
    return answer.results[0].kvs[0].value


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    async with Node(single(tmp_path)) as node:
        await node.ready(60)
        client = await WireClient(node.client_address).open()
        assert client.welcome.node == 1
        answer = await client.put(b"k", b"v1")
        assert isinstance(answer, Results)
        assert isinstance(answer.results[0], PutResult)
        assert await read(client, b"k") == b"v1"
        client.send(submit(5, Put(b"last", b"word")))
        assert isinstance(await client.receive(Results), Results)
        farewell = asyncio.ensure_future(client.receive(Refused))
        await node.stop()
        assert (await farewell).reason is Reason.STOPPING
        assert await client.at_end()
        await client.close()
    async with Node(single(tmp_path)) as node:
        await node.ready(60)
        client = await WireClient(node.client_address).open()
        assert (await read(client, b"k"), await read(client, b"last")) == (b"v1", b"word")
        await client.close()


async def test_what_the_operator_should_know_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Node(single(tmp_path)) as node:
        await node.ready(60)
        host = node._driver.host
        assert host is not None
        host.member.notice("the disk of n2 forgets")
        await until(lambda: "the disk of n2 forgets" in caplog.text)
        turns = node.stats.turns
        await until(lambda: node.stats.turns > turns + 20)
    assert caplog.text.count("the disk of n2 forgets") == 1


async def test_frames_in_pieces_and_many_in_one(tmp_path: Path) -> None:
    async with Node(single(tmp_path)) as node:
        await node.ready(60)
        client = await WireClient(node.client_address).open()
        stream = b""
        for number in range(1, 21):
            body = msgspec.msgpack.encode(submit(number, Put(b"k%d" % number, b"v")))
            stream += struct.pack(">I", len(body)) + body
        client.raw(stream)
        frames = [(await client.receive(Results)).frame for _ in range(20)]
        assert frames == list(range(1, 21))
        body = msgspec.msgpack.encode(Ping(77))
        for byte in struct.pack(">I", len(body)) + body:
            client.raw(bytes([byte]))
            await asyncio.sleep(0.001)
        assert (await client.receive(Pong)).frame == 77
        await client.close()


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", Reason.PROTOCOL, "does not speak HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Reason.PROTOCOL, "does not speak TLS"),
        (struct.pack(">I", MAX_FRAME + 1), Reason.PROTOCOL, "larger than the limit"),
        (struct.pack(">I", 5) + b"\xc1\xc1\xc1\xc1\xc1", Reason.PROTOCOL, "not understood"),
        (struct.pack(">I", 0), Reason.PROTOCOL, "not understood"),
        (struct.pack(">I", len(DEEP)) + DEEP, Reason.PROTOCOL, "not understood"),
        (struct.pack(">I", len(NO_TEXT)) + NO_TEXT, Reason.PROTOCOL, "not understood"),
        (struct.pack(">I", 3) + msgspec.msgpack.encode(Ping(1)), Reason.PROTOCOL, "first frame"),
    ],
)
async def test_garbage_gets_a_reason_is_logged_once_and_disturbs_nobody(
    tmp_path: Path, data: bytes, reason: Reason, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Node(single(tmp_path)) as node:
        await node.ready(60)
        good = await WireClient(node.client_address).open()
        with caplog.at_level(logging.WARNING, logger="ringleader.strangers"):
            for _ in range(3):
                stranger = await WireClient(node.client_address).open(hello=False)
                stranger.raw(data)
                refused = await stranger.receive(Refused)
                assert (refused.frame, refused.reason) == (0, reason)
                assert words in refused.message
                assert await stranger.at_end()
                await stranger.close()
        assert len(caplog.records) == 1
        assert words in caplog.text
        assert isinstance(await good.put(b"k", b"v"), Results)
        await good.close()


async def test_commands_that_make_no_sense_do_not_harm_the_node(tmp_path: Path) -> None:
    """They travel undecoded through the frame, so the node itself meets them."""
    nested = b"\x91\x92\x01" + b"\x94\x04\x90\x91" * 20_000 + b"\x94\x04\x90\x90\x90" + b"\x90" * 20_000
    no_text = msgspec.msgpack.encode([(1, [4, [[b"k", "target", "=", 1]]])]).replace(b"target", b"\xfft\xfft\xfft")
    async with Node(single(tmp_path)) as node:
        await node.ready(60)
        good = await WireClient(node.client_address).open()
        for commands in (nested, no_text, b"\x90", b"\xc0", msgspec.msgpack.encode([(1, [99])])):
            client = await WireClient(node.client_address).open()
            client.send(Submit(1, 1000, 0, 0, msgspec.Raw(commands)))
            await client.answer()
            assert not node.failed.done()
            await client.close()
        assert isinstance(await good.put(b"k", b"v"), Results)
        await good.close()


async def test_a_wrong_version_and_a_wrong_cluster(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Node(single(tmp_path)) as node:
        await node.ready(60)
        for hello, reason, words in [
            (Hello(MAGIC, PROTOCOL_VERSION + 1), Reason.VERSION, "protocol version 2"),
            (Hello(MAGIC, PROTOCOL_VERSION, "another"), Reason.WRONG_CLUSTER, "'another'"),
        ]:
            client = await WireClient(node.client_address).open(hello=False)
            client.send(hello)
            assert (await client.receive(Refused)).reason is reason
            assert await client.at_end()
            await client.close()
            assert sum(words in record.getMessage() for record in caplog.records) == 1


async def test_a_cut_frame_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Node(single(tmp_path)) as node:
        await node.ready(60)
        client = await WireClient(node.client_address).open()
        client.raw(struct.pack(">I", 1000) + b"only the start")
        await client.close()
        await until(lambda: "in the middle of a frame" in caplog.text)
        assert not node._callers.door.connections


async def test_a_client_that_never_reads_is_stopped_then_closed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Node(single(tmp_path)) as node:
        await node.ready(60)
        good = await WireClient(node.client_address).open()
        assert isinstance(await good.put(b"big", bytes(500_000)), Results)
        lazy = await WireClient(node.client_address).open()
        lazy.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.stop_reading()
        asked = 0
        async with asyncio.timeout(60):
            while not any(c.paused_since is not None for c in node._callers.door.connections.values()):
                if asked < 400:
                    asked += 1
                    lazy.send(Query(asked, 60_000, "stale", [Range(b"big")]))
                await asyncio.sleep(0.002)
        connection: FrameProtocol = next(
            c for c in node._callers.door.connections.values() if c.paused_since is not None
        )
        assert connection.transport is not None
        assert not connection.transport.is_reading()  # it cannot ask for more
        assert connection.waiting_bytes < 64 * 1024 * 1024
        assert isinstance(await good.put(b"k", b"v"), Results)
        assert connection.paused_since is not None
        node._callers.door.sweep(connection.paused_since + 29)
        assert connection in node._callers.door.connections.values()
        node._callers.door.sweep(connection.paused_since + 31)
        await until(lambda: len(node._callers.door.connections) == 1)
        assert "has read nothing for 30 s" in caplog.text
        await lazy.close()
        await good.close()


async def test_too_many_bytes_of_answers_end_a_connection(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Node(single(tmp_path)) as node:
        await node.ready(60)
        node._callers.door.limit = 200_000
        client = await WireClient(node.client_address).open()
        assert isinstance(await client.put(b"big", bytes(150_000)), Results)
        client.stop_reading()
        for asked in range(100):
            client.send(Query(asked, 60_000, "stale", [Range(b"big")]))
        await until(lambda: not node._callers.door.connections)
        assert "bytes of answers unread" in caplog.text
        await client.close()


async def test_a_start_that_is_cancelled_leaves_the_folder_free(tmp_path: Path) -> None:
    for rounds in range(6):
        node = Node(single(tmp_path))
        starting = asyncio.ensure_future(node.start())
        for _ in range(rounds):
            await asyncio.sleep(0)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        await node.stop()
    async with Node(single(tmp_path)) as node:
        await node.ready(60)


async def test_a_client_that_never_greets(tmp_path: Path) -> None:
    async with Node(single(tmp_path)) as node:
        await node.ready(60)
        silent = await WireClient(node.client_address).open(hello=False)
        await until(lambda: node._callers.door.connections)
        node._callers.door.sweep(asyncio.get_running_loop().time() + 11)
        assert "no greeting" in (await silent.receive(Refused)).message
        assert await silent.at_end()
        await silent.close()


async def test_too_many_connections(tmp_path: Path) -> None:
    async with Node(single(tmp_path, max_connections=2)) as node:
        await node.ready(60)
        clients = [await WireClient(node.client_address).open() for _ in range(2)]
        third = await WireClient(node.client_address).open(hello=False)
        assert (await third.receive(Refused)).reason is Reason.OVERLOADED
        await third.close()
        await clients.pop().close()
        await until(lambda: len(node._callers.door.connections) == 1)
        clients.append(await WireClient(node.client_address).open())
        for client in clients:
            await client.close()


async def test_a_taken_port_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with Node(single(tmp_path / "a")) as node:
        other = Node(single(tmp_path / "b", listen_client=node.client_address))
        with pytest.raises(UsageError, match=f"listen_client: {node.client_address} is in use") as caught:
            await other.start()
        assert caught.value.reason is Reason.ADDRESS_IN_USE
        assert os.listdir(tmp_path / "b") == ["LOCK"]
        with pytest.raises(UsageError, match=r"http: .* is in use"):
            await Node(single(tmp_path / "b", http=node.client_address)).start()
    async with Node(single(tmp_path / "b")) as node:
        await node.ready(60)


async def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"listen_client: cannot listen on 192\.0\.2\.1:1.*no address of this machine"):
        await Node(single(tmp_path, listen_client="192.0.2.1:1", insecure=True)).start()


async def test_a_folder_in_use_or_of_someone_else(tmp_path: Path) -> None:
    async with Node(single(tmp_path)):
        with pytest.raises(UsageError) as caught:
            await Node(single(tmp_path)).start()
        assert caught.value.reason is Reason.DATA_IN_USE
    with pytest.raises(UsageError) as caught:
        await Node(single(tmp_path, name="other")).start()
    assert caught.value.reason in (Reason.WRONG_CLUSTER, Reason.WRONG_NODE)
    async with Node(single(tmp_path)) as node:  # the refused ones have changed nothing
        await node.ready(60)


async def test_a_failing_disk_stops_the_node_and_nothing_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Node(single(tmp_path)) as node:
        await node.ready(60)
        client = await WireClient(node.client_address).open()
        assert isinstance(await client.put(b"k", b"v"), Results)

        def broken(descriptor: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr("ringleader.runtime.disk.sync_descriptor", broken)
        client.send(submit(2, Put(b"k", b"lost?")))
        error = await asyncio.wait_for(asyncio.shield(node.failed), 60)
        assert isinstance(error, DiskFailedError)
        assert error.reason is Reason.DISK_FAILED
        assert "Input/output error" in str(error)
        assert await client.at_end()  # no answer: the outcome is unknown, which is true
        await client.close()
        with pytest.raises(OSError):
            await WireClient(node.client_address).open()
        with pytest.raises(DiskFailedError):
            await node.ready(1)
        monkeypatch.undo()
    async with Node(single(tmp_path)) as node:
        await node.ready(60)
        client = await WireClient(node.client_address).open()
        assert await read(client, b"k") in (b"v", b"lost?")
        await client.close()


async def test_a_fault_in_the_host_stops_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Node(single(tmp_path)) as node:
        await node.ready(60)
        client = await WireClient(node.client_address).open()

        def fault(now: float) -> None:
            raise AssertionError("impossible")

        assert node._driver.host is not None
        monkeypatch.setattr(node._driver.host, "tick", fault)
        error = await asyncio.wait_for(asyncio.shield(node.failed), 60)
        assert "AssertionError: impossible" in str(error)
        assert await client.at_end()
        await client.close()


async def test_no_leader_without_a_majority(tmp_path: Path) -> None:
    peers = {"n1": "127.0.0.1:1", "n2": "127.0.0.1:2"}
    config = NodeConfig(
        data_dir=str(tmp_path), listen_client="127.0.0.1:0", listen_peer="127.0.0.1:0", http="", peers=peers
    )
    async with Node(config) as node:
        with pytest.raises(NotAppliedError) as caught:
            await node.ready(0.1)
        assert caught.value.reason is Reason.NO_LEADER


class Listener:
    """What a client of the same process hears."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[ServerFrame | str] = asyncio.Queue()

    def link_connected(self, link: int) -> None:
        self.frames.put_nowait("connected")

    def link_received(self, link: int, frames: Sequence[ServerFrame]) -> None:
        for frame in frames:
            self.frames.put_nowait(frame)

    def link_closed(self, link: int, why: str) -> None:
        self.frames.put_nowait(f"closed: {why}")


async def test_a_client_in_the_same_process_needs_no_socket(tmp_path: Path) -> None:
    node = Node(single(tmp_path, listen_client=""))
    listener = Listener()
    node.dialer.dial(1, "", listener)
    assert await listener.frames.get() == "closed: the node does not run"
    async with node:
        await node.ready(60)
        assert node.client_address == ""
        link = node.dialer.dial(1, "", listener)
        assert await listener.frames.get() == "connected"
        link.send([Hello(MAGIC, PROTOCOL_VERSION)])
        assert isinstance(await listener.frames.get(), Welcome)
        link.send([submit(1, Put(b"a", b"b")), Query(2, 1000, "linearizable", [Range(b"a")])])
        answers = [await listener.frames.get(), await listener.frames.get()]
        assert {answer.frame for answer in answers if isinstance(answer, Results)} == {1, 2}
        link.close()
        assert node._callers.locals == {}
        other = node.dialer.dial(2, "", listener)
        assert await listener.frames.get() == "connected"
        other.send([Ping(1)])  # no greeting
        refused = await listener.frames.get()
        assert isinstance(refused, Refused)
        assert await listener.frames.get() == "closed: the node closed the link"
        last = node.dialer.dial(3, "", listener)
        assert await listener.frames.get() == "connected"
        await node.stop()
        assert await listener.frames.get() == "closed: the node is stopping"
        last.close()


async def test_no_descriptor_and_no_thread_is_left(tmp_path: Path) -> None:
    import threading

    async with Node(single(tmp_path, http="127.0.0.1:0")) as node:  # what is made once per process
        await node.ready(60)
    descriptors = len(os.listdir("/dev/fd"))
    threads = {thread.name for thread in threading.enumerate()}
    for _ in range(3):
        async with Node(single(tmp_path, http="127.0.0.1:0")) as node:
            await node.ready(60)
            client = await WireClient(node.client_address).open()
            await client.close()
    assert {thread.name for thread in threading.enumerate() if thread.name.startswith("ringleader")} <= threads
    # Sockets of either end close in later turns of the loop.
    await until(lambda: len(os.listdir("/dev/fd")) <= descriptors)
