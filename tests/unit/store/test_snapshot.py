"""Snapshots: the same bytes for the same state, damage is found, and nothing depends on the order of hashes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ringleader.store.commands import (
    Batch,
    Compact,
    Delete,
    Envelope,
    HashKv,
    HashKvResult,
    LeaseGrant,
    LeaseRevoke,
    Put,
    SessionOpen,
    Txn,
)
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
    assert other.snapshot() == data == b"".join(log.store.snapshot_chunks())
    for revision in range(log.store.compact_revision, log.store.revision + 1):
        assert other.hash_kv(revision) == log.store.hash_kv(revision)
    assert len({log.store.hash_kv(revision) for revision in range(12, log.store.revision + 1)}) > 20
    now = log.store.read(HashKv())
    assert now == HashKvResult(log.store.revision, log.store.hash_kv(), log.store.revision, 12)


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
