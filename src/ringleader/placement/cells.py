"""The circle of hashes cut into cells, each with an owner, and a bucket index that finds a hash's cell in O(1).

Cell i reaches from `bounds[i-1] + 1` to `bounds[i]`, both included; the last bound is the end of the circle. The index
keeps, for every equal slice of the circle, the first cell that can hold a hash of that slice. With at least as many
cells as slices a search looks at two cells or so. All parts are flat arrays (10 bytes a cell, 4 a slice).

The index is made at the first look-up (a quarter of a build's time, not spent by a ring that is only passed on).
Two threads that make it at once make the same one.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate, repeat
from operator import rshift
from typing import Any

from ringleader.placement.keys import MASK64

__all__ = ["Cells", "patched_index", "slice_bits"]


def slice_bits(cells: int) -> int:
    """log2 of the number of index slices: one to two for a cell, beyond 2**14 half of that (the processor's cache)."""
    return max(1, (cells - 1).bit_length() - (cells > 1 << 14))


class Cells:
    """Bounds (uint64, ascending, the last 2**64-1), each cell's owner (uint16), and the index over them (uint32)."""

    __slots__ = ("batch", "bounds", "index", "owners", "shift")

    def __init__(self, bounds: array[int], owners: array[int], index: array[int] | None = None) -> None:
        assert len(bounds) == len(owners)
        assert bounds[-1] == MASK64
        self.bounds = bounds
        self.owners = owners
        self.shift = 64 - slice_bits(len(bounds))
        self.index: array[int] | None = index
        self.batch: Callable[[Any], Any] | None = None  # what `batch.py` made of these cells

    def __reduce__(self) -> tuple[object, ...]:
        return (Cells, (self.bounds, self.owners))  # the rest is made again where it is needed

    def make_index(self) -> array[int]:
        """The index, made now if it was not made before."""
        if self.index is None:
            self.index = _index(self.bounds, self.shift)
        return self.index

    def find(self, h: int) -> int:
        """The cell of a hash."""
        i = (self.index or self.make_index())[h >> self.shift]
        bounds = self.bounds
        while bounds[i] < h:
            i += 1
        return i

    def nbytes(self) -> int:
        """Bytes held by the arrays."""
        return sum(a.itemsize * len(a) for a in (self.bounds, self.owners, self.make_index()))


def _index(bounds: array[int], shift: int) -> array[int]:
    """For each slice the first cell whose bound is not below its start: the running count of bounds by slice."""
    low, step = (1, 2) if sys.byteorder == "little" else (0, 2)
    top = memoryview(bounds).cast("B").cast("I")[low::step].tolist()  # the upper half is enough, and quicker to shift
    counts = [0] * (1 << (64 - shift))
    for s in map(rshift, top, repeat(shift - 32)):
        counts[s] += 1
    counts.pop()
    return array("I", struct.pack(f"{len(counts) + 1}I", *accumulate(counts, initial=0)))


def patched_index(old: Cells, removed: Sequence[int], added: Sequence[int]) -> array[int] | None:
    """The index after some bounds left and others came, for the same number of slices; None if there was none yet.

    A slice's entry is the number of bounds below its start, so it changes by (added - removed) below that start. That
    is one addition and one subtraction over the whole table, done on long integers of 32-bit lanes: no lane overflows
    or borrows, because every entry is a count, before and after.
    """
    if old.index is None:
        return None
    size = len(old.index)
    events = sorted([((b >> old.shift) + 1, 1) for b in added] + [((b >> old.shift) + 1, -1) for b in removed])
    more: list[bytes] = []
    fewer: list[bytes] = []  # empty as long as no prefix has lost bounds
    position, gained = 0, 0
    for start, step in [*events, (size, 0)]:
        if start > position:
            end = min(start, size)
            more.append((gained if gained > 0 else 0).to_bytes(4, sys.byteorder) * (end - position))
            if gained < 0 or fewer:
                if not fewer:
                    fewer.append(bytes(4 * position))
                fewer.append((-gained if gained < 0 else 0).to_bytes(4, sys.byteorder) * (end - position))
            position = end
        gained += step
    total = int.from_bytes(old.index.tobytes(), sys.byteorder) + int.from_bytes(b"".join(more), sys.byteorder)
    total -= int.from_bytes(b"".join(fewer), sys.byteorder)
    return array("I", total.to_bytes(4 * size, sys.byteorder))
