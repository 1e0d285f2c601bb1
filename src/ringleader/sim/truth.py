"""What the committed log means: one more state machine, fed from the oracle's ledger, that every answer is compared with.

It is the real `Store`, beside the plain model of `sim/chronicle.py` that judges what it does. Here is judged that every node
reaches the same state at the same index, leases included, also by way of snapshots and restarts, that every acknowledged
write is in the log at the revision that was acknowledged, and that none was applied twice.
"""

from __future__ import annotations

import msgspec

from ringleader.consensus.shape import Entry, EntryKind
from ringleader.sim.chronicle import Chronicle, Moment
from ringleader.sim.judge import KeyHistory
from ringleader.sim.probes import Probes
from ringleader.sim.timeline import Timeline
from ringleader.sim.violation import Violation
from ringleader.store.commands import (
    Batch,
    Command,
    Delete,
    DeleteResult,
    ExpireLeases,
    Failure,
    LeaseGrant,
    LeaseInfo,
    LeaseInfoResult,
    LeaseKeepAlive,
    LeaseList,
    LeaseListResult,
    LeaseResult,
    Op,
    Put,
    PutResult,
    Result,
    Txn,
    TxnResult,
)
from ringleader.store.limits import Limits
from ringleader.store.members import founders
from ringleader.store.store import Store

__all__ = ["Truth", "effects", "marks_of"]

_batch = msgspec.msgpack.Decoder(Batch)


def marks_of(command: Op) -> list[bytes]:
    """The unique values that a command would write; clients of the simulator never write a value twice."""
    if type(command) is Put:
        return [command.value]
    if type(command) is Txn:
        return [op.value for branch in (command.success, command.failure) for op in branch if type(op) is Put]
    return []


class Truth:
    """The state after every committed entry. `hashes[i]`: of the keys after entry i (0: of the empty state).

    `leases[i]`: log time, and (lease, ttl, deadline) of all leases, in milliseconds.
    """

    def __init__(
        self, limits: Limits, probes: Probes, names: dict[int, str], timeline: Timeline, fastest: float = 1.0
    ) -> None:
        self.store = Store(limits, founders(names))
        self.chronicle = Chronicle(fastest)
        self.hashes: list[int] = [self.store.hash_kv()]
        self.leases: list[tuple[int, tuple[tuple[int, int, int], ...]]] = [(0, ())]
        self.written: dict[bytes, int] = {}  # unique value -> the revision at which it was written
        self.commands: dict[tuple[int, int], int] = {}  # (session, sequence number) -> revision of its first result
        self.disowned: set[bytes] = set()  # values of writes that clients were told were not applied
        self.keys = KeyHistory()
        self.moments: list[Moment] = [Moment(0, 0.0, 0.0)] * 2  # of each revision
        self.granted_in = 0  # the term of the entry that last touched a lease
        self._probes = probes
        self._timeline = timeline

    def committed(self, index: int, entry: Entry, born: float) -> None:
        """Entry `index` is committed; some node first wrote it at `born`."""
        if entry.kind != EntryKind.COMMAND:
            self.store.skip(index)
        else:
            batch = _batch.decode(entry.data)
            moment = Moment(batch.time_ms, born, self._timeline.now)
            for envelope, results in zip(batch.envelopes, self.store.apply(index, batch), strict=True):
                for (sequence, command), result in zip(envelope.commands, results, strict=True):
                    self._note(envelope.session, sequence, command, result, moment)
                    self._probe_lease(command, result, entry.term)
        self.hashes.append(self.store.hash_kv())
        self.leases.append((self.store.time_ms, self.chronicle.rows))

    def _probe_lease(self, command: Command, result: Result, term: int) -> None:
        if type(command) is ExpireLeases and type(result) is LeaseListResult:
            self._probes.hit("lease expired", len(result.ids))
            self._probes.hit("lease expired by a later leader", bool(result.ids) and term > self.granted_in)
            self._probes.hit("expiry came too late", len(result.ids) < len(command.ids))
        elif type(command) in (LeaseGrant, LeaseKeepAlive):
            self.granted_in = term

    def _note(self, session: int, sequence: int, command: Command, result: Result, moment: Moment) -> None:
        revision = getattr(result, "revision", 0)
        if session and not isinstance(result, Failure):
            first = self.commands.get((session, sequence))
            if first is not None:
                self._probes.hit("command retried")
                if first != revision:
                    raise Violation(
                        "exactly once", f"{command!r} took effect at revision {first} and again at {revision}"
                    )
                return
            self.commands[session, sequence] = revision
        for mark in [value for _, value in effects(command, result) if value is not None]:
            if mark in self.disowned:
                raise Violation(
                    "not applied", f"{mark!r} was written at {revision} after its client was told it was not"
                )
            if self.written.setdefault(mark, revision) != revision:
                raise Violation(
                    "exactly once", f"{mark!r} was written at revision {self.written[mark]} and again at {revision}"
                )
        for event in self.chronicle.carry_out(command, result, moment):
            self.keys.note(event.kv.key, None if event.deleted else event.kv.value, event.kv.mod_revision)
        self.moments += [moment] * (self.chronicle.revision + 1 - len(self.moments))

    def acknowledged(self, command: Op, result: Result) -> None:
        """A client was told `result`: it must be what the log says."""
        revision = getattr(result, "revision", 0)
        granted = self.chronicle.leases.keys() | self.chronicle.ended.keys()
        if isinstance(result, LeaseResult) and result.id not in granted:
            raise Violation("acknowledged never lost", f"lease {result.id} was acknowledged and is not in the log")
        for _, mark in effects(command, result):
            if mark is None:
                continue
            known = self.written.get(mark)
            if known != revision:
                raise Violation(
                    "acknowledged never lost",
                    f"the write of {mark!r} was acknowledged at revision {revision}, the log has it at {known}",
                )

    def refused(self, command: Op) -> None:
        """A client was told that `command` was certainly not applied."""
        for mark in marks_of(command):
            if mark in self.written:
                raise Violation(
                    "not applied", f"{mark!r} stands at {self.written[mark]}, its client was told it was not"
                )
            self.disowned.add(mark)

    def no_lease(self, command: Op) -> None:
        """A client was told that there is no such lease: it must have ended in the log by now."""
        id = command.lease if isinstance(command, Put) else getattr(command, "id", 0)
        if id in self.chronicle.leases:
            raise Violation("leases", f"{command!r} was refused for want of the lease, which lives")

    def lease_told(self, told: LeaseInfoResult, asked: float) -> None:
        """A client that asked at `asked` was told about a lease: it is what the log says, as of some moment since then."""
        chronicle = self.chronicle
        living = chronicle.leases.get(told.id)
        if told.remaining_ms < 0:
            if living is not None:
                raise Violation("leases", f"lease {told.id} is said to be over, and lives")
            return
        if chronicle.ended.get(told.id, asked) < asked:
            raise Violation("leases", f"lease {told.id} is said to live, and had ended {chronicle.ended[told.id]:.6f}")
        if living is not None and told.revision == chronicle.revision and set(told.keys) != living.keys:
            raise Violation("leases", f"lease {told.id} is said to hold {told.keys}, it holds {sorted(living.keys)}")

    def compare(self, node: int, store: Store) -> None:
        """The state of a node must be the one that the log leads to."""
        index = store.applied
        if index >= len(self.hashes):
            raise Violation("state-machine safety", f"node {node} has applied entry {index}, which was never committed")
        if store.hash_kv() != self.hashes[index]:
            raise Violation(
                "state-machine safety", f"the state of node {node} after entry {index} differs from the others'"
            )
        time_ms, rows = self.leases[index]
        due = [(id, ttl_ms, max(deadline_ms - time_ms, 0)) for id, ttl_ms, deadline_ms in rows]
        if leases_of(store) != due:
            raise Violation(
                "state-machine safety",
                f"node {node} has the leases {leases_of(store)} after entry {index}, it should have {due}",
            )


def leases_of(store: Store) -> list[tuple[int, int, int]]:
    """(lease, ttl, remaining) of all leases, milliseconds."""
    known = store.read(LeaseList())
    assert isinstance(known, LeaseListResult)
    infos = [store.read(LeaseInfo(id)) for id in known.ids]
    return [(info.id, info.ttl_ms, info.remaining_ms) for info in infos if isinstance(info, LeaseInfoResult)]


def effects(command: Op, result: Result) -> list[tuple[bytes, bytes | None]]:
    """What `command` has done, given its result: (key, the value it now holds, None for nothing)."""
    if type(command) is Put and type(result) is PutResult:
        return [(command.key, command.value)]
    if type(command) is Delete and type(result) is DeleteResult and result.deleted:
        return [(command.key, None)]
    if type(command) is Txn and type(result) is TxnResult:
        branch = command.success if result.succeeded else command.failure
        return [(op.key, op.value) for op in branch if type(op) is Put]
    return []
