"""All chance of a simulated world: independent streams of random numbers that one seed fixes.

Each part of the world (network, disk, faults, each client ...) draws from a stream of its own, so that a change of one
part's habits does not shift the draws of another. Streams are seeded by text, which `random.Random` digests with SHA-512:
nothing depends on PYTHONHASHSEED.
"""

from __future__ import annotations

import random
from math import exp, log

__all__ = ["Choice", "stream"]


class Choice(random.Random):
    """A stream of choices; `random.Random` plus the distributions that fault injection wants. Also an `Entropy`."""

    def log_uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high` (both above 0) whose logarithm is uniform: every magnitude as likely."""
        return exp(self.uniform(log(low), log(high)))

    def chance(self, probability: float) -> bool:
        """True with this probability; draws even for 0 and 1, so that strength never shifts the stream."""
        return self.random() < probability


def stream(seed: int, name: str) -> Choice:
    """The stream `name` of `seed`."""
    return Choice(f"ringleader {seed} {name}")
