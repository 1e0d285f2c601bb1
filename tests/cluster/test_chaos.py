"""A short run of `tools.chaos`: real nodes are killed under load, and the clients' history is judged."""

from __future__ import annotations

import pytest
from tools.chaos import WRITES_AGAIN_WITHIN, chaos


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_when_nodes_are_killed() -> None:
    figures = await chaos(leader_kills=2, cluster_kills=1, clients=8, rate=500, seed=1)
    assert figures.problems == []
    assert (len(figures.leader_outages), len(figures.cluster_outages)) == (2, 1)
    assert max(figures.leader_outages + figures.cluster_outages) < WRITES_AGAIN_WITHIN, "writes did not come back"
    assert figures.acknowledged > 1000
    assert figures.reads > 100
