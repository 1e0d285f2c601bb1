"""A node's own monotonic clock: it starts anywhere, runs at its own rate, and stops while its machine is frozen."""

from __future__ import annotations

__all__ = ["SimClock"]


class SimClock:
    """Maps the world's time to a node's, both in seconds. `rate` 1.0 is a perfect clock."""

    __slots__ = ("_frozen", "_local", "_since", "rate")

    def __init__(self, start: float, rate: float = 1.0) -> None:
        self.rate = rate
        self._local = start
        self._since = 0.0
        self._frozen = False

    def at(self, now: float) -> float:
        """The node's time at the world's time `now`; never goes back."""
        return self._local if self._frozen else self._local + (now - self._since) * self.rate

    def set_rate(self, now: float, rate: float) -> None:
        """From now on run at `rate` (must be above 0)."""
        assert rate > 0, rate
        self._rebase(now)
        self.rate = rate

    def jump(self, now: float, seconds: float) -> None:
        """Go ahead by `seconds` (at least 0) at once."""
        self._rebase(now)
        self._local += seconds

    def freeze(self, now: float) -> None:
        """Stand still, as the clock of a suspended virtual machine does."""
        self._rebase(now)
        self._frozen = True

    def thaw(self, now: float) -> None:
        """Go on from where it stood."""
        self._rebase(now)
        self._frozen = False

    def _rebase(self, now: float) -> None:
        self._local, self._since = self.at(now), now
