"""A museum of bugs that real systems have had, brought back by patches: the simulator has to find each of them.

Every bug is a function that patches the production code (which has no switches for this) for the time of a `with`. The
numbers are those of the hazards that the project keeps. Most show in seeds as they are drawn; the others have a `focus`, so
that each is found within few seeds, by the suite and by `python -m tools.bughunt`, which makes the table of the docs.
"""

from __future__ import annotations

from sim.bugkit import Bug
from sim.bugs_answers import ANSWER_BUGS
from sim.bugs_durability import DURABILITY_BUGS
from sim.bugs_log import LOG_BUGS
from sim.bugs_members import MEMBER_BUGS
from sim.bugs_paxos import PAXOS_BUGS
from sim.bugs_promises import PROMISE_BUGS
from sim.bugs_raft import RAFT_BUGS

__all__ = ["BUGS", "Bug"]

BUGS = [
    *DURABILITY_BUGS,
    *RAFT_BUGS,
    *LOG_BUGS,
    *ANSWER_BUGS,
    *PROMISE_BUGS,
    *MEMBER_BUGS,
    *PAXOS_BUGS,
]
