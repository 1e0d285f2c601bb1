"""What Paxos members say to each other: one msgspec struct for each message, its sender and receiver known to the carrier.

Every message says in `ballot` in whose name it speaks; 0 where that does not matter. A member accepts many slots at a time:
`entries` always stand in consecutive slots from `first` on.
"""

from __future__ import annotations

import msgspec

from ringleader.consensus.shape import Entry, SnapshotMeta

__all__ = [
    "Accept",
    "Accepted",
    "Canvass",
    "CanvassReply",
    "Chosen",
    "Learn",
    "Offer",
    "PaxosMessage",
    "Prepare",
    "Promise",
    "Refused",
    "Run",
    "TakeOver",
]


class Run(msgspec.Struct, array_like=True, gc=False):
    """Consecutive slots from `first` on, all accepted in the same `ballot`."""

    ballot: int
    first: int
    entries: list[Entry]


class Canvass(msgspec.Struct, array_like=True, gc=False, tag=41):
    """Would you promise `ballot`? Binds nobody. The sender knows what was chosen up to slot `commit`."""

    ballot: int
    commit: int


class CanvassReply(msgspec.Struct, array_like=True, gc=False, tag=42):
    """`ballot`: the one asked for. `promised`, `commit`: what the sender has promised, and up to where it knows the log."""

    ballot: int
    granted: bool
    promised: int
    commit: int


class Prepare(msgspec.Struct, array_like=True, gc=False, tag=43):
    """Phase 1a, for all slots at once: promise `ballot`, and report what you have accepted from slot `first` on.

    `force`: a transfer of leadership, which members obey even while they hear from a leader.
    """

    ballot: int
    first: int
    force: bool = False


class Promise(msgspec.Struct, array_like=True, gc=False, tag=44):
    """Phase 1b: `ballot` is promised. Everything up to `commit` is chosen and known to the sender.

    `runs`: what it has accepted above `commit`. `told`: up to here everything is chosen, as leaders have told it.
    `more`: the report goes on at this slot (ask again); 0: it is complete.
    """

    ballot: int
    commit: int
    told: int
    runs: list[Run]
    more: int = 0


class Refused(msgspec.Struct, array_like=True, gc=False, tag=45):
    """The sender has `promised` a higher ballot than `ballot`."""

    ballot: int
    promised: int


class Accept(msgspec.Struct, array_like=True, gc=False, tag=46):
    """Phase 2a for a run of slots; without entries a heartbeat. Slots up to `commit` are chosen.

    `round` numbers the leader's read rounds.
    """

    ballot: int
    first: int
    entries: list[Entry]
    commit: int
    round: int = 0


class Accepted(msgspec.Struct, array_like=True, gc=False, tag=47):
    """Phase 2b: in `ballot` the sender has accepted, durably, each slot up to `upto`, or knows that it is chosen.

    `islands`: runs (first, last) beyond `upto` that it has accepted too.
    """

    ballot: int
    upto: int
    round: int = 0
    islands: list[tuple[int, int]] = []


class Learn(msgspec.Struct, array_like=True, gc=False, tag=48):
    """Tell me what was chosen from slot `first` on."""

    ballot: int
    first: int


class Chosen(msgspec.Struct, array_like=True, gc=False, tag=49):
    """What was chosen in the slots from `first` on; the sender knows the log up to `commit`."""

    ballot: int
    first: int
    entries: list[Entry]
    commit: int


class Offer(msgspec.Struct, array_like=True, gc=False, tag=50):
    """The sender has a snapshot of the state after `meta.index`; its content travels beside the consensus."""

    ballot: int
    meta: SnapshotMeta
    round: int = 0


class TakeOver(msgspec.Struct, array_like=True, gc=False, tag=51):
    """The leader of `ballot` asks the receiver to stand for election at once."""

    ballot: int


PaxosMessage = (
    Canvass | CanvassReply | Prepare | Promise | Refused | Accept | Accepted | Learn | Chosen | Offer | TakeOver
)
