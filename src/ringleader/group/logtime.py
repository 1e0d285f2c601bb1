"""Log time: the milliseconds that a leader writes into each batch, continued from the log itself, never going back.

A new leader goes on from the time of the last batch applied, by its own monotonic clock from that moment. So time stands
still while nobody leads, no clock step, pause or skew between nodes can end a lease early, and an old leader's idea of time
never matters.
"""

from __future__ import annotations

__all__ = ["LogTime"]


class LogTime:
    """The clock of a leading member; `start` it when the first entry of its term is applied."""

    __slots__ = ("_base_ms", "_last_ms", "_since")

    def __init__(self) -> None:
        self._base_ms = 0
        self._since = 0.0
        self._last_ms = 0

    def start(self, applied_ms: int, now: float) -> None:
        """Go on from `applied_ms`; `now` is the local monotonic time in seconds."""
        self._base_ms = self._last_ms = applied_ms
        self._since = now

    def read(self, now: float) -> int:
        """The log time in milliseconds at local time `now`; never less than what it said before."""
        self._last_ms = max(self._last_ms, self._base_ms + int((now - self._since) * 1000.0))
        return self._last_ms
