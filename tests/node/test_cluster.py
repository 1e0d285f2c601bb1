"""Three real nodes on real sockets in one loop: any of them takes writes, any one may go, nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from node.wireclient import WireClient, until
from ringleader.cli.freeports import free_ports
from ringleader.consensus.protocols import PROTOCOLS
from ringleader.consensus.raft import Raft
from ringleader.node import Node, NodeConfig
from ringleader.store.commands import Range, RangeResult
from ringleader.wire.frames import Query, Refused, Results

ATTEMPT_MS = 3000
"""Between nodes a word may be lost, when a link breaks: then it is asked again."""


def configs(folder: Path, count: int = 3, consensus: str = "") -> list[NodeConfig]:
    ports = free_ports(count)
    peers = {f"n{place + 1}": f"127.0.0.1:{port}" for place, port in enumerate(ports)}
    return [
        NodeConfig(
            name=name,
            data_dir=str(folder / name),
            listen_client="127.0.0.1:0",
            listen_peer=address,
            http="",
            peers=peers,
            cluster_token="test",
            heartbeat_ms=50,
            election_ms=600,
            consensus=consensus,
        )
        for name, address in peers.items()
    ]


async def put(node: Node, key: bytes, value: bytes) -> None:
    """Until it is acknowledged; the key names the write, so that a repetition does no harm."""
    client = await WireClient(node.client_address).open()
    async with asyncio.timeout(60):
        while not isinstance(answer := await client.put(key, value, ATTEMPT_MS), Results):
            assert isinstance(answer, Refused)
            await asyncio.sleep(0.02)
    await client.close()


def leads(node: Node) -> bool:
    return node._driver.host is not None and node._driver.host.core.leads


async def keys(node: Node) -> set[bytes]:
    client = await WireClient(node.client_address).open()
    answer = await client.query(Query(1, ATTEMPT_MS, "linearizable", [Range(b"\0", b"\0")]))
    while isinstance(answer, Refused):
        await asyncio.sleep(0.02)
        answer = await client.query(Query(1, ATTEMPT_MS, "linearizable", [Range(b"\0", b"\0")]))
    await client.close()
    result = answer.results[0]
    assert isinstance(result, RangeResult)
    return {kv.key for kv in result.kvs}


@pytest.mark.parametrize("consensus", PROTOCOLS)
async def test_a_cluster_survives_the_loss_of_any_node(tmp_path: Path, consensus: str) -> None:
    settings = configs(tmp_path, consensus=consensus)
    nodes = {config.name: Node(config) for config in settings}
    await asyncio.gather(*(node.start() for node in nodes.values()))
    await asyncio.gather(*(node.ready(60) for node in nodes.values()))
    written: set[bytes] = set()
    for name, node in nodes.items():
        await put(node, f"through {name}".encode(), b"v")
        written.add(f"through {name}".encode())
    await until(lambda: any(map(leads, nodes.values())))
    for gone in sorted(nodes, key=lambda name: not leads(nodes[name])):
        await nodes.pop(gone).stop()
        for name, node in nodes.items():
            key = f"through {name} without {gone}".encode()
            await put(node, key, b"v")
            written.add(key)
        nodes[gone] = Node(next(config for config in settings if config.name == gone))
        await nodes[gone].start()
        await nodes[gone].ready(60)
        assert await keys(nodes[gone]) == written
    addresses = {node.config.name: node.client_address for node in nodes.values()}
    async with asyncio.timeout(60):
        while True:  # everyone learns where clients reach the others, also after they came back on another port
            client = await WireClient(nodes["n1"].client_address).open()
            await client.close()
            if {info.name: info.client for info in client.welcome.nodes} == addresses:
                break
            await asyncio.sleep(0.02)
    await asyncio.gather(*(node.stop() for node in nodes.values()))
    again = [Node(config) for config in settings]
    await asyncio.gather(*(node.start() for node in again))
    await again[0].ready(60)
    assert await keys(again[0]) == written
    await asyncio.gather(*(node.stop() for node in again))


async def test_a_leader_that_stops_has_handed_on_leadership(tmp_path: Path) -> None:
    """With an election time far beyond the test: nobody but an heir who was asked to would stand for election."""
    settings = [msgspec.structs.replace(config, election_ms=600_000) for config in configs(tmp_path)]
    nodes = [Node(config) for config in settings]
    await asyncio.gather(*(node.start() for node in nodes))
    first, heir, other = nodes
    await until(lambda: all(node._neighbours.links.connected == 2 for node in nodes))
    assert first._driver.host is not None
    assert isinstance(first._driver.host.core, Raft)
    first._driver.host.core.deadline = 0.0
    await until(lambda: leads(first))
    await put(heir, b"a", b"1")
    await first.stop()
    await until(lambda: leads(heir) or leads(other))
    await put(other, b"b", b"2")
    await asyncio.gather(heir.stop(), other.stop())  # nor does it wait for an heir who stops as well


async def test_a_member_that_was_away_too_long_catches_up_by_a_snapshot(tmp_path: Path) -> None:
    settings = [
        msgspec.structs.replace(config, snapshot_entries=20, snapshot_bytes=1 << 20, keep_entries=0)
        for config in configs(tmp_path)
    ]
    nodes = [Node(config) for config in settings]
    await asyncio.gather(*(node.start() for node in nodes))
    await asyncio.gather(*(node.ready(60) for node in nodes))
    await until(lambda: any(map(leads, nodes)))
    away = next(node for node in nodes if not leads(node))
    here = [node for node in nodes if node is not away]
    await put(here[0], b"before", b"v")
    await away.stop()
    written = {b"before"}
    for number in range(60):
        key = b"%03d" % number
        await put(here[0], key, bytes(60_000))
        written.add(key)
    back = Node(away.config)
    await back.start()
    assert await keys_of(back) == written
    assert back._driver.host is not None
    assert back._driver.host.member.counts["snapshots_installed"] == 1
    assert back._driver.host.snapshots.receiver.received_bytes > 3_000_000
    await asyncio.gather(*(node.stop() for node in [*here, back]))


async def keys_of(node: Node) -> set[bytes]:
    """As `keys`, for more than fits into one answer."""
    client = await WireClient(node.client_address).open()
    async with asyncio.timeout(60):
        while True:
            answer = await client.query(Query(1, ATTEMPT_MS, "linearizable", [Range(b"\0", b"\0", keys_only=True)]))
            if isinstance(answer, Results):
                result = answer.results[0]
                assert isinstance(result, RangeResult)
                await client.close()
                return {kv.key for kv in result.kvs}
            await asyncio.sleep(0.05)


async def test_a_node_with_another_token_stays_outside(tmp_path: Path) -> None:
    settings = configs(tmp_path, 2)
    stranger = NodeConfig(
        name="n2",
        data_dir=settings[1].data_dir,
        listen_client="127.0.0.1:0",
        listen_peer=settings[1].listen_peer,
        http="",
        peers=settings[1].peers,
        cluster_token="guess",
    )
    first, second = Node(settings[0]), Node(stranger)
    await asyncio.gather(first.start(), second.start())
    await until(lambda: first._neighbours.links.door is not None and first._neighbours.links.door.refused)
    assert not first._ready.is_set()
    assert not second._ready.is_set()
    await asyncio.gather(first.stop(), second.stop())
