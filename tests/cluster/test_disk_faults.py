"""A short run of `tools.diskfaults`: a real node is killed at, or fails in, its first disk calls, under load."""

from __future__ import annotations

import pytest
from tools.diskfaults import disk_faults


@pytest.mark.slow
@pytest.mark.peer("strace")
@pytest.mark.parametrize("mode", ["lone", "follower"])
async def test_whatever_disk_call_fails_nothing_acknowledged_is_lost(mode: str) -> None:
    each = 2 if mode == "follower" else 3
    report = await disk_faults(mode, crash=f"pwrite64:{each},fdatasync:{each},rename:2,unlink:2", eio="fdatasync:2")
    assert report.judgement.problems + report.problems == []
    assert report.rounds == {"pwrite64": each, "fdatasync": each, "rename": 2, "unlink": 2, "EIO fdatasync": 2}
    assert report.recoveries == 5
    assert report.judgement.acknowledged > 10
