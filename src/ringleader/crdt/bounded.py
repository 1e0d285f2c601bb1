"""A counter that never goes below zero at any replica, though everybody may decrement without asking.

Balegas et al., "Extending Eventually Consistent Cloud Databases for Enforcing Numeric Invariants" (2015). The value
is split into *rights* (escrow): who increments gets the rights to decrement as much, and may transfer rights to
others. A decrement uses own rights only, so it is safe without coordination; when they do not suffice it is refused
here and now, and the caller asks somebody else for rights.
"""

from __future__ import annotations

from typing import Any, Self

from ringleader.clock.dots import Dot
from ringleader.clock.version import ReplicaId, short
from ringleader.crdt.base import Crdt, register
from ringleader.crdt.delta import Incoming, Outgoing
from ringleader.crdt.identity import ReplicaContext, read_only
from ringleader.crdt.tally import LIMIT
from ringleader.crdt.values import brief
from ringleader.crdt.wire import MAX_ID, Decoder, Encoder, bad
from ringleader.errors import NotAppliedError, Reason, UsageError

__all__ = ["BoundedCounter", "InsufficientRightsError"]

# (n, granted, used, ((receiver, amount), ...) sorted): written by one replica only; the later row wins.
Row = tuple[int, int, int, tuple[tuple[ReplicaId, int], ...]]
NOTHING: Row = (0, 0, 0, ())


class InsufficientRightsError(NotAppliedError):
    """This replica may not decrement by so much. `available`: by how much it may; others may hold more."""

    available: int = 0


@register
class BoundedCounter(Crdt):
    """value >= 0, always and everywhere. Amounts are positive integers."""

    __slots__ = ("_rows",)
    one_place = True
    tag = 3
    name = "BoundedCounter"

    def _bottom(self) -> None:
        self._rows: dict[ReplicaId, Row] = {}

    def _value(self) -> int:
        return sum(row[1] - row[2] for row in self._rows.values())

    @property
    def value(self) -> int:
        """What is left."""
        return self._value()

    def __int__(self) -> int:
        return self._value()

    def rights(self, replica: ReplicaId | str | None = None) -> int:
        """By how much `replica` (None: this one) may decrement, as far as is known here."""
        who = self._doc.me if replica is None else replica.encode() if isinstance(replica, str) else replica
        if who is None:
            return 0
        if type(who) is not bytes:
            raise UsageError(f"a replica is named by bytes or text, not {brief(who)}", reason=Reason.INVALID_ARGUMENT)
        row = self._rows.get(who, NOTHING)
        received = sum(amount for other in self._rows.values() for to, amount in other[3] if to == who)
        return row[1] - row[2] + received - sum(amount for _, amount in row[3])

    def increment(self, by: int = 1) -> Self:
        """Add `by` and gain the rights to it. Raises `UsageError`."""
        me, row = self._own(by)
        if row[1] + by > LIMIT:
            raise UsageError("the counter would leave 2**59", reason=Reason.TOO_LARGE)
        self._store(me, (0, row[1] + by, row[2], row[3]))
        if self._doc.eager:
            self._doc.settle(lambda: None if self.rights() < by else void(self.decrement(by)))
        return self

    def decrement(self, by: int = 1) -> Self:
        """Subtract `by`, using own rights. Raises `InsufficientRightsError`, and then nothing has changed."""
        me, row = self._own(by)
        self._need(by)
        self._store(me, (0, row[1], row[2] + by, row[3]))
        if self._doc.eager:
            self._doc.settle(lambda: void(self.increment(by)))
        return self

    def transfer(self, to: ReplicaId | str | ReplicaContext, amount: int) -> None:
        """Give `amount` of our rights to another replica. Raises `InsufficientRightsError`."""
        receiver = to.identity if isinstance(to, ReplicaContext) else to.encode() if isinstance(to, str) else to
        me, row = self._own(amount)
        if type(receiver) is not bytes or receiver == me or not 1 <= len(receiver) <= MAX_ID:
            raise UsageError("rights go to another replica", reason=Reason.INVALID_ARGUMENT)
        self._need(amount)
        given = dict(row[3])
        given[receiver] = given.get(receiver, 0) + amount
        self._store(me, (0, row[1], row[2], tuple(sorted(given.items()))))
        if self._doc.eager:
            self._doc.settle()

    def __iadd__(self, by: int) -> Self:
        return self.increment(by)

    def __isub__(self, by: int) -> Self:
        return self.decrement(by)

    def _own(self, by: Any) -> tuple[ReplicaId, Row]:
        if self._doc.me is None:
            raise read_only()
        if type(by) is not int or not 0 < by <= LIMIT:
            raise UsageError(f"an amount is a positive integer, not {brief(by)}", reason=Reason.INVALID_ARGUMENT)
        return self._doc.me, self._rows.get(self._doc.me, NOTHING)

    def _need(self, amount: int) -> None:
        available = self.rights()
        if amount > available:
            error = InsufficientRightsError(
                f"this replica may take {available}, not {amount} (the counter stands at {self._value()})",
                reason=Reason.NO_RIGHTS,
                hint="Ask a replica that has rights to transfer some; see rights(replica)",
            )
            error.available = available
            raise error

    def _store(self, me: ReplicaId, row: Row) -> None:
        n = self._doc.mint(self, me)
        self._rows[me] = (n, *row[1:])

    def _check_clear(self) -> None:
        raise UsageError(
            "a bounded counter cannot be removed: other replicas may be using its rights right now",
            reason=Reason.UNSUPPORTED,
            hint="Decrement it, or leave it in place",
        )

    def _clear(self, dot: Dot) -> None:
        self._check_clear()

    def _alive(self) -> bool:
        return bool(self._rows)

    def _part(self, keys: Any, out: Outgoing) -> Any:
        return dict(self._rows) if keys is None else {key: self._rows[key] for key in keys}

    def _join(self, part: Any, incoming: Incoming) -> None:
        incoming.relay(self, part)
        for replica, row in part.items():
            own = self._rows.get(replica, NOTHING)
            if row[0] == own[0] and row != own:
                incoming.duplicates.add(replica)
            if row > own:
                incoming.touch(self, replica)
                self._rows[replica] = row

    @classmethod
    def _empty_part(cls) -> Any:
        return {}

    @classmethod
    def _pack(cls, part: Any, out: Encoder) -> Any:
        packed = []
        for replica in sorted(part):
            n, granted, used, given = part[replica]
            packed.append([out.dot(replica, n), granted, used, [item for pair in given for item in pair]])
        return packed

    @classmethod
    def _parse(cls, raw: Any, source: Decoder) -> Any:
        rows: dict[ReplicaId, Row] = {}
        for item in source.array(raw):
            raw_dot, granted, used, raw_given = source.array(item, 4)
            replica, n = source.dot(raw_dot)
            flat = source.array(raw_given)
            if replica in rows or len(flat) % 2:
                bad("a replica has two rows, or an odd list of transfers")
            given = []
            for i in range(0, len(flat), 2):
                if type(flat[i]) is not bytes or not 1 <= len(flat[i]) <= MAX_ID or (i and flat[i] <= flat[i - 2]):
                    bad("the receivers of rights are not distinct, sorted replica ids")
                given.append((flat[i], source.integer(flat[i + 1], 1, LIMIT)))
            rows[replica] = (n, source.integer(granted, 0, LIMIT), source.integer(used, 0, LIMIT), tuple(given))
        return rows

    def explain(self) -> str:
        """Who added, used, gave away and may still take how much."""
        lines = [f"{self.name} = {self._value()}"]
        receivers = {to for row in self._rows.values() for to, _ in row[3]}
        for replica in sorted({*self._rows, *receivers}):
            _, granted, used, given = self._rows.get(replica, NOTHING)
            gave = "".join(f", gave {amount} to {short(to)}" for to, amount in given)
            lines.append(f"  {short(replica)}: added {granted}, used {used}{gave}; may take {self.rights(replica)}")
        return "\n".join(lines)


def void(_: object) -> None:
    """Drop a result."""
