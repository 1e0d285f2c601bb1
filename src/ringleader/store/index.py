"""The ordered side of the keyspace: which keys lie in an interval, in order.

Lookups of single keys go to a dict; this index is touched only when a key appears or disappears. Intervals are written
as etcd writes them: `(key, b"")` is one key, `(key, b"\\0")` everything from `key` on, else [key, range_end).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sortedcontainers import SortedList

__all__ = ["KeyIndex", "interval", "prefix_of"]


def interval(key: bytes, range_end: bytes) -> tuple[bytes, bytes | None]:
    """The half-open interval [low, high) that an operation means; `high` None is no upper end."""
    if not range_end:
        return key, key + b"\0"
    return key, None if range_end == b"\0" else range_end


def prefix_of(low: bytes, high: bytes | None) -> bytes | None:
    """The prefix whose keys are exactly those of [low, high), or None when the interval is not of that kind."""
    stem = low.rstrip(b"\xff")
    if high is None:
        if low == b"\0":
            return b""  # no key is empty, so this is every key
        return None if stem else low
    return low if stem and high == stem[:-1] + bytes([stem[-1] + 1]) else None


class KeyIndex:
    """A sorted set of keys."""

    __slots__ = ("_keys", "add", "remove")

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        self._keys = SortedList(keys)
        self.add = self._keys.add
        self.remove = self._keys.remove

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._keys)

    def scan(self, low: bytes, high: bytes | None, reverse: bool = False) -> Iterator[bytes]:
        """The keys of [low, high), in order. The index must not change while the iterator is in use."""
        if high is not None and high <= low:
            return iter(())
        keys: Iterator[bytes] = self._keys.irange(low, high, (True, False), reverse)
        return keys

    def after(self, key: bytes) -> Iterator[bytes]:
        """The keys above `key`, in order. The index must not change while the iterator is in use."""
        keys: Iterator[bytes] = self._keys.irange(key, None, (False, True))
        return keys

    def count(self, low: bytes, high: bytes | None) -> int:
        """How many keys lie in [low, high)."""
        if high is not None and high <= low:
            return 0
        end = len(self._keys) if high is None else self._keys.bisect_left(high)
        return int(end - self._keys.bisect_left(low))
