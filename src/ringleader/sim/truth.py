"""What the committed log means: one more state machine, fed from the oracle's ledger, that every answer is compared with.

It is the real `Store`, so it does not judge what operations mean (the history checkers do that, with a model of their own);
it judges that every node reaches the same state at the same index, also by way of snapshots and restarts, that every
acknowledged write is in the log at the revision that was acknowledged, and that none was applied twice.
"""

from __future__ import annotations

import msgspec

from ringleader.consensus.shape import Entry, EntryKind
from ringleader.sim.check import KeyHistory
from ringleader.sim.oracle import Violation
from ringleader.sim.probes import Probes
from ringleader.store.commands import Batch, Command, Delete, DeleteResult, Put, PutResult, Result, Txn, TxnResult
from ringleader.store.limits import Limits
from ringleader.store.members import founders
from ringleader.store.store import Store

__all__ = ["Truth", "effects", "marks_of"]

_batch = msgspec.msgpack.Decoder(Batch)


def marks_of(command: Command) -> list[bytes]:
    """The unique values that a command would write; clients of the simulator never write a value twice."""
    if type(command) is Put:
        return [command.value]
    if type(command) is Txn:
        return [op.value for branch in (command.success, command.failure) for op in branch if type(op) is Put]
    return []


class Truth:
    """The state after every committed entry. `hashes[i]`: of the state after entry i (0: of the empty state)."""

    def __init__(self, limits: Limits, probes: Probes, names: dict[int, str]) -> None:
        self.store = Store(limits, founders(names))
        self.hashes: list[int] = [self.store.hash_kv()]
        self.written: dict[bytes, int] = {}  # unique value -> the revision at which it was written
        self.commands: dict[tuple[int, int], int] = {}  # (session, sequence number) -> revision of its first result
        self.disowned: set[bytes] = set()  # values of writes that clients were told were not applied
        self.keys = KeyHistory()
        self.changes: list[tuple[bytes, bytes | None]] = [(b"", None)] * 2  # what each revision changed, from 2 on
        self._probes = probes

    def committed(self, index: int, entry: Entry) -> None:
        """Entry `index` is committed."""
        if entry.kind != EntryKind.COMMAND:
            self.store.skip(index)
        else:
            batch = _batch.decode(entry.data)
            for envelope, results in zip(batch.envelopes, self.store.apply(index, batch), strict=True):
                for (sequence, command), result in zip(envelope.commands, results, strict=True):
                    self._note(envelope.session, sequence, command, result)
        self.hashes.append(self.store.hash_kv())

    def _note(self, session: int, sequence: int, command: Command, result: Result) -> None:
        revision = getattr(result, "revision", 0)
        done = effects(command, result)
        if session and done:
            first = self.commands.get((session, sequence))
            if first is not None:
                self._probes.hit("command retried")
                if first != revision:
                    raise Violation(
                        "exactly once", f"{command!r} took effect at revision {first} and again at {revision}"
                    )
                return
            self.commands[session, sequence] = revision
        for key, value in done:
            if value is None:
                self._note_change(key, None, revision)
                continue
            mark = value
            if mark in self.disowned:
                raise Violation(
                    "not applied", f"{mark!r} was written at {revision} after its client was told it was not"
                )
            if mark not in self.written:
                self.written[mark] = revision
                self._note_change(key, value, revision)
            elif self.written[mark] != revision:
                raise Violation(
                    "exactly once", f"{mark!r} was written at revision {self.written[mark]} and again at {revision}"
                )

    def _note_change(self, key: bytes, value: bytes | None, revision: int) -> None:
        if revision != len(self.changes):
            raise Violation("revisions", f"a change of {key!r} made revision {revision} after {len(self.changes) - 1}")
        self.keys.note(key, value, revision)
        self.changes.append((key, value))

    def acknowledged(self, command: Command, result: Result) -> None:
        """A client was told `result`: it must be what the log says."""
        revision = getattr(result, "revision", 0)
        for _, mark in effects(command, result):
            if mark is None:
                continue
            known = self.written.get(mark)
            if known != revision:
                raise Violation(
                    "acknowledged never lost",
                    f"the write of {mark!r} was acknowledged at revision {revision}, the log has it at {known}",
                )

    def refused(self, command: Command) -> None:
        """A client was told that `command` was certainly not applied."""
        for mark in marks_of(command):
            if mark in self.written:
                raise Violation(
                    "not applied", f"{mark!r} stands at {self.written[mark]}, its client was told it was not"
                )
            self.disowned.add(mark)

    def compare(self, node: int, store: Store) -> None:
        """The state of a node must be the one that the log leads to."""
        index = store.applied
        if index >= len(self.hashes):
            raise Violation("state-machine safety", f"node {node} has applied entry {index}, which was never committed")
        if store.hash_kv() != self.hashes[index]:
            raise Violation(
                "state-machine safety", f"the state of node {node} after entry {index} differs from the others'"
            )


def effects(command: Command, result: Result) -> list[tuple[bytes, bytes | None]]:
    """What `command` has done, given its result: (key, the value it now holds, None for nothing)."""
    if type(command) is Put and type(result) is PutResult:
        return [(command.key, command.value)]
    if type(command) is Delete and type(result) is DeleteResult and result.deleted:
        return [(command.key, None)]
    if type(command) is Txn and type(result) is TxnResult:
        branch = command.success if result.succeeded else command.failure
        return [(op.key, op.value) for op in branch if type(op) is Put]
    return []
