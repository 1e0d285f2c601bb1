"""The ketama ring against an independent one, and jump and Redis slots against published numbers."""

from __future__ import annotations

import hashlib

import pytest
from uhashring import HashRing

from ringleader.errors import UsageError
from ringleader.placement import JumpHash, KetamaRing, PartitionTable, jump, plan, redis_slot


def test_100_000_keys_go_where_uhashring_sends_them() -> None:
    names = [f"10.0.0.{i}:11211" for i in range(1, 21)]
    ours, theirs = KetamaRing(names), HashRing(names, hash_fn="ketama")
    for i in range(100_000):
        assert ours.owner(f"key:{i}").name == theirs.get_node(f"key:{i}")


def test_100_000_keys_go_where_libmemcached_sends_them() -> None:
    """Recorded from pylibmc 1.6.3 (libmemcached 1.0.16), behaviour `ketama_weighted`, against 20 servers on loopback.

    Each server noted the keys it was asked for; the digest is of one byte a key, the index of its server.
    """
    names = [f"127.0.0.1:{port}" for port in range(21201, 21221)]
    ring = KetamaRing(names)
    asked = bytes(names.index(ring.owner(f"key:{i}").name) for i in range(100_000))
    assert list(asked[:20]) == [15, 17, 13, 14, 17, 1, 12, 4, 18, 11, 10, 17, 18, 6, 13, 19, 7, 12, 17, 16]
    digest = "362feb2e3d653af552e250779413dda4711a05b47ccb182295a8909a228d51cf"
    assert hashlib.sha256(asked).hexdigest() == digest


def test_weighted_ketama_is_uhashrings_too() -> None:
    weights = {"cache-a": 1, "cache-b": 2, "cache-c": 5, "cache-d": 1}
    ours, theirs = KetamaRing(weights), HashRing(weights, hash_fn="ketama")
    for i in range(20_000):
        assert ours.owner(f"k{i}").name == theirs.get_node(f"k{i}")
    with pytest.raises(UsageError, match="'tiny'"):
        KetamaRing({"tiny": 1e-6, "big": 1})


def test_ketama_diffs_are_exact_ranges_of_its_own_circle() -> None:
    ring = KetamaRing(["a", "b", "c"])
    diff = ring.diff(ring.add("d"))
    assert diff.exact
    assert diff.space == 1 << 32
    for move in diff.moves:
        for start, end in move.ranges:
            assert ring.nodes[ring.owner_index(start)].name == move.source
            assert ring.add("d").nodes[ring.add("d").owner_index(end - 1)].name == move.target


def test_jump_gives_the_published_buckets() -> None:
    # From the C++ function printed in the paper (Lamping and Veach, arXiv:1406.2294), figure 1.
    import jump as c_jump

    for h in (0, 1, 0xDEADBEEF, 2**64 - 1, 256, 10863919174838991, 2711331844442424):
        for buckets in (1, 2, 7, 100, 1023, 65_000):
            assert jump(h, buckets) == c_jump.hash(h, buckets)


def test_only_the_last_jump_node_can_go() -> None:
    p = JumpHash(["a", "b", "c"])
    assert [n.name for n in p.remove("c", "b").nodes] == ["a"]
    with pytest.raises(UsageError, match=r"'b' is not the last one.*Memento"):
        p.remove("b")


def test_redis_slots() -> None:
    # Redis Cluster specification: CRC16("123456789") is 0x31C3; hash tags hash only what is in the first braces.
    assert redis_slot("123456789") == 0x31C3 % 16384
    assert redis_slot("foo") == 12182
    assert redis_slot(b"{user1000}.following") == redis_slot("{user1000}.followers") == redis_slot("user1000")
    assert redis_slot("foo{}{bar}") == redis_slot(b"foo{}{bar}") != redis_slot("bar")
    assert redis_slot("foo{{bar}}zap") == redis_slot("{bar")
    assert redis_slot(123456789) == redis_slot("123456789")
    table = plan(None, ["a", "b", "c"], partitions=1024).table
    assert isinstance(table, PartitionTable)
    assert table.partition_of_redis("foo") == 12182 >> 4
    assert table.row(1023)
    assert table.redis_slots(12182 >> 4) == range(12176, 12192)
    assert sum(len(table.redis_slots(p)) for p in range(1024)) == 16384
    assert all(redis_slot(f"k{i}") in table.redis_slots(table.partition_of_redis(f"k{i}")) for i in range(300))
    with pytest.raises(UsageError, match="from 0 to 1023, not 1024"):
        table.redis_slots(1024)
    with pytest.raises(UsageError, match="do not fill 32768"):
        plan(None, ["a"], partitions=1 << 15, copies=1).table.redis_slots(0)
