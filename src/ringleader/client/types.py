"""What calls return: small typed objects with bytes, and `.text` for those who keep text."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ringleader.errors import Reason, UsageError
from ringleader.store import commands as wire

__all__ = [
    "DeleteResult",
    "Event",
    "KeyValue",
    "LeaseInfo",
    "NodeStatus",
    "PutResult",
    "RangeResult",
    "Status",
    "TxnResult",
    "to_bytes",
    "to_text",
    "to_timeout_ms",
    "whole",
]

_MOST = (1 << 63) - 1
_LONGEST_TEXT = 1024


def to_bytes(value: object, what: str) -> bytes:
    """`value` as bytes, text as UTF-8. Raises `UsageError` for anything else, naming `what` it was meant for."""
    if type(value) is bytes:
        return value
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise _no_text(value, what) from None
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    message = f"a {what} is str or bytes, not {type(value).__name__}"
    raise UsageError(message, reason=Reason.INVALID_ARGUMENT, hint="Encode it first, for instance with json.dumps().")


def to_text(value: object, what: str) -> str:
    """`value` if it is text, not long, that can be written as UTF-8. Raises `UsageError` naming `what` it was meant for."""
    if not isinstance(value, str):
        raise UsageError(f"a {what} is str, not {type(value).__name__}", reason=Reason.INVALID_ARGUMENT)
    if len(to_bytes(value, what)) > _LONGEST_TEXT:
        message = f"a {what} of {len(value):,} characters: at most {_LONGEST_TEXT} bytes are allowed"
        raise UsageError(message, reason=Reason.TOO_LARGE)
    return value


def _no_text(value: str, what: str) -> UsageError:
    message = f"a {what} is UTF-8, or bytes; this str holds something else: {value[:64]!r}"
    return UsageError(message, reason=Reason.INVALID_ARGUMENT)


LONGEST = 9e9
"""Seconds: what the store grants a lease at most (285 years), and more than anybody waits."""


def to_timeout_ms(seconds: float, what: str) -> int:
    """A period in seconds as whole milliseconds. Raises `UsageError` when it is not a positive number up to `LONGEST`."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds <= LONGEST:
        message = f"{what} is a number of seconds above 0 and up to {LONGEST:,.0f}, not {seconds!r}"
        raise UsageError(message, reason=Reason.INVALID_ARGUMENT)
    return max(1, round(seconds * 1000))


def whole(value: int, what: str, least: int = 0) -> int:
    """`value` if it is an int from `least` to 2**63 - 1, as the store keeps them. Raises `UsageError` naming `what`."""
    if isinstance(value, int) and least <= value <= _MOST:
        return value
    shown = repr(value) if not isinstance(value, int) else f"{value:,}" if abs(value) < 1 << 80 else "a larger one"
    bounds = "an int from 0 to 2**63 - 1" if least == 0 else "an int of 64 bits"
    raise UsageError(f"{what} is {bounds}, not {shown}", reason=Reason.INVALID_ARGUMENT)


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    """A key as of some revision. `version` counts the puts since it was created; `lease` 0 means none."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0

    @property
    def text(self) -> str:
        """The value as text (UTF-8); raises `UnicodeDecodeError` when it is none."""
        return self.value.decode()

    @property
    def key_text(self) -> str:
        """The key as text (UTF-8); raises `UnicodeDecodeError` when it is none."""
        return self.key.decode()


class PutResult(msgspec.Struct, frozen=True, gc=False):
    """`revision`: the store's after the put. `previous`: what was there before, if it was asked for."""

    revision: int
    previous: KeyValue | None = None


class DeleteResult(msgspec.Struct, frozen=True):
    """`deleted`: how many keys. `previous`: what they held, if it was asked for."""

    revision: int
    deleted: int
    previous: list[KeyValue] = []


class RangeResult(msgspec.Struct, frozen=True):
    """Keys with values; iterate over it. `count`: how many the range holds. `more`: the limit cut the result.

    `revision`: the store's when it answered; watch from `revision + 1` to miss nothing that comes after.
    """

    revision: int
    items: list[KeyValue]
    count: int
    more: bool = False

    def __iter__(self) -> Iterator[KeyValue]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __bool__(self) -> bool:
        return bool(self.items)

    def __getitem__(self, index: int) -> KeyValue:
        return self.items[index]


class TxnResult(msgspec.Struct, frozen=True):
    """`succeeded`: whether all conditions held. `results`: one for each operation of the branch taken."""

    revision: int
    succeeded: bool
    results: list[PutResult | DeleteResult | RangeResult | TxnResult]


class Event(msgspec.Struct, frozen=True):
    """A change that a watch saw. `kind`: "put" or "delete" (then `value` is empty). `previous`: if it was asked for."""

    kind: str
    key: bytes
    value: bytes
    revision: int
    version: int
    create_revision: int
    lease: int = 0
    previous: KeyValue | None = None

    @property
    def deleted(self) -> bool:
        """Whether the key was deleted."""
        return self.kind == "delete"

    @property
    def text(self) -> str:
        """The value as text (UTF-8)."""
        return self.value.decode()

    @property
    def key_text(self) -> str:
        """The key as text (UTF-8)."""
        return self.key.decode()


class LeaseInfo(msgspec.Struct, frozen=True):
    """A lease. `ttl` and `remaining` in seconds; `keys`: those attached, if they were asked for."""

    id: int
    ttl: float
    remaining: float
    keys: list[bytes] = []


class NodeStatus(msgspec.Struct, frozen=True):
    """A node of the cluster, as the client knows it; addresses are "host:port"."""

    id: int
    name: str
    client: str
    http: str
    leader: bool


class Status(msgspec.Struct, frozen=True):
    """How the node that answered stands, and who else there is. `uptime` in seconds.

    `used_bytes` of `quota_bytes` (0: no limit) are used; `full`: puts are refused for lack of room. `consensus`: the protocol.
    """

    node: str
    node_id: int
    cluster: str
    release: str
    role: str
    term: int
    leader: int
    commit: int
    applied: int
    last_index: int
    revision: int
    compact_revision: int
    voters: list[int]
    learners: list[int]
    uptime: float
    nodes: list[NodeStatus]
    used_bytes: int = 0
    quota_bytes: int = 0
    full: bool = False
    consensus: str = ""


def key_value(kv: wire.KeyValue) -> KeyValue:
    """From the wire."""
    return KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def put_result(result: wire.PutResult) -> PutResult:
    """From the wire."""
    previous = result.prev_kv
    return PutResult(result.revision, None if previous is None else key_value(previous))


def delete_result(result: wire.DeleteResult) -> DeleteResult:
    """From the wire."""
    return DeleteResult(result.revision, result.deleted, [key_value(kv) for kv in result.prev_kvs])


def range_result(result: wire.RangeResult) -> RangeResult:
    """From the wire."""
    return RangeResult(result.revision, [key_value(kv) for kv in result.kvs], result.count, result.more)


def txn_result(result: wire.TxnResult) -> TxnResult:
    """From the wire."""
    parts: list[PutResult | DeleteResult | RangeResult | TxnResult] = []
    for part in result.results:
        if isinstance(part, wire.PutResult):
            parts.append(put_result(part))
        elif isinstance(part, wire.DeleteResult):
            parts.append(delete_result(part))
        elif isinstance(part, wire.RangeResult):
            parts.append(range_result(part))
        else:
            parts.append(txn_result(part))
    return TxnResult(result.revision, result.succeeded, parts)


def event(seen: wire.Event) -> Event:
    """From the wire."""
    kv, previous = seen.kv, seen.prev_kv
    return Event(
        "delete" if seen.deleted else "put",
        kv.key,
        kv.value,
        kv.mod_revision,
        kv.version,
        kv.create_revision,
        kv.lease,
        None if previous is None else key_value(previous),
    )
