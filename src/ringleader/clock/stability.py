"""Causal stability: which events every member has seen, so that what only helps the ignorant may be dropped.

Baquero, Almeida & Shoker, "Making Operation-based CRDTs Operation-based" (2014), section 5. An event is stable when
every member has told us that it includes it. One more condition matters: a member's word counts only once we include
everything that member had when it spoke, because a message that it sent before seeing a removal may still be on its way
to us, and would bring the dead back. Never a wall clock: a member that was away for a year is simply not stable.
"""

from __future__ import annotations

from collections.abc import Iterable

from ringleader.clock.version import ReplicaId, VersionVector, short
from ringleader.errors import Reason, UsageError

__all__ = ["Stability"]


class Stability:
    """Gathers the members' versions. `members`: all that may ever send us anything, ourselves left out.

    A member that leaves for good must be removed here *and* refused from then on: it returns only as a new member that
    first takes our state (it pulls, it does not push).
    """

    __slots__ = ("_acknowledged", "_waiting")

    def __init__(self, members: Iterable[ReplicaId]) -> None:
        self._acknowledged: dict[ReplicaId, VersionVector] = {member: VersionVector() for member in members}
        self._waiting: dict[ReplicaId, VersionVector] = {}

    @property
    def members(self) -> list[ReplicaId]:
        """The members, sorted."""
        return sorted(self._acknowledged)

    def add(self, member: ReplicaId) -> None:
        """A new member: nothing is stable until it has spoken."""
        self._acknowledged.setdefault(member, VersionVector())

    def remove(self, member: ReplicaId) -> None:
        """A member that has left for good; see the class for what that demands."""
        self._acknowledged.pop(member, None)
        self._waiting.pop(member, None)

    def acknowledge(self, member: ReplicaId, version: VersionVector) -> None:
        """`member` says that it includes `version`. Raises `UsageError` for a stranger."""
        if member not in self._acknowledged:
            raise UsageError(f"{short(member)} is no member", reason=Reason.INVALID_ARGUMENT)
        waiting = self._waiting.get(member)
        self._waiting[member] = version.copy() if waiting is None else waiting.join(version)

    def stable(self, own: VersionVector) -> VersionVector:
        """The events that all members include. `own`: what we include now (it decides whose word counts already)."""
        for member, version in list(self._waiting.items()):
            if own.covers(version):
                self._acknowledged[member] = self._acknowledged[member].join(version)
                del self._waiting[member]
        frontier = own
        for version in self._acknowledged.values():
            frontier = frontier.meet(version)
        return frontier.copy()
