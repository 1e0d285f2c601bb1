"""Logical time: hybrid logical clocks, version vectors, dots and causal stability. Pure: wall time comes in."""

from ringleader.clock.dots import Dot, DotContext
from ringleader.clock.hlc import ClockDriftError, HybridClock, format_stamp, pack_stamp, unpack_stamp
from ringleader.clock.stability import Stability
from ringleader.clock.version import Order, VersionVector

__all__ = [
    "ClockDriftError",
    "Dot",
    "DotContext",
    "HybridClock",
    "Order",
    "Stability",
    "VersionVector",
    "format_stamp",
    "pack_stamp",
    "unpack_stamp",
]
