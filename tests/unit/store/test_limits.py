"""Everything is bounded: what is too large, too many or nonsense is refused, changes nothing, and says what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from ringleader.errors import Reason
from ringleader.store.codec import ENCODER, MAX_DEPTH, decode_batch, decode_commands, decode_reads, encode_batch
from ringleader.store.commands import (
    Batch,
    Command,
    Compact,
    Compare,
    Delete,
    Failure,
    HashKv,
    LeaseGrant,
    LeaseInfo,
    LeaseInfoResult,
    LeaseKeepAlive,
    LeaseRevoke,
    Put,
    Range,
    RangeResult,
    Read,
    SessionClose,
    SessionOpen,
    Txn,
    TxnResult,
)
from ringleader.store.limits import Limits
from ringleader.store.store import Store
from unit.store.helpers import Log


def nested(depth: int, inside: Put | Range) -> Txn:
    txn = Txn([], [inside])
    for _ in range(depth - 1):
        txn = Txn([], [txn])
    return txn


PUTS: list[Put | Delete | Range | Txn] = [Put(b"%d" % number, b"") for number in range(129)]

REFUSED: list[tuple[Command, Reason, str]] = [
    (Put(b"", b"v"), Reason.INVALID_ARGUMENT, "key is empty"),
    (Put(b"k" * 101, b"v"), Reason.TOO_LARGE, "longer than 100 bytes"),
    (Put(b"k", b"v" * 1001), Reason.TOO_LARGE, "1001 bytes; 1000 are allowed"),
    (Put(b"k", b"v", 77), Reason.LEASE_NOT_FOUND, "no lease 77"),
    (Put(b"new", ignore_value=True, value=b""), Reason.KEY_NOT_FOUND, "no key 'new'"),
    (Put(b"k", b"v", ignore_value=True), Reason.INVALID_ARGUMENT, "also that it be ignored"),
    (Put(b"k", b"", 1, ignore_lease=True), Reason.INVALID_ARGUMENT, "also that it be ignored"),
    (Delete(b""), Reason.INVALID_ARGUMENT, "key is empty"),
    (Txn([], PUTS), Reason.TOO_MANY_OPERATIONS, "128 are allowed"),
    (Txn([Compare(b"k", "mod", "=", 0)] * 129), Reason.TOO_MANY_OPERATIONS, "128 are allowed"),
    (Txn([], [Txn([], [], PUTS)]), Reason.TOO_MANY_OPERATIONS, "128 are allowed"),
    (Txn([], [Txn([], PUTS[:100]), Txn([], PUTS[:100])]), Reason.TOO_MANY_OPERATIONS, "more than 200"),
    (nested(17, Put(b"k", b"")), Reason.TOO_MANY_OPERATIONS, "nest deeper than 16"),
    (Txn([], [Put(b"k%d" % n, bytes(1000)) for n in range(4)]), Reason.TOO_LARGE, "larger than 3000 bytes"),
    (Txn([Compare(b"", "mod", "=", 0)]), Reason.INVALID_ARGUMENT, "empty"),
    (Txn([Compare(b"k", "mood", "=", 0)]), Reason.INVALID_ARGUMENT, "'mood'"),
    (Txn([Compare(b"k", "mod", "~", 0)]), Reason.INVALID_ARGUMENT, "'~'"),
    (Txn([Compare(b"k", "mod", "=", b"0")]), Reason.INVALID_ARGUMENT, "needs int"),
    (Txn([Compare(b"k", "value", "=", 0)]), Reason.INVALID_ARGUMENT, "needs bytes"),
    (Txn([], [Range(b"k", sort_order="up")]), Reason.INVALID_ARGUMENT, "'up'"),
    (Txn([], [Range(b"k", revision=99)]), Reason.FUTURE_REVISION, "99"),
    (Txn([], [Put(b"x", b""), Put(b"x", b"")]), Reason.DUPLICATE_KEY, "'x'"),
    (Txn([], [Put(b"x", b""), Delete(b"a", b"\0")]), Reason.DUPLICATE_KEY, "'x'"),
    (Txn([], [Delete(b"x"), Txn([], [], [Put(b"x", b"")])]), Reason.DUPLICATE_KEY, "'x'"),
    (Txn([], [Txn([], [Put(b"x", b"")]), Txn([], [Delete(b"x")])]), Reason.DUPLICATE_KEY, "'x'"),
    (Txn([], [Put(b"first", b""), Put(b"x", b"", 77)]), Reason.LEASE_NOT_FOUND, "77"),
    (Compact(99), Reason.FUTURE_REVISION, "99"),
    (Compact(-1), Reason.COMPACTED, "-1"),
    (LeaseGrant(0), Reason.INVALID_ARGUMENT, "0 ms"),
    (LeaseGrant(10**18), Reason.INVALID_ARGUMENT, "1000000000000000000 ms"),
    (LeaseGrant(1000, -1), Reason.INVALID_ARGUMENT, "-1"),
    (LeaseGrant(1000, 1 << 63), Reason.INVALID_ARGUMENT, "2**63"),
    (LeaseGrant(1000, 1), Reason.LEASE_EXISTS, "lease 1"),
    (LeaseGrant(1000), Reason.OVERLOADED, "3 leases"),
    (LeaseRevoke(9), Reason.LEASE_NOT_FOUND, "9"),
    (LeaseKeepAlive(9), Reason.LEASE_NOT_FOUND, "9"),
    (SessionOpen(), Reason.OVERLOADED, "2 sessions"),
    (SessionClose(), Reason.INVALID_ARGUMENT, "session"),
]


@pytest.fixture
def log() -> Log:
    limits = Limits(
        key_bytes=100, value_bytes=1000, request_bytes=3000, result_bytes=2000, txn_total=200, leases=3, sessions=2
    )
    log = Log(limits)
    for number in range(3):
        log.do(LeaseGrant(60_000))
        log.do(Put(b"k%d" % number, bytes(900), 1))
    log.do(SessionOpen())
    log.do(SessionOpen())
    return log


@pytest.mark.parametrize(("command", "reason", "text"), REFUSED)
def test_refused(log: Log, command: Command, reason: Reason, text: str) -> None:
    failure = log.refused(command)
    assert failure.reason == reason
    assert text in failure.message
    assert not failure.unknown


def test_a_result_that_grows_too_large_undoes_its_transaction(log: Log) -> None:
    """Creations, overwrites, deletes, revivals and leases are all taken back."""
    log.do(Delete(b"k2"))
    history = log.store.revision
    ops: list[Put | Delete | Range | Txn] = [
        Put(b"k0", b"other"),
        Put(b"new", b"", 2),
        Delete(b"k1"),
        Put(b"k2", b"alive again", 1),
        Txn([], [Range(b"\0", b"\0"), Put(b"k9", bytes(900))]),
        *[Range(b"k9")] * 3,
    ]
    assert log.refused(Txn([], ops)).reason == Reason.TOO_LARGE
    assert log.keys() == [b"k0", b"k1"]
    leases = [log.store.read(LeaseInfo(lease, True)) for lease in (1, 2)]
    assert [one.keys for one in leases if isinstance(one, LeaseInfoResult)] == [[b"k0", b"k1"], []]
    assert log.keys(history - 1) == [b"k0", b"k1", b"k2"]
    del ops[5:]
    result = log.do(Txn([], ops))
    assert isinstance(result, TxnResult)
    assert log.keys() == [b"k0", b"k2", b"k9", b"new"]
    log.do(Put(b"k8", bytes(900)))
    log.do(Put(b"k7", bytes(900)))
    assert log.refused(Delete(b"k0", b"\0", prev_kv=True)).reason == Reason.TOO_LARGE


def test_reads_are_refused_alike(log: Log) -> None:
    reads: list[tuple[Read, Reason]] = [
        (Range(b""), Reason.INVALID_ARGUMENT),
        (Range(b"k", sort_target="size"), Reason.INVALID_ARGUMENT),
        (Range(b"k", revision=999), Reason.FUTURE_REVISION),
        (HashKv(999), Reason.FUTURE_REVISION),
        (Txn([], [], [Txn([], [Put(b"k", b"")])]), Reason.INVALID_ARGUMENT),
        (nested(17, Range(b"k")), Reason.TOO_MANY_OPERATIONS),
        (Txn([], [Range(b"k0")] * 3), Reason.TOO_LARGE),
        (Range(b"k", b"l"), Reason.TOO_LARGE),
    ]
    for read, reason in reads:
        result = log.store.read(read)
        assert isinstance(result, Failure), read
        assert result.reason == reason
    write: Any = Put(b"k", b"")
    assert isinstance(log.store.read(write), Failure)
    assert isinstance(log.store.read(Range(b"\0", b"\0", keys_only=True)), RangeResult)
    with pytest.raises(ValueError, match="999"):
        log.store.hash_kv(999)


def test_watches_are_refused_alike() -> None:
    hub = Store(Limits(watches=1)).watches
    empty = hub.create(b"", b"", 0, False, False, False)
    assert isinstance(empty, Failure)
    assert not isinstance(hub.create(b"a", b"", 0, False, False, False), Failure)
    second = hub.create(b"b", b"", 0, False, False, False)
    assert isinstance(second, Failure)
    assert second.reason == Reason.OVERLOADED


def test_the_deepest_transaction_that_can_be_sent_can_be_decoded_on_every_member() -> None:
    raw = ENCODER.encode([(1, nested(MAX_DEPTH, Put(b"k", b"")))])
    [(_, txn)] = decode_commands(raw)
    assert isinstance(txn, Txn)
    batch = decode_batch(encode_batch(Batch(1, 0, [])))
    assert batch.envelopes == []
    with pytest.raises(ValueError, match="nest deeper"):
        decode_commands(ENCODER.encode([(1, nested(MAX_DEPTH + 1, Put(b"k", b"")))]))
    with pytest.raises(ValueError, match="nest deeper"):
        decode_reads(ENCODER.encode([nested(MAX_DEPTH + 1, Range(b"k"))]))
    # By hand: deeper than any encoder here would go.
    bottomless = b"\x91\x92\x01" + b"\x94\x04\x90\x91" * 100_000
    with pytest.raises(ValueError, match="not a list of numbered commands"):
        decode_commands(bottomless)


@pytest.mark.parametrize(
    "raw", [b"", b"\xc1", b"\x90\x90", b"\x91\x92\x01\x91\x63", b"\x91\x92\x01\x93\x01\x61a\xc4\x00"]
)
def test_garbage_is_refused_by_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not a "):
        decode_commands(raw)
    with pytest.raises(ValueError, match="not a "):
        decode_reads(raw)
    with pytest.raises(ValueError, match="not a "):
        decode_batch(raw)


def test_a_batch_of_a_later_format_is_not_taken() -> None:
    with pytest.raises(ValueError, match="format version 2"):
        decode_batch(ENCODER.encode(Batch(2, 0, [])))


def test_leases_that_have_ended_are_not_remembered_for_ever() -> None:
    """Also where nobody asks what is due: only a leader does."""
    log = Log()
    for number in range(10):
        log.do(LeaseGrant(50_000 + number, 1 + number))
    for number in range(5_000):
        log.do(LeaseGrant(1 << 40, 100 + number % 3))
        log.do(LeaseRevoke(100 + number % 3))
    assert len(log.store._leases._heap) < 2_000
    log.do(LeaseGrant(1 << 40, 100))
    assert log.store.due_leases(50_004) == [1, 2, 3, 4, 5]
    assert log.store.due_leases(1 << 39) == list(range(1, 11))
