"""How much may wait: so many bytes of writes as this node has lately seen applied within the time that one may wait.

A queue bounded by size alone waits longer the slower the cluster is. So the rate at which waiting writes are answered is
measured while some always wait, and more are taken in only as long as the last of them would be served in time: the idea of
"bounded delay" (Nichols & Jacobson, "Controlling Queue Delay", ACM Queue 2012), applied at the door, where refusing still means
that nothing was applied. While nothing is applied at all, as during an election, the last known rate stands: an outage is not
overload, and those who wait have deadlines of their own.
"""

from __future__ import annotations

__all__ = ["Admission"]

WINDOW = 0.1
"""Seconds over which the rate is measured."""
SHARE = 0.3
"""Of a new measurement in the running mean."""


class Admission:
    """`most`, `least`: bounds of the limit, bytes; below `least` nothing is refused. `wait`: seconds that a write may wait."""

    def __init__(self, least: int, most: int, wait: float) -> None:
        self.least = least
        self.most = most
        self.wait = wait
        self.limit = most
        self.rate = 0.0  # bytes a second; 0: not known
        self._begun = 0.0
        self._done = 0
        self._always_busy = False

    def admits(self, waiting: int, size: int) -> bool:
        """Whether a write of `size` bytes may join `waiting` bytes; the first one always may."""
        return waiting + size <= self.limit or not waiting

    def served(self, size: int) -> None:
        """A waiting write of `size` bytes was answered with its results."""
        self._done += size

    def turn(self, now: float, waiting: int) -> None:
        """The end of a turn at `now` (monotonic seconds), after which `waiting` bytes are left."""
        if not waiting:
            self._always_busy = False  # how fast it could have been cannot be told
        passed = now - self._begun
        if passed < WINDOW:
            return
        if self._always_busy and self._done:
            sample = self._done / passed
            self.rate += (sample - self.rate) * (SHARE if self.rate else 1.0)
            self.limit = int(min(max(self.rate * self.wait, self.least), self.most))
        self._begun, self._done, self._always_busy = now, 0, waiting > 0
