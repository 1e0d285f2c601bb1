"""One random run of a world under a bad network, and everything that must hold in it. Also what seeded bugs are
hunted with.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from crdtkit.kinds import Kind
from crdtkit.world import World, clean
from ringleader.clock import Stability, VersionVector
from ringleader.crdt import CausalBuffer, Crdt, Delta, GapError

# (action, three small numbers)
Script = Sequence[tuple[str, int, int, int]]
ACTIONS = ("do", "do", "do", "pull", "send", "deliver", "deliver", "drop", "whole", "stabilize")


def random_script(rng: random.Random, length: int) -> list[tuple[str, int, int, int]]:
    """A script of `length` actions."""
    return [(rng.choice(ACTIONS), rng.randrange(60), rng.randrange(60), rng.randrange(60)) for _ in range(length)]


def run(kind: Kind, script: Script, *, garbage: bool = False) -> None:
    """Run a script; raises `AssertionError` as soon as a law is broken.

    Messages are sent as bytes from what the sender believes of the receiver, delivered late, twice, in any order, or
    never; each replica is compared with the specification whenever it changes. `garbage`: also drop what is causally
    stable.
    """
    # With two replicas, much more becomes stable.
    world = World(kind, 2 if garbage and len(script) % 2 else 3)
    size = len(world.replicas)
    operations: list[Delta] = []
    mail: list[tuple[int, Delta]] = []
    snapshots: list[Delta] = []
    believed: dict[tuple[int, int], VersionVector] = {}
    names = [root._doc.me or b"" for root in world.replicas]
    stable = [Stability([name for name in names if name != own]) for own in names]
    for root in world.replicas:
        list(root.ops())
    for action, x, y, z in script:
        i, j = x % size, y % size
        root = world.replicas[i]
        if action == "do":
            before = root.delta_since(None)
            version = root.version
            if world.do(i, kind.ops[z % len(kind.ops)]):
                made = list(root.ops())
                assert len(made) == 1, "one operation, one delta"
                operations += made
                check_delta(kind, before, version, made[0], root)
            world.check(i)
        elif action == "pull" and i != j:
            assert root.merge(world.replicas[j]) or root._doc.version.covers(world.replicas[j]._doc.version)
            world.check(i)
        elif action == "send" and i != j:
            known = (VersionVector(), world.replicas[j].version, believed.get((i, j), VersionVector()))[z % 3]
            delta = clean(root.delta_since(known))
            believed[(i, j)] = known.join(delta.upto)  # as if it had arrived
            mail.append((j, delta))
        elif action == "deliver" and mail:
            to, delta = mail[z % len(mail)] if y % 3 else mail.pop(z % len(mail))
            receive(world.replicas[to], delta)
            world.check(to)
        elif action == "drop" and mail:
            mail.pop(z % len(mail))
        elif action == "whole" and i != j:
            state = clean(root.delta_since(None))
            snapshots.append(state)
            world.replicas[j].apply(state)
            world.check(j)
        elif action == "stabilize" and garbage:
            for j in range(size):
                if j != i:
                    me = world.replicas[j]._doc.me
                    assert me is not None
                    stable[i].acknowledge(me, world.replicas[j].version)
            root.stabilize(stable[i].stable(root.version))
            world.check(i)
    if not garbage:
        merge_laws(kind, [*snapshots[-2:], *(root.delta_since(None) for root in world.replicas)])
        operation_based(kind, operations, world, random.Random(len(script)))
    for _ in range(2):
        for root in world.replicas:
            for other in world.replicas:
                root.merge(other)
    for i in range(size):
        world.check(i)
    if not garbage:
        states = {root.encode() for root in world.replicas}
        assert len(states) == 1, "equal versions, different bytes"
        again = kind.make(None)
        again.apply(Delta.decode(states.pop()))
        assert again.encode() == world.replicas[0].encode(), "decode(encode) is not the same"
        assert again.value == world.replicas[0].value
    else:
        for i, root in enumerate(world.replicas):
            root.stabilize(root.version)
            world.check(i)
        assert len({root.encode() for root in world.replicas}) == 1, "equal after everything is stable"


def receive(root: Crdt, delta: Delta) -> None:
    """Apply; a gap must be refused, name what is missing, and change nothing."""
    before = root._doc.version.copy()
    fits = delta.since is None or before.covers(delta.since)
    refused: GapError | None = None
    try:
        root.apply(delta)
    except GapError as error:
        refused = error
    if refused is None:
        assert fits, "a delta was joined over a gap"
    else:
        assert not fits
        assert refused.missing == before.missing(delta.since or VersionVector())
        assert root._doc.version == before


def check_delta(kind: Kind, before: Delta, version: VersionVector, delta: Delta, after: Crdt) -> None:
    """The delta of an operation, joined to the state before it, is the state after it."""
    root = kind.make(None)
    root.apply(before)
    root.apply(clean(delta))
    assert delta.since is not None
    assert version.covers(delta.since)
    assert root.encode() == after.encode(), "state + delta of the operation is not the state after the operation"


def merge_laws(kind: Kind, states: list[Delta]) -> None:
    """Merging is associative, commutative and idempotent, has the empty state as unit, and only grows."""

    def joined(*parts: Delta) -> Delta:
        root = kind.make(None)
        for part in parts:
            root.apply(part)
        return root.delta_since(None)

    a, b, c = states[0], states[1], states[-1]
    assert joined(a, b).encode() == joined(b, a).encode(), "merging is not commutative"
    assert joined(joined(a, b), c).encode() == joined(a, joined(b, c)).encode(), "merging is not associative"
    assert joined(a, a).encode() == joined(a).encode() == a.encode(), (
        "merging is not idempotent, or the unit is no unit"
    )
    both = joined(a, b)
    assert joined(both, a).encode() == both.encode(), "a merge does not contain what was merged"
    assert both.upto.covers(a.upto), "the version shrank"


def operation_based(kind: Kind, operations: list[Delta], world: World, rng: random.Random) -> None:
    """All operations through a causal buffer, in any order and twice, give the merged state."""
    target = kind.make(None)
    buffer = CausalBuffer(target)
    deliveries = [*operations, *operations]
    rng.shuffle(deliveries)
    for operation in deliveries:
        buffer.receive(operation if rng.random() < 0.5 else operation.encode())
    assert len(buffer) == 0
    assert buffer.missing() == {}
    merged = kind.make(None)
    for root in world.replicas:
        merged.merge(root)
    assert target.encode() == merged.encode(), "operations and states disagree"


def broken_laws(kind: Kind, scripts: int, seed: int = 1) -> Any:
    """The first failure in a number of random scripts, or None."""
    rng = random.Random(seed)
    for index in range(scripts):
        try:
            run(kind, random_script(rng, 8 + index % 56), garbage=index % 2 == 1)
        except Exception as error:
            return error
    return None
