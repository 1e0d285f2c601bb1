"""The time that has passed, counted also while the machine is suspended: a lease does not wait for its holder to wake up.

`time.monotonic`, by which event loops run their timers, stands still meanwhile (on Linux and macOS).
"""

from __future__ import annotations

import sys
import time

__all__ = ["steady"]

if sys.platform == "linux":

    def steady() -> float:
        """Seconds since an arbitrary moment; never goes back, whatever is done to the wall clock."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

elif sys.platform == "darwin":

    def steady() -> float:
        """Seconds since an arbitrary moment; never goes back, whatever is done to the wall clock."""
        return time.clock_gettime(time.CLOCK_MONOTONIC)

else:

    def steady() -> float:
        """Seconds since an arbitrary moment; never goes back, whatever is done to the wall clock."""
        return time.monotonic()
