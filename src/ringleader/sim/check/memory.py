"""How much memory this process holds: what a search is measured by, for no count of its states would say it."""

from __future__ import annotations

import os
import sys

from ringleader.errors import Reason, UsageError

__all__ = ["held"]

STATM = "/proc/self/statm"


def held() -> int:
    """Bytes of memory that the process holds now; where only that is known (macOS), the most that it has ever held.

    Raises `UsageError` where neither can be found out (Windows).
    """
    try:
        with open(STATM, "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return _most()


def _most() -> int:
    try:
        import resource
    except ImportError:
        told = "this system does not say how much memory a process holds, so a search cannot be bounded"
        raise UsageError(
            told, reason=Reason.INVALID_ARGUMENT, hint="Run `ringleader sim check` on Linux or macOS"
        ) from None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10
