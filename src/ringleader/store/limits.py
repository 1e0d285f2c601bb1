"""Every bound of the store in one place: what is larger is refused, by the same rule on every member.

The limits decide results, so all members of a group must have the same ones; they change only with the cluster version.
"""

from __future__ import annotations

import msgspec

__all__ = ["Limits"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one store. Sizes are in bytes, times in milliseconds of log time.

    `request_bytes` counts keys and values of a whole command, `result_bytes` those of a whole result. `txn_ops` bounds
    each list of a transaction, `txn_total` all operations and compares in its tree, `txn_depth` its nesting (1: flat).
    A lease shorter than `lease_ttl_min_ms` is granted that; a longer one than `lease_ttl_max_ms` is refused. A session
    idle for `session_ttl_ms` expires. A session may use the sequence numbers from its acknowledged one up to
    `session_window` above it; `session_bytes` and `sessions_bytes` bound what large results it and all sessions keep,
    `sessions_results` how many results of any size all sessions keep.
    `users`, `roles` (also of one user), `tokens` and `role_permissions` (of one role) bound what there is of these.
    """

    key_bytes: int = 4096
    value_bytes: int = 1024 * 1024
    request_bytes: int = 1536 * 1024
    result_bytes: int = 4 * 1024 * 1024
    txn_ops: int = 128
    txn_total: int = 1024
    txn_depth: int = 16
    leases: int = 100_000
    lease_ttl_min_ms: int = 1000
    lease_ttl_max_ms: int = 9_000_000_000_000
    sessions: int = 10_000
    session_ttl_ms: int = 60_000
    session_window: int = 4096
    session_bytes: int = 256 * 1024
    sessions_bytes: int = 64 * 1024 * 1024
    sessions_results: int = 500_000
    watches: int = 100_000
    members: int = 64
    users: int = 10_000
    roles: int = 1_000
    tokens: int = 10_000
    role_permissions: int = 1_000
