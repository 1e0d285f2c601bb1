"""Breadth first through all states: the first violation found is one with the fewest events.

States are kept as they are, a few small integers each, not as hashes: that a state is known is never a matter of chance. Of
each only the number of the one before and the place of the transition between them are remembered; the way to a violation is
found again by walking it.
"""

from __future__ import annotations

import gc
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import msgspec

from ringleader.sim.check.memory import held
from ringleader.sim.check.trace import Happening
from ringleader.sim.check.world import State, World

__all__ = ["Limits", "Progress", "Result", "search"]


class Limits(msgspec.Struct, frozen=True):
    """When to give up, honestly: so many states, seconds of CPU time, or bytes of memory held by the whole process."""

    states: int = 20_000_000
    seconds: float = 3600.0
    bytes: int = 8 << 30


class Progress(NamedTuple):
    """How far a search has come. `waiting`: states of the next depth found so far. `seconds`: of CPU time. `memory`: bytes
    held by the process.
    """

    depth: int
    states: int
    transitions: int
    waiting: int
    seconds: float
    memory: int


class Result(msgspec.Struct):
    """What a search found. `cut`: why it ended early; empty: every state within the bounds was visited.

    `depth`: no state is more events away from the first one; where it was cut off: all of that depth were visited, and
    `followed` (0 to 1) of them were followed further. `memory`: bytes that the process held in the end.
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
    followed: float = 1.0
    memory: int = 0

    @property
    def complete(self) -> bool:
        """Whether all that is within the bounds was seen, and held."""
        return not self.cut and not self.violation

    def line(self) -> str:
        """The result in one line."""
        ending = "complete" if self.complete else f"cut off at {self.cut}" if self.cut else "VIOLATION"
        counts = f"{self.states:,} states, {self.transitions:,} transitions, depth {self.depth}"
        spent = f"{self.seconds:.1f} s, {self.memory >> 20:,} MiB"
        return (
            f"{ending}: {counts}, {spent} ({self.locals:,} local states, the core ran {self.runs:,} times)"
            f"{self._covered()}"
        )

    def _covered(self) -> str:
        if not self.cut:
            return ""
        beyond = f"; of the states there, {self.followed:.0%} were followed further" if self.followed else ""
        return f": nothing breaks within {self.depth} events{beyond}"


LOOK = 32
"""States between two looks at the clock. One may be the first to have dozens of events, for each of which a core has to run."""
WEIGH = 0.05
"""Seconds between two looks at the memory, which grows by some 50 MiB a second."""


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
        self.parents = array("L", [0])
        self.ordinals = array("L", [0])
        self.transitions = 0
        self.told = self.weighed = 0.0
        self.memory = held()

    def run(self) -> Result:
        seen = {self.first}
        front = [self.first]
        number, depth = 0, 0  # of the state that is looked at
        while front:
            waiting: list[State] = []
            for place, state in enumerate(front):
                if place % LOOK == 0 and (cut := self._look(depth, seen, len(waiting))):
                    return self._result(depth, len(seen), cut=cut, followed=place / len(front))
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

    def _look(self, depth: int, seen: set[State], waiting: int) -> str:
        """Tell how far it is, and say why to stop, if so."""
        states = len(seen)
        seconds = time.process_time() - self.started
        if seconds - self.weighed >= WEIGH:
            self.weighed, self.memory = seconds, held()
        if seconds - self.told >= 1.0:
            self.told = seconds
            self.report(Progress(depth, states, self.transitions, waiting, seconds, self.memory))
        if states > self.limits.states:
            return f"{self.limits.states:,} states"
        if self.memory + _growth(seen) > self.limits.bytes:
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
        self,
        depth: int,
        states: int,
        *,
        cut: str = "",
        violation: str = "",
        trace: list[Happening] | None = None,
        followed: float = 1.0,
    ) -> Result:
        tables = self.world.tables
        return Result(
            states,
            self.transitions,
            depth,
            time.process_time() - self.started,
            cut,
            violation,
            trace or [],
            runs=tables.runs,
            locals=len(tables.locals),
            followed=followed,
            memory=held(),
        )


def _growth(seen: set[State]) -> int:
    """Bytes that the set will take beside what it has when it grows next, if that is soon.

    It is a table of 16 bytes a place, which gives way to one twice as large when three fifths are taken.
    """
    size = sys.getsizeof(seen)
    return 2 * size if len(seen) * 16 > 0.55 * size else 0


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
