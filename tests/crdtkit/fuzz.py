"""Hostile bytes for every decoder: mutated messages with a valid checksum, so that they get past the door."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from crdtkit.kinds import KINDS
from crdtkit.laws import random_script
from crdtkit.world import World
from ringleader.crdt import DecodeError, Delta, GapError, Limits, ORMap, ORSet, PNCounter, Replica, ReplicaContext
from ringleader.crdt.wire import seal
from ringleader.errors import RingleaderError, UsageError

LIMITS = Limits(bytes=1 << 20, items=100_000)
NASTY: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**63, 2**64 - 1, -(2**63), 1.5, float("nan"), float("inf"), "", "x", b"", b"\x00"),
    *([], [[]], {}, [None] * 3, "x" * 300, b"y" * 300),
]


def corpus(rng: random.Random) -> list[bytes]:
    """Some real messages of every type."""
    found = []
    for kind in KINDS:
        world = World(kind)
        for action, x, y, z in random_script(rng, 30):
            if action == "do":
                world.do(x % 3, kind.ops[z % len(kind.ops)])
            elif x % 3 != y % 3:
                world.replicas[x % 3].merge(world.replicas[y % 3])
        for root in world.replicas:
            found.append(root.encode())
            found.append(root.delta_since(world.replicas[0].version).encode())
    return found


def mutate(rng: random.Random, data: bytes) -> bytes:
    """One hostile relative of a message."""
    body = bytearray(data[4:-4])
    choice = rng.random()
    if choice < 0.15:
        return data[: rng.randrange(len(data) + 1)]
    if choice < 0.25:
        raw = bytearray(data)
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        return bytes(raw)
    if choice < 0.55:
        for _ in range(rng.randrange(1, 4)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        return reseal(bytes(body))
    if choice < 0.6:
        return reseal(bytes(body) * 2)
    if choice < 0.65:
        return reseal(b"\x91" * rng.randrange(1, 100_000))
    tree = msgspec.msgpack.decode(bytes(body))
    for _ in range(rng.randrange(1, 4)):
        tree = twist(rng, tree)
    try:
        return seal(tree)
    except (OverflowError, TypeError, RecursionError):
        return data


def reseal(body: bytes) -> bytes:
    """Any body with the right header and checksum."""
    sealed = seal([])
    header = sealed[:4]
    import google_crc32c

    whole = header + body
    return whole + int(google_crc32c.value(whole)).to_bytes(4, "big")


def twist(rng: random.Random, tree: Any) -> Any:
    """Replace, drop, repeat or swap something somewhere in a decoded message."""
    if not isinstance(tree, list) or not tree or rng.random() < 0.15:
        return rng.choice(NASTY)
    tree = list(tree)
    i = rng.randrange(len(tree))
    choice = rng.random()
    if choice < 0.6:
        tree[i] = twist(rng, tree[i])
    elif choice < 0.7:
        del tree[i]
    elif choice < 0.8:
        tree.insert(i, tree[i])
    elif choice < 0.9:
        j = rng.randrange(len(tree))
        tree[i], tree[j] = tree[j], tree[i]
    elif type(tree[i]) is int:
        tree[i] = tree[i] + rng.choice([-1, 1, 1 << 40])
    return tree


def attack(data: bytes) -> bool:
    """Decode, and join what decodes into a replica with content; returns whether it was accepted.

    Only our own errors may come out; what is accepted must be joinable, readable and have bytes that decode again.
    """
    try:
        delta = Delta.decode(data, LIMITS)
    except DecodeError:
        return False
    from ringleader.crdt import type_of

    root: Any = type_of(delta.tag)(ReplicaContext("victim"))
    if isinstance(root, ORMap):
        root.create("x", PNCounter).increment()
    before = root.encode()
    try:
        root.apply(delta)
    except (GapError, UsageError):
        assert root.encode() == before, "a refused delta changed something"
        delta.since = None
        try:
            root.apply(delta)
        except RingleaderError:
            return False
    assert root.value is not None or root.name == "LWWRegister"
    assert root.explain()
    again = type_of(delta.tag)(None)
    again.apply(Delta.decode(root.encode()))
    assert again.encode() == root.encode()
    return True


def sync_message(rng: random.Random) -> bytes:
    """The first message of a synchronisation, from a replica with some content."""
    made = Replica(ORSet[int], entropy=rng, wall=lambda: 0, limits=LIMITS)
    made.root.update(range(rng.randrange(5)))
    return made.ask("peer")


def mutate_sync(rng: random.Random, message: bytes) -> bytes:
    """One hostile relative of a synchronisation message: its own body twisted, or the delta in it."""
    versions, delta = msgspec.msgpack.decode(message[4:])
    choice = rng.random()
    if choice < 0.3:
        return message[: rng.randrange(len(message) + 1)]
    if choice < 0.6:
        body = bytearray(message)
        body[rng.randrange(len(body))] = rng.randrange(256)
        return bytes(body)
    if choice < 0.8:
        try:
            return message[:4] + msgspec.msgpack.encode(twist(rng, [versions, delta]))
        except (OverflowError, TypeError):
            return message
    return message[:4] + msgspec.msgpack.encode([versions, mutate(rng, delta)])


def attack_sync(rng: random.Random, message: bytes) -> bool:
    """Answer a message; returns whether it was accepted. Only our own errors may come out, and nothing may break."""
    victim = Replica(ORSet[int], entropy=rng, wall=lambda: 0, limits=LIMITS)
    victim.root.add(7)
    try:
        answer = victim.answer(message)
    except RingleaderError:
        assert victim.root.value == {7}
        return False
    peer = Replica(ORSet[int], entropy=rng, wall=lambda: 0)
    peer.finish("victim", answer)
    return True
