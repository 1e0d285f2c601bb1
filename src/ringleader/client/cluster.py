"""Members of the cluster: `db.cluster`. Who belongs to it, how each of them stands, and changes of that."""

from __future__ import annotations

import asyncio
import time

import msgspec

from ringleader.client.engine import Engine
from ringleader.errors import NotAppliedError, Reason, RingleaderError, UnknownDeadlineError, UsageError
from ringleader.store import member_ops as wire
from ringleader.store.member_ops import LeaderView, MemberCommand, MemberRow

__all__ = ["Cluster", "Member", "Membership"]

PAUSE = 0.05
"""Seconds between two looks: whether a change is done, or whether a new leader has heard everyone."""
HAND_OVER_AGAIN = 2.0
"""Seconds until a leader that still leads is asked once more to hand over: it gives up when its heir is too slow."""


class Member(msgspec.Struct, frozen=True):
    """One member. `role`: "leader", "voter", "learner", or "removed" where a removal is told.

    Addresses are "host:port", "" while they are not known.
    `healthy`: it has answered the leader within an election time. `lag`: entries of the log it does not hold yet, `None` when
    the leader does not know. `heard`: seconds since its last answer, `None`: none since this leader leads.
    """

    id: int
    name: str
    role: str
    healthy: bool
    lag: int | None
    heard: float | None
    peer: str
    client: str
    http: str
    auto_promote: bool


class Membership(msgspec.Struct, frozen=True):
    """All members as the leader sees them. `leader`: its name. `change`: what is under way, "" for nothing."""

    members: list[Member]
    leader: str
    change: str

    def member(self, name: str) -> Member:
        """The member of that name. Raises `KeyError`."""
        for each in self.members:
            if each.name == name:
                return each
        raise KeyError(name)


class Cluster:
    """Changes of members go one at a time; each call waits until its change is done, at most for its timeout.

    Members are given by name or id. Every call raises `RingleaderError`: `UsageError` for an unknown member or a name in
    use, `NotAppliedError` for what cannot be done now (`MEMBER_LAGS`, `QUORUM_LOSS`, `CHANGE_UNDER_WAY`),
    `UnknownDeadlineError` for what was decided but not finished in time: it goes on by itself.
    """

    def __init__(self, engine: Engine, timeout: float) -> None:
        self._engine = engine
        self._timeout = timeout

    async def members(self, *, timeout: float | None = None) -> Membership:
        """Everyone who belongs to the cluster, as its leader sees them now.

        A leader that has only just begun is given time to hear everyone, an election time or until the deadline: before it
        cannot tell who is silent.
        """
        limit = self._timeout if timeout is None else timeout
        end = time.monotonic() + limit
        while True:
            rows, view = await self._look(max(end - time.monotonic(), PAUSE))
            late = time.monotonic() + PAUSE > end
            if view is not None and (late or not view.unheard):
                names = {row.id: row.name for row in rows}
                return Membership([_member(row, view) for row in rows], names.get(view.leader, ""), view.busy)
            if late:
                raise NotAppliedError("list of members: the leader has changed", reason=Reason.NOT_LEADER)
            await asyncio.sleep(PAUSE)

    async def _look(self, timeout: float) -> tuple[list[MemberRow], LeaderView | None]:
        """The active members, and how their leader sees them; `None`: it has just changed."""
        (result,) = await self._engine.wait(*self._engine.query((wire.MemberList(),), timeout, "linearizable", 0))
        assert isinstance(result, wire.MemberListResult)
        return [row for row in result.members if row.active], result.view

    async def add(
        self, name: str, *, peer: str = "", auto_promote: bool = True, timeout: float | None = None
    ) -> Member:
        """Make room for a node of that `name`, as a learner; the first node that joins under it becomes this member.

        A node that is started with `--join` adds itself; this is for adding it beforehand. `auto_promote`: it becomes a
        voter by itself when it has caught up.
        """
        return await self._change(wire.MemberAdd(name, peer, auto_promote=auto_promote), timeout)

    async def promote(self, member: str | int, *, timeout: float | None = None) -> Member:
        """Make a learner that has caught up a voter."""
        return await self._change(wire.MemberPromote(member), timeout)

    async def remove(self, member: str | int, *, timeout: float | None = None) -> Member:
        """Remove a member for good, also the leader; its node stops. Refused when the rest would have no quorum."""
        return await self._change(wire.MemberRemove(member), timeout)

    async def transfer(self, to: str | int | None = None, *, timeout: float | None = None) -> Member:
        """Hand leadership to a voter (`None`: the one that is most up to date), and wait until it leads."""
        limit = self._timeout if timeout is None else timeout
        end = time.monotonic() + limit
        command = wire.MemberTransfer(0 if to is None else _checked(to))
        await self.members(timeout=limit)  # a leader that has not heard its heir yet would refuse it as silent
        row = await self._submit(command, max(end - time.monotonic(), PAUSE))
        again = time.monotonic() + HAND_OVER_AGAIN
        while True:
            rows, view = await self._look(max(end - time.monotonic(), PAUSE))
            if view is not None and view.leader == row.id:
                return _member(row, view)
            now = time.monotonic()
            if now > end:
                leads = next((each.name for each in rows if view is not None and each.id == view.leader), "")
                text = f"handing leadership to {row.name!r}: {leads or 'nobody'!r} leads after {limit:g} s"
                raise NotAppliedError(text, reason=Reason.DEADLINE, hint="See `ringleader cluster members`.")
            if now > again:
                again = now + HAND_OVER_AGAIN
                await self._submit(wire.MemberTransfer(row.id), max(end - now, PAUSE))
            await asyncio.sleep(PAUSE)

    async def _change(self, command: MemberCommand, timeout: float | None) -> Member:
        """Submit, and wait until consensus has followed the table."""
        limit = self._timeout if timeout is None else timeout
        end = time.monotonic() + limit
        if isinstance(command, wire.MemberPromote | wire.MemberRemove):
            _checked(command.member)
            await self.members(timeout=limit)  # a leader that has not heard everyone yet would refuse for their silence
        while True:
            try:
                row = await self._submit(command, max(end - time.monotonic(), PAUSE))
                break
            except NotAppliedError as error:
                if error.reason is not Reason.CHANGE_UNDER_WAY or time.monotonic() > end:
                    raise
            await asyncio.sleep(PAUSE)
        while True:
            try:
                seen = await self.members(timeout=max(end - time.monotonic(), PAUSE))
                why = seen.change
                if not why:
                    return next((each for each in seen.members if each.id == row.id), _member(row, None))
            except RingleaderError as error:
                why = str(error)
            if time.monotonic() > end:
                text = f"the change of member {row.name!r} is decided, but not finished after {limit:g} s: {why}"
                hint = "It goes on by itself; see `ringleader cluster members`."
                raise UnknownDeadlineError(text, reason=Reason.DEADLINE, hint=hint)
            await asyncio.sleep(PAUSE)

    async def _submit(self, command: MemberCommand, timeout: float) -> MemberRow:
        call = self._engine.submit((command,), timeout)
        (result,) = await self._engine.wait(*call)
        assert isinstance(result, wire.MemberResult)
        return result.member


def _checked(member: object) -> str | int:
    if isinstance(member, str | int) and not isinstance(member, bool) and member:
        return member
    raise UsageError(f"a member is given by its name or id, not {member!r}", reason=Reason.INVALID_ARGUMENT)


def _member(row: MemberRow, view: LeaderView | None) -> Member:
    role = row.standing.name.lower()
    healthy, lag, heard = False, None, None
    if view is not None:
        healthy = row.id in view.healthy
        if row.id == view.leader:
            role, lag, heard = "leader", 0, 0.0
        elif row.id in view.heard_ms:
            lag = max(view.last_index - view.match.get(row.id, 0), 0)
            heard = view.heard_ms[row.id] / 1000.0
    return Member(
        row.id, row.name, role, healthy, lag, heard, row.peer, row.client, row.http, row.auto_promote
    )  # fmt: skip
