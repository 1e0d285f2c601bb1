"""How a rule says no inside the store: an exception that carries the `Failure` to be answered."""

from __future__ import annotations

from ringleader.errors import Reason
from ringleader.store.commands import Failure

__all__ = ["Refusal", "compacted", "future_revision", "invalid", "show"]


class Refusal(Exception):
    """The command is refused with `failure`; it never leaves the store."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def show(data: bytes) -> str:
    """A key as people read it, cut when it is long."""
    text = repr(data[:64])[1:]
    return text if len(data) <= 64 else f"{text}... ({len(data)} bytes)"


def invalid(message: str) -> Failure:
    """The command makes no sense as it stands."""
    return Failure(Reason.INVALID_ARGUMENT, message)


def compacted(revision: int, compact_revision: int) -> Failure:
    """History from before `compact_revision` was asked for."""
    message = f"revision {revision} has been compacted; the oldest one still there is {compact_revision}"
    return Failure(Reason.COMPACTED, message, compact_revision=compact_revision)


def future_revision(revision: int, current: int) -> Failure:
    """A revision was asked for that has not happened."""
    return Failure(Reason.FUTURE_REVISION, f"revision {revision} lies in the future; the store is at {current}")
