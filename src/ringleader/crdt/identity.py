"""Who writes: a replica's identity and clock, handed in from outside, and the errors about identity.

Every event is named by a dot (identity, n). If two writers ever use one identity, two different events share a name and
one of them is silently lost: the commonest way in which CRDTs fail in practice (a copied object, a forked process, a
restored backup). So identity is never copied: a copy, an unpickled object or a decoded state has none, and is read-only
until it is given one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ringleader.clock.hlc import HybridClock
from ringleader.clock.version import ReplicaId, VersionVector, short
from ringleader.crdt.values import brief
from ringleader.crdt.wire import MAX_ID
from ringleader.errors import NotAppliedError, Reason, UsageError

__all__ = ["DuplicateIdentityError", "GapError", "ReadOnlyCopyError", "ReplicaContext"]


class ReadOnlyCopyError(UsageError):
    """A write to something that has no identity."""


class DuplicateIdentityError(NotAppliedError):
    """Somebody else writes, or has written, under our identity. `replica`: which one."""

    replica: ReplicaId = b""


class GapError(NotAppliedError):
    """A delta builds on events that have not arrived. `missing`: replica -> (first, last) event to ask for."""

    missing: dict[ReplicaId, tuple[int, int]]


class ReplicaContext:
    """An identity and a clock for one replica.

    `identity`: 1 to 64 bytes that nobody else uses, ever: random and new, or persisted before the first use.
    `wall`: milliseconds since the epoch; without one, time stands still at 0 and ties are broken by causality and
    identity. `max_drift_ms`: how far ahead a remote clock may be.
    """

    __slots__ = ("clock", "identity")

    def __init__(
        self, identity: ReplicaId | str, wall: Callable[[], int] | None = None, *, max_drift_ms: int = 60_000
    ) -> None:
        if isinstance(identity, str):
            identity = identity.encode()
        if type(identity) is not bytes or not 1 <= len(identity) <= MAX_ID:
            raise UsageError(
                f"an identity is 1 to {MAX_ID} bytes, not {brief(identity)}", reason=Reason.INVALID_ARGUMENT
            )
        self.identity: ReplicaId = identity
        self.clock = HybridClock(wall or _standing_still, max_drift_ms=max_drift_ms if wall else 1 << 62)

    def __repr__(self) -> str:
        return f"ReplicaContext({short(self.identity)})"

    def __reduce__(self) -> tuple[object, ...]:
        raise UsageError(
            "an identity must not be copied or pickled",
            reason=Reason.DUPLICATE_IDENTITY,
            hint="Make a new ReplicaContext with an identity of its own",
        )


def _standing_still() -> int:
    return 0


def check_version(version: Any) -> VersionVector:
    """The version itself. Raises `UsageError` for anything that is none."""
    if isinstance(version, VersionVector):
        return version
    raise UsageError(
        f"a version is a VersionVector, not {brief(version)}",
        reason=Reason.INVALID_ARGUMENT,
        hint="Take it from replica.version",
    )


def read_only() -> ReadOnlyCopyError:
    """The error for a write without an identity."""
    return ReadOnlyCopyError(
        "this is a read-only copy: it has no identity of its own to write under",
        reason=Reason.READ_ONLY_COPY,
        hint="Call fork(ReplicaContext(new_identity)) for a writable copy, or adopt(...) to make this one writable",
    )


def duplicate(replica: ReplicaId, seen: int, own: int) -> DuplicateIdentityError:
    """The error for a message that knows more of our own events than we do."""
    error = DuplicateIdentityError(
        f"the message includes {seen} events of {short(replica)}, which is us, but we made only {own}",
        reason=Reason.DUPLICATE_IDENTITY,
        hint="This replica was copied or restored from a backup: adopt a new identity, then apply the message again",
    )
    error.replica = replica
    return error


def gap(own: VersionVector, since: VersionVector) -> GapError:
    """The error for a delta that builds on what is not here."""
    missing = own.missing(since)
    which = ", ".join(f"{short(replica)}:{first}..{last}" for replica, (first, last) in list(missing.items())[:4])
    error = GapError(
        f"the delta builds on events that are not here: {which}{' ...' if len(missing) > 4 else ''}",
        reason=Reason.GAP,
        hint="Ask the sender for delta_since(our version)",
    )
    error.missing = missing
    return error
