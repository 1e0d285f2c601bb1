"""Members of the cluster, blocking."""

from __future__ import annotations

from ringleader.client import Cluster as AsyncCluster
from ringleader.client.cluster import Member, Membership
from ringleader.sync._mirror import Mirror
from ringleader.sync._runner import run

__all__ = ["Cluster"]


class Cluster(Mirror[AsyncCluster]):
    """Members and changes of them, blocking. See `ringleader.Cluster`."""

    def members(self, *, timeout: float | None = None) -> Membership:
        """Everyone who belongs to the cluster, as its leader sees them now."""
        return run(self._inner.members(timeout=timeout))

    def add(self, name: str, *, peer: str = "", auto_promote: bool = True, timeout: float | None = None) -> Member:
        """Make room for a node of that `name`, as a learner; the first node that joins under it becomes this member."""
        return run(self._inner.add(name, peer=peer, auto_promote=auto_promote, timeout=timeout))

    def promote(self, member: str | int, *, timeout: float | None = None) -> Member:
        """Make a learner that has caught up a voter."""
        return run(self._inner.promote(member, timeout=timeout))

    def remove(self, member: str | int, *, timeout: float | None = None) -> Member:
        """Remove a member for good, also the leader; its node stops. Refused when the rest would have no quorum."""
        return run(self._inner.remove(member, timeout=timeout))

    def transfer(self, to: str | int | None = None, *, timeout: float | None = None) -> Member:
        """Hand leadership to a voter (`None`: the one that is most up to date), and wait until it leads."""
        return run(self._inner.transfer(to, timeout=timeout))
