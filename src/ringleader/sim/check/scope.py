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
    everything is tried, but that what it has lost (`n2 lose 1`) does not arrive unless it is sent again.
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

    def problem(self) -> str:
        """Why this is no scope, if somebody else has written it down; empty: it is one."""
        if self.protocol not in MODELS:
            return f"protocol {self.protocol!r}: raft or paxos"
        if not (1 <= self.members <= MOST and 0 <= self.voters <= self.members):
            return (
                f"{self.members} members, {self.voters} voters: at most {MOST} members, and no more voters than members"
            )
        if not 1 <= self.bounds.values <= 26:
            return f"{self.bounds.values} kinds of commands: 1 to 26"
        try:
            self.world()
        except (TypeError, ValueError) as error:  # an option that the protocol does not have, or not with this value
            return str(error)
        return ""

    def model(self) -> Model:
        """The protocol as the checker sees it."""
        return MODELS[self.protocol](self.bounds, **self.options)

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
MOST = 9
"""Most members of a scope that is read from a file: many more than can be searched."""
PLAIN = {"pre_vote": 0, "check_quorum": 0}
BARE = {"canvass": 0, "check_quorum": 0}
ONE_AND_TWO = (1, 2)
FIGURE_8 = (  # n1 led term 1 and n3 term 2, each alone with its first entry; n1 stands in term 3
    "n1 time",
    "n2 deliver 1",
    "n1 deliver 3",
    "n3 time",
    "n3 time",
    "n2 deliver 9",
    "n3 deliver 10",
    "n1 deliver 8",
    "n1 time",
)
LEFTOVERS = (  # n1 and n2 have led, and what each accepted alone in the open slots contradicts the other
    "n1 time",
    "n3 deliver 2",
    "n1 deliver 3",
    "n1 propose a",
    "n2 time",
    "n3 deliver 8",
    "n2 deliver 9",
)
LATE_ANSWER = (
    "n1 time",  # it leads in 1n1 with n3 and n4: slot 1 is chosen, and it alone has accepted a command in slot 2
    "n3 deliver 2",
    "n4 deliver 3",
    "n1 deliver 5",
    "n1 deliver 6",
    "n3 deliver 8",
    "n4 deliver 9",
    "n1 deliver 11",
    "n1 deliver 12",
    "n3 deliver 13",
    "n4 deliver 14",
    "n1 propose a",
    "n2 time",  # it leads in 1n2 with n4 and n5, has asked n4 about slot 1, and proposes a no-op in slot 2
    "n4 deliver 19",
    "n5 deliver 20",
    "n2 deliver 21",
    "n2 deliver 22",
    "n4 deliver 25",
    "n2 deliver 28",
    "n1 lose 17",
    "n1 lose 23",
    "n2 lose 1",
    "n2 lose 7",
    "n3 lose 18",
    "n3 lose 24",
    "n4 lose 26",
    "n4 lose 29",
    "n5 lose 4",
    "n5 lose 10",
    "n5 lose 27",
    "n3 time",  # it stands in 2n3; whoever is with n2 does not hear of that
    "n2 lose 32",
    "n5 lose 34",
)

SCOPES: tuple[Scope, ...] = (
    Scope("elections", "raft", "anybody may stand, in two terms", Bounds(term=2), options=PLAIN),
    Scope(
        "overwritten-tail",
        "raft",
        "two take commands in two terms, and the later one overwrites what the earlier could not finish",
        Bounds(term=2, commands=1, standing=ONE_AND_TWO),
        options=PLAIN,
    ),
    Scope(
        "crash-votes",
        "raft",
        "anybody may stand and crash, what is not synced is lost",
        Bounds(term=1, crashes=True, slow_disk=True),
        options=PLAIN,
    ),
    Scope(
        "crash-log",
        "raft",
        "one leads and takes a command; all may crash, what is not synced is lost",
        Bounds(term=1, commands=1, standing=(1,), crashes=True, slow_disk=True),
        options=PLAIN,
    ),
    Scope(
        "read-barrier",
        "raft",
        "reads are asked of an old and a new leader",
        Bounds(term=2, rounds=1, reads=True, standing=ONE_AND_TWO),
        options=PLAIN,
    ),
    Scope(
        "member-change",
        "raft",
        "two of three members are removed at once while one of them and the third may lead",
        Bounds(term=2, standing=(1, 3), changes=(Config((3,)),)),
        options=PLAIN,
    ),
    Scope(
        "hand-over",
        "raft",
        "leaders hand over while another one stands",
        Bounds(term=2, transfers=True, standing=ONE_AND_TWO),
        options=PLAIN,
    ),
    Scope(
        "quorum-check",
        "raft",
        "pre-votes, and a leader that steps down when it hears from too few (the options of production)",
        Bounds(term=2, rounds=1, beats=True, standing=(1,)),
    ),
    Scope(
        "pre-vote",
        "raft",
        "two stand in two terms, with pre-votes (the options of production)",
        Bounds(term=2, standing=ONE_AND_TWO),
        quick=False,
    ),
    Scope(
        "figure-8",
        "raft",
        "the story of figure 8: an old entry on a majority, and a longer log elsewhere",
        Bounds(term=4, standing=(1, 3)),
        options=PLAIN | {"append_bytes": 1},
        opening=FIGURE_8,
        quick=False,
    ),
    Scope(
        "crash-terms",
        "raft",
        "one leads two terms; all may crash, what is not synced is lost",
        Bounds(term=2, standing=(1,), crashes=True, slow_disk=True),
        options=PLAIN,
        quick=False,
    ),
    Scope(
        "three-terms",
        "raft",
        "two lead in three terms",
        Bounds(term=3, standing=ONE_AND_TWO),
        options=PLAIN,
        quick=False,
    ),
    Scope("competing-leaders", "paxos", "anybody may stand, in one round of ballots", Bounds(term=1), options=BARE),
    Scope(
        "crash",
        "paxos",
        "two stand; all may crash, what is not synced is lost",
        Bounds(term=1, standing=ONE_AND_TWO, crashes=True, slow_disk=True),
        options=BARE,
    ),
    Scope(
        "member-change",
        "paxos",
        "one of three members is removed",
        Bounds(term=1, standing=(1,), changes=(Config((1, 2)),)),
        options=BARE,
    ),
    Scope(
        "hand-over",
        "paxos",
        "leaders hand over while another one stands",
        Bounds(term=1, transfers=True, standing=ONE_AND_TWO),
        options=BARE,
    ),
    Scope(
        "flexible-quorums",
        "paxos",
        "of three members one chooses, and all three elect",
        Bounds(term=2, standing=ONE_AND_TWO),
        options=BARE | {"phase2": 1},
    ),
    Scope(
        "late-answer",
        "paxos",
        "of five, n2 leads with two and n3 in a higher ballot with the others; old questions of n2 are answered late",
        Bounds(term=2, standing=(3,)),
        members=5,
        options=BARE | {"append_bytes": 40},
        opening=LATE_ANSWER,
    ),
    Scope(
        "four-flexible",
        "paxos",
        "of four members two choose, and three elect",
        Bounds(term=1, standing=ONE_AND_TWO),
        members=4,
        options=BARE | {"phase2": 2},
    ),
    Scope(
        "read-barrier",
        "paxos",
        "reads are asked of two competing leaders",
        Bounds(term=1, rounds=1, reads=True, standing=ONE_AND_TWO),
        options=BARE,
    ),
    Scope(
        "canvass",
        "paxos",
        "two stand, asking around before (the options of production)",
        Bounds(term=1, standing=ONE_AND_TWO),
    ),
    Scope(
        "commands",
        "paxos",
        "two lead and take a command each",
        Bounds(term=1, commands=1, standing=ONE_AND_TWO),
        options=BARE,
    ),
    Scope(
        "everybody",
        "paxos",
        "all three lead and take a command each",
        Bounds(term=1, commands=1),
        options=BARE,
        quick=False,
    ),
    Scope(
        "leftovers",
        "paxos",
        "what two leaders have left in the open slots contradicts each other, and the older one leads again",
        Bounds(term=2, commands=1, standing=(1,)),
        options=BARE,
        opening=LEFTOVERS,
        quick=False,
    ),
    Scope(
        "two-rounds",
        "paxos",
        "two compete in two rounds of ballots, the one with what the other has left",
        Bounds(term=2, standing=ONE_AND_TWO),
        options=BARE,
    ),
)


def find(protocol: str, name: str) -> list[Scope]:
    """The scopes of a protocol (empty: of all) with this name (empty: all). Raises `UsageError` when there is none."""
    found = [scope for scope in SCOPES if protocol in ("", scope.protocol) and name in ("", scope.name)]
    if not found:
        known = ", ".join(f"{scope.protocol} {scope.name}" for scope in SCOPES)
        wanted = " ".join(filter(None, (protocol, name)))
        raise UsageError(f"no configuration {wanted}", reason=Reason.INVALID_ARGUMENT, hint=f"Known: {known}")
    return found
