"""How a refusal becomes an error: the class says whether the write was applied, the hint what to do."""

from __future__ import annotations

from ringleader.errors import (
    NotAppliedError,
    OutcomeUnknownError,
    Reason,
    RingleaderError,
    UsageError,
)
from ringleader.store.auth_ops import (
    AuthDisable,
    AuthEnable,
    AuthStatus,
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
    Command,
    Compact,
    Configure,
    Delete,
    Failure,
    HashKv,
    LeaseGrant,
    LeaseInfo,
    LeaseKeepAlive,
    LeaseList,
    LeaseRevoke,
    Put,
    Range,
    Read,
    SettingsQuery,
    SnapshotRead,
    Txn,
)
from ringleader.store.member_ops import MemberAdd, MemberList, MemberPromote, MemberRemove, MemberTransfer

__all__ = ["USAGE_REASONS", "CompactedError", "describe", "failure_error", "hint_for", "refusal_error", "show_key"]

USAGE_REASONS = frozenset(
    {
        Reason.INVALID_ARGUMENT,
        Reason.TOO_LARGE,
        Reason.COMPACTED,
        Reason.FUTURE_REVISION,
        Reason.KEY_NOT_FOUND,
        Reason.LEASE_NOT_FOUND,
        Reason.LEASE_EXISTS,
        Reason.TOO_MANY_OPERATIONS,
        Reason.DUPLICATE_KEY,
        Reason.UNSUPPORTED,
        Reason.PERMISSION_DENIED,
        Reason.UNAUTHENTICATED,
        Reason.NAME_EXISTS,
        Reason.MEMBER_EXISTS,
        Reason.MEMBER_NOT_FOUND,
    }
)
"""Reasons that lie in the call: trying again elsewhere gives the same answer."""

_HINTS: dict[Reason, str] = {
    Reason.NO_LEADER: "A majority of the nodes must be up and reach each other: check `ringleader status`.",
    Reason.NOT_LEADER: "The cluster is electing a leader: try again in a moment.",
    Reason.UNREACHABLE: "Check that the nodes run and that the endpoints are right.",
    Reason.OVERLOADED: "Have fewer calls under way at once, or wait and try again.",
    Reason.NO_SPACE: "Delete keys, then `ringleader kv compact` (or wait); or raise it: `ringleader settings set --quota`.",
    Reason.CLOSED: "Open a new client with connect().",
    Reason.SESSION_EXPIRED: "Read the keys before you repeat the write.",
    Reason.CONNECTION_LOST: "Read the keys before you repeat the write.",
    Reason.COMPACTED: "Read the keys anew and watch from the revision that the read returns.",
    Reason.FUTURE_REVISION: "Use a revision that a call has returned.",
    Reason.LEASE_NOT_FOUND: "The lease expired or was revoked: grant a new one.",
    Reason.TOO_LARGE: "Split the value or the transaction, or read with a limit.",
    Reason.WRONG_CLUSTER: "These endpoints belong to another cluster: correct them, or open a new client.",
    Reason.PERMISSION_DENIED: "Ask for a role that has this right: `ringleader role grant`.",
    Reason.UNAUTHENTICATED: "Give a user name and password, a token, or a client certificate.",
    Reason.MEMBER_EXISTS: "Choose another name or address, or remove that member first.",
    Reason.MEMBER_NOT_FOUND: "See `ringleader cluster members`.",
    Reason.MEMBER_LAGS: "See `ringleader cluster members` for how far behind it is, and try again.",
    Reason.CHANGE_UNDER_WAY: "Try again when `ringleader cluster members` shows no change under way.",
    Reason.QUORUM_LOSS: "Bring the other members up, or add new ones, before you remove this one.",
    Reason.VERSION: "Use the same release of the client and of the nodes.",
}


def hint_for(reason: Reason) -> str:
    """The remedy for `reason`, one sentence, or ""."""
    return _HINTS.get(reason, "")


class CompactedError(UsageError):
    """History from before `compact_revision` (the oldest revision still there) was asked for and is gone."""

    compact_revision: int = 0

    def __reduce__(self) -> tuple[object, ...]:
        return (
            _rebuild_compacted,
            (type(self), self.message, self.reason, self.node, self.hint, self.compact_revision),
        )


def _rebuild_compacted(
    cls: type[CompactedError], message: str, reason: Reason, node: str | None, hint: str, compact_revision: int
) -> CompactedError:
    error = cls(message, reason=reason, node=node, hint=hint)
    error.compact_revision = compact_revision
    return error


def refusal_error(
    what: str,
    reason: Reason,
    message: str,
    node: str | None,
    *,
    unknown: bool,
    hint: str = "",
    compact_revision: int = 0,
) -> RingleaderError:
    """The error for the call `what` that `node` refused."""
    text = f"{what}: {message}"
    hint = hint or hint_for(reason)
    if unknown:
        return OutcomeUnknownError(text, reason=reason, node=node, hint=hint or "Read the keys before you repeat it.")
    if reason is Reason.COMPACTED:
        error = CompactedError(text, reason=reason, node=node, hint=hint)
        error.compact_revision = compact_revision
        return error
    if reason in USAGE_REASONS:
        return UsageError(text, reason=reason, node=node, hint=hint)
    return NotAppliedError(text, reason=reason, node=node, hint=hint)


def show_key(key: bytes) -> str:
    """A key as people read it: text where it is text, cut when it is long."""
    shown = key[:64]
    try:
        text = repr(shown.decode())
    except UnicodeDecodeError:
        text = repr(shown)
    return text if len(key) <= 64 else f"{text}... ({len(key)} bytes)"


_AboutUsers = (
    UserAdd | UserDelete | UserPassword | UserGrant | UserRevoke | RoleAdd | RoleDelete | RoleGrant | RoleRevoke
    | TokenAdd | TokenRevoke
)  # fmt: skip


def describe(items: list[Command] | list[Read] | list[Command | Read]) -> str:
    """A call in a few words, for errors: "put of 'a'"."""
    first = _describe_one(items[0])
    return first if len(items) == 1 else f"{first} and {len(items) - 1} more"


def _describe_one(item: Command | Read) -> str:
    if isinstance(item, Put):
        return f"put of {show_key(item.key)}"
    if isinstance(item, Delete | Range):
        verb = "delete" if isinstance(item, Delete) else "read"
        return f"{verb} of {show_key(item.key)}" + (" (a range)" if item.range_end else "")
    if isinstance(item, Txn):
        return f"transaction of {len(item.compares)} compares and {len(item.success)} + {len(item.failure)} operations"
    if isinstance(item, LeaseRevoke | LeaseKeepAlive | LeaseInfo):
        verb = {LeaseRevoke: "revoke", LeaseKeepAlive: "keep-alive", LeaseInfo: "info"}[type(item)]
        return f"{verb} of lease {item.id}"
    if isinstance(item, MemberAdd | MemberPromote | MemberRemove | MemberTransfer):
        words = {MemberAdd: "adding", MemberPromote: "promoting", MemberRemove: "removing"}
        member = item.name if isinstance(item, MemberAdd) else item.member
        return f"{words.get(type(item), 'handing leadership to')} member {member or '(any)'}"
    if isinstance(item, _AboutUsers):
        return _describe_auth(item)
    names = {
        MemberList: "list of members",
        LeaseGrant: "grant of a lease",
        LeaseList: "list of leases",
        HashKv: "hash of the store",
        Compact: "compaction",
        Configure: "change of settings",
        SettingsQuery: "settings",
        SnapshotRead: "snapshot",
        AuthEnable: "enabling auth",
        AuthDisable: "disabling auth",
        AuthStatus: "status of auth",
        UserList: "list of users",
        RoleList: "list of roles",
        TokenList: "list of tokens",
    }
    return names.get(type(item), type(item).__name__)


def _describe_auth(item: _AboutUsers) -> str:
    if isinstance(item, TokenAdd):
        return f"making a token for user {item.user!r}"
    if isinstance(item, TokenRevoke):
        return f"revoking token {item.id!r}"
    if isinstance(item, UserGrant):
        return f"giving role {item.role!r} to user {item.name!r}"
    if isinstance(item, UserRevoke):
        return f"taking role {item.role!r} from user {item.name!r}"
    words = {
        UserAdd: "adding user",
        UserDelete: "deleting user",
        UserPassword: "setting the password of user",
        RoleAdd: "adding role",
        RoleDelete: "deleting role",
        RoleGrant: "giving a right to role",
        RoleRevoke: "taking a right from role",
    }
    return f"{words[type(item)]} {item.name!r}"


def failure_error(what: str, failure: Failure, node: str | None, *, unknown: bool) -> RingleaderError:
    """The error for a call of one command that the store answered with `failure`."""
    return refusal_error(
        what, failure.reason, failure.message, node, unknown=unknown, compact_revision=failure.compact_revision
    )
