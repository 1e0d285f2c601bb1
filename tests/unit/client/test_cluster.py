"""`db.cluster` while the leader is new or changes: it waits for what the leader cannot know yet, and asks again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from ringleader.client import cluster
from ringleader.client.cluster import Cluster
from ringleader.client.engine import Engine
from ringleader.errors import NotAppliedError, OutcomeUnknownError, Reason
from ringleader.store.commands import Command, Read, Result
from ringleader.store.member_ops import (
    LeaderView,
    MemberListResult,
    MemberPromote,
    MemberRemove,
    MemberResult,
    MemberRow,
    MemberTransfer,
    Standing,
)

ROWS = [MemberRow(number, f"n{number}", Standing.VOTER) for number in (1, 2, 3)]


def view(leader: int = 1, healthy: Sequence[int] = (1, 2, 3), unheard: Sequence[int] = ()) -> LeaderView:
    heard = {number: 10 for number in healthy if number != leader}
    return LeaderView(leader, 7, 5, 5, [1, 2, 3], [], [], {1: 5, 2: 5, 3: 5}, heard, [*healthy], [], "", [*unheard])


class Script(Engine):
    """Answers each list of members with the next view (the last one again and again); takes every command."""

    def __init__(self, *views: LeaderView | None) -> None:
        self.views = list(views)
        self.asked: list[Command | Read] = []

    def query(
        self, reads: Sequence[Read], timeout: float, consistency: str, max_staleness_ms: int
    ) -> tuple[int, asyncio.Future[list[Result]]]:
        assert consistency == "linearizable"
        self.asked += reads
        seen = self.views.pop(0) if len(self.views) > 1 else self.views[0]
        return self._answer(MemberListResult(1, ROWS, seen))

    def submit(
        self, commands: Sequence[Command], timeout: float, *, once: bool = True
    ) -> tuple[int, asyncio.Future[list[Result]]]:
        self.asked += commands
        (command,) = commands
        assert isinstance(command, MemberTransfer | MemberPromote | MemberRemove)
        return self._answer(MemberResult(1, next(row for row in ROWS if row.id == command.member)))

    def _answer(self, result: Result) -> tuple[int, asyncio.Future[list[Result]]]:
        future = asyncio.get_running_loop().create_future()
        future.set_result([result])
        return 1, future

    @property
    def kinds(self) -> list[str]:
        return [type(each).__name__ for each in self.asked]


async def test_a_new_leader_is_given_time_to_hear_everyone() -> None:
    script = Script(None, view(2, (1, 2), (3,)), view(2, (1, 2), (3,)), view(2))
    seen = await Cluster(script, 10).members()
    assert (seen.leader, [member.healthy for member in seen.members]) == ("n2", [True, True, True])
    assert len(script.asked) == 4
    silent = await Cluster(Script(view(2, (1, 2))), 10).members()
    assert [member.healthy for member in silent.members] == [True, True, False], "now it is known"


async def test_at_the_deadline_what_is_known_is_told() -> None:
    seen = await Cluster(Script(view(2, (1, 2), (3,))), 10).members(timeout=0.1)
    assert [(member.healthy, member.heard) for member in seen.members] == [(True, 0.01), (True, 0.0), (False, None)]
    with pytest.raises(NotAppliedError, match="the leader has changed") as caught:
        await Cluster(Script(None), 0.1).members()
    assert caught.value.reason is Reason.NOT_LEADER


async def test_nothing_that_depends_on_health_is_asked_of_a_leader_that_does_not_know_it() -> None:
    young, grown = view(1, (1, 2), (3,)), view(1)
    for act in ("promote", "remove"):
        script = Script(young, grown)
        await getattr(Cluster(script, 10), act)(3)
        assert script.kinds == ["MemberList", "MemberList", f"Member{act.title()}", "MemberList"]
    script = Script(young, grown, view(3))
    assert (await Cluster(script, 10).transfer(3)).role == "leader"
    assert script.kinds == ["MemberList", "MemberList", "MemberTransfer", "MemberList"]


async def test_a_leader_that_gave_up_handing_over_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "HAND_OVER_AGAIN", 0.1)
    script = Script(*[view()] * 5, view(3))
    assert (await Cluster(script, 10).transfer(3)).name == "n3"
    assert script.kinds.count("MemberTransfer") > 1
    with pytest.raises(NotAppliedError, match="'n1' leads after"):
        await Cluster(Script(view()), 0.2).transfer(3)


async def test_a_change_that_takes_longer_is_not_said_to_have_come_to_nothing() -> None:
    slow = msgspec.structs.replace(view(), busy="towards voters n1, n2 and learners none")
    with pytest.raises(OutcomeUnknownError, match=r"decided, but not finished after 0\.2 s: towards voters") as caught:
        await Cluster(Script(view(), slow), 0.2).remove(3)
    assert isinstance(caught.value, TimeoutError)
