"""Multi-Paxos, one idea a file: `core` holds the state and dispatches, the others know what to do."""

from ringleader.consensus.paxos.core import Paxos, PaxosOptions

__all__ = ["Paxos", "PaxosOptions"]
