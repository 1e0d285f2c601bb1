"""The bytes of a text: canonical, and safe to read from a stranger."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from ringleader.clock.version import VersionVector
from ringleader.crdt import DecodeError, Delta, ReplicaContext
from ringleader.crdt.text import Text
from ringleader.crdt.text.oplog import BACKSPACE, DELETE, INSERT, OpLog
from ringleader.crdt.wire import seal
from ringleader.errors import RingleaderError
from unit.crdt_text.harness import Session


def test_runs_are_joined_the_same_however_the_events_come_in() -> None:
    """The greedy joining depends on the events alone: whole runs, cut runs, single events give the same columns."""
    for seed in range(400):
        rng = random.Random(seed)
        events: list[tuple[int, int]] = []
        at = 3
        for _ in range(rng.randint(1, 14)):
            kind = rng.choice((INSERT, DELETE, DELETE))
            at = max(0, at + rng.choice((0, 0, -1, 1))) if kind == DELETE else at + rng.choice((0, 1))
            events.append((kind, at))
        single = OpLog()
        for kind, position in events:
            single.push(kind, position, 1, "x" if kind == INSERT else "")
        for _ in range(4):
            cut = OpLog()
            lv = 0
            while lv < len(events):  # take the runs of `single` in pieces of random length
                kind, position, _, count = next(single.runs(lv, min(len(events), lv + rng.randint(1, 4))))
                cut.push(kind, position, count, "x" * count if kind == INSERT else "")
                lv += count
            assert (cut.starts, cut.kinds, cut.positions, cut.contents) == (
                single.starts,
                single.kinds,
                single.positions,
                single.contents,
            )


def test_truncating_a_log_takes_back_exactly_the_end() -> None:
    for kind in (INSERT, DELETE, BACKSPACE):
        for keep in (1, 2):
            log = OpLog()
            log.push(kind, 5, keep, "ab"[:keep] if kind == INSERT else "")
            log.graph.add(b"a", 1, keep, ())
            before = (list(log.starts), bytes(log.kinds), list(log.positions), list(log.contents), log.end)
            at = {INSERT: 5 + keep, DELETE: 5, BACKSPACE: 5 - keep}[kind]
            log.push(kind, at, 2, "cd" if kind == INSERT else "")
            log.graph.add(b"a", keep + 1, 2, (keep - 1,))
            log.truncate(keep, (keep - 1,))
            assert before == (list(log.starts), bytes(log.kinds), list(log.positions), list(log.contents), log.end)
            assert len(log.graph) == keep


def sample() -> Text:
    running = Session(7, 3)
    for _ in range(60):
        running.step()
    running.settle()
    text = running.texts[0]
    assert len(text) > 5
    return text


def body_of(text: Text) -> list[Any]:
    body: list[Any] = msgspec.msgpack.decode(text.encode()[4:-4])
    return body


def test_the_documented_layout() -> None:
    t = Text(ReplicaContext("ann"))
    t.insert(0, "hi there")
    t.delete(3, 2)
    t.insert(0, ">")
    chains, runs, positions, content, base, snapshot = body_of(t)[4]
    assert chains == [0, 1, 11, 0]
    assert runs == [8 * 3 + INSERT, 2 * 3 + DELETE, 1 * 3 + INSERT]
    assert positions == [0, 3 - 8, 0 - 3]
    assert (content, base, snapshot) == ("hi there>", None, ">hi ere")


def test_damaged_bytes_are_refused_or_read_never_a_crash() -> None:
    data = sample().encode()
    rng = random.Random(3)
    refused = 0
    for _ in range(1500):
        broken = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        del broken[len(broken) - rng.choice((0, 0, 0, 1, 9)) :]
        try:
            Text.decode(bytes(broken))
        except DecodeError:
            refused += 1
    assert refused > 1400, "the checksum found hardly anything"


def mutated(value: Any, rng: random.Random) -> Any:
    """A copy of a decoded body with one thing changed, anywhere inside."""
    if isinstance(value, list) and value and rng.random() < 0.93:
        copy = list(value)
        at = rng.randrange(len(copy))
        copy[at] = mutated(copy[at], rng)
        if rng.random() < 0.06:
            del copy[at]
        elif rng.random() < 0.06:
            copy.insert(at, copy[at])
        return copy
    if type(value) is int and rng.random() < 0.8:
        return value + rng.choice((-3, -1, 1, 2, 3, 1 << 20, 1 << 45, -(1 << 45)))
    return rng.choice((None, -1, 0, 1, "x", "", b"y", [], [0], True, 2.5, 1 << 63))


def test_well_formed_lies_are_refused_or_harmless() -> None:
    """Valid checksums, wrong content: decoding, merging and reading on must raise our errors or work."""
    rng = random.Random(5)
    text = sample()
    body = body_of(text)
    honest = Text()
    honest.merge(text)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(3000):
        data = seal(mutated(body, rng))
        reader = Text()
        try:
            reader.apply(data)
            str(reader)
            reader.encode()
            target = honest.fork(ReplicaContext("z"))
            before = (target.encode(), str(target))
            try:
                target.apply(data)
            except RingleaderError:
                assert (target.encode(), str(target)) == before, "a refused message changed something"
            target.insert(0, "z")
            assert target.verify()
            outcomes["read"] += 1
        except RingleaderError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 1000, outcomes


def delta(chains: list[int], runs: list[int], positions: list[int], content: str, n: int, since: int | None) -> bytes:
    return seal(
        [Text.tag, [b"m"], [n], None if since is None else [since], [chains, runs, positions, content, None, None]]
    )


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (delta([0, 1, 2, 0], [6], [5], "ab", 2, 0), "beyond the end"),
        (delta([0, 1, 1, 0], [4], [0], "", 1, 0), "beyond the end"),
        (delta([0, 1, 1 << 37, 0], [(1 << 37) * 3 + DELETE], [0], "", 1 << 37, 0), "beyond the end"),
        (delta([0, 2, 1, 1, 1], [3], [0], "a", 2, 0), "claims we have"),
        (delta([0, 1, 3, 0], [6], [0], "ab", 3, 0), "3 events but 2 operations"),
        (delta([0, 1, 2, 0], [8], [0], "", 2, 0), "position is out of range"),
        (delta([0, 1, 9, 0], [6], [0], "ab", 2, 0), "beyond the message"),
        (delta([0, 1, 2, 0], [6], [0], "abc", 2, 0), "content does not match"),
        (delta([0, 1, 1, 0, 0, 1, 1, 0], [6], [0], "ab", 2, 0), "a chain is out of range"),
        (delta([0, 2, 1, 1, 3], [3], [0], "a", 3, 0), "builds on itself"),
    ],
)
def test_each_kind_of_lie_has_its_words(data: bytes, says: str) -> None:
    for reader in (Text(), Text(ReplicaContext("r"))):
        with pytest.raises(DecodeError) as caught:
            reader.apply(data)
        assert says in str(caught.value)
        assert str(reader) == ""
        assert reader.version == VersionVector()
        assert reader.verify()


def test_a_giant_claim_costs_nothing() -> None:
    """Sixty bytes that claim 2^37 removals: refused without allocating for them."""
    data = delta([0, 1, 1 << 37, 0], [(1 << 37) * 3 + DELETE], [0], "", 1 << 37, 0)
    assert len(data) < 80
    with pytest.raises(DecodeError):
        Text().apply(data)


def test_a_delta_joins_in_any_order_with_duplicates_once_gaps_are_filled() -> None:
    a = Text(ReplicaContext("a"))
    deltas = []
    for i in range(6):
        before = a.version
        a.insert(len(a) // 2, f"{i}:")
        deltas.append(a.delta_since(before).encode())
    for seed in range(40):
        rng = random.Random(seed)
        reader = Text()
        waiting = deltas * 2
        rng.shuffle(waiting)
        while waiting:
            for data in list(waiting):
                try:
                    reader.apply(data)
                    waiting.remove(data)
                except RingleaderError:
                    pass
        assert reader.encode() == a.encode()
    assert Delta.decode(deltas[0]).upto == {b"a": 2}
