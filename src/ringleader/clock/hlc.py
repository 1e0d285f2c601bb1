"""A hybrid logical clock: timestamps near wall time that never contradict causality, and refuse a far future.

Kulkarni et al., "Logical Physical Clocks and Consistent Snapshots in Globally Distributed Databases" (2014). A stamp is
one int: 48 bits of milliseconds since the epoch, then 16 bits of logical counter. Comparing two stamps is comparing
two ints, and `last + 1` is the next stamp even when the counter overflows: it carries into the milliseconds, which the
wall clock will catch up with.

The danger of such a clock is contagion: one machine whose clock is an hour ahead drags every clock it talks to an hour
ahead, and wins every last-write-wins race until the hour has passed. So `observe` refuses stamps more than
`max_drift_ms` ahead of the wall clock; what carried them belongs in quarantine until the wall clock has caught up.
"""

from __future__ import annotations

from collections.abc import Callable

from ringleader.errors import NotAppliedError, Reason, UsageError

__all__ = ["ClockDriftError", "HybridClock", "format_stamp", "pack_stamp", "unpack_stamp"]

LOGICAL_BITS = 16
LOGICAL_MASK = (1 << LOGICAL_BITS) - 1
MAX_STAMP = (1 << 64) - 1


class ClockDriftError(NotAppliedError):
    """A remote stamp lies too far in our future. `drift_ms`: how far, in milliseconds."""

    drift_ms: int = 0


def pack_stamp(millis: int, logical: int = 0) -> int:
    """One stamp from `millis` since the epoch (48 bits) and the `logical` counter (16 bits)."""
    if not 0 <= millis < 1 << 48 or not 0 <= logical <= LOGICAL_MASK:
        raise UsageError(f"no such stamp: {millis} ms, {logical}", reason=Reason.INVALID_ARGUMENT)
    return millis << LOGICAL_BITS | logical


def unpack_stamp(stamp: int) -> tuple[int, int]:
    """The (milliseconds since the epoch, logical counter) of a stamp."""
    return stamp >> LOGICAL_BITS, stamp & LOGICAL_MASK


def format_stamp(stamp: int) -> str:
    """A stamp for people: `1700000000.123+4` is seconds since the epoch, then the logical counter."""
    millis, logical = unpack_stamp(stamp)
    return f"{millis // 1000}.{millis % 1000:03d}+{logical}"


class HybridClock:
    """One replica's clock.

    `wall`: returns milliseconds since the epoch; it may jump either way, stamps still only grow.
    `max_drift_ms`: how far ahead of `wall` a remote stamp may be.
    """

    __slots__ = ("_last", "_wall", "max_drift_ms", "refused")

    def __init__(self, wall: Callable[[], int], *, max_drift_ms: int = 60_000, last: int = 0) -> None:
        if max_drift_ms < 0:
            raise UsageError(f"max_drift_ms is negative: {max_drift_ms}", reason=Reason.INVALID_ARGUMENT)
        self._wall = wall
        self._last = last
        self.max_drift_ms = max_drift_ms
        self.refused = 0

    @property
    def last(self) -> int:
        """The greatest stamp given out or observed."""
        return self._last

    def stamp(self) -> int:
        """A new stamp, greater than every one given out or observed before."""
        wall = self._wall() << LOGICAL_BITS
        last = self._last + 1
        if wall > last:
            last = wall
        self._last = last
        return last

    def check(self, remote: int) -> None:
        """Raise `ClockDriftError` when `remote` is more than `max_drift_ms` ahead of the wall clock."""
        drift = (remote >> LOGICAL_BITS) - self._wall()
        if drift > self.max_drift_ms:
            self.refused += 1
            error = ClockDriftError(
                f"a remote clock is {drift} ms ahead of ours (allowed: {self.max_drift_ms} ms)",
                reason=Reason.CLOCK_DRIFT,
                hint="Set that machine's clock; what it sent stays in quarantine until our clock has caught up",
            )
            error.drift_ms = drift
            raise error

    def observe(self, remote: int) -> None:
        """Let every later stamp be greater than `remote`. Raises `ClockDriftError` (and changes nothing)."""
        if remote > self._last:
            self.check(remote)
            self._last = remote

    def resume(self, last: int) -> None:
        """Begin after `last`, a stamp from stored state; but no further ahead of the wall clock than allowed."""
        limit = (self._wall() + self.max_drift_ms) << LOGICAL_BITS
        self._last = max(self._last, min(last, limit))

    def __repr__(self) -> str:
        return f"HybridClock(last={format_stamp(self._last)}, max_drift_ms={self.max_drift_ms})"
