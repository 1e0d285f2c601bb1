"""The exhaustive search: every history of three replicas with a few operations, each met once, every way of passing it on.

A history is a set of operations, each with what its writer had heard: a partial order. What a replica can have heard is
any part of it that is closed under "happened before", a *cut*, and a cut is all that its state may depend on. So for a
history it is enough to check that joining any two cuts that together are the whole gives the one state of the whole, as
a state and as a delta; that every state of a *smaller* cut is well defined was checked when that smaller history was met.
By induction every order of delivery, with any message repeated, late, or lost and made up for later, ends in the same
bytes; and those show what the specification says. (This is partial-order reduction: no order is run twice that another
one has stood for.)

Histories are made from smaller ones by one more operation that nobody has heard of yet. Each could be made in many ways;
it is made only by the operation that comes last in its normal form (McKay, "Isomorph-Free Exhaustive Generation",
1998), so none has to be remembered and the search can be cut into pieces. Where the names of replicas decide nothing,
histories that differ only by them have one normal form.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

from crdtkit.kinds import Kind, Op, Rec
from ringleader.clock import VersionVector
from ringleader.crdt import Crdt, Delta, ReplicaContext

SIZE = 3
NAMES = (b"a", b"b", b"c")
Cut = tuple[int, ...]  # of each replica, how many of its operations
Event = tuple[int, Cut, int]  # replica, what it had heard (its own included), index of the operation in the alphabet
Form = tuple[Event, ...]

_OWN = ((0, 1, 2),)
_ALL = tuple(permutations(range(SIZE)))


class Counts:
    """What a search has done: histories met, and deliveries tried."""

    def __init__(self) -> None:
        self.histories = 0
        self.deliveries = 0


class History:
    """One history with the state of each of its cuts. Event `k` made `recs[k]`, and `deltas[k]` after a trip over the wire."""

    __slots__ = ("_states", "deltas", "events", "kind", "recs", "top")

    def __init__(
        self, kind: Kind, events: Form, recs: list[Rec], deltas: list[Delta], states: dict[Cut, Delta]
    ) -> None:
        self.kind = kind
        self.events = events
        self.recs = recs
        self.deltas = deltas
        self._states = states  # the cuts of the history before the last operation, and the others as they are asked for
        self.top: Cut = tuple([sum(event[0] == i for event in events) for i in range(SIZE)])

    @classmethod
    def empty(cls, kind: Kind) -> History:
        """Nothing has happened."""
        return cls(kind, (), [], [], {(0,) * SIZE: kind.make(None).delta_since(None)})

    def cuts(self) -> list[Cut]:
        """Every part that somebody can have heard."""
        needs: dict[tuple[int, int], Cut] = {}
        for i, seen, _ in self.events:
            needs[i, seen[i] + 1] = seen
        return [
            cut
            for cut in product(*[range(n + 1) for n in self.top])
            if all(not n or _within(needs[i, n], cut) for i, n in enumerate(cut))
        ]

    def state(self, cut: Cut) -> Delta:
        """The whole state of a cut, made from a smaller one by one operation's delta."""
        found = self._states.get(cut)
        if found is None:
            at = max(k for k, event in enumerate(self.events) if event[1][event[0]] < cut[event[0]])
            i = self.events[at][0]
            root = self.load(tuple([n - (j == i) for j, n in enumerate(cut)]))
            root.apply(self.deltas[at])
            found = self._states[cut] = root.delta_since(None)
        return found

    def load(self, cut: Cut) -> Crdt:
        """A replica (without identity) that has heard `cut`."""
        root = self.kind.make(None)
        root.apply(self.state(cut))
        return root

    def listener(self, cut: Cut) -> Crdt:
        """The same, but it has heard each operation by itself, so that it can pass on deltas."""
        root = self.kind.make(None)
        for event, delta in zip(self.events, self.deltas, strict=True):
            if event[1][event[0]] < cut[event[0]]:
                root.apply(delta)
        return root

    def version(self, cut: Cut) -> VersionVector:
        """A cut as the types count it: one operation may be several events."""
        version = VersionVector()
        for event, rec in zip(self.events, self.recs, strict=True):
            if event[1][event[0]] < cut[event[0]]:
                version.include(rec.replica, rec.n)
        return version

    def then(self, i: int, seen: Cut, index: int) -> History | None:
        """The history in which replica `i`, having heard `seen`, performs an operation; None when it was no event."""
        root = self.load(seen)
        root.resume(ReplicaContext(NAMES[i]))
        doc = root._doc
        assert doc.clock is not None
        before, n = doc.version.copy(), doc.n
        op: Op = self.kind.ops[index]
        self.kind.perform(root, op)
        if doc.n == n:
            return None
        delta = root.delta_since(before)
        assert delta.since is not None, "one operation, one delta"
        rec = Rec(NAMES[i], before, doc.n, op, doc.clock.last)
        clean = Delta.decode(delta.encode())
        events = (*self.events, (i, seen, index))
        after = History(self.kind, events, [*self.recs, rec], [*self.deltas, clean], dict(self._states))
        own = tuple([m + (j == i) for j, m in enumerate(seen)])
        assert _same(after.state(own), root.delta_since(None)), (
            "the state before with the operation's delta is not the state after",
            events,
        )
        return after


def _within(cut: Cut, other: Cut) -> bool:
    return all(a <= b for a, b in zip(cut, other, strict=True))


def _same(one: Delta, other: Delta) -> bool:
    return one.encode() == other.encode()


# ---- each history once -----------------------------------------------------------------------------------------


def normal(events: Form, names: tuple[tuple[int, ...], ...]) -> Form:
    """The smallest of all the ways to write a history down."""
    if len(names) == 1:
        return tuple(sorted(events))
    return min(
        tuple(sorted([(to[i], (seen[back[0]], seen[back[1]], seen[back[2]]), op) for i, seen, op in events]))
        for to, back in _RENAMINGS
    )


_RENAMINGS = [(to, tuple([to.index(i) for i in range(SIZE)])) for to in _ALL]


def without_last(form: Form) -> Form:
    """A normal form without the last of the operations that nobody has heard of."""
    for k in range(len(form) - 1, -1, -1):
        i, seen, _ = form[k]
        if all(other[1][i] <= seen[i] for other in form):
            return form[:k] + form[k + 1 :]
    raise AssertionError("a history in which everything was heard of by something")


def explore(kind: Kind, ops: int, *, start: History | None = None) -> Iterator[History]:
    """Every history of up to `ops` operations (below `start`, which must have been yielded by this), once each."""
    names = _ALL if kind.alike else _OWN
    history = History.empty(kind) if start is None else start
    if len(history.events) >= ops:
        return
    own = normal(history.events, names)
    met: set[Form] = set()
    cuts = history.cuts()
    for i in range(SIZE):
        for seen in cuts:
            if seen[i] != history.top[i]:
                continue
            for index in range(len(kind.ops)):
                form = normal((*history.events, (i, seen, index)), names)
                if form in met or normal(without_last(form), names) != own:
                    continue
                after = history.then(i, seen, index)
                if after is None:
                    continue
                met.add(form)
                yield after
                yield from explore(kind, ops, start=after)


# ---- what must hold --------------------------------------------------------------------------------------------


def check(history: History, counts: Counts | None = None) -> None:
    """The value is as specified, and any two cuts that make the whole make it to the byte, however they are joined."""
    kind, top = history.kind, history.top
    whole = history.state(top).encode()
    replica = kind.make(None)
    replica.apply(Delta.decode(whole))
    assert replica.encode() == whole, ("decode(encode) is not the same", history.events)
    expected = kind.spec(history.recs)
    assert replica.value == expected, (history.recs, replica.value, expected, replica.explain())
    cuts = [cut for cut in history.cuts() if cut != top]
    versions = {cut: history.version(cut) for cut in cuts}
    deliveries = 0

    def arrives(at: Cut, message: Delta, how: str) -> None:
        nonlocal deliveries
        deliveries += 1
        root = history.load(at)
        assert root.apply(message), (how, at, history.events)
        assert root.encode() == whole, (how, at, message, history.events, root.explain())

    for other in cuts:
        partners = [cut for cut in cuts if tuple(map(max, cut, other)) == top]
        if not partners:
            continue
        teller = history.listener(other)
        for cut in partners:
            arrives(cut, history.state(other), "a whole state")
            arrives(cut, teller.delta_since(versions[cut]), "a delta from somebody who had heard of it")
    everything = history.listener(top)
    for cut in cuts:
        arrives(cut, everything.delta_since(versions[cut]), "what one lacks from somebody who has it all")
    for (i, seen, _), delta in zip(history.events, history.deltas, strict=True):
        rest = tuple([n - (j == i) for j, n in enumerate(top)])
        if rest in versions and rest[i] == seen[i]:
            arrives(rest, delta, "an operation")
    if counts is not None:
        counts.histories += 1
        counts.deliveries += deliveries
