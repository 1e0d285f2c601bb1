"""Ringleader: agree, find each other, share data and divide work, in one `pip install`.

This is the face: the public names, composed lazily so that importing it is cheap.
"""

from ringleader.errors import (
    DeadlineError,
    NotAppliedError,
    OutcomeUnknownError,
    Reason,
    RingleaderError,
    UnknownDeadlineError,
    UsageError,
)

__all__ = [
    "DeadlineError",
    "NotAppliedError",
    "OutcomeUnknownError",
    "Reason",
    "RingleaderError",
    "UnknownDeadlineError",
    "UsageError",
]

__version__ = "0.1.0"
