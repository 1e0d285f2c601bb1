"""A scope: one configuration that can be checked, and the list of those that are.

Each is small enough to be exhausted and was chosen for one question. `ringleader sim check --list` shows them; the test suite
runs those marked `quick`, the soak all of them.
"""

from __future__ import annotations

import msgspec

from ringleader.consensus.shape import Config
from ringleader.errors import Reason, UsageError
from ringleader.sim.check.bounds import Bounds
from ringleader.sim.check.model import Model
from ringleader.sim.check.raft import RaftModel
from ringleader.sim.check.world import World

__all__ = ["SCOPES", "Scope", "find"]


class Scope(msgspec.Struct, frozen=True):
    """`options`: of the protocol's model. `members` are numbered from 1; the group starts with the first `voters`."""

    name: str
    protocol: str
    says: str
    bounds: Bounds
    members: int = 3
    voters: int = 0
    options: dict[str, int] = {}
    quick: bool = True

    def model(self) -> Model:
        """The protocol as the checker sees it."""
        return MODELS[self.protocol](**self.options)

    def world(self) -> World:
        """A new world of this scope."""
        voters = self.voters or self.members
        return World(self.model(), self.bounds, Config(tuple(range(1, voters + 1))), self.members)


MODELS: dict[str, type[RaftModel]] = {"raft": RaftModel}
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
