"""Exhaustive model checking of the production cores, at small scope.

All that can happen to a few members within bounds is tried, breadth first, and every state is held against the invariants:
`check.search` over `check.world`, of members (`check.member`) that are production cores behind a disk as the log room
guarantees it. `check.bounds` says what is left out, `check.scope` lists what is checked.
"""

from ringleader.sim.check.bounds import Bounds, Event, parse_bounds
from ringleader.sim.check.counterexample import Counterexample, load, text_of
from ringleader.sim.check.scope import SCOPES, Scope, find
from ringleader.sim.check.search import Limits, Progress, Result, search
from ringleader.sim.check.story import Story, tell

__all__ = [
    "SCOPES",
    "Bounds",
    "Counterexample",
    "Event",
    "Limits",
    "Progress",
    "Result",
    "Scope",
    "Story",
    "find",
    "load",
    "parse_bounds",
    "search",
    "tell",
    "text_of",
]
