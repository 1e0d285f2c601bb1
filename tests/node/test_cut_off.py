"""A real node that loses the others: it ends its watches, and those of a client go on when there is a cluster again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from node.test_cluster import configs, leads, put
from node.wireclient import until
from ringleader.client import connect
from ringleader.client.options import ClientOptions
from ringleader.node import Node


@pytest.mark.slow
async def test_a_watch_on_a_node_that_loses_the_others_goes_on_when_they_are_back(tmp_path: Path) -> None:
    nodes = [Node(config) for config in configs(tmp_path)]
    for node in nodes:
        await node.start()
    await until(lambda: any(leads(node) for node in nodes))
    await put(nodes[0], b"k0", b"v")
    alone = next(node for node in nodes if not leads(node))
    async with (
        connect(alone.client_address, timeout=60.0, options=ClientOptions(prefer_leader=False)) as db,
        db.kv.watch("k", prefix=True, start_revision=1) as changes,
    ):
        seen = [(await anext(changes)).key]
        assert alone._driver.host is not None
        service = alone._driver.host.service
        assert service.owners, "it watches at the node that will be alone"
        others = [node for node in nodes if node is not alone]
        for node in others:
            await node.stop()
        await until(lambda: service.contact.lost and not service.owners)
        back = [Node(node.config) for node in others]
        for node in back:
            await node.start()
        await put(back[0], b"k1", b"v")
        async with asyncio.timeout(60):
            seen.append((await anext(changes)).key)
    assert seen == [b"k0", b"k1"]
    for node in [alone, *back]:
        await node.stop()
