"""Randomness as a pure room sees it: one method, seeded by the simulator, taken from the system in production."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Entropy"]


class Entropy(Protocol):
    """A source of random numbers; `random.Random` is one."""

    def random(self) -> float:
        """A float in [0, 1)."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """An int of `k` random bits."""
        ...
