"""The cluster version: which rules of apply are in force, agreed on in the log, so that releases may differ for a while.

"Same log, same state" must also hold while half of the nodes run the new release. So a release that changes what a command
does, or brings a new command, does so only from a cluster version on (`if store.version >= 2: ...`), which it is the first
to support. Every node tells in the table of members the highest version that it supports; once all members support a
higher one than is in force, the leader raises it by a command (`RaiseVersion`). From that entry on, and not before, the
new rules hold, on every member. It never goes back, and a release that is too old for it refuses to take part.
"""

from __future__ import annotations

from collections.abc import Iterable

from ringleader.errors import Reason, RingleaderError
from ringleader.store.commands import Failure, RaiseVersion
from ringleader.store.member_ops import MemberRow
from ringleader.store.refusal import Refusal, invalid

__all__ = ["SUPPORTED_VERSION", "NewerClusterError", "check_supported", "raised", "supported_by_all"]

SUPPORTED_VERSION = 1
"""The highest cluster version whose rules this release knows."""
FIRST_VERSION = 1


class NewerClusterError(RingleaderError):
    """The cluster lives by rules that this release does not know."""


def check_supported(version: int, supported: int) -> None:
    """Raises `NewerClusterError` when this node is too old for a cluster at `version`."""
    if version > supported:
        raise NewerClusterError(
            f"the cluster is at version {version}; this release supports up to {supported}",
            reason=Reason.VERSION,
            hint="Start the newer release again: a cluster version never goes back",
        )


def supported_by_all(members: Iterable[MemberRow]) -> int:
    """The highest version that every member has said to support; 0 when one has not said anything yet."""
    return min((row.supports for row in members if row.active), default=0)


def raised(version: int, op: RaiseVersion, members: Iterable[MemberRow]) -> int:
    """The version after `op`; raises `Refusal` when it would go back, or when a member does not support it."""
    if op.version <= version:
        raise Refusal(invalid(f"the cluster is at version {version} already"))
    active = [row for row in members if row.active]
    if op.version > supported_by_all(active):
        behind = [row.name for row in active if row.supports < op.version]
        raise Refusal(
            Failure(Reason.VERSION, f"version {op.version} is not supported by {', '.join(behind) or 'anyone'}")
        )
    return op.version
