"""A scope: one configuration that can be checked, and the list of those that are.

Each is small enough to be exhausted and was chosen for one question. `ringleader sim check --list` shows them; the test suite
runs those marked `quick`, the soak all of them.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ringleader.consensus.shape import Config
from ringleader.errors import Reason, UsageError
from ringleader.sim.check.bounds import Bounds
from ringleader.sim.check.model import Model
from ringleader.sim.check.paxos import PaxosModel
from ringleader.sim.check.raft import RaftModel
from ringleader.sim.check.search import Limits, Progress, Result, search
from ringleader.sim.check.trace import read_events, write_events
from ringleader.sim.check.world import World

__all__ = ["SCOPES", "Scope", "find"]


class Scope(msgspec.Struct, frozen=True):
    """`options`: of the protocol's model. `members` are numbered from 1; the group starts with the first `voters`.

    `opening`: what has happened before the search begins, in the words of a counterexample (`n2 deliver 1`); from there on
    everything is tried.
    """

    name: str
    protocol: str
    says: str
    bounds: Bounds
    members: int = 3
    voters: int = 0
    options: dict[str, int] = {}
    opening: tuple[str, ...] = ()
    quick: bool = True

    def model(self) -> Model:
        """The protocol as the checker sees it."""
        return MODELS[self.protocol](**self.options)

    def world(self) -> World:
        """A new world of this scope."""
        voters = self.voters or self.members
        return World(self.model(), self.bounds, Config(tuple(range(1, voters + 1))), self.members)

    def check(self, limits: Limits | None = None, report: Callable[[Progress], None] | None = None) -> Result:
        """Search it. The way to a violation (`Result.lines`) begins with the opening."""
        world = self.world()
        before, state = read_events(world, self.opening)
        if isinstance(state, str):
            return Result(0, 0, len(before), 0.0, violation=state, lines=write_events(world, before))
        result = search(world, limits, report, state)
        if result.violation:
            result.lines = write_events(world, [*before, *result.trace])
        return result


MODELS: dict[str, Callable[..., Model]] = {"raft": RaftModel, "paxos": PaxosModel}
PLAIN = {"pre_vote": 0, "check_quorum": 0}
SCOPES: tuple[Scope, ...] = (
    Scope("elections", "raft", "three members elect leaders in two terms", Bounds(term=2), options=PLAIN),
)


def find(protocol: str, name: str) -> list[Scope]:
    """The scopes of a protocol (empty: of all) with this name (empty: all). Raises `UsageError` when there is none."""
    found = [scope for scope in SCOPES if protocol in ("", scope.protocol) and name in ("", scope.name)]
    if not found:
        known = ", ".join(f"{scope.protocol} {scope.name}" for scope in SCOPES)
        raise UsageError(f"no configuration {protocol} {name}", reason=Reason.INVALID_ARGUMENT, hint=f"Known: {known}")
    return found
