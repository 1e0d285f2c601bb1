"""Every error a user can meet says three things: what happened, whether the write was applied, and what to do.

The class answers "was my write applied?":

* `NotAppliedError`: certainly not; repeating the call is safe.
* `OutcomeUnknownError`: it may or may not have been applied (the answer was lost); read before you repeat it.
* `UsageError`: the call itself is wrong; it was not applied, and repeating it unchanged will fail again.

`reason` (an enum) is for programs, the message and `hint` are for people. A deadline is also a `TimeoutError`, so that
code written for asyncio keeps working.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "DeadlineError",
    "NotAppliedError",
    "OutcomeUnknownError",
    "Reason",
    "RingleaderError",
    "UnknownDeadlineError",
    "UsageError",
]


class Reason(StrEnum):
    """Why a call failed; stable strings that also travel on the wire and in metrics."""

    # The cluster could not do it now.
    NO_LEADER = "no-leader"
    NOT_LEADER = "not-leader"
    UNREACHABLE = "unreachable"
    DEADLINE = "deadline"
    OVERLOADED = "overloaded"
    NO_SPACE = "no-space"
    CLOSED = "closed"
    STOPPING = "stopping"
    CONNECTION_LOST = "connection-lost"
    SESSION_EXPIRED = "session-expired"
    # The call is at fault.
    INVALID_ARGUMENT = "invalid-argument"
    TOO_LARGE = "too-large"
    COMPACTED = "compacted"
    FUTURE_REVISION = "future-revision"
    KEY_NOT_FOUND = "key-not-found"
    LEASE_NOT_FOUND = "lease-not-found"
    LEASE_EXISTS = "lease-exists"
    TOO_MANY_OPERATIONS = "too-many-operations"
    DUPLICATE_KEY = "duplicate-key"
    UNSUPPORTED = "unsupported"
    PERMISSION_DENIED = "permission-denied"
    MEMBER_EXISTS = "member-exists"
    MEMBER_NOT_FOUND = "member-not-found"
    # A change of members cannot be made now.
    MEMBER_LAGS = "member-lags"
    CHANGE_UNDER_WAY = "change-under-way"
    QUORUM_LOSS = "quorum-loss"
    UNAUTHENTICATED = "unauthenticated"
    NAME_EXISTS = "name-exists"
    # The node or its peer is set up wrongly, or its disk failed.
    PROTOCOL = "protocol"
    VERSION = "version"
    WRONG_CLUSTER = "wrong-cluster"
    WRONG_NODE = "wrong-node"
    MEMBER_REMOVED = "member-removed"
    DATA_REPLACED = "data-replaced"
    UNTRUSTED = "untrusted"
    DATA_IN_USE = "data-in-use"
    DATA_CORRUPT = "data-corrupt"
    DISK_FAILED = "disk-failed"
    ADDRESS_IN_USE = "address-in-use"
    # What an application meets in the recipes.
    LEASE_LOST = "lease-lost"
    LOCK_LOST = "lock-lost"
    # What a replica of shared data meets.
    GAP = "gap"
    READ_ONLY_COPY = "read-only-copy"
    DUPLICATE_IDENTITY = "duplicate-identity"
    CLOCK_DRIFT = "clock-drift"
    NO_RIGHTS = "no-rights"


class RingleaderError(Exception):
    """The base of all errors of this package.

    `reason`: a `Reason`. `node`: the name or address of the node that said so, or `None`. `hint`: what to do, one
    sentence, possibly empty.
    """

    reason: Reason
    node: str | None
    hint: str

    def __init__(self, message: str, *, reason: Reason, node: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.node = node
        self.hint = hint

    def __str__(self) -> str:
        text = self.message
        if self.node:
            text += f" (node {self.node})"
        if self.hint:
            text += f". {self.hint}"
        return text

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.reason, self.node, self.hint))


def _rebuild(cls: type[RingleaderError], message: str, reason: Reason, node: str | None, hint: str) -> RingleaderError:
    return cls(message, reason=reason, node=node, hint=hint)


class NotAppliedError(RingleaderError):
    """The write was certainly not applied (or it was a read): repeating the call is safe."""


class OutcomeUnknownError(RingleaderError):
    """The write may or may not have been applied: read the key before you decide to repeat it."""


class UsageError(RingleaderError):
    """The call is at fault; nothing was applied, and repeating it unchanged will fail again."""


class DeadlineError(NotAppliedError, TimeoutError):
    """The deadline passed before the call was sent or, for a read, answered: nothing was applied."""


class UnknownDeadlineError(OutcomeUnknownError, TimeoutError):
    """The deadline passed after the write had been sent: it may or may not have been applied."""
