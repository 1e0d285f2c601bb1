"""How long the loop waits for the disk at the end of a turn, instead of going round once more to be told.

On a disk that syncs in a tenth of a millisecond, being woken up by another thread and taking a turn of its own cost the loop
as much time as the sync itself, and more CPU. So the loop waits a moment, as long as the disk has been fast lately. It never
waits for more than `MOST`: if the sync takes longer after all it goes on in its thread, and the loop with its work.
"""

from __future__ import annotations

__all__ = ["MOST", "Patience"]

MOST = 0.001
"""Seconds; the longest that the loop ever waits."""
FAST = 0.0005
"""Seconds; a disk that on average takes longer is not waited for."""
WEIGHT = 1 / 16
"""Of the newest time in the average: a disk is known as fast, or slow, after some dozens."""
STALL = 0.02
"""Seconds; how much a single slow piece of work counts at most."""


class Patience:
    """Learns from how long pieces of work took. `typical`: their average, seconds; a disk is slow until it has been seen."""

    def __init__(self) -> None:
        self.typical = 4 * FAST

    def learn(self, seconds: float) -> None:
        """A piece of work took so long, waited for or not."""
        self.typical += (min(seconds, STALL) - self.typical) * WEIGHT

    @property
    def seconds(self) -> float:
        """How long to wait for the next piece of work; 0: not at all."""
        return min(3 * self.typical, MOST) if self.typical <= FAST else 0.0
