"""Ringleader: agree, find each other, share data and divide work, in one `pip install`.

This is the face: the public names, composed lazily so that importing it is cheap.
"""

from typing import TYPE_CHECKING, Any

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
    "changes",
    "replica",
]

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ringleader.replicas import changes, replica

_LAZY = {"changes": "ringleader.replicas", "replica": "ringleader.replicas"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
