"""The words about members of the cluster: what may be asked of the table of members, and what it answers.

Commands travel in the log like all others, within a client's session. What the table cannot know by itself, who is healthy
and who has caught up, the leader writes into the command before it puts it into the log (`LeaderView`), so that every
member decides alike.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

__all__ = [
    "MEMBER_COMMANDS",
    "LeaderView",
    "MemberAdd",
    "MemberCommand",
    "MemberList",
    "MemberListResult",
    "MemberPromote",
    "MemberRemove",
    "MemberResult",
    "MemberRow",
    "MemberTransfer",
    "MemberUpdate",
    "Standing",
]


class Standing(IntEnum):
    """What a member is by the table. A learner copies the log without a vote; of a removed one only the id is kept."""

    LEARNER = 1
    VOTER = 2
    REMOVED = 3


class MemberRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One member. `id` is never given to another one. Addresses are "host:port", "" while they are not known.

    `incarnation`: of its data folder, "" until the node has told; a node with another one has lost or changed its data and
    is not this member any more. `auto_promote`: a learner becomes a voter by itself once it has caught up. `supports`: the
    highest cluster version that its node supports, 0 until it has told.
    """

    id: int
    name: str
    standing: Standing
    peer: str = ""
    client: str = ""
    http: str = ""
    incarnation: str = ""
    auto_promote: bool = True
    supports: int = 0

    @property
    def active(self) -> bool:
        """Whether it has not been removed."""
        return self.standing is not Standing.REMOVED


class LeaderView(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the leader knew of the members at one moment.

    `voters`, `outgoing`, `learners`: the configuration in force in the log (`outgoing` only during a joint change).
    `match`: how far each member's log agrees. `heard_ms`: since its last answer, milliseconds; absent: none yet.
    `healthy`: who has answered within an election time, the leader included. `caught_up`: learners fit to vote.
    `busy`: the change that is under way, "" for none. `unheard`: who has not answered yet while this leader is younger than an
    election time, so that nothing can be said of their health.
    """

    leader: int
    term: int
    last_index: int
    commit: int
    voters: list[int]
    outgoing: list[int]
    learners: list[int]
    match: dict[int, int]
    heard_ms: dict[int, int]
    healthy: list[int]
    caught_up: list[int]
    busy: str = ""
    unheard: list[int] = []


class MemberAdd(msgspec.Struct, array_like=True, gc=False, tag=80):
    """Add a member as a learner, or find the row again: the same name and the same `incarnation` (not "").

    A row that was added without an incarnation, and is still a learner, belongs to the first node that comes with its name.
    """

    name: str
    peer: str = ""
    client: str = ""
    http: str = ""
    incarnation: str = ""
    auto_promote: bool = True
    view: LeaderView | None = None
    supports: int = 0


class MemberPromote(msgspec.Struct, array_like=True, gc=False, tag=81):
    """Make a learner a voter. `member`: its id or name."""

    member: int | str
    view: LeaderView | None = None


class MemberRemove(msgspec.Struct, array_like=True, gc=False, tag=82):
    """Remove a member for good; its id is never used again. `member`: its id or name."""

    member: int | str
    view: LeaderView | None = None


class MemberUpdate(msgspec.Struct, array_like=True, gc=False, tag=83):
    """A member says where it is reached, which data folder it has and which cluster version it supports.

    "" leaves an address as it is, 0 the version.
    """

    id: int
    peer: str = ""
    client: str = ""
    http: str = ""
    incarnation: str = ""
    supports: int = 0


class MemberTransfer(msgspec.Struct, array_like=True, gc=False, tag=84):
    """Hand leadership to this voter (id or name; 0: to the one that is most up to date). Changes no state by itself."""

    member: int | str = 0
    view: LeaderView | None = None


class MemberList(msgspec.Struct, array_like=True, gc=False, tag=85):
    """All members, removed ones too as far as they are remembered."""


MemberCommand = MemberAdd | MemberPromote | MemberRemove | MemberUpdate | MemberTransfer
"""What goes through the log."""

MEMBER_COMMANDS = (MemberAdd, MemberPromote, MemberRemove, MemberTransfer)
"""Commands into which the leader writes its view."""


class MemberResult(msgspec.Struct, array_like=True, gc=False, tag=80):
    """The row as it is after the command (of a transfer: of the heir)."""

    revision: int
    member: MemberRow


class MemberListResult(msgspec.Struct, array_like=True, gc=False, tag=85):
    """All rows by id. `view`: the leader's, at the time of the read; None when the read did not go through it."""

    revision: int
    members: list[MemberRow]
    view: LeaderView | None = None
