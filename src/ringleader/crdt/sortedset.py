"""A set whose members have scores: setting a score is a register, moving it is a counter, both at once without loss.

The score is what the register shows plus the tally of increments since. Setting a score resets the increments seen so
far; removing a member removes exactly what was seen; so an increment made at the same time as either survives
exactly.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from ringleader.clock.dots import Dot
from ringleader.clock.hlc import format_stamp
from ringleader.clock.version import VersionVector, short
from ringleader.crdt.base import Crdt, register
from ringleader.crdt.delta import Incoming, Outgoing
from ringleader.crdt.document import Inverse
from ringleader.crdt.entries import EMPTY, Entries, join_entries, pack_entries, parse_entries
from ringleader.crdt.identity import read_only
from ringleader.crdt.registers import Conflict, latest
from ringleader.crdt.tally import Tally, check_amount, pack_tally, parse_tally
from ringleader.crdt.values import brief, check_mapping, freeze, order_of, sort_keys, thaw
from ringleader.crdt.wire import Decoder, Encoder, bad
from ringleader.errors import Reason, UsageError

__all__ = ["SortedSet"]

V = TypeVar("V")
NO_ROWS: tuple[bool, dict[Any, Any]] = (True, {})


class _Standing(NamedTuple):
    """A member's score, and the entries that had set it."""

    score: int | float
    cell: Entries


class _Member:
    """One member: the cell of (replica, n, stamp, score) and the increments since."""

    __slots__ = ("cell", "tally")

    def __init__(self) -> None:
        self.cell: Entries = EMPTY
        self.tally = Tally()

    def seen(self) -> bool:
        return bool(self.cell) or self.tally.alive()

    def score(self) -> int | float:
        base: int | float = latest(self.cell)[3] if self.cell else 0
        return base + self.tally.value() if self.tally.rows else base

    def standing(self) -> _Standing:
        return _Standing(self.score(), self.cell)


@register
class SortedSet(Crdt, Generic[V]):
    """Member -> score (int or float). Add wins; concurrent scores: the last write shows, increments always count."""

    __slots__ = ("_members", "_sorted")
    tag = 14
    name = "SortedSet"

    def _bottom(self) -> None:
        self._members: dict[Any, _Member] = {}
        self._sorted: list[tuple[Any, ...]] | None = None

    # ---- writing -----------------------------------------------------------------------------------------------

    def add(self, member: V, score: int | float) -> None:
        """Set the score, adding the member if need be. Raises `UsageError` for a score that is no number (or NaN)."""
        if type(score) not in (int, float) or score != score or (type(score) is int and abs(score) >= 1 << 63):
            raise UsageError(f"a score is a number of 64 bits, not {brief(score)}", reason=Reason.INVALID_ARGUMENT)
        key = freeze(member)
        doc = self._doc
        n = doc.mint(self, key)
        found = self._members.get(key)
        before = found.standing() if found is not None and found.seen() else None
        if found is None:
            found = self._members[key] = _Member()
        found.cell = ((doc.me, n, doc.stamp(), score),)
        found.tally.reset(doc.dot())
        self._sorted = None
        if doc.eager:
            doc.settle(lambda: self._restore(member, n, before))

    __setitem__ = add

    def increment(self, member: V, by: int | float = 1) -> None:
        """Move the score by `by`, adding the member at 0 first if need be."""
        check_amount(by)
        key = freeze(member)
        doc = self._doc
        if doc.me is None:
            raise read_only()
        found = self._members.get(key)
        if found is None:
            found = _Member()
        found.tally.room(doc.me, by)
        existed = found.seen()
        n = doc.mint(self, key)
        self._members[key] = found
        found.tally.add(doc.me, n, by)
        self._sorted = None
        if doc.eager:
            doc.settle(lambda: self._take_back(member, by, existed))

    def discard(self, member: V) -> None:
        """Remove a member if it is there."""
        doc = self._doc
        if doc.me is None:
            raise read_only()
        key = freeze(member)
        found = self._members.get(key)
        if found is None or not found.seen():
            return
        before = found.standing()
        doc.mint(self, key)
        self._remove(key, found, doc.dot())
        self._faded()
        if doc.eager:
            doc.settle(lambda: None if member in self else self._put_back(member, before))

    def remove(self, member: V) -> None:
        """Remove a member. Raises `KeyError` when it is not there."""
        if member not in self:
            raise KeyError(member)
        self.discard(member)

    def clear(self) -> None:
        """Remove every member seen here, as one event."""
        doc = self._doc
        if doc.me is None:
            raise read_only()
        keys = [item[2] for item in self._order()]
        if not keys:
            return
        before = self._standing()
        doc.mint(self, keys[0])
        doc.touch(self, keys[1:])
        self._clear(doc.dot())
        self._faded()
        if doc.eager:
            doc.settle(lambda: self._refill(before))

    def _standing(self) -> list[tuple[V, _Standing]]:
        return [(thaw(item[2]), self._members[item[2]].standing()) for item in self._order()]

    def _refill(self, before: list[tuple[V, _Standing]]) -> None:
        for member, standing in before:
            if member not in self:
                self._put_back(member, standing)

    def _put_back(self, member: V, before: _Standing) -> None:
        """Undo: give the score there was, in the name of who had set it (or by counting, if it was only counted)."""
        if not before.cell:
            self.discard(member)
            self.increment(member, before.score)
            return
        self.add(member, before.score)
        if len(before.cell) == 1:
            self._doc.put_back(self._members[freeze(member)].cell[0][:2], before.cell[0][:2])

    def _take_back(self, member: V, by: int | float, existed: bool) -> None:
        """Undo an increment: the opposite one; or if it made the member and nobody else did anything, the removal."""
        found = self._members.get(freeze(member))
        if found is None or not found.seen():
            return
        if existed or found.cell or found.tally.rows.keys() != {self._doc.me} or found.score() != by:
            self.increment(member, -by)
        else:
            self.discard(member)

    def _assign(self, value: Any) -> None:
        check_mapping(value)
        with self.transaction():
            for member in list(self):
                if member not in value:
                    self.discard(member)
            for member, score in value.items():
                self.add(member, score)

    def _restore(self, member: V, n: int, before: _Standing | None) -> None:
        """Take the score we set as event `n` back, if it still stands."""
        found = self._members.get(freeze(member))
        if found is None or len(found.cell) != 1 or not self._doc.same(found.cell[0][:2], (self._doc.me, n)):
            return
        if before is None:
            self.discard(member)
        else:  # what we counted since has been undone before; what others counted stays
            self._put_back(member, before._replace(score=before.score + found.tally.without(self._doc.me)))

    def _remove(self, key: Any, found: _Member, dot: Dot) -> None:
        found.cell = EMPTY
        found.tally.reset(dot)
        if not found.tally.rows:
            del self._members[key]
        self._sorted = None

    # ---- reading -----------------------------------------------------------------------------------------------

    def _order(self) -> list[tuple[Any, ...]]:
        """(score, order of key, key) of all members, sorted; kept until the next change."""
        if self._sorted is None:
            self._sorted = sorted(
                [(found.score(), order_of(key), key) for key, found in self._members.items() if found.seen()],
                key=lambda item: item[:2],
            )
        return self._sorted

    def score(self, member: V) -> int | float | None:
        """The member's score, None when it is not there."""
        found = self._members.get(freeze(member))
        return found.score() if found is not None and found.seen() else None

    def __getitem__(self, member: V) -> int | float:
        score = self.score(member)
        if score is None:
            raise KeyError(member)
        return score

    def conflicts(self, member: V) -> list[Conflict[int | float]]:
        """The scores that were set at the same time, the one that counts first; empty when nobody disagreed."""
        found = self._members.get(freeze(member))
        if found is None or len(found.cell) < 2:
            return []
        return [Conflict(e[3], e[0], e[2]) for e in sorted(found.cell, key=lambda e: (e[2], e[0]), reverse=True)]

    def rank(self, member: V) -> int | None:
        """The member's position by (score, member) from the lowest, 0 first; None when it is not there."""
        score = self.score(member)
        if score is None:
            return None
        return bisect_left(self._order(), (score, order_of(freeze(member))), key=lambda item: item[:2])

    def range(self, start: int = 0, stop: int | None = None) -> list[tuple[V, int | float]]:
        """Members and scores from the lowest, by position, as a slice would."""
        return [(thaw(item[2]), item[0]) for item in self._order()[start:stop]]

    def range_by_score(self, low: int | float, high: int | float) -> list[tuple[V, int | float]]:
        """Members and scores with low <= score <= high."""
        order = self._order()
        first = bisect_left(order, low, key=lambda item: item[0])
        last = bisect_right(order, high, key=lambda item: item[0])
        return [(thaw(item[2]), item[0]) for item in order[first:last]]

    def __contains__(self, member: object) -> bool:
        found = self._members.get(freeze(member))
        return found is not None and found.seen()

    def __len__(self) -> int:
        return sum(found.seen() for found in self._members.values())

    def __bool__(self) -> bool:
        return self._alive()

    def __iter__(self) -> Iterator[V]:
        return iter([thaw(item[2]) for item in self._order()])

    def _value(self) -> list[tuple[V, int | float]]:
        return self.range()

    @property
    def value(self) -> list[tuple[V, int | float]]:
        """(member, score) from the lowest score; equal scores by member."""
        return self.range()

    # ---- the type's own part -----------------------------------------------------------------------------------

    def _clear(self, dot: Dot) -> None:
        for key, found in list(self._members.items()):
            self._remove(key, found, dot)

    def _remember(self) -> Inverse | None:
        before = self._standing()
        return (lambda: self._refill(before)) if before else None

    def _peek(self, key: Any) -> Any:
        return self.score(thaw(key))

    def _alive(self) -> bool:
        return any(found.seen() for found in self._members.values())

    def _residue(self) -> bool:
        return bool(self._members)

    def _part(self, keys: Any, out: Outgoing) -> Any:
        whole = keys is None
        members = {}
        for key in self._members if keys is None else keys:
            found = self._members.get(key)
            members[key] = (EMPTY, NO_ROWS) if found is None else (found.cell, found.tally.part(None))
        return whole, members

    def _join(self, part: Any, incoming: Incoming) -> None:
        whole, members = part
        for key, (cell, rows) in members.items():
            self._join_member(key, cell, rows, incoming)
        if whole:
            for key in [key for key in self._members if key not in members]:
                self._join_member(key, EMPTY, NO_ROWS, incoming)
        else:
            incoming.relay(self, members)

    def _join_member(self, key: Any, cell: Entries, rows: Any, incoming: Incoming) -> None:
        incoming.before(self, key)
        found = self._members.get(key) or _Member()
        mine, theirs = incoming.mine, incoming.theirs
        joined = join_entries(found.cell, cell, mine, theirs, incoming.duplicates)
        changed = joined != found.cell
        found.cell = joined
        if found.tally.join(rows, mine, theirs, incoming.duplicates):
            changed = True
        if not changed:
            return
        if found.cell or found.tally.rows:
            self._members[key] = found
        else:
            self._members.pop(key, None)
        self._sorted = None
        incoming.touch(self, key)

    @classmethod
    def _empty_part(cls) -> Any:
        return True, {}

    @classmethod
    def _pack(cls, part: Any, out: Encoder) -> Any:
        whole, members = part
        packed = []
        for key in sort_keys(members):
            cell, rows = members[key]
            item = [thaw(key), pack_entries(cell, 3, out)]
            packed.append([*item, pack_tally(rows, out)[1]] if rows[1] else item)
        return [whole, packed]

    @classmethod
    def _parse(cls, raw: Any, source: Decoder) -> Any:
        whole, packed = source.array(raw, 2)
        members: dict[Any, Any] = {}
        for item in source.array(packed):
            fields = source.array(item)
            if len(fields) not in (2, 3):
                bad("a member has the wrong length")
            key = source.key(fields[0])
            if key in members:
                bad("a member occurs twice")
            cell = []
            for replica, n, stamp, score in parse_entries(fields[1], 3, source):
                if type(score) not in (int, float) or score != score:
                    bad("a score is not a number")
                cell.append((replica, n, source.at_stamp(stamp), score))
            rows = parse_tally([True, fields[2]], source) if len(fields) == 3 else NO_ROWS
            members[key] = (tuple(cell), rows)
        return source.flag(whole), members

    def _stabilize(self, stable: VersionVector) -> None:
        for key, found in list(self._members.items()):
            found.tally.stabilize(stable)
            if not found.cell and not found.tally.rows:
                del self._members[key]

    def explain(self) -> str:
        """Each member with the scores set and the increments since."""
        lines = [f"{self.name} = {self._value()!r}"]
        for key in sort_keys(self._members):
            found = self._members[key]
            lines.append(f"  {thaw(key)!r}{'' if found.seen() else ' (removed)'}:")
            lines += [f"    set to {e[3]} by {short(e[0])}:{e[1]} at {format_stamp(e[2])}" for e in found.cell]
            lines += ["    moved by " + line for line in found.tally.explain()]
        return "\n".join(lines)
