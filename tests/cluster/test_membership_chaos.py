"""A short run of `tools.membership_chaos`: real nodes join, die, are replaced and removed under load, and nothing is lost."""

from __future__ import annotations

import pytest
from tools.membership_chaos import membership_chaos


@pytest.mark.slow
async def test_members_change_under_load_and_no_write_is_lost() -> None:
    report = await membership_chaos(clients=4, rate=200, seed=1)
    assert report.judgement.problems == []
    assert report.problems == []
    assert len(report.steps) == 9
    assert report.judgement.acknowledged > 100
    assert report.judgement.reads > 10
