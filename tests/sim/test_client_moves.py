"""A client whose nodes disagree about the leader must not run to and fro between them."""

from __future__ import annotations

import random

from ringleader.client.core import ClientCore
from ringleader.store.commands import Put
from ringleader.wire.frames import Hello, NodeInfo, Welcome

NODES = [NodeInfo(1, "n1", "n1:1"), NodeInfo(2, "n2", "n2:1")]


def test_two_nodes_that_name_each_other_are_not_dialled_in_a_storm() -> None:
    """Found by the simulator: 300 connections a second while two nodes each took the other for the leader."""
    core = ClientCore(["n1:1", "n2:1"], random.Random(1), 0.0)
    core.submit([Put(b"k", b"v")], 30.0, once=False)
    dialled = 0
    nodes: dict[int, int] = {}
    for millisecond in range(10_000):
        core.tick(millisecond / 1000.0)
        out = core.take_output()
        for link, address in out.dial:
            dialled += 1
            nodes[link] = int(address[1])
            core.connected(link)
        for link, frame in out.send:
            if isinstance(frame, Hello):
                here = nodes[link]
                core.received(link, Welcome(1, "c", here, f"n{here}", 3 - here, NODES))
    assert 2 <= dialled <= 30
