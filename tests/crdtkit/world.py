"""Worlds of replicas: a few copies of one type, operations with their history, and every way to pass changes on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
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


# What replica j was after its operation k (from 0), and one step of an exploration: replica i hears these, then
# performs an operation.
Source = tuple[int, int]
Step = tuple[int, tuple[Source, ...], Op]


class State:
    """One point of an exploration: its replicas, freshly made (a check may change them), and what happened."""

    __slots__ = ("history", "past", "replicas", "steps")

    def __init__(self, kind: Kind, steps: tuple[Step, ...], size: int) -> None:
        self.steps = steps
        self.replicas = [kind.make(ReplicaContext(NAMES[i])) for i in range(size)]
        self.history: list[Rec] = []
        self.past: list[list[Delta]] = [[] for _ in range(size)]  # of each replica its state after each operation
        for step in steps:
            self.step(kind, step)

    def step(self, kind: Kind, step: Step) -> bool:
        """Take one step; False when the operation was no event."""
        i, sources, op = step
        for j, k in sources:
            if k + 1 == len(self.past[j]):
                self.replicas[i].merge(self.replicas[j])  # a delta, as the journal gives it
            else:
                self.replicas[i].apply(self.past[j][k])  # a message that was long under way
        rec = perform(kind, self.replicas[i], op)
        if rec is not None:
            self.history.append(rec)
            self.past[i].append(self.replicas[i].delta_since(None))
        return rec is not None

    def counts(self) -> list[tuple[int, Op, tuple[int, ...]]]:
        """The history as data: of each operation its replica, itself, and how many of each replica it had seen."""
        size = range(len(self.replicas))
        return [
            (
                NAMES.index(rec.replica),
                rec.op,
                tuple([sum(r.replica == NAMES[i] and rec.sees(r) for r in self.history) for i in size]),
            )
            for rec in self.history
        ]


def explore(
    kind: Kind, ops: int, alphabet: list[Op], size: int = 3, *, below: tuple[Step, ...] = (), alike: bool = False
) -> Iterator[State]:
    """Every history of `size` replicas with up to `ops` operations, whoever has heard what of whom before each of them.

    A history is a set of operations with what each of them had seen, so each can be built in many orders. It is built
    only in one: an operation is added only if no unseen operation stands at a later replica. (Of every history exactly
    one operation can thus have come last; so each is met once, and none has to be remembered.) `below`: only those
    that begin with these steps. `alike`: of histories that differ only in the replicas' names, one is enough.
    """
    state = State(kind, below, size)
    if len(below) == ops:
        return
    versions = [root._doc.version for root in state.replicas]
    unseen = [
        rec.replica for rec in state.history if not any(other.sees(rec) for other in state.history if other is not rec)
    ]
    for i in range(size):
        met: list[VersionVector] = []
        for sources in product(*([None, *range(len(state.past[j]))] if j != i else [None] for j in range(size))):
            heard = tuple([(j, k) for j, k in enumerate(sources) if k is not None])
            before = versions[i]
            for j, k in heard:
                before = before.join(state.past[j][k].upto)
            if before in met or any(
                name > NAMES[i] and before.get(name, 0) < versions[NAMES.index(name)].get(name, 0) for name in unseen
            ):
                continue
            met.append(before)
            for op in alphabet:
                after = State(kind, below, size)
                if not after.step(kind, (i, heard, op)):
                    continue
                after.steps = (*below, (i, heard, op))
                if not alike or first_of_its_kind(after.counts()):
                    yield after
                if len(after.steps) < ops:
                    yield from explore(kind, ops, alphabet, size, below=after.steps, alike=alike)


def first_of_its_kind(history: list[tuple[int, Op, tuple[int, ...]]]) -> bool:
    """Whether no other naming of the replicas gives a smaller history."""
    own = sorted(history)
    size = len(history[0][2])
    for names in permutations(range(size)):
        back = [names.index(i) for i in range(size)]
        if sorted((names[i], op, tuple([seen[j] for j in back])) for i, op, seen in history) < own:
            return False
    return True


def check(kind: Kind, state: State) -> None:
    """The writer shows what the specification says; all orders of merging end in the same bytes and the right value.

    (A replica that has not written has nothing to merge.)
    """

    def expected(root: Crdt) -> object:
        version = root._doc.version
        return kind.spec([rec for rec in state.history if version.get(rec.replica, 0) >= rec.n])

    writers = [root for root in state.replicas if root._doc.n]
    for root in writers:
        if root._doc.me == state.history[-1].replica:
            assert root.value == expected(root), state.history
    results = set()
    for order in permutations(writers):
        merged = kind.make(None)
        for root in order:
            merged.merge(root)
        results.add(merged.encode())
    assert merged.value == expected(merged), (state.steps, merged.explain())
    whole = kind.make(None)
    for root in writers:
        whole.apply(root.delta_since(None))
    results.add(whole.encode())
    assert len(results) == 1, state.steps


def clean(delta: Delta) -> Delta:
    """A delta after a trip over the wire."""
    return Delta.decode(delta.encode())
