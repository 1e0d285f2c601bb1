"""Files that the simulator's commands write: whether they can be is said before a run that may take minutes."""

from __future__ import annotations

from pathlib import Path

from ringleader.errors import Reason, UsageError

__all__ = ["check_writable"]


def check_writable(path: Path) -> None:
    """Before the run, which may take minutes. Raises `UsageError`."""
    new = not path.exists()
    try:
        with open(path, "ab"):
            pass
        if new:
            path.unlink()
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", reason=Reason.INVALID_ARGUMENT) from None
