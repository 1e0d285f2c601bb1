"""Raft, one idea a file: `core` holds the state and dispatches, the others know what to do."""

from ringleader.consensus.raft.core import Raft, RaftOptions

__all__ = ["Raft", "RaftOptions"]
