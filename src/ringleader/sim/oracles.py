"""Which oracle watches over which protocol."""

from __future__ import annotations

from typing import Any

from ringleader.sim.oracle import Oracle
from ringleader.sim.oracle_paxos import PaxosOracle
from ringleader.sim.oracle_raft import RaftOracle
from ringleader.sim.probes import Probes
from ringleader.sim.timeline import Timeline
from ringleader.sim.trace import Trace

__all__ = ["oracle_for"]

_ORACLES: dict[str, type[Oracle[Any, Any]]] = {"raft": RaftOracle, "paxos": PaxosOracle}


def oracle_for(protocol: str, nodes: list[int], timeline: Timeline, trace: Trace, probes: Probes) -> Oracle[Any, Any]:
    """The oracle for a group of `nodes` that run `protocol`."""
    return _ORACLES[protocol](nodes, timeline, trace, probes)
