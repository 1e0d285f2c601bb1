"""What Raft members say to each other: one msgspec struct for each message, its sender and receiver known to the carrier."""

from __future__ import annotations

import msgspec

from ringleader.consensus.shape import Entry, SnapshotMeta

__all__ = [
    "Append",
    "AppendReply",
    "InstallSnapshot",
    "RaftMessage",
    "SnapshotReply",
    "TimeoutNow",
    "Vote",
    "VoteReply",
]


class Vote(msgspec.Struct, array_like=True, gc=False, tag=1):
    """RequestVote (Raft section 5.2). `pre`: only asks whether it would win (thesis section 9.6).

    `force`: a leadership transfer, which members obey even while they hear from a leader.
    """

    term: int
    last_index: int
    last_term: int
    pre: bool = False
    force: bool = False


class VoteReply(msgspec.Struct, array_like=True, gc=False, tag=2):
    """`term`: of a granted pre-vote the term asked for, else the voter's own."""

    term: int
    granted: bool
    pre: bool = False


class Append(msgspec.Struct, array_like=True, gc=False, tag=3):
    """AppendEntries (Raft section 5.3); without entries a heartbeat. `round` numbers the leader's read rounds."""

    term: int
    prev_index: int
    prev_term: int
    entries: list[Entry]
    commit: int
    round: int = 0


class AppendReply(msgspec.Struct, array_like=True, gc=False, tag=4):
    """`ok`: the logs agree, durably, up to `index`. Else `rejected` is the `prev_index` that did not fit, and (`index`,
    `hint_term`) is where the follower guesses that the logs may still agree.
    """

    term: int
    ok: bool
    index: int
    round: int = 0
    rejected: int = 0
    hint_term: int = 0


class InstallSnapshot(msgspec.Struct, array_like=True, gc=False, tag=5):
    """The leader offers the state after `meta.index` (Raft section 7); its content travels beside the consensus."""

    term: int
    meta: SnapshotMeta
    round: int = 0


class SnapshotReply(msgspec.Struct, array_like=True, gc=False, tag=6):
    """The follower's state reaches `index`, durably."""

    term: int
    index: int
    round: int = 0


class TimeoutNow(msgspec.Struct, array_like=True, gc=False, tag=7):
    """The leader asks the receiver to stand for election at once (thesis section 3.10)."""

    term: int


RaftMessage = Vote | VoteReply | Append | AppendReply | InstallSnapshot | SnapshotReply | TimeoutNow
