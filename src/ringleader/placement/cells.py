"""The circle of hashes cut into cells, each with an owner, and a bucket index that finds a hash's cell in O(1).

Cell i reaches from `bounds[i-1] + 1` to `bounds[i]`, both included; the last bound is the end of the circle. The index
keeps, for every equal slice of the circle, the first cell that can hold a hash of that slice. With at least as many
cells as slices a search looks at two cells or so. All parts are flat arrays (10 bytes a cell, 2 or 4 a slice).

The index costs a third of a build's time, so it is made only when it pays: look-ups bisect the bounds until those made so
far have lost, against look-ups with an index, about the time that the index takes. Whatever the number of look-ups, the
time is then at most twice what knowing that number beforehand would have made it. Threads may look up at once: a count
that is lost delays the index a little, and two that make it make the same one.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from ringleader.placement.keys import MASK64

__all__ = ["EARLY_SHARE", "Cells", "make_index", "patched_index", "slice_bits"]


Parts = tuple["array[int]", int, "array[int]", "array[int]"]

EARLY_SHARE = 4
"""Cells for one look-up by bisection before the index is made: it takes some 0.1 us a cell, and saves 0.4 us a look-up."""


def slice_bits(cells: int) -> int:
    """log2 of the number of index slices: one to two for a cell, beyond 2**16 half of that (the processor's cache).

    Beyond 2**16 cells it is at least 17, which `_index_type` relies on.
    """
    bits = (cells - 1).bit_length()
    return max(1, bits) if bits <= 16 else max(17, bits - 1)


def _index_type(shift: int) -> str:
    """As an array's type code: 16 bits where every cell's number fits, which is as long as `slice_bits` is up to 16."""
    return "H" if shift >= 48 else "I"


class Cells:
    """Bounds (uint64, ascending, the last 2**64-1), each cell's owner (uint16), and the index over them (uint16 or uint32)."""

    __slots__ = ("batch", "bounds", "early", "index", "owners", "parts", "shift")

    def __init__(self, bounds: array[int], owners: array[int], index: array[int] | None = None) -> None:
        assert len(bounds) == len(owners)
        assert bounds[-1] == MASK64
        self.bounds = bounds
        self.owners = owners
        self.shift = 64 - slice_bits(len(bounds))
        self.index: array[int] | None = index
        self.parts: Parts | None = None  # all that a look-up reads, once there is an index
        self.early = len(bounds) // EARLY_SHARE  # look-ups still to come before the index is made
        self.batch: Callable[[Any], Any] | None = None  # what `batch.py` made of these cells

    def __reduce__(self) -> tuple[object, ...]:
        return (Cells, (self.bounds, self.owners))  # the rest is made again where it is needed

    def make_index(self) -> array[int]:
        """The index, made now if it was not made before."""
        if self.index is None:
            self.index = make_index(self.bounds, self.shift)
        return self.index

    def make_parts(self) -> Parts:
        """Index, shift, bounds, owners."""
        self.parts = (self.make_index(), self.shift, self.bounds, self.owners)
        return self.parts

    def find(self, h: int) -> int:
        """The cell of a hash."""
        parts = self.parts
        if parts is None:
            if self.early > 0 and self.index is None:
                self.early -= 1
                return bisect_left(self.bounds, h)
            parts = self.make_parts()
        index, shift, bounds, _ = parts
        i = index[h >> shift]
        while bounds[i] < h:
            i += 1
        return i

    def nbytes(self) -> int:
        """Bytes that the arrays hold, the index included even if it is not made yet."""
        index = array(_index_type(self.shift)).itemsize << (64 - self.shift)
        return index + sum(a.itemsize * len(a) for a in (self.bounds, self.owners))


def make_index(bounds: array[int], shift: int) -> array[int]:
    """For each slice the first cell whose bound is not below its start: the running count of bounds by slice."""
    counts = [0] * (1 << (64 - shift))
    raw, little = memoryview(bounds).cast("B"), sys.byteorder == "little"
    if shift >= 48:  # as many upper bits as are needed: small numbers are quicker
        tops, rest = raw.cast("H")[3 if little else 0 :: 4].tolist(), shift - 48
    else:
        tops, rest = raw.cast("I")[1 if little else 0 :: 2].tolist(), shift - 32
    for top in tops:
        counts[top >> rest] += 1
    counts.pop()
    code = _index_type(shift)
    return array(code, struct.pack(f"{len(counts) + 1}{code}", *accumulate(counts, initial=0)))


def patched_index(old: Cells, removed: Sequence[int], added: Sequence[int]) -> array[int] | None:
    """The index after some bounds left and others came, for the same number of slices; None if there was none yet.

    A slice's entry is the number of bounds below its start, so it changes by (added - removed) below that start. That
    is one addition and one subtraction over the whole table, done on long integers with a lane for each entry: none
    overflows or borrows, because every entry is a count, before and after.
    """
    if old.index is None:
        return None
    size, width = len(old.index), old.index.itemsize
    events = sorted([((b >> old.shift) + 1, 1) for b in added] + [((b >> old.shift) + 1, -1) for b in removed])
    more: list[bytes] = []
    fewer: list[bytes] = []  # empty as long as no prefix has lost bounds
    position, gained = 0, 0
    for start, step in [*events, (size, 0)]:
        if start > position:
            end = min(start, size)
            more.append((gained if gained > 0 else 0).to_bytes(width, sys.byteorder) * (end - position))
            if gained < 0 or fewer:
                if not fewer:
                    fewer.append(bytes(width * position))
                fewer.append((-gained if gained < 0 else 0).to_bytes(width, sys.byteorder) * (end - position))
            position = end
        gained += step
    total = int.from_bytes(old.index.tobytes(), sys.byteorder) + int.from_bytes(b"".join(more), sys.byteorder)
    total -= int.from_bytes(b"".join(fewer), sys.byteorder)
    return array(old.index.typecode, total.to_bytes(width * size, sys.byteorder))
