"""Breadth first through all states: the first violation found is one with the fewest events.

States are kept as they are, a few small integers each, not as hashes: that a state is known is never a matter of chance. Of
each only the number of the one before and the place of the transition between them are remembered; the way to a violation is
found again by walking it.
"""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import msgspec

from ringleader.sim.check.trace import Happening
from ringleader.sim.check.world import State, World

__all__ = ["Limits", "Progress", "Result", "search"]


class Limits(msgspec.Struct, frozen=True):
    """When to give up, honestly: so many states, seconds of CPU time, or bytes taken by the states."""

    states: int = 20_000_000
    seconds: float = 3600.0
    bytes: int = 8 << 30


class Progress(NamedTuple):
    """How far a search has come. `waiting`: states of the next depth found so far. `seconds`: of CPU time."""

    depth: int
    states: int
    transitions: int
    waiting: int
    seconds: float


class Result(msgspec.Struct):
    """What a search found. `cut`: why it ended early; empty: every state within the bounds was visited.

    `transitions` lead from one state to a different one. `violation` and `trace`: a shortest way to one, if there is any;
    `lines`: the same in words (by `Scope.check`).
    `runs`: how often the production core had to run; all other transitions were look-ups.
    """

    states: int
    transitions: int
    depth: int
    seconds: float
    cut: str = ""
    violation: str = ""
    trace: list[Happening] = []
    lines: list[str] = []
    runs: int = 0
    locals: int = 0

    @property
    def complete(self) -> bool:
        """Whether all that is within the bounds was seen, and held."""
        return not self.cut and not self.violation

    def line(self) -> str:
        """The result in one line."""
        ending = "complete" if self.complete else f"cut off at {self.cut}" if self.cut else "VIOLATION"
        counts = f"{self.states:,} states, {self.transitions:,} transitions, depth {self.depth}"
        return (
            f"{ending}: {counts}, {self.seconds:.1f} s ({self.locals:,} local states, the core ran {self.runs:,} times)"
        )


BYTES_A_STATE = 300
"""What a state takes: the tuple, its place in the set and in a list, its parent. 240 were measured with three members."""
LOOK = 2048
"""States between two looks at the clock."""


def search(
    world: World,
    limits: Limits | None = None,
    report: Callable[[Progress], None] | None = None,
    first: State | None = None,
) -> Result:
    """Visit every state that can be reached from `first` (None: everybody has just started) within the bounds of `world`.

    `report` hears about once a second how far it is.
    """
    with _uncollected():
        return _Search(world, limits or Limits(), report or (lambda progress: None), first or world.first()).run()


class _Search:
    def __init__(self, world: World, limits: Limits, report: Callable[[Progress], None], first: State) -> None:
        self.world = world
        self.first = first
        self.limits = limits
        self.report = report
        self.started = time.process_time()
        self.most = min(limits.states, limits.bytes // BYTES_A_STATE)
        self.parents = array("L", [0])
        self.ordinals = array("L", [0])
        self.transitions = 0
        self.told = 0.0

    def run(self) -> Result:
        seen = {self.first}
        front = [self.first]
        number, depth = 0, 0  # of the state that is looked at
        while front:
            waiting: list[State] = []
            for place, state in enumerate(front):
                if place % LOOK == 0 and (cut := self._look(depth, len(seen), len(waiting))):
                    return self._result(depth, len(seen), cut=cut)
                ordinal = -1
                for _, _, after in self.world.successors(state):
                    ordinal += 1
                    if after == state:
                        continue
                    self.transitions += 1
                    if after in seen:
                        continue
                    if isinstance(after, str):
                        trace = self._walk([*self._way(number), ordinal])
                        return self._result(depth + 1, len(seen), violation=after, trace=trace)
                    seen.add(after)
                    waiting.append(after)
                    self.parents.append(number)
                    self.ordinals.append(ordinal)
                number += 1
            front = waiting
            depth += bool(front)
        return self._result(depth, len(seen))

    def _look(self, depth: int, states: int, waiting: int) -> str:
        """Tell how far it is, and say why to stop, if so."""
        seconds = time.process_time() - self.started
        if seconds - self.told >= 1.0:
            self.told = seconds
            self.report(Progress(depth, states, self.transitions, waiting, seconds))
        if states > self.limits.states:
            return f"{self.limits.states:,} states"
        if states > self.most:
            return f"{self.limits.bytes >> 20:,} MiB"
        return f"{self.limits.seconds:g} s" if seconds > self.limits.seconds else ""

    def _way(self, number: int) -> list[int]:
        """Which transition to take, from the first state on, to come to state `number`."""
        way = []
        while number:
            way.append(self.ordinals[number])
            number = self.parents[number]
        return way[::-1]

    def _walk(self, way: list[int]) -> list[Happening]:
        """The events on the way that takes, in each state, the transition of that number."""
        state: State | str = self.first
        told = []
        for ordinal in way:
            assert not isinstance(state, str), "the way goes on after a violation"
            place, action, state = next(islice(self.world.successors(state), ordinal, None))
            told.append(Happening(place + 1, action.event))
        return told

    def _result(
        self, depth: int, states: int, *, cut: str = "", violation: str = "", trace: list[Happening] | None = None
    ) -> Result:
        tables = self.world.tables
        seconds = time.process_time() - self.started
        return Result(
            states, self.transitions, depth, seconds, cut, violation, trace or [], [], tables.runs, len(tables.locals)
        )


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the cyclic collector: it would look through millions of tuples again and again, and there are no cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
