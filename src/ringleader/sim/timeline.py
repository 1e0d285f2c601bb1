"""The event loop of a simulated world: a heap of (time, number, call, arguments), and the time it is now.

Events at the same time happen in the order in which they were scheduled, so a run depends on nothing but its choices.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

__all__ = ["Timeline"]


class Timeline:
    """`now`: simulated seconds since the start. `steps`: events carried out so far."""

    __slots__ = ("_heap", "_number", "now", "steps")

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self._number = 0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []

    def at(self, time: float, call: Callable[..., None], *arguments: Any) -> None:
        """Call `call(*arguments)` at `time` (not before now)."""
        self._number += 1
        heappush(self._heap, (time, self._number, call, arguments))

    def after(self, delay: float, call: Callable[..., None], *arguments: Any) -> None:
        """Call `call(*arguments)` in `delay` seconds."""
        self._number += 1
        heappush(self._heap, (self.now + delay, self._number, call, arguments))

    def run_until(self, end: float, done: Callable[[], bool] | None = None) -> None:
        """Carry out all events up to `end`; with `done`, stop as soon as it holds (asked every 64 events)."""
        heap = self._heap
        steps = self.steps
        while heap and heap[0][0] <= end:
            time, _, call, arguments = heappop(heap)
            self.now = time
            self.steps = steps = steps + 1
            call(*arguments)
            if done is not None and not steps & 63 and done():
                return
        self.now = max(self.now, end)

    def __len__(self) -> int:
        return len(self._heap)
