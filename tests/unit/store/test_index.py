"""Intervals and prefixes, against trying every key."""

from __future__ import annotations

from itertools import product

from ringleader.store.commands import Put, Range, RangeResult
from ringleader.store.index import KeyIndex, interval, prefix_of
from unit.store.helpers import Log

BYTES = (b"\0", b"a", b"b", b"\xfe", b"\xff")
KEYS = sorted(b"".join(parts) for length in (1, 2, 3) for parts in product(BYTES, repeat=length))


def test_a_prefix_is_recognised_only_when_the_interval_holds_just_its_keys() -> None:
    short = [key for key in KEYS if len(key) < 3]
    for low, high in product(short, [None, *short]):
        held = [key for key in KEYS if key >= low and (high is None or key < high)]
        prefix = prefix_of(low, high)
        if prefix is not None:
            assert held == [key for key in KEYS if key.startswith(prefix)], (low, high)
    known = {(b"a", b"b"): b"a", (b"a\xff", b"b"): b"a\xff", (b"a\xfe", b"a\xff"): b"a\xfe", (b"\xff", None): b"\xff"}
    known[b"\0", None] = b""  # no key is empty, so this is every key
    assert {pair: prefix_of(*pair) for pair in known} == known


def test_scans_and_counts() -> None:
    index = KeyIndex(KEYS)
    for low, range_end in product(KEYS[::7], [b"", *KEYS[::9]]):
        start, end = interval(low, range_end)
        held = [key for key in KEYS if key >= start and (end is None or key < end)]
        assert list(index.scan(start, end)) == held
        assert list(index.scan(start, end, reverse=True)) == held[::-1]
        assert index.count(start, end) == len(held)


def test_a_limit_counts_what_the_filters_leave() -> None:
    log = Log()
    for key in (b"a", b"b", b"c", b"d", b"c", b"d", b"a"):
        log.do(Put(key, b""))
    result = log.store.read(Range(b"\0", b"\0", limit=2, max_mod_revision=7))
    assert isinstance(result, RangeResult)
    assert [kv.key for kv in result.kvs] == [b"b", b"c"]
    assert (result.count, result.more) == (4, True)
    result = log.store.read(Range(b"\0", b"\0", limit=1, min_mod_revision=7, sort_order="ascend"))
    assert isinstance(result, RangeResult)
    assert [kv.key for kv in result.kvs] == [b"a"]
    assert result.more
