"""Terms and ballots in traces, as people read them."""

from __future__ import annotations

import re

from msgspec.structs import replace

from ringleader.consensus.paxos.messages import Promise, Run
from ringleader.consensus.raft.messages import VoteReply
from ringleader.consensus.shape import Entry
from ringleader.sim.check.invariants import Ghost, crown, remember
from ringleader.sim.options import draw
from ringleader.sim.run import replay
from ringleader.sim.terms import term_word
from ringleader.sim.trace import Kind, Trace

RAW = re.compile(r"\b[1-9]\d*00000\d\b")


def test_a_ballot_is_a_round_and_a_member() -> None:
    assert [term_word(term) for term in (0, 7, 1_000_002, 12_000_003)] == ["0", "7", "1n2", "12n3"]


def test_messages_of_both_protocols() -> None:
    trace = Trace()
    report = Promise(2_000_003, 4, 4, [Run(1_000_001, 5, [Entry(1_000_001, 0, b"x")])])
    trace.add((1.0, Kind.DELIVER, 3, 1, report, 0.5))
    trace.add((2.0, Kind.DELIVER, 3, 1, VoteReply(4, True), 1.5))
    paxos, raft = trace.lines()
    assert "Promise(ballot=2n3, commit=4, told=4, runs=[Run(ballot=1n1, first=5, entries=[Entry(term=1n1, " in paxos
    assert "VoteReply(term=4, granted=True" in raft


def test_a_replay_on_paxos_has_no_raw_ballot() -> None:
    """From the first election on; what the disk writes is told in bytes alone."""
    drawn = draw(3, protocol="paxos")
    _, trace = replay(3, replace(drawn, duration=3.0, faults_until=2.0, grace=10.0))
    lines = [line for line in trace.lines() if " disk: " not in line]
    assert any("is leader of term 1n" in line for line in lines)
    assert [line for line in lines if RAW.search(line)] == []


def test_what_the_model_checker_says() -> None:
    ghost = crown(Ghost(), 1_000_002, 2)
    assert isinstance(ghost, Ghost)
    assert str(crown(ghost, 1_000_002, 3)).endswith("n2 and n3 have both led term 1n2")
    told = remember(ghost, ((1, (1_000_001, 0, b"a")),), 1_000_002, 1)
    assert isinstance(told, Ghost)
    assert "committed as 1n1.a, n3 is handed 1n2.b" in str(remember(told, ((1, (1_000_002, 0, b"b")),), 1_000_002, 3))
