"""Snapshots: the same bytes for the same state, damage is found, and nothing depends on the order of hashes."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from ringleader.store.chunks import split
from ringleader.store.commands import (
    Batch,
    Compact,
    Delete,
    Envelope,
    Failure,
    HashKv,
    HashKvResult,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseRevoke,
    Put,
    Range,
    SessionOpen,
    Txn,
)
from ringleader.store.refusal import compacted
from ringleader.store.restoring import Restorer
from ringleader.store.snapshot import pieces
from ringleader.store.store import Store
from unit.store.helpers import Log


def story() -> Log:
    log = Log()
    log.do(SessionOpen())
    log.do(LeaseGrant(5000))
    log.do(LeaseGrant(5000, 1000))
    for number in range(40):
        log.time_ms += 10
        log.calls(1, number, (number, Put(b"key%d" % (number % 17), b"%d" % number, number % 2, prev_kv=True)))
    log.do(Compact(12))
    log.do(Delete(b"key1", b"key2", prev_kv=True))
    log.do(Txn([], [Put(b"key10", b"again"), Delete(b"key3")]))
    log.do(LeaseRevoke(1))
    return log


def test_the_same_state_gives_the_same_bytes_and_hashes_at_every_revision() -> None:
    log = story()
    data = log.store.snapshot()
    other = Store()
    other.restore(data)
    assert other.snapshot() == data
    for revision in range(log.store.compact_revision, log.store.revision + 1):
        assert other.hash_kv(revision) == log.store.hash_kv(revision)
    assert len({log.store.hash_kv(revision) for revision in range(12, log.store.revision + 1)}) > 20
    now = log.store.read(HashKv())
    assert now == HashKvResult(log.store.revision, log.store.hash_kv(), log.store.revision, 12)


def test_a_pinned_snapshot_is_the_same_whatever_happens_while_it_is_written() -> None:
    for seed in range(40):
        chance = random.Random(seed)
        log = story()
        for _ in range(chance.randrange(60)):
            disturb(log, chance)
        whole = log.store.snapshot()
        pin = log.store.pin()
        parts = []
        for piece in pieces(pin):
            parts.append(piece)
            for _ in range(chance.randrange(30)):
                disturb(log, chance)
            log.store.trim()
        pin.release()
        assert b"".join(parts) == whole, seed
        while log.store.trim(3):
            pass
        again = Store()
        again.restore(log.store.snapshot())
        for revision in range(max(log.store.compact_revision, 1), log.store.revision + 1):
            assert again.hash_kv(revision) == log.store.hash_kv(revision)


def disturb(log: Log, chance: random.Random) -> None:
    """Something that changes keys, leases, sessions or history."""
    key = b"key%d" % chance.randrange(25)
    match chance.randrange(8):
        case 0 | 1 | 2:
            log.do(Put(key, chance.randbytes(3), chance.choice((0, 0, 1000))))
        case 3:
            log.do(Delete(key))
        case 4:
            log.do(Txn([], [Put(key, b"t"), Delete(key + b"0", key + b"9")]))
        case 5:
            log.do(Delete(key, key + b"\xff"))
        case 6:
            log.do(Compact(chance.randint(log.store.compact_revision, log.store.revision)))
        case 7:
            log.do(LeaseKeepAlive(1000))
            log.calls(1, log.store.applied, (log.store.applied + 100, Put(key, b"s")))


def test_a_snapshot_pauses_often_however_long_the_history_of_a_key_is() -> None:
    log = Log()
    log.do(Put(b"a", b"first"))
    log.do(Put(b"b", b"first"))
    for number in range(5000):
        log.do(Put(b"b", b"%d" % number))
        if number == 50:
            log.do(Compact(40))
    pin = log.store.pin()
    found = list(pieces(pin))
    pin.release()
    assert found.count(b"") >= 5000 // 256
    assert b"".join(found) == log.store.snapshot()


def test_a_chunk_is_cut_by_bytes_too() -> None:
    log = Log()
    for number in range(20):
        log.do(Put(b"%d" % number, bytes(100_000)))
    pin = log.store.pin()
    assert max(map(len, pieces(pin))) < 300_000
    pin.release()


def test_a_state_is_let_go_in_parts_and_watches_go_on_after() -> None:
    log = story()
    data = log.store.snapshot()
    watcher = log.store.watches.create(b"\0", b"\0", 0, False, False, False)
    assert not isinstance(watcher, Failure)
    steps = 0
    while log.store.unload(5):
        steps += 1
    assert steps > 3
    restorer = Restorer(log.store.limits)
    for piece in split(data):
        restorer.feed(piece)
    log.store.adopt(restorer.finish())
    assert not log.store.unloaded
    assert log.store.snapshot() == data
    log.do(Put(b"new", b"1"))
    (found,) = log.store.watches.ready()
    answer = log.store.watches.poll(found, 1000)
    assert not isinstance(answer, Failure)
    assert [event.kv.key for event in answer[1]] == [b"new"]


def test_compaction_frees_in_parts_and_shows_in_nothing() -> None:
    log = story()
    same = Store()
    same.restore(log.store.snapshot())
    for _ in range(7000):
        log.do(Put(b"k", b"v"))
    first = log.store.revision - 10
    log.do(Compact(first))
    assert log.store.read(Range(b"k", revision=first - 1)) == compacted(first - 1, first)
    before = log.store.snapshot()
    trimmed = 0
    while log.store.trim():
        trimmed += 1
    assert trimmed
    assert log.store.snapshot() == before


def test_a_hash_of_the_past_is_the_hash_it_had_then() -> None:
    log = Log()
    then = []
    for number in range(10):
        log.do(Put(b"k%d" % (number % 3), b"%d" % number))
        then.append(log.store.hash_kv())
    log.do(Delete(b"k0", b"\0"))
    assert [log.store.hash_kv(revision) for revision in range(2, 12)] == then


def test_every_damaged_byte_and_every_cut_is_found() -> None:
    log = Log()
    log.do(SessionOpen())
    log.do(LeaseGrant(5000))
    log.calls(1, 1, (1, Put(b"a", b"1", 1)))
    data = log.store.snapshot()
    store = story().store
    before = store.snapshot()
    for at in range(len(data)):
        with pytest.raises(ValueError, match="snapshot"):
            store.restore(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
        with pytest.raises(ValueError, match="snapshot"):
            store.restore(data[:at])
    with pytest.raises(ValueError, match="1 bytes follow"):
        store.restore(data + b"x")
    assert store.snapshot() == before


def test_a_snapshot_of_a_later_release_is_not_taken() -> None:
    data = bytearray(Store().snapshot())
    data[11] = 9
    with pytest.raises(ValueError, match="version 9"):
        Store().restore(bytes(data))


def test_what_watchers_and_results_hold_is_not_shared_with_a_restored_store() -> None:
    log = story()
    other = Store()
    other.restore(log.store.snapshot())
    log.do(Delete(b"key0", b"\0"))
    assert other.read(HashKv()) != log.store.read(HashKv())
    other.apply(other.applied + 1, Batch(1, 0, [Envelope(1, 0, 0, [(1, Delete(b"key0", b"\0"))])]))
    assert other.snapshot() == log.store.snapshot()


def test_nothing_depends_on_the_order_of_hashes() -> None:
    code = "import sys; from unit.store.test_snapshot import story; sys.stdout.buffer.write(story().store.snapshot())"
    found = set()
    for seed in ("0", "1", "424242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        found.add(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment).stdout)
    assert found == {story().store.snapshot()}
