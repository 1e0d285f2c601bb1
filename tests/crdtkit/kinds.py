"""Each type with a few operations and its specification: a pure function from the visible operations to a value.

A specification knows nothing of dots, merging or cells; it sees operations and which of them happened before which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ringleader.clock import VersionVector
from ringleader.crdt import (
    BoundedCounter,
    Crdt,
    DWFlag,
    EWFlag,
    GCounter,
    GSet,
    HyperLogLog,
    InsufficientRightsError,
    LWWMap,
    LWWRegister,
    MVRegister,
    ORMap,
    ORSet,
    PNCounter,
    ReplicaContext,
    RWSet,
    SortedSet,
    TwoPhaseSet,
)
from ringleader.errors import UsageError

Op = tuple[Any, ...]


class Rec(NamedTuple):
    """One operation that happened: by whom, after seeing what, as which events, and when by the hybrid clock."""

    replica: bytes
    before: VersionVector
    n: int
    op: Op
    stamp: int

    def sees(self, other: Rec) -> bool:
        """Whether `other` happened before this."""
        return self.before.get(other.replica, 0) >= other.n


class Kind(NamedTuple):
    """A type under test."""

    name: str
    make: Callable[[ReplicaContext | None], Crdt]
    ops: list[Op]
    perform: Callable[[Any, Op], None]
    spec: Callable[[list[Rec]], Any]
    alike: bool = True
    """Whether the names of replicas make no difference (no ties are decided by them, no operation names one)."""


def unseen(rec: Rec, others: list[Rec]) -> bool:
    """Whether none of `others` has seen `rec`."""
    return not any(other.sees(rec) for other in others)


def maximal(recs: list[Rec]) -> list[Rec]:
    """Those that nobody has overwritten."""
    return [rec for rec in recs if unseen(rec, recs)]


def latest(recs: list[Rec]) -> Rec:
    return max(recs, key=lambda rec: (rec.stamp, rec.replica))


def named(recs: list[Rec], *names: str) -> list[Rec]:
    return [rec for rec in recs if rec.op[0] in names]


def counter(root: Any, op: Op) -> None:
    if op[0] == "reset":
        root.reset()
    else:
        root.increment(op[1])


def counter_spec(recs: list[Rec]) -> Any:
    resets = named(recs, "reset")
    return sum(rec.op[1] for rec in named(recs, "inc") if unseen(rec, resets))


def bounded(root: Any, op: Op) -> None:
    try:
        if op[0] == "inc":
            root.increment(op[1])
        elif op[0] == "dec":
            root.decrement(op[1])
        else:
            root.transfer(op[1], 1)
    except (InsufficientRightsError, UsageError):
        pass


def bounded_spec(recs: list[Rec]) -> int:
    value = sum(rec.op[1] for rec in named(recs, "inc")) - sum(rec.op[1] for rec in named(recs, "dec"))
    assert value >= 0, "a bounded counter went below zero"
    return int(value)


def register(root: Any, op: Op) -> None:
    if op[0] == "clear":
        root.clear()
    else:
        root.set(op[1])


def lww_spec(recs: list[Rec]) -> Any:
    standing = named(maximal(recs), "set")
    return latest(standing).op[1] if standing else None


def mv_spec(recs: list[Rec]) -> Any:
    return sorted({rec.op[1] for rec in named(maximal(recs), "set")})


def ew_spec(recs: list[Rec]) -> bool:
    return any(rec.op[1] for rec in named(maximal(recs), "set"))


def dw_spec(recs: list[Rec]) -> bool:
    standing = named(maximal(recs), "set")
    return bool(standing) and all(rec.op[1] for rec in standing)


def collection(root: Any, op: Op) -> None:
    if op[0] == "clear":
        root.clear()
    elif op[0] == "add":
        try:
            root.add(op[1])
        except UsageError:
            assert isinstance(root, TwoPhaseSet)
    else:
        root.discard(op[1])


def gset_spec(recs: list[Rec]) -> Any:
    return frozenset(rec.op[1] for rec in recs)


def twophase_spec(recs: list[Rec]) -> Any:
    added = {rec.op[1] for rec in named(recs, "add")}
    return frozenset(added - {rec.op[1] for rec in named(recs, "remove")})


def orset_spec(recs: list[Rec]) -> Any:
    def removers(item: Any) -> list[Rec]:
        return [rec for rec in recs if rec.op == ("remove", item) or rec.op[0] == "clear"]

    return frozenset(rec.op[1] for rec in named(recs, "add") if unseen(rec, removers(rec.op[1])))


def rwset_spec(recs: list[Rec]) -> Any:
    items = {rec.op[1] for rec in recs}
    standing = {item: maximal([rec for rec in recs if rec.op[1] == item]) for item in items}
    return frozenset(item for item, top in standing.items() if all(rec.op[0] == "add" for rec in top))


def mark(replica: bytes, events: int) -> int:
    """What a replica writes after so many events of its own: another number each time, so that no two writes are alike."""
    return 1000 * replica[0] + events


def marked(rec: Rec) -> int:
    return mark(rec.replica, rec.before.get(rec.replica, 0))


def lwwmap(root: Any, op: Op) -> None:
    if op[0] == "set":
        root[op[1]] = mark(root._doc.me, root._doc.n)
    elif op[1] in root:
        del root[op[1]]


def lwwmap_spec(recs: list[Rec]) -> Any:
    value = {}
    for key in sorted({rec.op[1] for rec in recs}):
        top = latest(maximal([rec for rec in recs if rec.op[1] == key]))
        if top.op[0] == "set":
            value[key] = marked(top)
    return value


def countermap(root: Any, op: Op) -> None:
    if op[0] == "inc":
        root[op[1]] += op[2]
    elif op[0] == "clear":
        root.clear()
    else:
        root.discard(op[1])


def countermap_spec(recs: list[Rec]) -> Any:
    value: dict[str, int] = {}
    for rec in named(recs, "inc"):
        if unseen(rec, [r for r in recs if r.op == ("remove", rec.op[1]) or r.op[0] == "clear"]):
            value[rec.op[1]] = value.get(rec.op[1], 0) + rec.op[2]
    return value


def deepmap(root: Any, op: Op) -> None:
    if op[0] == "inc":
        root[op[1]][op[2]] += 1
    elif len(op) == 2:
        root.discard(op[1])
    else:
        root[op[1]].discard(op[2])


def setmap(root: Any, op: Op) -> None:
    if op[0] == "inc":
        root[op[1]].add(op[2])
    elif len(op) == 2:
        root.discard(op[1])
    else:
        root[op[1]].discard(op[2])


def deepmap_spec(recs: list[Rec]) -> Any:
    value: dict[str, dict[str, int]] = {}
    for rec in named(recs, "inc"):
        _, outer, inner = rec.op
        if unseen(rec, [r for r in recs if r.op in (("remove", outer), ("remove", outer, inner))]):
            value.setdefault(outer, {}).setdefault(inner, 0)
            value[outer][inner] += 1
    for outer in created(recs):
        value.setdefault(outer, {})
    return value


def created(recs: list[Rec]) -> set[str]:
    """The inner maps that stand although they may be empty: their creation was not removed.

    An increment creates its map if and only if the map was not there for its writer.
    """
    standing: set[str] = set()
    for rec in named(recs, "inc"):
        past = [other for other in recs if rec.sees(other)]
        if rec.op[1] not in deepmap_spec(past) and unseen(rec, [r for r in recs if r.op == ("remove", rec.op[1])]):
            standing.add(rec.op[1])
    return standing


def sortedset(root: Any, op: Op) -> None:
    if op[0] == "add":
        root.add(op[1], mark(root._doc.me, root._doc.n))
    elif op[0] == "inc":
        root.increment(op[1], op[2])
    else:
        root.discard(op[1])


def sortedset_spec(recs: list[Rec]) -> Any:
    scores: dict[str, int] = {}
    for member in sorted({rec.op[1] for rec in recs}):
        own = [rec for rec in recs if rec.op[1] == member]
        resets = named(own, "add", "remove")
        standing = [rec for rec in named(own, "add") if unseen(rec, resets)]
        moves = [rec for rec in named(own, "inc") if unseen(rec, resets)]
        if standing or moves:
            scores[member] = (marked(latest(standing)) if standing else 0) + sum(rec.op[2] for rec in moves)
    return sorted(scores.items(), key=lambda pair: (pair[1], pair[0]))


def sketch(root: Any, op: Op) -> None:
    if op[0] == "clear":
        root.clear()
    else:
        root.add(op[1])


def sketch_spec(recs: list[Rec]) -> int:
    """Only additions of the greatest epoch count; a clearing begins the epoch after the one it saw."""
    epochs: dict[int, int] = {}

    def epoch_before(rec: Rec) -> int:
        return max((after(r) for r in named(recs, "clear") if rec.sees(r)), default=0)

    def after(rec: Rec) -> int:
        if id(rec) not in epochs:
            epochs[id(rec)] = epoch_before(rec) + 1
        return epochs[id(rec)]

    last = max((after(rec) for rec in named(recs, "clear")), default=0)
    return len({rec.op[1] for rec in named(recs, "add") if epoch_before(rec) == last})


X, Y = "x", "y"
SET_OPS: list[Op] = [("add", X), ("remove", X), ("add", Y)]
KINDS = [
    Kind("GCounter", GCounter, [("inc", 1), ("inc", 5), ("reset",)], counter, counter_spec),
    Kind("PNCounter", PNCounter, [("inc", 3), ("inc", -5), ("reset",)], counter, counter_spec),
    Kind("BoundedCounter", BoundedCounter, [("inc", 2), ("dec", 1), ("give", "b")], bounded, bounded_spec, alike=False),
    Kind("LWWRegister", LWWRegister, [("set", 1), ("set", 2), ("clear",)], register, lww_spec, alike=False),
    Kind("MVRegister", MVRegister, [("set", 1), ("set", 2), ("clear",)], register, mv_spec),
    Kind("EWFlag", EWFlag, [("set", True), ("set", False), ("clear",)], register, ew_spec),
    Kind("DWFlag", DWFlag, [("set", True), ("set", False), ("clear",)], register, dw_spec),
    Kind("GSet", GSet, [("add", X), ("add", Y)], collection, gset_spec),
    Kind("TwoPhaseSet", TwoPhaseSet, SET_OPS, collection, twophase_spec),
    Kind("ORSet", ORSet, [*SET_OPS, ("clear",)], collection, orset_spec),
    Kind("RWSet", RWSet, SET_OPS, collection, rwset_spec),
    Kind("LWWMap", LWWMap, [("set", X), ("remove", X), ("set", Y)], lwwmap, lwwmap_spec, alike=False),
    Kind(
        "ORMap",
        lambda r: ORMap(r, PNCounter),
        [("inc", X, 1), ("remove", X), ("inc", Y, 5), ("clear",)],
        countermap,
        countermap_spec,
    ),
    Kind(
        "ORMap of ORMap",
        lambda r: ORMap(r, ORMap[str, PNCounter]),
        [("inc", X, X), ("remove", X), ("remove", X, X), ("inc", X, Y)],
        deepmap,
        deepmap_spec,
    ),
    Kind(
        "ORMap of ORSet",
        lambda r: ORMap(r, ORSet),
        [("inc", X, X), ("remove", X), ("remove", X, X), ("inc", X, Y)],
        setmap,
        lambda recs: {key: frozenset(inner) for key, inner in deepmap_spec(recs).items()},
    ),
    Kind(
        "SortedSet",
        SortedSet,
        [("add", X, 4), ("inc", X, 1), ("remove", X), ("add", Y, 4)],
        sortedset,
        sortedset_spec,
        alike=False,
    ),
    Kind("HyperLogLog", HyperLogLog, [("add", 1), ("add", 2), ("clear",)], sketch, sketch_spec),
]
BY_NAME = {kind.name: kind for kind in KINDS}
