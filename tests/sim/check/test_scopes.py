"""The scopes that are exhausted in every run of the tests, and that what makes the search fast loses nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from ringleader.consensus.raft import Raft
from ringleader.consensus.shape import Config
from ringleader.sim.check import SCOPES, Bounds, Limits, Progress, Scope, search
from ringleader.sim.check.model import Model
from ringleader.sim.check.paxos import ANYTHING, PaxosModel
from ringleader.sim.check.raft import RaftModel
from ringleader.sim.check.scope import BARE, PLAIN
from ringleader.sim.check.trace import read_events
from ringleader.sim.check.world import World

LEAST = {
    ("raft", "elections"): 500_000,
    ("raft", "overwritten-tail"): 1_000_000,
    ("raft", "crash-votes"): 30_000,
    ("raft", "crash-log"): 200_000,
    ("raft", "read-barrier"): 1_500_000,
    ("raft", "member-change"): 150_000,
    ("raft", "hand-over"): 300_000,
    ("raft", "quorum-check"): 30_000,
    ("paxos", "competing-leaders"): 10_000,
    ("paxos", "crash"): 100_000,
    ("paxos", "member-change"): 300_000,
    ("paxos", "hand-over"): 10_000,
    ("paxos", "flexible-quorums"): 20_000,
    ("paxos", "late-answer"): 250_000,
    ("paxos", "four-flexible"): 300_000,
    ("paxos", "read-barrier"): 200_000,
    ("paxos", "canvass"): 200_000,
    ("paxos", "commands"): 150_000,
    ("paxos", "two-rounds"): 300_000,
}
"""Transitions that each has at least: a scope that has become small by mistake shows nothing any more."""


def test_every_quick_scope_is_tested() -> None:
    """None is left out, and together they are the million and more that the docs speak of."""
    assert set(LEAST) == {(scope.protocol, scope.name) for scope in SCOPES if scope.quick}
    assert sum(LEAST.values()) >= 5_000_000


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "scope", [scope for scope in SCOPES if scope.quick], ids=lambda scope: f"{scope.protocol}-{scope.name}"
)
def test_holds_exhaustively(scope: Scope) -> None:
    """Every state within the bounds is visited, and no invariant breaks."""
    result = scope.check(Limits(states=3_000_000))
    assert result.complete, "\n".join([result.line(), result.violation, *result.lines])
    assert result.transitions >= LEAST[scope.protocol, scope.name], result.line()


SMALL = (
    Scope("s", "raft", "", Bounds(term=1), options=PLAIN),
    Scope("s", "raft", "", Bounds(term=1, crashes=True, slow_disk=True, standing=(1,)), options=PLAIN),
    Scope("s", "raft", "", Bounds(term=2, commands=1, standing=(1,)), options=PLAIN, members=2),
    Scope("s", "raft", "", Bounds(term=1, standing=(1, 2), rounds=1, beats=True), members=2),
    Scope("s", "paxos", "", Bounds(term=1, standing=(1, 2), crashes=True), options=BARE, members=2),
    Scope("s", "paxos", "", Bounds(term=2, standing=(1,)), options=BARE),
    Scope("s", "paxos", "", Bounds(term=1, standing=(1, 2)), members=2),
    Scope("s", "paxos", "", Bounds(term=1, commands=1, standing=(1, 2)), options=BARE, members=2),
    Scope("s", "paxos", "", Bounds(term=1, commands=2, standing=(1,)), options=BARE | {"append_bytes": 1}, members=2),
    Scope("s", "paxos", "", Bounds(term=1, standing=(1, 2), reads=True, rounds=1), options=BARE, members=2),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scope", SMALL, ids=lambda scope: f"{scope.protocol}, {scope.bounds.words()}")
def test_dead_letters_change_nothing(scope: Scope) -> None:
    """With and without them the members come into the same states together, with the same past."""
    full, reduced = (_world(scope, scope.model(), reduce) for reduce in (False, True))
    assert _met(full, full.tables.locals) == _met(reduced, reduced.tables.locals)


PAXOS = (
    Scope("s", "paxos", "", Bounds(term=1, standing=(1, 2)), options=BARE),
    Scope("s", "paxos", "", Bounds(term=2, standing=(1, 2)), options=BARE | {"phase2": 1}),
    Scope("s", "paxos", "", Bounds(term=1, commands=1, standing=(1, 2)), options=BARE | {"append_bytes": 1}, members=2),
    Scope("s", "paxos", "", Bounds(term=1, standing=(1, 2), reads=True, rounds=1), options=BARE, members=2),
    Scope("s", "paxos", "", Bounds(term=1, standing=(1, 2), transfers=True), options=BARE, members=2),
    Scope("s", "paxos", "", Bounds(term=1, standing=(1, 2), crashes=True, slow_disk=True), options=BARE, members=2),
    Scope("s", "paxos", "", Bounds(term=1, standing=(1, 2), changes=(Config((1,)),)), options=BARE, members=2),
    Scope("s", "paxos", "", Bounds(term=1, standing=(1, 2), beats=True, rounds=1), members=2),
    Scope("s", "paxos", "", Bounds(term=2, standing=(1,))),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scope", PAXOS, ids=lambda scope: f"{scope.members}, {scope.bounds.words()}")
def test_what_the_bounds_make_pointless_changes_nothing(scope: Scope) -> None:
    """A model that knows the bounds forgets more of a member; what invariants look at comes together all the same."""
    full, reduced = _world(scope, PaxosModel(ANYTHING, **scope.options), True), _world(scope, scope.model(), True)
    assert _met(full, full.tables.views) == _met(reduced, reduced.tables.views)


class Following(RaftModel):
    """Remembers whom a member follows, as the core does."""

    def normalise(self, core: Raft) -> int:
        leader = core.leader
        shift = super().normalise(core)
        core.leader = leader
        return shift


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "scope", [scope for scope in SMALL if scope.protocol == "raft"], ids=lambda scope: scope.bounds.words()
)
def test_whom_a_member_follows_changes_nothing(scope: Scope) -> None:
    """In Raft it matters to nobody but to who asks."""
    full, reduced = _world(scope, Following(None, **scope.options), True), _world(scope, scope.model(), True)
    assert _met(full, full.tables.views) == _met(reduced, reduced.tables.views)
    assert len(full.tables.locals) >= len(reduced.tables.locals)


def _world(scope: Scope, model: Model, reduce: bool) -> World:
    return World(model, scope.bounds, Config(tuple(range(1, scope.members + 1))), scope.members, reduce=reduce)


def _met(world: World, known: Sequence[object]) -> set[tuple[object, ...]]:
    """All combinations of what is known of the members' local states, and of what is remembered, whatever is on the way."""
    met: set[tuple[object, ...]] = set()
    first = world.first()
    seen, waiting = {first}, [first]
    while waiting:
        state = waiting.pop()
        met.add((*(known[world.cells[cell][0]] for cell in state[:-1]), world.ghosts[state[-1]]))
        for _, _, after in world.successors(state):
            assert not isinstance(after, str), after
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return met


def test_two_searches_are_the_same() -> None:
    """Nothing hangs on chance or on what was searched before."""
    scope = SMALL[1]
    one, two = scope.check(), scope.check()
    assert (one.states, one.transitions, one.depth) == (two.states, two.transitions, two.depth)


def test_a_limit_is_told() -> None:
    """A search that is cut off does not call itself complete."""
    scope = next(scope for scope in SCOPES if scope.name == "elections")
    result = scope.check(Limits(states=3000))
    assert not result.complete
    assert result.line().startswith("cut off at 3,000 states")
    assert search(scope.world(), Limits(seconds=0.0)).cut == "0 s"
    assert scope.check(Limits(bytes=1 << 20)).cut == "1 MiB"


def test_what_was_covered_is_told() -> None:
    """Of a search that is cut off: how many events are covered, and what part of the last ones."""
    scope = next(scope for scope in SCOPES if scope.name == "elections")
    result = scope.check(Limits(states=40_000))
    assert f"nothing breaks within {result.depth} events; of the states there, {result.followed:.0%}" in result.line()
    assert 0 < result.followed < 1
    assert result.memory > 1 << 20
    whole = replace(scope, bounds=Bounds(term=1)).check()
    assert whole.complete
    assert "nothing breaks within" not in whole.line()


def test_the_clock_is_looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much each state costs. Here time is what a production core does: a hundredth of a second each time."""
    scope = next(scope for scope in SCOPES if scope.name == "late-answer")
    world = scope.world()
    _, first = read_events(world, scope.opening)
    assert not isinstance(first, str)
    told: list[Progress] = []
    with monkeypatch.context() as patched:
        patched.setattr(time, "process_time", lambda: world.tables.runs / 100)
        result = search(world, Limits(seconds=2.0), told.append, first)
    assert result.cut == "2 s"
    assert 2.0 < result.seconds < 4.0
    assert told
    assert all(progress.memory > 1 << 20 for progress in told)


MEASURED = """
import re
from pathlib import Path
from ringleader.sim.check import Limits, find
from ringleader.sim.check.memory import held
limit = held() + (40 << 20)
result = find("paxos", "two-rounds")[0].check(Limits(bytes=limit))
most = int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) << 10
print(result.cut == f"{limit >> 20:,} MiB", most / limit, most / result.memory)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the most that a process has held")
def test_the_limit_of_memory_is_that_of_the_process() -> None:
    """What the kernel has counted in the end is no more than what was allowed, and about what is told."""
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True, timeout=300)
    cut, of_limit, of_told = done.stdout.split()
    assert cut == "True"
    assert 0.5 < float(of_limit) < 1.05
    assert 0.95 < float(of_told) < 1.1


def test_an_opening_is_part_of_the_trace() -> None:
    """What a scope begins with is carried out first, and must make sense."""
    scope = replace(SMALL[0], opening=("n1 time", "n2 deliver 1"))
    assert scope.check().complete
    lossy = replace(scope, opening=("n1 time", "n2 deliver 1", "n1 lose 3", "n2 lose 1", "n3 lose 2"))
    assert lossy.check().states < replace(scope, opening=lossy.opening[:2]).check().states
    with pytest.raises(ValueError, match="only 2 messages were sent"):
        replace(scope, opening=("n1 time", "n2 deliver 3")).check()
    with pytest.raises(ValueError, match="is for n3"):
        replace(scope, opening=("n1 time", "n2 deliver 2")).check()
