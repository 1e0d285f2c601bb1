"""The same complaint about the same host is logged once in a while, and never many in a second."""

from __future__ import annotations

import logging

import pytest

from ringleader.runtime.complaints import Complaints


def test_a_stranger_writes_no_lines_of_its_own_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(logging.getLogger("test.strangers"), lambda: 100.0)
    with caplog.at_level("WARNING", logger="test.strangers"):
        complaints.say("10.0.0.1:1", "cluster", "it belongs to x\n2026 ERROR all is lost\x1b[2J, as é says")
    assert caplog.records[0].getMessage() == ("10.0.0.1:1: it belongs to x\\n2026 ERROR all is lost\\x1b[2J, as é says")


def test_once_per_host_and_reason_and_bounded(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    complaints = Complaints(logging.getLogger("test.strangers"), lambda: now[0], again=60, burst=3, remember=10)
    with caplog.at_level("WARNING", logger="test.strangers"):
        assert complaints.say("10.0.0.1:5000", "protocol", "garbage")
        assert not complaints.say("10.0.0.1:5001", "protocol", "garbage")
        assert complaints.say("10.0.0.1:5001", "version", "old")
        assert complaints.say("10.0.0.2:5001", "protocol", "garbage")
        assert not complaints.say("10.0.0.3:5001", "protocol", "one too many in this second")
        now[0] += 61
        assert complaints.say("10.0.0.1:5002", "protocol", "garbage")
    assert complaints.suppressed == 2
    assert [record.getMessage() for record in caplog.records] == [
        "10.0.0.1:5000: garbage",
        "10.0.0.1:5001: old (1 similar lines were left out so far)",
        "10.0.0.2:5001: garbage (1 similar lines were left out so far)",
        "10.0.0.1:5002: garbage (2 similar lines were left out so far)",
    ]
    for host in range(100):
        now[0] += 1
        complaints.say(f"10.0.1.{host}:1", "protocol", "garbage")
    assert len(complaints._said) == 10
