"""The parts of the model checker: frozen cores, condensed records, bounds, files."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ringleader.consensus.paxos.messages import Accepted
from ringleader.consensus.paxos.records import accept_record, chosen_record, promise_record
from ringleader.consensus.paxos.records import replay as replay_paxos
from ringleader.consensus.raft.records import entries_record, hard_record
from ringleader.consensus.raft.records import replay as replay_raft
from ringleader.consensus.shape import Config, Entry, Record
from ringleader.errors import UsageError
from ringleader.sim.check import Bounds, Event, load, parse_bounds
from ringleader.sim.check.freeze import Freezer
from ringleader.sim.check.invariants import Ghost, crown, matching, remember
from ringleader.sim.check.member import Member, Setting
from ringleader.sim.check.paxos import PaxosModel
from ringleader.sim.check.raft import RaftModel


@pytest.mark.parametrize("model", [RaftModel(), PaxosModel()], ids=lambda model: model.name)
def test_a_frozen_member_is_the_same_thawed(model: RaftModel | PaxosModel) -> None:
    """At every step of a life, also while messages wait for the disk."""
    setting = Setting(1, model, Bounds(slow_disk=True, crashes=True), Config((1, 2)))
    freezer = Freezer(model.shared())
    member = Member(model.make(1, setting.config))
    for event in (Event("time"), Event("sync"), Event("time"), Event("sync"), Event("crash", 0)):
        member.happen(event, 0, None, setting)
        frozen = freezer.freeze(member)
        hash(frozen)
        copy = freezer.thaw(frozen)
        assert freezer.freeze(copy) == frozen
        copy.core.log.entries.append(Entry(1, 0, b"only here"))
        assert freezer.freeze(member) == frozen


def test_what_cannot_be_copied_is_refused() -> None:
    """A core that grows something with hidden state is noticed."""
    with pytest.raises(TypeError, match="does not know how to copy"):
        Freezer({}).freeze([iter(())])


def test_condensed_raft_records_mean_the_same() -> None:
    """Whatever records follow."""
    chance = random.Random(1)
    for _ in range(200):
        records = [_raft_record(chance) for _ in range(chance.randrange(8))]
        later = [_raft_record(chance) for _ in range(chance.randrange(4))]
        try:
            long = replay_raft(None, records + later)
        except (ValueError, AssertionError):
            continue  # no core writes that
        short = replay_raft(None, RaftModel().condense(records) + later)
        assert (short.term, short.vote, short.log.entries) == (long.term, long.vote, long.log.entries)


def _raft_record(chance: random.Random) -> Record:
    if chance.random() < 0.5:
        return hard_record(chance.randrange(1, 4), chance.randrange(3))
    count = chance.randrange(1, 3)
    return entries_record(1, [Entry(chance.randrange(1, 4), 0, b"x") for _ in range(count)])


def test_condensed_paxos_records_mean_the_same() -> None:
    """Whatever records follow; and they are fewer."""
    chance = random.Random(2)
    model, same, shorter = PaxosModel(), Freezer({}), 0
    for _ in range(300):
        ballots = sorted(chance.randrange(1, 4) * 1_000_000 + 1 for _ in range(chance.randrange(1, 9)))
        records = [_paxos_record(chance, ballot) for ballot in ballots]
        cut = chance.randrange(len(records) + 1)
        try:
            long = replay_paxos(None, records)
            condensed = model.condense(records[:cut])
        except (ValueError, AssertionError):
            continue  # no core writes that
        shorter += len(condensed) < cut
        assert same.freeze(replay_paxos(None, condensed + records[cut:])) == same.freeze(long)
    assert shorter > 20


def _paxos_record(chance: random.Random, ballot: int) -> Record:
    kind, first = chance.randrange(4), chance.randrange(1, 4)
    if kind == 0:
        return promise_record(ballot, 0, 0)
    if kind == 1:
        return chosen_record(1, [Entry(1_000_001, 0, b"c")])
    return accept_record(ballot, first, 0, [Entry(ballot, 0, b"x") for _ in range(chance.randrange(1, 3))])


def test_what_a_restarted_acceptor_is_bound_by() -> None:
    """Each slot that it has told to be accepted, in that ballot or a higher one; but for what it knows to be chosen."""
    model, one, two = PaxosModel(), 1_000_001, 1_000_002
    noop = [Entry(one, 1, b"")]
    core = model.make(3, Config((1, 2, 3)))
    core.recover(
        None,
        [
            accept_record(one, 1, 0, noop * 2),
            accept_record(two, 1, 1, noop),
            accept_record(two, 4, 1, noop),
        ],
    )
    assert core.commit == 1

    def broken(ballot: int, upto: int, islands: list[tuple[int, int]]) -> str:
        return model.broken_promise(core, 1, Accepted(ballot, upto, 0, islands))

    assert broken(two, 1, [(4, 4)]) == broken(one, 2, [(4, 4)]) == ""
    assert broken(two, 2, []) == "it has told that slot 2 is accepted in 1n2, and is back with it in 1n1"
    assert "slot 3 is accepted in 1n1, and is back with it empty" in broken(one, 2, [(3, 3)])
    assert "slot 5 is" in broken(two, 1, [(4, 5)])
    assert "promised 2n1 and is back with 1n2" in broken(2_000_001, 0, [])


def test_bounds_are_read() -> None:
    """As people write them; what makes no sense is named."""
    assert parse_bounds("term=3, crashes=yes,slow-disk=no", Bounds()) == Bounds(term=3, crashes=True)
    assert parse_bounds("", Bounds(term=4)) == Bounds(term=4)
    for wrong in ("term=x", "term", "crashes=3", "nodes=3", "term=100"):
        with pytest.raises(UsageError, match=wrong):
            parse_bounds(wrong, Bounds())


def test_what_the_invariants_say() -> None:
    """Each on the smallest past that breaks it."""
    ghost = crown(Ghost(), 1, 2)
    assert isinstance(ghost, Ghost)
    assert crown(ghost, 1, 2) == ghost
    assert crown(ghost, 1, 3) == "election safety: n2 and n3 have both led term 1"
    told = remember(ghost, ((1, (2, 0, b"a")),), 2, 1)
    assert isinstance(told, Ghost)
    assert "state machine safety" in str(remember(told, ((1, (2, 0, b"b")),), 2, 3))
    assert "before 2" in str(remember(told, ((3, (2, 0, b"b")),), 2, 3))
    assert "births go back" in str(remember(told, ((2, (1, 0, b"b")),), 2, 3))
    a, b, c = (1, 0, b"a"), (1, 0, b"b"), (2, 0, b"c")
    assert matching((a, c), (a,)) == matching((a,), (c,)) == ""
    assert matching((a, c), (b, c)).startswith("log matching")


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """Says which line makes no sense."""
    path = tmp_path / "x.txt"
    path.write_text("what?\n")
    with pytest.raises(ValueError, match="line 1"):
        load(path)
    path.write_text("scope: {}\n")
    with pytest.raises(ValueError, match="scope is not understood"):
        load(path)
    path.write_text("violation: x\n")
    with pytest.raises(ValueError, match="names no scope"):
        load(path)
