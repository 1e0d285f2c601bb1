"""A short hunt with hostile bytes; `tools/fuzz_crdt.py` goes on for as long as you like."""

from __future__ import annotations

import random

import pytest

from crdtkit.fuzz import attack, attack_sync, corpus, mutate, mutate_sync, reseal, sync_message
from ringleader.crdt import DecodeError, Delta, Limits, ORMap, ORSet, ReplicaContext
from ringleader.crdt.wire import seal


def test_hostile_bytes_are_refused_or_harmless() -> None:
    rng = random.Random(20)
    messages = corpus(rng)
    for message in messages:
        assert attack(message)
    accepted = sum(attack(mutate(rng, rng.choice(messages))) for _ in range(6000))
    assert 0 < accepted < 3000


def test_hostile_synchronisation_messages_are_refused_or_harmless() -> None:
    rng = random.Random(21)
    assert attack_sync(rng, sync_message(rng))
    accepted = sum(attack_sync(rng, mutate_sync(rng, sync_message(rng))) for _ in range(3000))
    assert 0 < accepted < 1500


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no replicated state"),
        (b"RLC", "no replicated state"),
        (b"XXXX\x01\x01\x01\x01\x01\x01", "no replicated state"),
        (b"RLC\x02\x90\x00\x00\x00\x00", "format 2 is not known"),
        (b"RLC\x01\x90\x00\x00\x00\x00", "checksum"),
        (reseal(b"\x91" * 50_000), "not msgpack"),
        (reseal(b"\xdd\xff\xff\xff\xff"), "not msgpack"),
        (reseal(b"\x90"), "array of five"),
        (seal([999, [], [], None, None]), "no replicated type has the tag 999"),
        (seal([10, [b"a", b"a"], [1, 1], None, [True, [], []]]), "not distinct"),
        (seal([10, [b"a"], [0], None, [True, [], []]]), "out of range"),
        (seal([12, [], None, None, [True, []]]), "does not match"),
        (seal([10, [b"a"], [1], [2], [True, [], []]]), "ends before it begins"),
        (seal([10, [b"a"], [1], None, [True, ["x"], [2]]]), "beyond the message's version"),
        (seal([10, [b"a"], [1], None, [True, ["x", "x"], [1, 1]]]), "twice"),
        (seal([10, [b"a"], [1], None, [True, [{}], [1]]]), "no replicated value"),
        (seal([10, [b"a"], [1], None, [True, ["x"], [[]]]]), "empty cell"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        Delta.decode(data)


def test_limits() -> None:
    root = ORSet[int](ReplicaContext("a"))
    root.update(range(100))
    with pytest.raises(DecodeError, match="at most 50"):
        Delta.decode(root.encode(), Limits(bytes=50))
    with pytest.raises(DecodeError, match="more than 20 items"):
        Delta.decode(root.encode(), Limits(items=20))
    nested = ORMap[str, ORMap](ReplicaContext("a"))  # type: ignore[type-arg]  # the type of maps in maps has no end
    inner = nested
    for _ in range(10):
        inner = inner.create("k", ORMap)
    assert Delta.decode(nested.encode())
    with pytest.raises(DecodeError, match="more than 5 deep"):
        Delta.decode(nested.encode(), Limits(depth=5))


def test_a_state_is_not_a_delta() -> None:
    root = ORSet[int](ReplicaContext("a"))
    root.add(1)
    before = root.version
    root.add(2)
    with pytest.raises(DecodeError, match="a delta, not a state"):
        ORSet.decode(root.delta_since(before).encode())
    with pytest.raises(DecodeError, match="cannot be joined into ORMap"):
        ORMap().apply(root.encode())
