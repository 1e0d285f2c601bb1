"""Replicas that talk: the façade, styles, journal, identities, and bytes that stay."""

from __future__ import annotations

import copy
import os
import pickle
import random
from typing import Any

import pytest

import ringleader
from ringleader.clock import Stability
from ringleader.crdt import (
    CausalBuffer,
    LWWRegister,
    ORMap,
    ORSet,
    Replica,
    ReplicaContext,
    RWSet,
)
from ringleader.crdt.document import Document
from ringleader.errors import NotAppliedError, UsageError
from unit.crdt.apikit import Cart, ctx


def pair() -> tuple[Replica[ORSet[int]], Replica[ORSet[int]]]:
    rng = random.Random(5)
    one, two = (Replica(ORSet[int], entropy=rng, wall=lambda: 0) for _ in range(2))
    return one, two


def test_two_messages_bring_both_sides_together() -> None:
    one, two = pair()
    one.root.add(1)
    two.root.add(2)
    first = one.ask("two")
    second = two.answer(first)
    assert one.finish("two", second)
    assert one.root.value == two.root.value == {1, 2}
    one.root.add(3)
    third = one.ask("two")
    assert len(third) < len(first) + 80
    two.answer(third)  # the answer is lost
    two.answer(third)  # and the question comes twice
    assert two.root.value == {1, 2, 3}
    assert one.finish("two", two.answer(one.ask("two")))


def test_a_peer_that_lost_its_memory_is_brought_up_in_the_next_round() -> None:
    one, two = pair()
    one.root.add(1)
    one.finish("two", two.answer(one.ask("two")))
    one.root.add(2)
    _, amnesic = pair()
    answer = amnesic.answer(one.ask("two"))
    assert amnesic.root.value == frozenset()
    one.finish("two", answer)
    amnesic.answer(one.ask("two"))
    assert amnesic.root.value == {1, 2}


def test_the_facade_copies_under_a_new_identity() -> None:
    one, _ = pair()
    one.root.add(1)
    for twin in (copy.copy(one), copy.deepcopy(one)):
        assert twin.identity != one.identity
        twin.root.add(2)
    with pytest.raises(UsageError, match="not pickled"):
        pickle.dumps(one)


def test_a_forked_process_writes_under_another_identity() -> None:
    made = ringleader.replica(ORSet[str])
    made.root.add("parent")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            made.root.add("child")
            os.write(writer, made.root.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    made.root.add("parent again")
    assert made.receive(data)
    assert made.root.value == {"parent", "child", "parent again"}
    assert not made.alarms


def test_the_causal_buffer_is_bounded_and_says_what_is_missing() -> None:
    a, b = ORSet[int](ctx("a")), ORSet[int]()
    list(a.ops())
    for i in range(5):
        a.add(i)
    ops = list(a.ops())
    buffer = CausalBuffer(b, limit=3)
    for op in (ops[4], ops[2], ops[1]):
        assert buffer.receive(op) == 0
    assert buffer.missing() == {b"a": [(1, 1), (4, 4)]}
    with pytest.raises(NotAppliedError, match="already wait"):
        buffer.receive(ops[3])
    assert buffer.receive(ops[0]) == 3
    assert buffer.receive(ops[3]) == 2
    assert b.encode() == a.encode()


def test_the_outbox_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nobody takes the operations, they become one delta: nothing is lost, and no write is refused."""
    monkeypatch.setattr("ringleader.crdt.document.OUTBOX", 3)
    root, peer = ORSet[int](ctx()), ORSet[int]()
    list(root.ops())
    for i in range(10):
        root.add(i)
        root.discard(i - 1)
    waiting = list(root.ops())
    assert len(waiting) <= 3
    for op in waiting:
        peer.apply(op.encode())
    assert peer.encode() == root.encode()


def test_a_copy_remembers_the_stamps_it_has_seen() -> None:
    """Else a write after a restart could be stamped before what it overwrites, and lose to what that had beaten."""
    ahead = LWWRegister[str](ReplicaContext("a", lambda: 100_000))
    ahead.set("one")
    copy_ = LWWRegister[str].decode(ahead.encode())
    copy_.adopt(ReplicaContext("b", lambda: 95_000))
    copy_.set("two")
    middle = LWWRegister[str](ReplicaContext("c", lambda: 97_000))
    middle.set("beaten by one")
    copy_.merge(middle)
    assert copy_.value == "two"
    assert copy_.fork().delta_since().stamp == copy_.delta_since().stamp
    far_behind = LWWRegister[str].decode(ahead.encode())
    far_behind.adopt(ReplicaContext("d", lambda: 0))
    far_behind.set("still writable")
    assert far_behind._cell[0][2] >> 16 <= 60_001, "but no further ahead of its own clock than allowed"


def test_a_delta_costs_what_changed() -> None:
    root, peer = ORSet[int](ctx("a")), ORSet[int](ctx("b"))
    root.update(range(10_000))
    peer.merge(root)
    root.add(-1)
    root.discard(5)
    delta = root.delta_since(peer.version)
    assert not delta.whole
    assert len(delta.encode()) < 60
    peer.apply(delta.encode())
    assert peer.encode() == root.encode()


def test_a_journal_that_has_forgotten_gives_the_whole_state() -> None:
    root, peer = ORSet[int](ctx("a")), ORSet[int](ctx("b"))
    root._doc.journal.limit = 5000
    root.add(0)
    peer.merge(root)
    for i in range(20_000):
        root.add(i)
    root.discard(0)
    delta = root.delta_since(peer.version)
    assert delta.whole
    peer.apply(delta)
    assert peer.encode() == root.encode()
    assert not root.delta_since(root.version).whole
    assert root.delta_since(root.version).empty


def test_stable_history_leaves_the_journal() -> None:
    a, b = RWSet[int](ctx("a")), RWSet[int](ctx("b"))
    members = Stability([b"b"])
    for i in range(50):
        a.add(i)
        a.discard(i)
    b.merge(a)
    members.acknowledge(b"b", b.version)
    a.stabilize(members.stable(a.version))
    assert a.encode() == RWSet.decode(a.encode()).encode()
    assert len(a._cells) == 0
    with pytest.raises(UsageError, match="ahead of our own"):
        a.stabilize(b.version.join({b"zz": 1}))


def test_identities_are_checked() -> None:
    wrong: Any
    for wrong in ("", b"x" * 65, 5):
        with pytest.raises(UsageError, match="an identity is"):
            ReplicaContext(wrong)
    root = ORSet[int](ctx("a"))
    root.add(1)
    assert isinstance(root._doc, Document)
    with pytest.raises(UsageError, match="no replicated type"):
        ORMap(ctx("b"), int)  # type: ignore[type-var]  # wrong on purpose


def test_golden_bytes() -> None:
    """The format is a promise: these bytes were written by format 1 and must be read, and written again, for ever."""
    cart = Cart(ReplicaContext("a", lambda: 1000))
    cart.items["apple"] += 2
    cart.owner.set("ann")
    cart.tags.add("vip")
    assert cart.encode().hex() == GOLDEN
    assert Cart.decode(bytes.fromhex(GOLDEN)).value == cart.value


GOLDEN = (
    "524c43019514"  # RLC, format 1, an array of five, tag 20
    "91c401619107c0"  # replicas [a], upto [7], a whole state
    "92c39395a56974656d730c9201ce03e80000c392c39195a56170706c65029202ce03e80001c392c3919303020395a56f776e6572049204ce03"
    "e80003c39305ce03e80002a3616e6e95a4746167730a9206ce03e80004c393c391a37669709107"
    "c0fa8560"  # CRC-32C
)
