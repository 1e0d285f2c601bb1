"""What moves from one placement to another: exact ranges of hashes where both have arcs, else expected shares.

Rings (also ketama) cut the circle into arcs, so the moves are exact ranges; two Maglev tables of one size are compared
slot by slot. For the others the share is estimated over a fixed, evenly mixed sample of hashes, the same on every run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from ringleader.errors import Reason, UsageError
from ringleader.placement.base import Placement
from ringleader.placement.ketama import KetamaRing
from ringleader.placement.keys import SPACE, mix
from ringleader.placement.maglev import Maglev
from ringleader.placement.node import Node
from ringleader.placement.ring import Ring

__all__ = ["SAMPLES", "Diff", "Move", "diff", "sample_hashes"]

SAMPLES = 1 << 15


@dataclass(frozen=True, slots=True)
class Move:
    """Keys that go from node `source` to node `target`.

    `share`: their part of all keys, 0 to 1. `ranges`: the hashes as half-open `(start, end)`, in order, when exact.
    """

    source: str
    target: str
    share: float
    ranges: tuple[tuple[int, int], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Diff:
    """All moves, by source and target. `exact`: whether shares and ranges are exact. `space`: the hashes' end."""

    moves: tuple[Move, ...]
    exact: bool
    space: int = SPACE

    @property
    def share(self) -> float:
        """The part of all keys that changes its owner, 0 to 1."""
        return sum(m.share for m in self.moves)

    def gained(self) -> dict[str, float]:
        """What each node receives, as a part of all keys."""
        out: dict[str, float] = defaultdict(float)
        for m in self.moves:
            out[m.target] += m.share
        return dict(out)

    def lost(self) -> dict[str, float]:
        """What each node gives away, as a part of all keys."""
        out: dict[str, float] = defaultdict(float)
        for m in self.moves:
            out[m.source] += m.share
        return dict(out)


def diff(old: Placement, new: Placement) -> Diff:
    """See `Placement.diff`. Raises `UsageError` when the two hash keys differently: then no hash can be compared."""
    if old._hash != new._hash:
        raise UsageError(f"{old!r} and {new!r} hash keys with different functions", reason=Reason.INVALID_ARGUMENT)
    if isinstance(old, Ring) and isinstance(new, Ring):
        return _by_arcs(old.arcs(), new.arcs(), SPACE)
    if isinstance(old, KetamaRing) and isinstance(new, KetamaRing):
        return _by_arcs(old.arcs(), new.arcs(), 1 << 32)
    if isinstance(old, Maglev) and isinstance(new, Maglev) and len(old.table) == len(new.table):
        return _by_pairs(zip(old.table, new.table, strict=True), old, new, exact=True)
    hashes = list(sample_hashes(SAMPLES))
    return _by_pairs(((old.owner_index(h), new.owner_index(h)) for h in hashes), old, new, exact=False)


def sample_hashes(count: int) -> Iterator[int]:
    """`count` hashes, evenly mixed, the same on every run."""
    return (mix(i, 0x5EED) for i in range(count))


def _by_arcs(old: Iterator[tuple[int, int, Node]], new: Iterator[tuple[int, int, Node]], space: int) -> Diff:
    ranges: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    _, old_end, a = next(old)
    _, new_end, b = next(new)
    at = 0
    while True:
        end = min(old_end, new_end)
        if a.name != b.name:
            found = ranges[a.name, b.name]
            if found and found[-1][1] == at:
                found[-1] = (found[-1][0], end)
            else:
                found.append((at, end))
        at = end
        if at == space:
            break
        if old_end == at:
            _, old_end, a = next(old)
        if new_end == at:
            _, new_end, b = next(new)
    moves = [
        Move(source, target, sum(e - s for s, e in found) / space, tuple(found))
        for (source, target), found in sorted(ranges.items())
    ]
    return Diff(tuple(moves), exact=True, space=space)


def _by_pairs(pairs: Iterator[tuple[int, int]], old: Placement, new: Placement, *, exact: bool) -> Diff:
    counts: dict[tuple[str, str], int] = defaultdict(int)
    total = 0
    for a, b in pairs:
        total += 1
        source, target = old.nodes[a].name, new.nodes[b].name
        if source != target:
            counts[source, target] += 1
    return Diff(tuple(Move(s, t, n / total) for (s, t), n in sorted(counts.items())), exact=exact)
