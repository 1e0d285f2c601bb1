"""What clients did and saw, and whether a correct store could have answered so."""

from ringleader.sim.history.calls import from_calls, without_revisions
from ringleader.sim.history.linearizable import check_linearizable
from ringleader.sim.history.models import Model, RegisterModel, StoreModel
from ringleader.sim.history.operations import History, Operation, Outcome
from ringleader.sim.history.revisions import check_revisions
from ringleader.sim.history.sessions import check_sessions
from ringleader.sim.history.verdict import Decision, Verdict

__all__ = [
    "Decision",
    "History",
    "Model",
    "Operation",
    "Outcome",
    "RegisterModel",
    "StoreModel",
    "Verdict",
    "check_linearizable",
    "check_revisions",
    "check_sessions",
    "from_calls",
    "without_revisions",
]
