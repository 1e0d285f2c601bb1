"""The language of the store: every operation, its result, and the batch in which commands travel in the log.

All are msgspec structs encoded as msgpack arrays `[tag, field, ...]`; new fields are appended at the end with a default,
so that older readers tolerate them. Keys and values are bytes. Operations and revisions mean what they mean in etcd v3.
"""

from __future__ import annotations

from typing import final

import msgspec

from ringleader.errors import Reason
from ringleader.store.auth_ops import (
    AuthCommand,
    AuthRead,
    AuthResult,
    AuthStatusResult,
    RoleListResult,
    TokenListResult,
    UserListResult,
)
from ringleader.store.member_ops import (
    MemberCommand,
    MemberList,
    MemberListResult,
    MemberResult,
)

__all__ = [
    "Batch",
    "Command",
    "Compact",
    "CompactResult",
    "Compare",
    "Configure",
    "Delete",
    "DeleteResult",
    "Envelope",
    "Event",
    "ExpireLeases",
    "Failure",
    "HashKv",
    "HashKvResult",
    "KeyValue",
    "LeaseGrant",
    "LeaseInfo",
    "LeaseInfoResult",
    "LeaseKeepAlive",
    "LeaseList",
    "LeaseListResult",
    "LeaseResult",
    "LeaseRevoke",
    "Op",
    "Put",
    "PutResult",
    "RaiseVersion",
    "Range",
    "RangeResult",
    "Read",
    "Result",
    "SettingsQuery",
    "SnapshotPart",
    "SnapshotRead",
    "SettingsResult",
    "SessionClose",
    "SessionOpen",
    "SessionResult",
    "Txn",
    "TxnResult",
]


class KeyValue(msgspec.Struct, array_like=True, gc=False):
    """A key as of some revision. `version` counts the puts since it was created; `lease` 0 means none."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


class Event(msgspec.Struct, array_like=True, gc=False):
    """What a watcher sees: a put (`deleted` False) or a delete (then `kv` has only key and mod_revision)."""

    deleted: bool
    kv: KeyValue
    prev_kv: KeyValue | None = None


# ---------------------------------------------------------------------------------------------------- operations


@final
class Put(msgspec.Struct, array_like=True, gc=False, tag=1):
    """Set `key`. With `ignore_value` or `ignore_lease` the present one is kept (the key must exist)."""

    key: bytes
    value: bytes
    lease: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


@final
class Delete(msgspec.Struct, array_like=True, gc=False, tag=2):
    """Delete `key`, or all keys in [key, range_end). `range_end` b"\\0" means all keys from `key` on."""

    key: bytes
    range_end: bytes = b""
    prev_kv: bool = False


@final
class Range(msgspec.Struct, array_like=True, gc=False, tag=3):
    """Read `key`, or all keys in [key, range_end) (b"\\0": all from `key` on), as of `revision` (0: now).

    `sort_order`: "none" | "ascend" | "descend"; `sort_target`: "key" | "version" | "create" | "mod" | "value".
    `limit` 0 means no limit. The four revision bounds filter; `count` in the result counts what the range holds before
    the limit (and, as in etcd, before the revision filters).
    """

    key: bytes
    range_end: bytes = b""
    revision: int = 0
    limit: int = 0
    sort_order: str = "none"
    sort_target: str = "key"
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


class Compare(msgspec.Struct, array_like=True, gc=False):
    """A condition of a transaction, on one key or on all keys of a range (true when every key there meets it).

    `target`: "version" | "create" | "mod" | "value" | "lease"; `op`: "=" | "!=" | "<" | ">". A missing key compares as
    version, create, mod and lease 0; a value comparison with a missing key is false.
    """

    key: bytes
    target: str
    op: str
    value: int | bytes
    range_end: bytes = b""


@final
class Txn(msgspec.Struct, array_like=True, tag=4):
    """If all `compares` hold do `success`, else `failure`, at one revision. May nest; at most 128 operations a list.

    As in etcd, the compares of the whole tree are decided before anything is written; ranges see the writes before them.
    No key may be written twice on any way through the tree (DUPLICATE_KEY).
    """

    compares: list[Compare] = []
    success: list[Put | Delete | Range | Txn] = []
    failure: list[Put | Delete | Range | Txn] = []


class Compact(msgspec.Struct, array_like=True, gc=False, tag=5):
    """Forget history below `revision`: reads and watches from below it fail from now on; those at it do not."""

    revision: int


class LeaseGrant(msgspec.Struct, array_like=True, gc=False, tag=6):
    """Grant a lease of `ttl_ms`; `id` 0 lets the store choose."""

    ttl_ms: int
    id: int = 0


class LeaseRevoke(msgspec.Struct, array_like=True, gc=False, tag=7):
    """End a lease now and delete its keys, at one revision."""

    id: int


class LeaseKeepAlive(msgspec.Struct, array_like=True, gc=False, tag=8):
    """Start the lease's time anew."""

    id: int


class Configure(msgspec.Struct, array_like=True, gc=False, tag=30):
    """Change the cluster's settings (see `store.settings.Settings`); `None` leaves one as it is."""

    quota_bytes: int | None = None
    compaction: str | None = None
    retention_ms: int | None = None
    retention_revisions: int | None = None


class RaiseVersion(msgspec.Struct, array_like=True, gc=False, tag=32):
    """The leader's own command: the rules of cluster version `version` hold from here on (see `store.version`)."""

    version: int


class ExpireLeases(msgspec.Struct, array_like=True, gc=False, tag=9):
    """The leader's own command: end those of `ids` whose time is over by this batch's log time; others are left alone.

    Answered by a `LeaseListResult` with those that did end.
    """

    ids: list[int]


class SessionOpen(msgspec.Struct, array_like=True, gc=False, tag=10):
    """Open a client session, which makes retries of its commands safe."""


class SessionClose(msgspec.Struct, array_like=True, gc=False, tag=11):
    """Close the session that this command is part of; answered by a `SessionResult` with `ttl_ms` 0."""


class HashKv(msgspec.Struct, array_like=True, gc=False, tag=12):
    """A hash over everything visible at `revision` (0: now); equal on all members at the same revision."""

    revision: int = 0


class LeaseInfo(msgspec.Struct, array_like=True, gc=False, tag=13):
    """How long a lease has left, and on demand which keys it holds."""

    id: int
    keys: bool = False


class LeaseList(msgspec.Struct, array_like=True, gc=False, tag=14):
    """All lease ids."""


class SettingsQuery(msgspec.Struct, array_like=True, gc=False, tag=31):
    """The cluster's settings, and how much of the quota is used."""


class SnapshotRead(msgspec.Struct, array_like=True, gc=False, tag=33):
    """The next part of a back-up: `ticket` 0 begins one, as of now; then that ticket, and the offset reached."""

    ticket: int = 0
    offset: int = 0


Command = (
    Put
    | Delete
    | Txn
    | Compact
    | LeaseGrant
    | LeaseRevoke
    | LeaseKeepAlive
    | ExpireLeases
    | SessionOpen
    | SessionClose
    | Configure
    | RaiseVersion
    | AuthCommand
    | MemberCommand
)
"""What goes through the log. (A `Txn` of reads alone may be served as a read.)"""

Read = Range | Txn | HashKv | LeaseInfo | LeaseList | SettingsQuery | SnapshotRead | AuthRead | MemberList
"""What is answered from the state without going through the log."""

Op = Command | Range | HashKv | LeaseInfo | LeaseList | SettingsQuery | SnapshotRead | AuthRead | MemberList

# ------------------------------------------------------------------------------------------------------- results


class PutResult(msgspec.Struct, array_like=True, gc=False, tag=1):
    """`revision`: the store's after the put."""

    revision: int
    prev_kv: KeyValue | None = None


class DeleteResult(msgspec.Struct, array_like=True, gc=False, tag=2):
    """`revision` does not change when nothing was deleted."""

    revision: int
    deleted: int
    prev_kvs: list[KeyValue] = []


class RangeResult(msgspec.Struct, array_like=True, gc=False, tag=3):
    """`revision`: the store's now (not the one asked for). `more`: the limit cut the result."""

    revision: int
    kvs: list[KeyValue]
    count: int
    more: bool = False


class TxnResult(msgspec.Struct, array_like=True, tag=4):
    """`succeeded`: whether the compares held. `results`: one for each operation of the branch taken."""

    revision: int
    succeeded: bool
    results: list[PutResult | DeleteResult | RangeResult | TxnResult]


class CompactResult(msgspec.Struct, array_like=True, gc=False, tag=5):
    """History below the asked revision is gone."""

    revision: int


class LeaseResult(msgspec.Struct, array_like=True, gc=False, tag=6):
    """Of grant, revoke and keep-alive: the lease and its granted time."""

    revision: int
    id: int
    ttl_ms: int


class SessionResult(msgspec.Struct, array_like=True, gc=False, tag=10):
    """The session's number, for the client to send with every command."""

    session: int
    ttl_ms: int


class HashKvResult(msgspec.Struct, array_like=True, gc=False, tag=12):
    """`hash` covers everything visible at `hash_revision`."""

    revision: int
    hash: int
    hash_revision: int
    compact_revision: int


class LeaseInfoResult(msgspec.Struct, array_like=True, gc=False, tag=13):
    """`remaining_ms` is counted in log time; -1 when there is no such lease."""

    revision: int
    id: int
    ttl_ms: int
    remaining_ms: int
    keys: list[bytes] = []


class LeaseListResult(msgspec.Struct, array_like=True, gc=False, tag=14):
    """All lease ids, ascending."""

    revision: int
    ids: list[int]


class SettingsResult(msgspec.Struct, array_like=True, gc=False, tag=30):
    """The settings in force; `used_bytes` of the quota, `history_bytes` of them in past versions.

    `full`: puts are refused for lack of room.
    """

    revision: int
    quota_bytes: int
    compaction: str
    retention_ms: int
    retention_revisions: int
    used_bytes: int
    history_bytes: int
    full: bool


class SnapshotPart(msgspec.Struct, array_like=True, gc=False, tag=33):
    """`data` of a snapshot file, of the state at `revision`, from `offset` on; `done`: these are its last bytes."""

    revision: int
    ticket: int
    offset: int
    data: bytes
    done: bool


class Failure(msgspec.Struct, array_like=True, gc=False, tag=100):
    """The command was refused, by the same rule on every member, and changed nothing.

    `unknown`: whether the command ran earlier can no longer be told (its session expired, it was acknowledged before, or
    its result was too large to be kept).
    """

    reason: Reason
    message: str
    unknown: bool = False
    compact_revision: int = 0


Result = (
    PutResult
    | DeleteResult
    | RangeResult
    | TxnResult
    | CompactResult
    | LeaseResult
    | SessionResult
    | HashKvResult
    | LeaseInfoResult
    | LeaseListResult
    | SettingsResult
    | SnapshotPart
    | AuthResult
    | AuthStatusResult
    | UserListResult
    | RoleListResult
    | TokenListResult
    | MemberResult
    | MemberListResult
    | Failure
)

# --------------------------------------------------------------------------------------------------- in the log


class Envelope(msgspec.Struct, array_like=True):
    """Some commands of one client session as they stand in the log.

    `origin`: a number by which the node that took them in finds whom to answer. `session` 0: none, so nothing is
    remembered. `ack`: the client has the answers of all sequence numbers below it. `commands`: (sequence number, command).
    `principal` and `auth_revision`: on whose behalf, and as of which version of the rules (`store.auth.Caller`); said by
    the node that took the commands in, from the login of the connection, never by the client.
    """

    origin: int
    session: int
    ack: int
    commands: list[tuple[int, Command]]
    principal: str = ""
    auth_revision: int = 0


class Batch(msgspec.Struct, array_like=True):
    """The data of one log entry: envelopes in order, all at one log time (milliseconds, never going back)."""

    version: int
    time_ms: int
    envelopes: list[Envelope]
