"""What the committed log means, told by a plain model that shares no code with the store: keys, leases, and every change.

The model is slow and short where the store is fast and long: a dictionary of keys, a dictionary of leases, and for every
revision the events that a watcher of everything would see. Whatever nodes answer, expire or deliver is held against it.
"""

from __future__ import annotations

import msgspec

from ringleader.sim.violation import Violation
from ringleader.store.commands import (
    Command,
    Compare,
    Delete,
    DeleteResult,
    Event,
    ExpireLeases,
    Failure,
    KeyValue,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseListResult,
    LeaseResult,
    LeaseRevoke,
    Put,
    PutResult,
    Range,
    Result,
    Txn,
    TxnResult,
)

__all__ = ["Chronicle", "Moment", "Tenure"]

LEEWAY = 0.25
"""Seconds that a leader's log time may run behind its clock: it looks at the clock when something happens."""


class Moment(msgspec.Struct, frozen=True):
    """A log entry in time. `time_ms`: its log time; `born`: the world's time at which it first stood in a leader's log;
    `done`: at which it was first known to be committed (seconds)."""

    time_ms: int
    born: float
    done: float


class Tenure(msgspec.Struct):
    """A living lease: `since`: the world's time at which the entry that last gave it its time was born."""

    id: int
    ttl_ms: int
    deadline_ms: int
    since: float
    keys: set[bytes]


class Chronicle:
    """Fed with every command and its result in the order of the log. `fastest`: the highest rate of any leader's clock.

    `changes[r]`: the events of revision r (none for 0 and 1). `ended`: lease -> the world's time at which its end was
    committed. `jumps`: (world's time, seconds) of every jump of a clock. `rows`: what leases there are, a new tuple
    whenever that changes. `expired`: how many leases ended because their time was over.
    """

    def __init__(self, fastest: float = 1.0) -> None:
        self.fastest = fastest
        self.held: dict[bytes, KeyValue] = {}
        self.changes: list[list[Event]] = [[], []]
        self.leases: dict[int, Tenure] = {}
        self.ended: dict[int, float] = {}
        self.jumps: list[tuple[float, float]] = []
        self.rows: tuple[tuple[int, int, int], ...] = ()
        self.expired = 0

    @property
    def revision(self) -> int:
        """The newest revision."""
        return len(self.changes) - 1

    def carry_out(self, command: Command, result: Result, moment: Moment) -> list[Event]:
        """One command of the log and what the store answered; returns the changes. Raises `Violation` where they part."""
        if isinstance(result, Failure):
            return []
        events: list[Event] = []
        if isinstance(command, Put | Delete | Txn):
            self._write(command, result, events)
            self._note(events)
        elif isinstance(command, LeaseGrant) and isinstance(result, LeaseResult):
            deadline = moment.time_ms + result.ttl_ms
            self.leases[result.id] = Tenure(result.id, result.ttl_ms, deadline, moment.born, set())
            self.ended.pop(result.id, None)
            self._changed()
        elif isinstance(command, LeaseKeepAlive):
            self._living(command.id, "kept alive").deadline_ms = moment.time_ms + self.leases[command.id].ttl_ms
            self.leases[command.id].since = moment.born
            self._changed()
        elif isinstance(command, LeaseRevoke):
            events = self._end(self._living(command.id, "revoked"), moment)
        elif isinstance(command, ExpireLeases) and isinstance(result, LeaseListResult):
            for id in result.ids:
                tenure = self._living(id, "expired")
                self._judge_expiry(tenure, moment)
                self.expired += 1
                events += self._end(tenure, moment)
        told = getattr(result, "revision", self.revision)
        if told != self.revision:
            raise Violation(
                "revisions", f"{command!r} was answered with revision {told}, the model has {self.revision}"
            )
        return events

    # ---------------------------------------------------------------------------------------------------- leases

    def _living(self, id: int, what: str) -> Tenure:
        if id not in self.leases:
            raise Violation("leases", f"lease {id} was {what} when there was none")
        return self.leases[id]

    def _judge_expiry(self, tenure: Tenure, moment: Moment) -> None:
        """No lease ends while it has time left: by log time, and by the clock on the wall."""
        if moment.time_ms < tenure.deadline_ms:
            left = tenure.deadline_ms - moment.time_ms
            raise Violation("early expiry", f"lease {tenure.id} was expired with {left} ms of log time left")
        passed = (moment.born - tenure.since + LEEWAY) * self.fastest
        passed += sum(seconds for when, seconds in self.jumps if tenure.since <= when + LEEWAY)
        if passed * 1000 < tenure.ttl_ms:
            raise Violation(
                "early expiry",
                f"lease {tenure.id} of {tenure.ttl_ms} ms, granted or kept alive at {tenure.since:.6f}, was expired at "
                f"{moment.born:.6f}",
            )

    def _end(self, tenure: Tenure, moment: Moment) -> list[Event]:
        """A lease and its keys go together, at one revision."""
        events = [self._remove(key, self.revision + 1) for key in sorted(tenure.keys)]
        self._note(events)
        del self.leases[tenure.id]
        self.ended[tenure.id] = moment.done
        self._changed()
        return events

    def _changed(self) -> None:
        self.rows = tuple((id, one.ttl_ms, one.deadline_ms) for id, one in sorted(self.leases.items()))

    # ------------------------------------------------------------------------------------------------------ keys

    def _note(self, events: list[Event]) -> None:
        if events:
            self.changes.append(events)

    def _write(self, command: Command | Range, result: Result, events: list[Event]) -> None:
        """Carry out a put, a delete or a transaction within the next revision."""
        revision = self.revision + 1
        if isinstance(command, Put) and isinstance(result, PutResult):
            events.append(self._put(command, revision))
        elif isinstance(command, Delete) and isinstance(result, DeleteResult):
            there = command.key in self.held
            if result.deleted != there:
                raise Violation("linearizable", f"{command!r} deleted {result.deleted} keys of {int(there)}")
            if there:
                events.append(self._remove(command.key, revision))
        elif isinstance(command, Txn) and isinstance(result, TxnResult):
            met = all(map(self._met, command.compares))
            if met is not result.succeeded:
                raise Violation("linearizable", f"{command!r} was answered as if its compares were {result.succeeded}")
            branch = command.success if met else command.failure
            for op, part in zip(branch, result.results, strict=True):
                self._write(op, part, events)

    def _put(self, op: Put, revision: int) -> Event:
        if op.lease and op.lease not in self.leases:
            raise Violation("leases", f"{op!r} was carried out when there was no such lease")
        before = self.held.get(op.key)
        created, version = (revision, 1) if before is None else (before.create_revision, before.version + 1)
        self._detach(before)
        kv = self.held[op.key] = KeyValue(op.key, op.value, created, revision, version, op.lease)
        if op.lease:
            self.leases[op.lease].keys.add(op.key)
        return Event(False, kv, before)

    def _remove(self, key: bytes, revision: int) -> Event:
        before = self.held.pop(key)
        self._detach(before)
        return Event(True, KeyValue(key, b"", 0, revision, 0), before)

    def _detach(self, kv: KeyValue | None) -> None:
        if kv is not None and kv.lease in self.leases:
            self.leases[kv.lease].keys.discard(kv.key)

    def _met(self, compare: Compare) -> bool:
        kv = self.held.get(compare.key)
        if compare.op != "=" or compare.target not in ("version", "create", "value"):
            raise ValueError(f"the model knows nothing of {compare!r}")
        if compare.target == "value":
            return kv is not None and kv.value == compare.value
        if compare.target == "create":
            return compare.value == (kv.create_revision if kv is not None else 0)
        return compare.value == (kv.version if kv is not None else 0)
