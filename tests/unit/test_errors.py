"""Errors answer: what happened, was it applied, what to do."""

import pickle

import pytest

from ringleader import (
    DeadlineError,
    NotAppliedError,
    OutcomeUnknownError,
    Reason,
    RingleaderError,
    UnknownDeadlineError,
)


def test_text_names_the_node_and_the_remedy() -> None:
    error = NotAppliedError("no leader is known", reason=Reason.NO_LEADER, node="n1", hint="Try again")
    assert str(error) == "no leader is known (node n1). Try again"


@pytest.mark.parametrize(
    ("cls", "parent"), [(DeadlineError, NotAppliedError), (UnknownDeadlineError, OutcomeUnknownError)]
)
def test_deadlines_are_timeouts_and_say_whether_applied(
    cls: type[RingleaderError], parent: type[RingleaderError]
) -> None:
    error = cls("too late", reason=Reason.DEADLINE)
    assert isinstance(error, TimeoutError)
    assert isinstance(error, parent)


def test_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(NotAppliedError("x", reason=Reason.CLOSED, node="n2", hint="h")))
    assert isinstance(error, NotAppliedError)
    assert (error.reason, error.node, error.hint) == (Reason.CLOSED, "n2", "h")
