"""A member that says what no correct node says is hung up on, with the reason in both logs, and the cluster goes on."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from node.test_cluster import configs, put
from node.wireclient import until
from ringleader.consensus.raft.messages import Vote
from ringleader.node import Node


async def test_an_absurd_term_takes_nobody_down(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nodes = [Node(config) for config in configs(tmp_path)]
    try:
        await asyncio.gather(*(node.start() for node in nodes))
        await asyncio.gather(*(node.ready(60) for node in nodes))
        bad, *_ = nodes
        await until(lambda: all(link.connected for link in bad._neighbours.links.links.values()))
        with caplog.at_level(logging.WARNING):
            async with asyncio.timeout(60):
                while not (
                    caplog.text.count("its message is refused: Vote of term") == 2
                    and "it refuses us: a message was refused: Vote of term" in caplog.text
                ):  # whoever is being hung up on while he speaks may find the connection gone, and not hear why
                    for link in bad._neighbours.links.links.values():
                        link.send(0, Vote(1 << 50, 0, 0))
                        link.flush()
                    await asyncio.sleep(0.2)
        for number, node in enumerate(nodes):
            assert not node.stats.failure
            await put(node, b"%d" % number, b"v")
        await until(lambda: all(link.connected for link in bad._neighbours.links.links.values()))  # it may mend
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))
