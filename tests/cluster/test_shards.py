"""A short run of `tools.shards_chaos`: real workers are killed, paused and added; the judge finds faults."""

from __future__ import annotations

import pytest
from tools.shards_chaos import chaos


@pytest.mark.slow
async def test_each_shard_has_one_owner_while_workers_are_killed_paused_and_added() -> None:
    kinds = ["kill two", "add", "pause", "leave"]
    figures = await chaos(0, workers=8, shards=256, ttl=3.0, seed=2, kinds=kinds, slack=60.0)
    assert figures.problems == []
    assert set(figures.recoveries) == {"start", "kill two", "add", "pause", "resume", "leave"}
    assert len(figures.gaps) > 100, "shards changed hands"
    assert figures.words > 500


@pytest.mark.slow
async def test_a_worker_that_does_not_look_is_found_out() -> None:
    figures = await chaos(0, workers=3, shards=32, ttl=1.0, seed=1, careless=True, kinds=["pause"], slack=60.0)
    assert any("still worked" in problem for problem in figures.problems)
    assert figures.refused > 0, "what the fencing token is for"
