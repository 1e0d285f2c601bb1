"""Worlds of replicas: a few copies of one type, and the operations made there with what each of them had seen."""

from __future__ import annotations

from typing import Any

from crdtkit.kinds import Kind, Op, Rec
from ringleader.clock import VersionVector
from ringleader.crdt import Crdt, Delta, ReplicaContext

NAMES = (b"a", b"b", b"c")


class World:
    """`replicas[i]` writes as `NAMES[i]`; time stands still, so stamps count causality. `history`: all operations."""

    def __init__(self, kind: Kind, size: int = 3) -> None:
        self.kind = kind
        self.replicas: list[Crdt] = [kind.make(ReplicaContext(NAMES[i])) for i in range(size)]
        self.history: list[Rec] = []

    def do(self, i: int, op: Op) -> bool:
        """Perform `op` at replica `i`; False when it changed nothing (and is no event)."""
        rec = perform(self.kind, self.replicas[i], op)
        if rec is not None:
            self.history.append(rec)
        return rec is not None

    def expected(self, version: VersionVector) -> Any:
        """What the specification says a replica at `version` shows."""
        return self.kind.spec([rec for rec in self.history if version.get(rec.replica, 0) >= rec.n])

    def check(self, i: int) -> None:
        """Replica `i` shows what the specification says."""
        root = self.replicas[i]
        assert root.value == self.expected(root.version), (self.history, root.explain())


def perform(kind: Kind, root: Crdt, op: Op) -> Rec | None:
    """Perform and record one operation; None when it was no event."""
    doc = root._doc
    assert doc.me is not None
    assert doc.clock is not None
    before, n = doc.version.copy(), doc.n
    kind.perform(root, op)
    if doc.n == n:
        return None
    return Rec(doc.me, before, doc.n, op, doc.clock.last)


def clean(delta: Delta) -> Delta:
    """A delta after a trip over the wire."""
    return Delta.decode(delta.encode())
