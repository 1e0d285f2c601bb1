"""What a cluster has chosen it runs for good: folders, links and newcomers that say otherwise are refused and told why."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from msgspec.structs import replace

from node.test_cluster import configs, keys, put
from node.test_joining import newcomer, start
from node.wireclient import until
from ringleader.consensus.paxos import Paxos
from ringleader.errors import Reason, UsageError
from ringleader.node import Node


async def test_a_cluster_keeps_what_it_chose(tmp_path: Path) -> None:
    chosen = [replace(config, consensus="paxos", phase2_quorum=2) for config in configs(tmp_path)]
    first = await start(*(Node(config) for config in chosen))
    await put(first[0], b"a", b"1")
    host = first[0]._driver.host
    assert host is not None
    assert isinstance(host.core, Paxos)
    assert host.status().consensus == "paxos with a phase-2 quorum of 2"
    # A newcomer takes what there is, and may say so; if it asks for something else it is told.
    for asked in ({"consensus": "raft"}, {"consensus": "paxos", "phase2_quorum": 1}):
        with pytest.raises(UsageError, match="this cluster runs paxos with a phase-2 quorum of 2") as caught:
            await Node(replace(newcomer(tmp_path, "n4", first), **asked)).start()
        assert caught.value.reason is Reason.WRONG_CLUSTER
        assert "leave consensus and phase2_quorum out" in caught.value.hint.lower()
    (four,) = await start(Node(newcomer(tmp_path, "n4", first)))
    assert four._driver.host is not None
    assert four.identity.consensus == first[0].identity.consensus
    assert await keys(four) == {b"a"}
    # A restart need not repeat it, and cannot change it.
    last = first[2]
    await last.stop()
    with pytest.raises(UsageError, match="belongs to a cluster that runs paxos") as caught:
        await Node(replace(last.config, consensus="raft", phase2_quorum=0)).start()
    assert caught.value.reason is Reason.WRONG_CLUSTER
    (again,) = await start(Node(replace(last.config, consensus="", phase2_quorum=0)))
    await put(again, b"b", b"2")
    assert await keys(again) == {b"a", b"b"}
    await asyncio.gather(first[0].stop(), first[1].stop(), four.stop(), again.stop())


async def test_nodes_that_chose_differently_do_not_talk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, other, third = configs(tmp_path)
    nodes = [Node(one), Node(replace(other, consensus="raft")), Node(replace(third, consensus="paxos"))]
    with caplog.at_level(logging.WARNING):
        await asyncio.gather(*(node.start() for node in nodes))
        await asyncio.gather(nodes[0].ready(60), nodes[1].ready(60))
        await put(nodes[0], b"a", b"1")
        await until(lambda: "runs paxos, this node raft" in caplog.text and "runs raft, this node paxos" in caplog.text)
    host = nodes[2]._driver.host
    assert host is not None
    assert host.core.leader == 0
    await asyncio.gather(*(node.stop() for node in nodes))
