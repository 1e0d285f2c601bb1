"""The words of a transaction: conditions on keys, and operations, that read as what they mean.

await db.kv.txn(
    compare=[key("config").version == 0],
    success=[op.put("config", "new")],
    failure=[op.get("config")],
)
"""

from __future__ import annotations

from collections.abc import Sequence

from ringleader.client.types import to_bytes, whole
from ringleader.errors import Reason, UsageError
from ringleader.store import commands as wire

__all__ = [
    "Condition",
    "Key",
    "Operation",
    "Subject",
    "check",
    "delete",
    "get",
    "key",
    "put",
    "range",
    "span",
    "txn",
]

LONGEST_KEY = 6 * 1024
"""Bytes: more than any key has, and so few that all reads that share a frame fit into it."""
Condition = wire.Compare
"""A condition of a transaction, made by `key(...)`."""
Operation = wire.Put | wire.Delete | wire.Range | wire.Txn
"""An operation of a transaction, made by `op.put`, `op.delete`, `op.get`, `op.range` or `op.txn`."""


def span(key: str | bytes, range_end: str | bytes | None, prefix: bool) -> tuple[bytes, bytes]:
    """The first key and the end of a range as the store wants them. Raises `UsageError` for what makes no sense."""
    first = _bounded(to_bytes(key, "key"))
    if prefix:
        if range_end is not None:
            message = "give either prefix=True or range_end, not both"
            raise UsageError(message, reason=Reason.INVALID_ARGUMENT)
        if not first:
            return b"\0", b"\0"
        stem = first.rstrip(b"\xff")
        return first, stem[:-1] + bytes([stem[-1] + 1]) if stem else b"\0"
    if not first:
        hint = 'Use prefix=True for all keys that begin with it ("" for all keys).'
        raise UsageError("a key must not be empty", reason=Reason.INVALID_ARGUMENT, hint=hint)
    return first, b"" if range_end is None else _bounded(to_bytes(range_end, "range end"))


def _bounded(key: bytes) -> bytes:
    """Refuse what no node would read to its end: the connection would break, and all that is under way on it with it."""
    if len(key) > LONGEST_KEY:
        message = f"a key of {len(key)} bytes: none is longer than {LONGEST_KEY}"
        raise UsageError(message, reason=Reason.TOO_LARGE)
    return key


class Subject:
    """One property of a key: compare it with `==`, `!=`, `<` or `>` to get a condition."""

    __slots__ = ("_end", "_key", "_target")
    __hash__ = None  # type: ignore[assignment]  # what compares to a condition has no place in a set or dict

    def __init__(self, key: bytes, range_end: bytes, target: str) -> None:
        self._key = key
        self._end = range_end
        self._target = target

    def _compare(self, op: str, value: object) -> Condition:
        if self._target == "value" and isinstance(value, str | bytes):
            return wire.Compare(self._key, "value", op, to_bytes(value, "value"), self._end)
        if self._target != "value" and isinstance(value, int):
            return wire.Compare(
                self._key, self._target, op, int(whole(value, f"the {self._target} of a key", -(1 << 63))), self._end
            )
        wanted = "str or bytes" if self._target == "value" else "an int"
        message = f"the {self._target} of a key is compared with {wanted}, not {type(value).__name__}"
        raise UsageError(message, reason=Reason.INVALID_ARGUMENT)

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]  # a condition, not a bool: see the class
        return self._compare("=", other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]  # a condition, not a bool: see the class
        return self._compare("!=", other)

    def __lt__(self, other: int | str | bytes) -> Condition:
        return self._compare("<", other)

    def __gt__(self, other: int | str | bytes) -> Condition:
        return self._compare(">", other)


class Key:
    """A key, or a range of keys (then a condition holds when every key there meets it), to make conditions of."""

    __slots__ = ("_end", "_key")

    def __init__(self, key: str | bytes, *, range_end: str | bytes | None = None, prefix: bool = False) -> None:
        self._key, self._end = span(key, range_end, prefix)

    @property
    def version(self) -> Subject:
        """How many puts since it was created; 0: it does not exist."""
        return Subject(self._key, self._end, "version")

    @property
    def value(self) -> Subject:
        """What it holds; a comparison with a key that does not exist is false."""
        return Subject(self._key, self._end, "value")

    @property
    def create_revision(self) -> Subject:
        """The revision at which it was created; 0: it does not exist."""
        return Subject(self._key, self._end, "create")

    @property
    def mod_revision(self) -> Subject:
        """The revision of its last put; 0: it does not exist."""
        return Subject(self._key, self._end, "mod")

    @property
    def lease(self) -> Subject:
        """The id of the lease it hangs on; 0: none."""
        return Subject(self._key, self._end, "lease")

    @property
    def exists(self) -> Condition:
        """The key exists."""
        return self.create_revision > 0

    @property
    def missing(self) -> Condition:
        """The key does not exist."""
        return self.create_revision == 0


def key(name: str | bytes, *, range_end: str | bytes | None = None, prefix: bool = False) -> Key:
    """The key to make conditions of: `key("a").version == 0`, `key("a").exists`."""
    return Key(name, range_end=range_end, prefix=prefix)


def put(key: str | bytes, value: str | bytes, *, lease: int = 0, prev_kv: bool = False) -> Operation:
    """Set a key."""
    return wire.Put(span(key, None, False)[0], to_bytes(value, "value"), whole(lease, "lease"), prev_kv)


def delete(
    key: str | bytes, *, range_end: str | bytes | None = None, prefix: bool = False, prev_kv: bool = False
) -> Operation:
    """Delete a key or a range of keys."""
    first, end = span(key, range_end, prefix)
    return wire.Delete(first, end, prev_kv)


def get(key: str | bytes) -> Operation:
    """Read a key."""
    return wire.Range(span(key, None, False)[0])


def range(key: str | bytes, *, range_end: str | bytes | None = None, prefix: bool = False, limit: int = 0) -> Operation:
    """Read a range of keys."""
    first, end = span(key, range_end, prefix)
    return wire.Range(first, end, limit=whole(limit, "limit"))


def txn(
    *, compare: Sequence[Condition] = (), success: Sequence[Operation] = (), failure: Sequence[Operation] = ()
) -> Operation:
    """A transaction within a transaction."""
    return wire.Txn(list(compare), list(success), list(failure))


def check(compare: Sequence[object], success: Sequence[object], failure: Sequence[object]) -> None:
    """Raise `UsageError` when a transaction is not made of conditions and operations (a common slip: `get(...) == 1`)."""
    for condition in compare:
        if not isinstance(condition, wire.Compare):
            message = f"a condition is made by key(...), for instance key('a').version == 0, not {condition!r}"
            raise UsageError(message, reason=Reason.INVALID_ARGUMENT)
    for operation in (*success, *failure):
        if not isinstance(operation, wire.Put | wire.Delete | wire.Range | wire.Txn):
            message = f"an operation is made by op.put, op.get, op.delete, op.range or op.txn, not {operation!r}"
            raise UsageError(message, reason=Reason.INVALID_ARGUMENT)
