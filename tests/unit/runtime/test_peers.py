"""Links between nodes on real sockets: the handshake lets in members alone; a link comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest

from ringleader.cli.freeports import free_ports
from ringleader.consensus.protocols import Choice
from ringleader.consensus.raft.messages import Append, Vote
from ringleader.consensus.shape import Entry
from ringleader.errors import Reason
from ringleader.runtime.complaints import Complaints
from ringleader.runtime.joining import NoMemberError, ask_to_join
from ringleader.runtime.peerdoor import PeerDoor
from ringleader.runtime.peerlink import PeerLink
from ringleader.runtime.peers import PeerOptions, PeerSelf
from ringleader.store.member_ops import MemberRow, Standing
from ringleader.wire.frames import NodeInfo
from ringleader.wire.peer import (
    PEER_MAGIC,
    PeerHello,
    PeerJoined,
    PeerMessages,
    PeerProof,
    PeerRefused,
    check_hello,
    decode_handshake,
    decode_messages,
    encode,
    proof_holds,
    prove,
)
from ringleader.wire.relay import ReadIndex

MEMBERS = {1: "n1", 2: "n2", 3: "n3"}
ONE = PeerSelf("cluster", "secret", NodeInfo(1, "n1", "host:4400", "host:4402"), "host:4401", "aa")
TWO = PeerSelf("cluster", "secret", NodeInfo(2, "n2", ""))
QUICK = PeerOptions(connect=60.0, pause_min=0.01, pause_max=0.02)


class Heard:
    """What the node behind a door is told."""

    def __init__(self) -> None:
        self.known: list[NodeInfo] = []
        self.messages: list[tuple[int, int, Any]] = []
        self.addresses: list[str] = []
        self.asked: list[tuple[PeerHello, Callable[[PeerJoined | PeerRefused], None]]] = []
        self.gone: set[int] = set()

    def admit(self, hello: PeerHello) -> PeerRefused | None:
        if hello.from_node in self.gone:
            return PeerRefused(Reason.MEMBER_REMOVED, f"node {hello.from_node} was removed")
        if hello.from_node == 2 or MEMBERS.get(hello.from_node) != hello.from_name:
            return PeerRefused(Reason.WRONG_NODE, "it is no other member")
        return None

    def join(self, hello: PeerHello, answer: Callable[[PeerJoined | PeerRefused], None]) -> None:
        self.asked.append((hello, answer))

    def peer_known(self, info: NodeInfo, address: str) -> None:
        self.known.append(info)
        self.addresses.append(address)

    def peer_messages(self, sender: int, messages: list[tuple[int, Any]]) -> None:
        self.messages += [(sender, group, message) for group, message in messages]


class Acceptor:
    """A door on a real port."""

    def __init__(self, me: PeerSelf = TWO) -> None:
        self.heard = Heard()
        complaints = Complaints(logging.getLogger("ringleader.strangers"), lambda: 0.0)
        self.door = PeerDoor(me, self.heard, random.Random(2), complaints, QUICK)
        self.port = 0
        self.server: asyncio.Server | None = None

    async def open(self, port: int = 0) -> Acceptor:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(self.door.factory, "127.0.0.1", port or free_ports(1)[0])
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        assert self.server is not None
        self.server.close()
        self.door.abort_all()
        await asyncio.sleep(0.01)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.002)


async def test_messages_arrive_in_order_and_the_caller_is_known() -> None:
    acceptor = await Acceptor().open()
    link = PeerLink(ONE, 2, ("127.0.0.1", acceptor.port), random.Random(1), QUICK)
    link.send(0, Vote(1, 0, 0))
    assert link.dropped == 1  # nobody is there yet
    link.start()
    await until(lambda: link.connected and acceptor.heard.known)
    assert acceptor.heard.known == [NodeInfo(1, "n1", "host:4400", "host:4402")]
    assert acceptor.heard.addresses == ["host:4401"]
    sent = [(0, Append(3, number, 2, [Entry(3, 0, b"x" * number)], number)) for number in range(50)]
    for group, message in sent:
        link.send(group, message)
    link.send(7, ReadIndex(99))
    link.flush()
    await until(lambda: len(acceptor.heard.messages) == 51)
    assert acceptor.heard.messages == [(1, *each) for each in sent] + [(1, 7, ReadIndex(99))]
    await link.stop()
    await acceptor.close()


async def test_a_frame_of_many_megabytes() -> None:
    acceptor = await Acceptor().open()
    link = PeerLink(ONE, 2, ("127.0.0.1", acceptor.port), random.Random(1), QUICK)
    link.start()
    await until(lambda: link.connected)
    big = Append(1, 0, 0, [Entry(1, 0, bytes(20_000_000))], 0)
    link.send(0, big)
    link.flush()
    await until(lambda: acceptor.heard.messages)
    assert acceptor.heard.messages == [(1, 0, big)]
    await link.stop()
    await acceptor.close()


async def test_the_link_comes_back_after_the_other_end_was_away() -> None:
    acceptor = await Acceptor().open()
    changes: list[bool] = []
    link = PeerLink(
        ONE, 2, ("127.0.0.1", acceptor.port), random.Random(1), QUICK, lambda: changes.append(link.connected)
    )
    link.start()
    await until(lambda: link.connected)
    await acceptor.close()
    await until(lambda: not link.connected)
    link.send(0, Vote(1, 0, 0))
    link.flush()
    assert link.dropped == 1
    again = await Acceptor().open(acceptor.port)
    await until(lambda: link.connected)
    assert (link.connects, changes[:2]) == (2, [True, False])
    link.send(0, Vote(2, 0, 0))
    link.flush()
    await until(lambda: again.heard.messages)
    await link.stop()
    await again.close()


async def test_a_wake_up_call_ends_the_pause() -> None:
    acceptor = await Acceptor().open()
    await acceptor.close()
    options = PeerOptions(pause_min=3600.0, pause_max=3600.0)
    changes: list[bool] = []
    link = PeerLink(
        ONE, 2, ("127.0.0.1", acceptor.port), random.Random(1), options, lambda: changes.append(link.connected)
    )
    link.start()
    await until(lambda: changes)  # the first attempt has failed
    again = await Acceptor().open(acceptor.port)
    link.wake()
    await until(lambda: link.connected)
    await link.stop()
    await again.close()


async def test_a_name_that_cannot_be_looked_up(caplog: pytest.LogCaptureFixture) -> None:
    for host in ("no-such-host.invalid", "x" * 70 + ".example", "\udc80"):
        link = PeerLink(ONE, 2, (host, 1), random.Random(1), QUICK)
        with caplog.at_level("WARNING"):
            link.start()
            await until(lambda: "no link to node 2" in caplog.text)
        caplog.clear()
        assert link._task is not None
        assert not link._task.done()
        await link.stop()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cluster": "other"}, "belongs to cluster other"),
        ({"secret": "guess"}, "does not know this cluster's token"),
        ({"node": NodeInfo(3, "impostor", "")}, "no other member"),
        ({"node": NodeInfo(2, "n2", "")}, "no other member"),
        ({"node": NodeInfo(9, "n9", "")}, "no other member"),
    ],
)
async def test_strangers_are_refused_with_a_reason_and_never_heard(
    change: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    acceptor = await Acceptor().open()
    stranger = dataclasses.replace(ONE, **change)
    with caplog.at_level("INFO"):
        link = PeerLink(stranger, 2, ("127.0.0.1", acceptor.port), random.Random(1), QUICK)
        link.start()
        await until(lambda: words in caplog.text)
        assert not link.connected
        await asyncio.sleep(0.1)
    refusals = [record for record in caplog.records if "no link to node" in record.getMessage()]
    assert len(refusals) == 1  # said once, however often it tries
    assert acceptor.heard.known == []
    assert acceptor.heard.messages == []
    await link.stop()
    await acceptor.close()


async def raw(port: int, *bodies: bytes, prefix: bytes = b"") -> PeerRefused | None:
    """Say something to a door; returns the refusal that comes back, if any."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(prefix + b"".join(struct.pack(">I", len(body)) + body for body in bodies))
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    while answer:
        (length,) = struct.unpack_from(">I", answer)
        frame = decode_handshake(answer[4 : 4 + length])
        if isinstance(frame, PeerRefused):
            return frame
        answer = answer[4 + length :]
    return None


async def test_garbage_and_messages_before_the_proof() -> None:
    acceptor = await Acceptor().open()
    hello = PeerHello(PEER_MAGIC, 1, "peer", "cluster", 1, "n1", 2, bytes(16))
    for prefix, bodies, word in [
        (b"GET / HTTP/1.1\r\n\r\n", [], "HTTP"),
        (b"", [b"\xc1garbage"], "not understood"),
        (b"", [bytes(4097)], "larger than the limit"),
        (b"", [encode(PeerProof(b""))], "does not come here"),
        (b"", [encode(hello), encode(hello)], "does not come here"),
        (b"", [encode(hello), encode(PeerMessages([(0, Vote(99, 0, 0))]))], "not understood"),
        (b"", [encode(hello), encode(PeerProof(prove("secret", "dialler", hello, bytes(16))))], "token"),
        (b"", [encode(PeerHello(PEER_MAGIC, 2, "peer", "cluster", 1, "n1", 2, bytes(16)))], "version 2"),
    ]:
        refusal = await raw(acceptor.port, *bodies, prefix=prefix)
        assert refusal is not None, word
        assert word in refusal.message
    assert acceptor.heard.messages == []
    await acceptor.close()


async def test_a_caller_who_says_nothing_is_let_go() -> None:
    acceptor = await Acceptor().open()
    reader, writer = await asyncio.open_connection("127.0.0.1", acceptor.port)
    await until(lambda: acceptor.door.strangers)
    acceptor.door.sweep(asyncio.get_running_loop().time() + 1.0)
    assert acceptor.door.strangers
    acceptor.door.sweep(asyncio.get_running_loop().time() + 61.0)
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    assert not acceptor.door.strangers
    writer.close()
    await acceptor.close()


async def test_strangers_who_only_hold_a_place_keep_no_member_out() -> None:
    acceptor = await Acceptor().open()
    acceptor.door.options = dataclasses.replace(QUICK, max_strangers=3)
    silent = [await asyncio.open_connection("127.0.0.1", acceptor.port) for _ in range(3)]
    await until(lambda: len(acceptor.door.strangers) == 3)
    link = PeerLink(ONE, 2, ("127.0.0.1", acceptor.port), random.Random(1), QUICK)
    link.start()
    await until(lambda: link.connected)
    assert link.connects == 1
    assert len(acceptor.door.strangers) == 2  # the oldest gave way
    await link.stop()
    for _, writer in silent:
        writer.close()
    await acceptor.close()


async def test_one_who_leaves_before_the_answer_leaves_nothing_behind() -> None:
    acceptor = await Acceptor().open()
    asking = asyncio.ensure_future(ask_to_join(("127.0.0.1", acceptor.port), "secret", joining(), 60))
    await until(lambda: acceptor.heard.asked)
    asking.cancel()
    await until(lambda: not acceptor.door.strangers)
    acceptor.heard.asked[0][1](PeerRefused(Reason.NO_LEADER, "too late"))
    assert not acceptor.door.strangers
    await acceptor.close()


async def test_a_peer_that_reads_nothing_costs_bounded_memory_and_is_dialled_anew() -> None:
    acceptor = await Acceptor().open()
    options = dataclasses.replace(QUICK, limit=1_000_000)
    link = PeerLink(ONE, 2, ("127.0.0.1", acceptor.port), random.Random(1), options)
    link.start()
    await until(lambda: link.connected and acceptor.door.links)
    incoming = acceptor.door.links[1, "peer"]
    assert incoming.transport is not None
    incoming.transport.pause_reading()
    message = Append(1, 0, 0, [Entry(1, 0, bytes(500_000))], 0)
    for _ in range(100):
        link.send(0, message)
        link.flush()
        await asyncio.sleep(0)
    assert link.dropped > 50
    assert link._protocol is not None
    assert link._protocol.waiting_bytes < 2_000_000
    now = asyncio.get_running_loop().time()
    link.sweep(now)
    assert link.connected
    link.sweep(now + 6)
    await until(lambda: link.connects == 2 and link.connected)
    await link.stop()
    await acceptor.close()


async def test_a_removed_member_hears_it_from_a_member_that_proved_itself() -> None:
    acceptor = await Acceptor().open()
    heard: list[PeerRefused] = []
    target = ("127.0.0.1", acceptor.port)
    link = PeerLink(ONE, 2, target, random.Random(1), QUICK, on_expelled=heard.append)
    link.start()
    await until(lambda: link.connected and acceptor.door.links)
    acceptor.heard.gone.add(1)
    acceptor.door.expel(1, PeerRefused(Reason.MEMBER_REMOVED, "node 1 was removed"))
    await until(lambda: len(heard) >= 2)  # by the open link, and when it dialled again
    assert {refusal.reason for refusal in heard} == {Reason.MEMBER_REMOVED}
    await link.stop()
    liar = await Acceptor(dataclasses.replace(TWO, cluster="other", secret="guess")).open()
    link = PeerLink(ONE, 2, ("127.0.0.1", liar.port), random.Random(1), QUICK, on_expelled=heard.append)
    before = len(heard)
    link.start()
    await asyncio.sleep(0.1)
    assert len(heard) == before, "whoever has not proved to know the secret cannot stop a node"
    await link.stop()
    await liar.close()
    await acceptor.close()


async def test_a_link_waits_until_it_is_told_where_to_go() -> None:
    acceptor = await Acceptor().open()
    link = PeerLink(ONE, 2, None, random.Random(1), QUICK)
    link.start()
    await asyncio.sleep(0.05)
    assert not link.connected
    link.move(("127.0.0.1", 1))
    link.try_also(("127.0.0.1", acceptor.port))  # what it was told first need not be true any more
    await until(lambda: link.connected)
    await link.stop()
    await acceptor.close()


def joining() -> PeerHello:
    return PeerHello(PEER_MAGIC, 1, "join", "", 0, "n4", 0, bytes(16), "c:1", "", "p:1", "bb")


async def test_a_node_joins_once_both_have_proved_the_secret() -> None:
    acceptor = await Acceptor().open()
    target = ("127.0.0.1", acceptor.port)
    asking = asyncio.create_task(ask_to_join(target, "secret", joining(), 60))
    await until(lambda: acceptor.heard.asked)
    hello, answer = acceptor.heard.asked.pop()
    assert hello == joining()
    rows = [MemberRow(id, f"n{id}", Standing.VOTER, "some.host.example:4401") for id in range(1, 65)]
    joined = PeerJoined("cluster", 4, ["n1", "n2", "n3"], rows, 7, 65)
    answer(joined)
    assert await asking == joined
    asking = asyncio.create_task(ask_to_join(target, "secret", joining(), 60))
    await until(lambda: acceptor.heard.asked)
    acceptor.heard.asked.pop()[1](PeerRefused(Reason.MEMBER_EXISTS, "there is one"))
    refused = await asking
    assert isinstance(refused, PeerRefused)
    assert refused.reason is Reason.MEMBER_EXISTS
    with pytest.raises(NoMemberError, match="does not know this cluster token"):
        await ask_to_join(target, "guess", joining(), 60)
    assert not acceptor.heard.asked, "nobody was asked before the secret was proved"
    refusal = await raw(acceptor.port, encode(joining()), encode(PeerProof(bytes(32))))
    assert refusal is not None
    assert "does not know" in refusal.message
    assert not acceptor.heard.asked
    with pytest.raises(OSError):
        await ask_to_join(("127.0.0.1", 1), "secret", joining(), 60)
    await acceptor.close()


def test_proofs_fit_one_side_one_secret_and_one_hello() -> None:
    hello = PeerHello(PEER_MAGIC, 1, "peer", "cluster", 1, "n1", 2, bytes(16))
    proof = prove("secret", "dialler", hello, b"n" * 16)
    assert proof_holds(proof, "secret", "dialler", hello, b"n" * 16)
    assert not proof_holds(proof, "secret", "acceptor", hello, b"n" * 16)
    assert not proof_holds(proof, "Secret", "dialler", hello, b"n" * 16)
    assert not proof_holds(proof, "secret", "dialler", hello, b"m" * 16)
    other = PeerHello(PEER_MAGIC, 1, "peer", "cluster", 3, "n3", 2, bytes(16))
    assert not proof_holds(proof, "secret", "dialler", other, b"n" * 16)


def test_what_a_hello_is_refused_for() -> None:
    def hello(**change: Any) -> PeerHello:
        fields: dict[str, Any] = {
            "magic": PEER_MAGIC, "version": 1, "role": "peer", "cluster": "c", "from_node": 1, "from_name": "n1",
            "to_node": 2, "nonce": bytes(16),
        }  # fmt: skip
        return PeerHello(**{**fields, **change})

    assert check_hello(hello(), "c", 2) is None
    assert check_hello(hello(role="join", cluster="", from_node=0, to_node=0), "c", 2) is None
    refused: list[tuple[dict[str, Any], Reason]] = [
        ({"magic": "x"}, Reason.PROTOCOL),
        ({"role": "gateway"}, Reason.PROTOCOL),
        ({"version": 2}, Reason.VERSION),
        ({"cluster": "d"}, Reason.WRONG_CLUSTER),
        ({"to_node": 3}, Reason.WRONG_NODE),
        ({"nonce": b""}, Reason.PROTOCOL),
        ({"consensus": Choice("paxos")}, Reason.WRONG_CLUSTER),
        ({"consensus": Choice("raft", 2)}, Reason.WRONG_CLUSTER),
        ({"consensus": None}, Reason.WRONG_CLUSTER),
    ]
    for change, reason in refused:
        refusal = check_hello(hello(**change), "c", 2)
        assert refusal is not None
        assert refusal.reason is reason
    refusal = check_hello(hello(), "c", 2, Choice("paxos", 2))
    assert refusal is not None
    assert "runs raft, this node paxos with a phase-2 quorum of 2" in refusal.message


def test_the_bytes_of_messages_are_golden() -> None:
    """Nodes of two releases talk to each other during an upgrade: these bytes are fixed; new fields go to the end."""
    messages = PeerMessages([(0, Vote(7, 3, 2, pre=True)), (1, ReadIndex(5))])
    data = encode(messages)
    assert data.hex() == "92059292009601070302c3c2" + "9201931705c2"
    assert decode_messages(data) == messages.messages
