"""Raft's messages in the few words that stand beside an arrow."""

from __future__ import annotations

from ringleader.consensus.raft.messages import Append, AppendReply, InstallSnapshot, SnapshotReply, Vote, VoteReply

__all__ = ["words"]


def words(message: object) -> str:
    """A message in a few words; "" for what is none of Raft's, or needs no other words than its name."""
    match message:
        case Append(entries=[]):
            return f"heartbeat, commit {message.commit}"
        case Append():
            first, last = message.prev_index + 1, message.prev_index + len(message.entries)
            return f"append {first}" + (f" to {last}" if last > first else "")
        case AppendReply(ok=True):
            return f"has {message.index}"
        case AppendReply():
            return "refuses append" + (f" after {message.rejected}" if message.rejected else "")
        case Vote():
            return f"{'pre-' if message.pre else ''}vote for me in {message.term}?"
        case VoteReply():
            return f"{'pre-' if message.pre else ''}vote {'granted' if message.granted else 'refused'}, {message.term}"
        case InstallSnapshot():
            return f"snapshot to {message.meta.index}"
        case SnapshotReply():
            return f"has snapshot {message.index}"
    return ""
