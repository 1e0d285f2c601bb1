"""Complaints about strangers go to the log once per address and reason, and never faster than a bound.

A port scanner or a client in a loop must neither hide in silence nor fill the disk with the same line.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Complaints"]


class Complaints:
    """`again`: seconds until the same complaint about the same host is repeated. `burst`: most lines in a second."""

    def __init__(
        self,
        logger: logging.Logger,
        now: Callable[[], float],
        *,
        again: float = 300.0,
        burst: int = 10,
        remember: int = 1024,
    ) -> None:
        self._logger = logger
        self._now = now
        self._again = again
        self._burst = burst
        self._remember = remember
        self._said: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._second = 0
        self._lines = 0
        self.suppressed = 0

    def say(self, address: str, reason: str, text: str) -> bool:
        """Log `text` about `address` ("host:port"; the port does not count), unless that was done; whether it was."""
        now = self._now()
        key = (address.rpartition(":")[0], reason)
        said = self._said.get(key)
        if said is not None and now - said < self._again:
            self.suppressed += 1
            return False
        if int(now) != self._second:
            self._second, self._lines = int(now), 0
        if self._lines >= self._burst:
            self.suppressed += 1
            return False
        self._lines += 1
        self._said[key] = now
        self._said.move_to_end(key)
        if len(self._said) > self._remember:
            self._said.popitem(last=False)
        more = f" ({self.suppressed} similar lines were left out so far)" if self.suppressed else ""
        self._logger.warning("%s: %s%s", address, _one_line(text), more)
        return True


def _one_line(text: str) -> str:
    """What a stranger said must neither look like another line of the log nor steer the terminal that shows it."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:1000])
