"""Counters that everybody may move at any time: every increment counts exactly once, whatever the network does."""

from __future__ import annotations

from typing import Any, Self

from ringleader.clock.dots import Dot
from ringleader.clock.version import VersionVector
from ringleader.crdt.base import Crdt, register
from ringleader.crdt.delta import Incoming, Outgoing
from ringleader.crdt.document import Inverse
from ringleader.crdt.identity import read_only
from ringleader.crdt.tally import LIMIT, Tally, check_amount, pack_tally, parse_tally
from ringleader.crdt.wire import Decoder, Encoder
from ringleader.errors import Reason, UsageError

__all__ = ["GCounter", "PNCounter"]


NOTHING: tuple[bool, dict[Any, Any]] = (False, {})


def _both(part: Any) -> tuple[bool, dict[Any, Any]]:
    """A part in its general form."""
    return (False, {part[0]: part[1]}) if type(part[0]) is bytes else part


class _Counter(Crdt):
    """What both counters share: a tally, sent row by row."""

    __slots__ = ("_tally",)
    one_place = True

    def _bottom(self) -> None:
        self._tally = Tally()

    @property
    def value(self) -> Any:
        """The count."""
        return self._tally.value()

    def _value(self) -> Any:
        return self._tally.value()

    def __int__(self) -> int:
        return int(self._tally.value())

    def increment(self, by: int = 1) -> Self:
        """Add `by`. Raises `UsageError` when `by` is no number, or beyond 2**59."""
        if type(by) is not int or not -LIMIT <= by <= LIMIT:
            self._check_amount(by)
        doc = self._doc
        me = doc.me
        if me is None:
            raise read_only()
        rows = self._tally.rows
        row = rows.get(me)
        if row is None:
            n = doc.mint(self, me)
            rows[me] = (n, by, n)
        else:
            total = row[1] + by
            if not -LIMIT <= total <= LIMIT:
                self._tally.room(me, by)
            n = doc.mint(self, me)
            rows[me] = (n, total, row[2]) if len(row) == 3 else (n, total, *row[2:])
        if doc.eager:
            doc.settle(lambda: self._take_back(by))
        return self

    def __iadd__(self, by: int) -> Self:
        return self.increment(by)

    def _check_amount(self, by: Any) -> None:
        check_amount(by)

    def _take_back(self, by: int | float) -> None:
        """Undo an increment: the opposite one."""
        doc = self._doc
        if doc.me is None:
            raise read_only()
        self._tally.add(doc.me, doc.mint(self, doc.me), -by)
        if doc.eager:
            doc.settle(lambda: self._take_back(-by))

    def reset(self) -> None:
        """Back to zero for everything seen here; increments made elsewhere at the same time survive exactly."""
        doc = self._doc
        if doc.me is None:
            raise read_only()
        if not self._tally.alive():
            return
        before = self._tally.value()
        doc.mint(self, doc.me)
        doc.touch(self, self._tally.reset(doc.dot()))  # (what stood here is the whole count, and mint has noted it)
        self._faded()
        if doc.eager:
            doc.settle(lambda: self._take_back(-before))

    def _clear(self, dot: Dot) -> None:
        self._tally.reset(dot)

    def _remember(self) -> Inverse | None:
        before = self._tally.value()
        return (lambda: self._take_back(-before)) if self._tally.alive() else None

    def _alive(self) -> bool:
        return self._tally.alive()

    def _blank(self) -> bool:
        rows = self._tally.rows
        return not self._tally.alive() or (self._tally.value() == 0 and rows.keys() == {self._doc.me})

    def _residue(self) -> bool:
        return bool(self._tally.rows)

    # A part is `(whole, rows)`; or, by far the commonest, only `(replica, row)`: one row that changed.

    def _part(self, keys: Any, out: Outgoing) -> Any:
        if keys is not None and len(keys) == 1:
            (replica,) = keys
            row = self._tally.rows.get(replica)
            return NOTHING if row is None else (replica, row)
        return self._tally.part(keys)

    def _join(self, part: Any, incoming: Incoming) -> None:
        first = part[0]
        if type(first) is bytes:
            if incoming.changed is None and self._tally.take(first, part[1], incoming.mine):
                incoming.nodes.append(self)
                incoming.keys.append(first)
                return
            part = _both(part)
        incoming.before(self, None)
        changed = self._tally.join(part, incoming.mine, incoming.theirs, incoming.duplicates)
        if part[0]:
            incoming.relay(self, changed)
        else:
            incoming.relay(self, part[1])
        if incoming.changed is not None:
            for replica in changed:
                incoming.note(self, replica)

    @classmethod
    def _empty_part(cls) -> Any:
        return True, {}

    @classmethod
    def _pack(cls, part: Any, out: Encoder) -> Any:
        return pack_tally(_both(part), out)

    @classmethod
    def _parse(cls, raw: Any, source: Decoder) -> Any:
        return parse_tally(raw, source)

    def _stabilize(self, stable: VersionVector) -> None:
        self._tally.stabilize(stable)

    def explain(self) -> str:
        """Each replica's total, and what of it was reset."""
        return "\n".join([f"{self.name} = {self.value}", *("  " + line for line in self._tally.explain())])


@register
class GCounter(_Counter):
    """A counter that only grows (likes, page views). Floats and negative amounts are refused."""

    __slots__ = ()
    tag = 1
    name = "GCounter"

    def increment(self, by: int = 1) -> Self:
        """Add `by` >= 0. Raises `UsageError`."""
        if type(by) is not int or by < 0:
            self._check_amount(by)
        return super().increment(by)

    def _check_amount(self, by: Any) -> None:
        check_amount(by, floats=False)
        if by < 0:
            raise UsageError("a GCounter only grows", reason=Reason.INVALID_ARGUMENT, hint="Use a PNCounter")


@register
class PNCounter(_Counter):
    """A counter that goes both ways. Floats are allowed; each replica's own total is summed in floating point."""

    __slots__ = ()
    tag = 2
    name = "PNCounter"

    def decrement(self, by: int = 1) -> Self:
        """Subtract `by`."""
        check_amount(by)
        return self.increment(-by)

    def __isub__(self, by: int) -> Self:
        return self.decrement(by)

    def _assign(self, value: Any) -> None:
        """Reset, then count `value`: increments made elsewhere at the same time are added to it."""
        check_amount(value)
        with self.transaction():
            self.reset()
            self.increment(value)
