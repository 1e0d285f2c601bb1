"""Worlds of replicas: a few copies of one type, operations with their history, and every way to pass changes on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
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


# One step of an exploration: replica i pulls from these, then performs an operation.
Step = tuple[int, tuple[int, ...], Op]


class State:
    """One point of an exploration: its replicas, freshly made (a check may change them), and what happened."""

    __slots__ = ("history", "replicas", "steps")

    def __init__(self, kind: Kind, steps: tuple[Step, ...], size: int) -> None:
        self.steps = steps
        self.replicas = [kind.make(ReplicaContext(NAMES[i])) for i in range(size)]
        self.history: list[Rec] = []
        for step in steps:
            self.step(kind, step)

    def step(self, kind: Kind, step: Step) -> bool:
        """Take one step; False when the operation was no event."""
        i, sources, op = step
        for j in sources:
            self.replicas[i].merge(self.replicas[j])
        rec = perform(kind, self.replicas[i], op)
        if rec is not None:
            self.history.append(rec)
        return rec is not None

    def key(self) -> Any:
        """Two states with the same key are the same state."""
        recs = frozenset((r.replica, r.n, r.op, tuple(sorted(r.before.items()))) for r in self.history)
        return recs, tuple(tuple(sorted(root._doc.version.items())) for root in self.replicas)


def explore(kind: Kind, ops: int, alphabet: list[Op], size: int = 3) -> Iterator[State]:
    """Every world of `size` replicas after up to `ops` operations, whoever has pulled from whom before each of them.

    The first operation is at the first replica (the others only differ by name). Worlds that come out the same by
    different ways are visited once. Replicas exchange deltas, as their journals give them.
    """
    level: list[tuple[Step, ...]] = [()]
    seen: set[Any] = set()
    for depth in range(ops):
        following: list[tuple[Step, ...]] = []
        for steps in level:
            versions = [root._doc.version for root in State(kind, steps, size).replicas]
            for i in range(size if depth else 1):
                useful = [j for j in range(size) if not versions[i].covers(versions[j])]
                for count in range(len(useful) + 1):
                    for sources in combinations(useful, count):
                        for op in alphabet:
                            after = State(kind, steps, size)
                            step = (i, sources, op)
                            if not after.step(kind, step) or (key := after.key()) in seen:
                                continue
                            seen.add(key)
                            after.steps = (*steps, step)
                            following.append(after.steps)
                            yield after
        level = following


def clean(delta: Delta) -> Delta:
    """A delta after a trip over the wire."""
    return Delta.decode(delta.encode())
