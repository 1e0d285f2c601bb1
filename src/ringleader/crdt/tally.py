"""A tally: per-replica totals with baselines, the structure behind every counter that can be reset exactly.

Each replica keeps one running total that only it writes; merging takes, per replica, the later one. To reset, a replica
raises the *baseline* of each total to what it has seen; the value is the sum of totals minus baselines. So an increment
made at the same time elsewhere survives a reset exactly, neither lost nor bringing earlier increments back (which is
what happens in designs that drop a replica's whole total).

A row whose total is at its baseline is dead weight; it is kept until the reset is causally stable, because a replica
that has not seen the reset would bring the total back without its baseline. When a row was dropped and its replica
counts again, it begins at zero with a new `start`: baselines from before the start do not concern it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, TypeAlias

from ringleader.clock.dots import Dot
from ringleader.clock.version import ReplicaId, VersionVector, short
from ringleader.crdt.values import brief
from ringleader.crdt.wire import Decoder, Encoder, bad
from ringleader.errors import Reason, UsageError

__all__ = ["LIMIT", "Row", "Tally"]

LIMIT = 1 << 59

# (n, total, start): the total after the replica's event n, counted since its event start. Then, if it was ever reset,
# the baseline: (n, total at n, the dot of the reset).
Row: TypeAlias = "tuple[int, int | float, int] | tuple[int, int | float, int, int, int | float, ReplicaId, int]"
BARE = 3


def check_amount(by: Any, *, floats: bool = True) -> None:
    """Raise `UsageError` unless `by` is a finite number within bounds."""
    kind = type(by)
    if kind is int or (floats and kind is float):
        if -LIMIT <= by <= LIMIT:
            return
        raise UsageError("a counter moves by at most 2**59 at a time", reason=Reason.TOO_LARGE)
    raise UsageError(
        f"a counter moves by {'a number' if floats else 'an integer'}, not {brief(by)}", reason=Reason.INVALID_ARGUMENT
    )


class Tally:
    """The rows: replica -> (n, total, start) or (n, total, start, base_n, base_total, reset_replica, reset_n)."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows: dict[ReplicaId, Any] = {}

    def add(self, me: ReplicaId, n: int, by: int | float) -> None:
        """Our own event `n` moves our total. Raises `UsageError` beyond 2**59 (and then changes nothing)."""
        row = self.rows.get(me)
        if row is None:
            self.rows[me] = (n, by, n)
        else:
            self.rows[me] = (n, row[1] + by, *row[2:])

    def room(self, me: ReplicaId | None, by: int | float) -> None:
        """Raise `UsageError` when our total would leave the bounds."""
        row = self.rows.get(me or b"")
        if row is not None and not -LIMIT <= row[1] + by <= LIMIT:
            raise UsageError("the counter would leave -2**59..2**59", reason=Reason.TOO_LARGE)

    def reset(self, dot: Dot) -> list[ReplicaId]:
        """Raise every baseline to the total seen; returns the replicas concerned."""
        changed = []
        for replica, row in self.rows.items():
            if len(row) == BARE or row[0] > row[3]:
                self.rows[replica] = (*row[:3], row[0], row[1], dot.replica, dot.n)
                changed.append(replica)
        return changed

    def value(self) -> int | float:
        """The sum of totals minus baselines; the same whatever the order of the rows."""
        parts = [row[1] if len(row) == BARE else row[1] - row[4] for row in self.rows.values()]
        try:
            return sum(parts) if all(type(part) is int for part in parts) else math.fsum(parts)
        except OverflowError:  # only bytes from a stranger get here: our own bounds are far below
            return math.inf

    def without(self, replica: ReplicaId | None) -> int | float:
        """The value without what `replica` has counted."""
        others = Tally()
        others.rows = {other: row for other, row in self.rows.items() if other != replica}
        return others.value()

    def alive(self) -> bool:
        """Whether anything was counted since the last reset."""
        return any(len(row) == BARE or row[0] > row[3] for row in self.rows.values())

    def part(self, keys: Collection[ReplicaId] | None) -> tuple[bool, dict[ReplicaId, Any]]:
        """(whether this is everything, rows)."""
        rows = self.rows
        if keys is None:
            return True, rows.copy()
        return False, {key: rows[key] for key in keys if key in rows}

    def take(self, replica: ReplicaId, row: Any, mine: VersionVector) -> bool:
        """Join one row, when that is simple: neither side was ever reset. False, and nothing done, when it is not."""
        own = self.rows.get(replica)
        if len(row) != BARE:
            return False
        if own is None:
            if row[0] > mine.get(replica, 0):
                self.rows[replica] = row
            return True
        if len(own) != BARE or own[0] == row[0]:
            return own == row  # type: ignore[no-any-return]  # rows are plain tuples
        if row[0] > own[0]:
            self.rows[replica] = row
        return True

    def join(
        self,
        part: tuple[bool, dict[ReplicaId, Any]],
        mine: VersionVector,
        theirs: VersionVector,
        duplicates: set[ReplicaId],
    ) -> list[ReplicaId]:
        """Join another tally's part; returns the replicas whose row changed."""
        whole, rows = part
        changed = []
        for replica, row in rows.items():
            own = self.rows.get(replica)
            if own is None:
                if row[0] <= mine.get(replica, 0):
                    continue  # we knew it, and dropped it when its reset had become stable
                joined = row
            elif own == row:
                continue
            else:
                joined = _join_rows(replica, own, row, duplicates)
                if joined == own:
                    continue
            self.rows[replica] = joined
            changed.append(replica)
        if whole:
            gone = [r for r, row in self.rows.items() if r not in rows and row[0] <= theirs.get(r, 0)]
            for replica in gone:  # they knew it, and dropped it when its reset had become stable
                del self.rows[replica]
            changed += gone
        return changed

    def stabilize(self, stable: VersionVector) -> None:
        """Drop dead rows whose reset everybody has seen."""
        dead = [
            replica
            for replica, row in self.rows.items()
            if len(row) > BARE and row[0] == row[3] and stable.get(row[5], 0) >= row[6]
        ]
        for replica in dead:
            del self.rows[replica]

    def explain(self) -> list[str]:
        """One line per replica."""
        lines = []
        for replica, row in sorted(self.rows.items()):
            line = f"{short(replica)}: total {row[1]} after its event {row[0]}"
            if len(row) > BARE:
                line += f"; {row[4]} of it was reset by {short(row[5])}:{row[6]}"
            lines.append(line)
        return lines


def _join_rows(replica: ReplicaId, one: Any, other: Any, duplicates: set[ReplicaId]) -> Any:
    """The later total with the later baseline that concerns it."""
    total = max(one[:BARE], other[:BARE])
    if one[0] == other[0] and one[:BARE] != other[:BARE]:
        duplicates.add(replica)
    start = total[2]
    bases = [row[BARE:] for row in (one, other) if len(row) > BARE and row[BARE] >= start]
    return (*total, *max(bases, default=()))


def pack_tally(part: tuple[bool, dict[ReplicaId, Any]], out: Encoder) -> Any:
    """[whole, [row, ...]] with rows in order of replica."""
    whole, rows = part
    packed = []
    for replica in sorted(rows):
        row = rows[replica]
        item: list[Any] = [out.dot(replica, row[0]), row[1], row[2]]
        if len(row) > BARE:
            item += [row[3], row[4], out.dot(row[5], row[6])]
        packed.append(item)
    return [whole, packed]


def _number(raw: Any) -> int | float:
    if (type(raw) is not int and type(raw) is not float) or not -LIMIT <= raw <= LIMIT:
        bad("a total is not a number within bounds")
    return raw


def parse_tally(raw: Any, source: Decoder) -> tuple[bool, dict[ReplicaId, Any]]:
    """The reverse of `pack_tally`. Raises `DecodeError`."""
    whole, packed = source.array(raw, 2)
    rows: dict[ReplicaId, Any] = {}
    for item in source.array(packed):
        fields = source.array(item)
        if len(fields) not in (3, 6):
            bad("a row of a tally has the wrong length")
        replica, n = source.dot(fields[0])
        if replica in rows:
            bad("a replica has two rows")
        row: tuple[Any, ...] = (n, _number(fields[1]), source.integer(fields[2], 1, n))
        if len(fields) == 6:
            base = source.integer(fields[3], row[2], n)
            row = (*row, base, _number(fields[4]), *source.dot(fields[5]))
        rows[replica] = row
    return source.flag(whole), rows
