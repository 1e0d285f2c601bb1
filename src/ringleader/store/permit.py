"""Which right each call needs: the one table of permissions, asked for every command, read and watch.

A transaction needs the rights of everything in it, compares and both branches, at every depth, so that nothing is learned
from which way it went. A call that the table does not know needs the capability `cluster`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ringleader.errors import Reason
from ringleader.store.auth import NODE, Auth, Caller, Rights
from ringleader.store.auth_ops import (
    AuthDisable,
    AuthEnable,
    AuthStatus,
    ExpireTokens,
    RoleAdd,
    RoleDelete,
    RoleGrant,
    RoleList,
    RoleRevoke,
    TokenAdd,
    TokenList,
    TokenRevoke,
    UserAdd,
    UserDelete,
    UserGrant,
    UserList,
    UserPassword,
    UserRevoke,
)
from ringleader.store.commands import (
    Delete,
    ExpireLeases,
    Failure,
    LeaseGrant,
    LeaseInfo,
    LeaseKeepAlive,
    LeaseList,
    LeaseRevoke,
    Put,
    RaiseVersion,
    Range,
    SessionClose,
    SessionOpen,
    Txn,
)
from ringleader.store.index import interval
from ringleader.store.lease import Leases
from ringleader.store.refusal import show

__all__ = ["Permit"]

Rule = Callable[["_Ask", Any], str]
"""What is missing, in words, or ""."""


class _Ask:
    """One caller before the rules."""

    __slots__ = ("_asked", "auth", "caller", "leases", "rights")

    def __init__(self, auth: Auth, leases: Leases, caller: Caller, rights: Rights) -> None:
        self.auth = auth
        self.leases = leases
        self.caller = caller
        self.rights = rights
        self._asked: dict[tuple[int, bool], str] = {}

    def read(self, key: bytes, range_end: bytes) -> str:
        return "" if self.rights.read.cover(*interval(key, range_end)) else f"read {_span(key, range_end)}"

    def write(self, key: bytes, range_end: bytes) -> str:
        return "" if self.rights.write.cover(*interval(key, range_end)) else f"write {_span(key, range_end)}"

    def has(self, capability: str) -> str:
        return "" if capability in self.rights.capabilities else f"the capability {capability!r}"

    def leasing(self) -> str:
        """Whoever may write anything may have leases."""
        return "" if self.rights.write else self.has("lease")

    def lease_keys(self, lease_id: int, writing: bool) -> str:
        """The right to all that hangs on a lease; which keys these are is not told.

        A lease without keys is its owner's alone: by hanging a key of his own on it, somebody else could keep the owner from
        his lease, and ending it would end whatever it was made for. Looked up once for a whole transaction: it may name the
        lease in each of its puts.
        """
        missing = self._asked.get((lease_id, writing))
        if missing is None:
            rights = self.rights.write if writing else self.rights.read
            lease = self.leases.by_id.get(lease_id)
            keys = lease.keys if lease is not None else None
            # As a rule all of them lie within one right, which is seen from the first and the last.
            lacks = keys and not (
                rights.cover(min(keys), max(keys) + b"\0") or all(rights.cover(key, key + b"\0") for key in keys)
            )
            if writing and lease is not None and not keys and lease.owner not in ("", self.caller.user):
                missing = f"lease {lease_id}, which was granted to another user"
            else:
                missing = f"all keys of lease {lease_id}" if lacks else ""
            self._asked[lease_id, writing] = missing
        return missing


def _first(missing: Iterable[str]) -> str:
    return next((each for each in missing if each), "")


def _put(ask: _Ask, op: Put) -> str:
    return (
        ask.write(op.key, b"")
        or (ask.read(op.key, b"") if op.prev_kv else "")
        or (ask.lease_keys(op.lease, writing=True) if op.lease else "")
    )


def _delete(ask: _Ask, op: Delete) -> str:
    return ask.write(op.key, op.range_end) or (ask.read(op.key, op.range_end) if op.prev_kv else "")


def _txn(ask: _Ask, op: Txn) -> str:
    compares = (ask.read(compare.key, compare.range_end) for compare in op.compares)
    return _first(compares) or _first(RULES[type(each)](ask, each) for each in (*op.success, *op.failure))


def _hold_lease(ask: _Ask, op: LeaseRevoke | LeaseKeepAlive) -> str:
    return ask.leasing() or ask.lease_keys(op.id, writing=True)


def _lease_info(ask: _Ask, op: LeaseInfo) -> str:
    return ask.leasing() or (ask.lease_keys(op.id, writing=False) if op.keys else "")


def _of_own(ask: _Ask, user: str) -> str:
    """What users may do for themselves, unless they came by a token, which must not make itself last."""
    if user == ask.caller.user and ask.caller.principal.endswith(("/password", "/certificate")):
        return ""
    return ask.has("auth")


def _token_revoke(ask: _Ask, op: TokenRevoke) -> str:
    token = ask.auth.tokens.get(op.id)
    return "" if token is not None and token.user == ask.caller.user else ask.has("auth")


def _anyone(ask: _Ask, op: object) -> str:
    return ""


def _auth(ask: _Ask, op: object) -> str:
    return ask.has("auth")


def _cluster(ask: _Ask, op: object) -> str:
    return ask.has("cluster")


def _nobody(ask: _Ask, op: object) -> str:
    return "to be the leader itself"


RULES: dict[type, Rule] = {
    Put: _put,
    Delete: _delete,
    Range: lambda ask, op: ask.read(op.key, op.range_end),
    Txn: _txn,
    LeaseGrant: lambda ask, op: ask.leasing(),
    LeaseRevoke: _hold_lease,
    LeaseKeepAlive: _hold_lease,
    LeaseInfo: _lease_info,
    LeaseList: lambda ask, op: ask.leasing(),
    SessionOpen: _anyone,
    SessionClose: _anyone,
    ExpireLeases: _nobody,
    ExpireTokens: _nobody,
    RaiseVersion: _nobody,
    AuthStatus: _anyone,
    UserPassword: lambda ask, op: _of_own(ask, op.name),
    TokenAdd: lambda ask, op: _of_own(ask, op.user),
    TokenRevoke: _token_revoke,
    TokenList: lambda ask, op: "" if op.user == ask.caller.user else ask.has("auth"),
    **dict.fromkeys(
        (
            AuthEnable,
            AuthDisable,
            UserAdd,
            UserDelete,
            UserGrant,
            UserRevoke,
            RoleAdd,
            RoleDelete,
            RoleGrant,
            RoleRevoke,
            UserList,
            RoleList,
        ),
        _auth,
    ),
}
"""By type of call. Compaction, hashes and whatever is not named here need `cluster`."""


class Permit:
    """Answers for one store whether a caller may do something, by the rules as they are now."""

    __slots__ = ("auth", "leases")

    def __init__(self, auth: Auth, leases: Leases) -> None:
        self.auth = auth
        self.leases = leases

    def refusal(self, caller: Caller, op: object) -> Failure | None:
        """Why `caller`, whose login holds, may not do `op`; `None` when it may."""
        return self._decide(caller, RULES.get(type(op), _cluster), op)

    def watch_refusal(self, caller: Caller, key: bytes, range_end: bytes) -> Failure | None:
        """As `refusal`, for a watch of `key` or [key, range_end)."""
        return self._decide(caller, lambda ask, _: ask.read(key, range_end), None)

    def _decide(self, caller: Caller, rule: Rule, op: object) -> Failure | None:
        auth = self.auth
        if not auth.enabled or caller == NODE:
            return None
        rights = auth.rights(caller.user)
        if rights.root and rule is not _nobody:
            return None
        missing = rule(_Ask(auth, self.leases, caller, rights), op)
        if not missing:
            return None
        return Failure(Reason.PERMISSION_DENIED, f"the user {caller.user!r} lacks the right: {missing}")


def _span(key: bytes, range_end: bytes) -> str:
    if not range_end:
        return show(key)
    return f"[{show(key)}, {'the end' if range_end == bytes(1) else show(range_end)})"
