"""Members of the cluster, blocking."""

from __future__ import annotations

from ringleader.client import Cluster as AsyncCluster
from ringleader.sync._mirror import Mirror, blocking

__all__ = ["Cluster"]


class Cluster(Mirror[AsyncCluster]):
    """Members and changes of them, blocking. See `ringleader.Cluster`."""

    members = blocking(AsyncCluster.members)

    add = blocking(AsyncCluster.add)

    promote = blocking(AsyncCluster.promote)

    remove = blocking(AsyncCluster.remove)

    transfer = blocking(AsyncCluster.transfer)
