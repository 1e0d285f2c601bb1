"""The table of members: what it grants and refuses, and that it travels with snapshots."""

from __future__ import annotations

import pytest

from ringleader.errors import Reason
from ringleader.store.commands import Batch, Command, Envelope, Failure, Result, SessionOpen
from ringleader.store.limits import Limits
from ringleader.store.member_ops import (
    LeaderView,
    MemberAdd,
    MemberList,
    MemberListResult,
    MemberPromote,
    MemberRemove,
    MemberResult,
    MemberRow,
    MemberTransfer,
    MemberUpdate,
    Standing,
)
from ringleader.store.members import TOMBSTONES, founders
from ringleader.store.store import Store


class Table:
    """A store with members a, b, c, and commands one by one."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.store = Store(limits or Limits(), founders({1: "a", 2: "b", 3: "c"}))

    def do(self, command: Command, session: int = 0, seq: int = 0) -> Result:
        envelope = Envelope(0, session, 0, [(seq, command)])
        return self.store.apply(self.store.applied + 1, Batch(1, 0, [envelope]))[0][0]

    def row(self, command: Command) -> MemberRow:
        result = self.do(command)
        assert isinstance(result, MemberResult), result
        return result.member

    def refused(self, command: Command) -> Failure:
        before = self.store.snapshot()
        result = self.do(command)
        assert isinstance(result, Failure), result
        self.store.applied -= 1
        assert self.store.snapshot() == before, "a refusal changed the state"
        self.store.applied += 1
        return result

    def rows(self) -> list[MemberRow]:
        result = self.store.read(MemberList())
        assert isinstance(result, MemberListResult)
        return result.members


def view(healthy: list[int], caught_up: list[int] | None = None, busy: str = "", leader: int = 1) -> LeaderView:
    match = {member: 90 + member for member in (1, 2, 3, 4)}
    return LeaderView(leader, 2, 100, 100, [1, 2, 3], [], [4], match, {}, healthy, caught_up or [], busy)


def test_a_new_member_is_a_learner_with_an_id_that_was_never_given() -> None:
    table = Table()
    row = table.row(MemberAdd("d", "h:1", "h:2", "h:3", "aa"))
    assert row == MemberRow(4, "d", Standing.LEARNER, "h:1", "h:2", "h:3", "aa", True)
    assert table.row(MemberAdd("d", "h:1", incarnation="aa")) == row, "the same node asks again: a lost answer"
    row = table.row(MemberAdd("d", "h:9", incarnation="aa"))
    assert (row.id, row.peer, row.client) == (4, "h:9", "h:2"), "meanwhile it has moved"
    assert table.row(MemberRemove("d")).standing is Standing.REMOVED
    assert table.row(MemberAdd("d", "h:1", incarnation="bb")).id == 5
    assert [(row.id, row.standing) for row in table.rows()][3:] == [(4, Standing.REMOVED), (5, Standing.LEARNER)]


def test_a_row_added_by_hand_belongs_to_the_first_node_that_comes_with_its_name() -> None:
    table = Table()
    assert table.row(MemberAdd("d", auto_promote=False)).id == 4
    claimed = table.row(MemberAdd("d", "h:1", incarnation="aa"))
    assert (claimed.id, claimed.peer, claimed.incarnation, claimed.auto_promote) == (4, "h:1", "aa", False)
    assert table.refused(MemberAdd("d", "h:2", incarnation="bb")).reason is Reason.MEMBER_EXISTS
    assert table.refused(MemberAdd("b", "h:3", incarnation="bb")).reason is Reason.MEMBER_EXISTS, "a voter is nobody's"


def test_names_and_addresses_are_unique_and_make_sense() -> None:
    table = Table()
    table.row(MemberUpdate(2, "h:1"))
    assert "'b', node 2" in table.refused(MemberAdd("d", "h:1")).message
    assert table.refused(MemberUpdate(3, "h:1")).reason is Reason.MEMBER_EXISTS
    for bad in (MemberAdd(""), MemberAdd("-x"), MemberAdd("x" * 64), MemberAdd("d", "nonsense"), MemberUpdate(2, "x")):
        assert table.refused(bad).reason is Reason.INVALID_ARGUMENT
    for address in ("h:x", "h:", ":1", "h:0", "h:65536", "h:1\n", "::1:1", "[]:1", "h" * 300 + ":1", "h:\u0661"):
        bad = MemberAdd("d", address)
        assert table.refused(bad).reason is Reason.INVALID_ARGUMENT
    assert table.refused(MemberUpdate(9, "h:9")).reason is Reason.MEMBER_NOT_FOUND


def test_a_data_folder_is_bound_to_its_member_once() -> None:
    table = Table()
    assert table.row(MemberUpdate(2, incarnation="aa")).incarnation == "aa"
    assert table.row(MemberUpdate(2, client="h:2")) == MemberRow(2, "b", Standing.VOTER, "", "h:2", "", "aa")
    assert table.refused(MemberUpdate(2, incarnation="bb")).reason is Reason.DATA_REPLACED


def test_a_learner_is_promoted_when_it_has_caught_up() -> None:
    table = Table()
    table.row(MemberAdd("d", "h:1"))
    assert "6 entries behind" in table.refused(MemberPromote("d", view([1, 2, 3, 4]))).message
    assert "does not answer" in table.refused(MemberPromote("d", view([1, 2, 3]))).message
    assert table.row(MemberPromote(4, view([1, 2, 3, 4], [4]))).standing is Standing.VOTER
    assert table.row(MemberPromote(4, view([1], busy="x"))).standing is Standing.VOTER, "it is one already"


@pytest.mark.parametrize(
    ("healthy", "member", "fine"),
    [
        ([1, 2, 3], "c", True),
        ([1, 2], "c", True),  # the dead one
        ([1, 2], "b", False),  # a live one, with another one dead
        ([1, 2], "a", False),
        ([1, 2, 3], "a", True),
    ],
)
def test_nobody_is_removed_whom_the_quorum_needs(healthy: list[int], member: str, fine: bool) -> None:
    table = Table()
    if fine:
        assert not table.row(MemberRemove(member, view(healthy))).active
    else:
        failure = table.refused(MemberRemove(member, view(healthy)))
        assert failure.reason is Reason.QUORUM_LOSS
        assert "only 1 of 2 voters" in failure.message


def test_the_last_voter_stays() -> None:
    store = Store(Limits(), founders({1: "a"}))
    (result,) = store.apply(1, Batch(1, 0, [Envelope(0, 0, 0, [(0, MemberRemove("a"))])]))[0]
    assert isinstance(result, Failure)
    assert result.reason is Reason.QUORUM_LOSS


def test_one_change_at_a_time() -> None:
    table = Table()
    busy = view([1, 2, 3], busy="towards voters a, b")
    for command in (MemberAdd("d", view=busy), MemberRemove("a", busy)):
        failure = table.refused(command)
        assert failure.reason is Reason.CHANGE_UNDER_WAY
        assert "towards voters a, b" in failure.message


def test_unknown_and_removed_members_are_told_apart() -> None:
    table = Table()
    assert "members are a, b, c" in table.refused(MemberRemove("x")).message
    assert "never a member" in table.refused(MemberPromote(7)).message
    table.row(MemberRemove("c"))
    for member in ("c", 3):
        assert "has been removed" in table.refused(MemberRemove(member)).message


def test_leadership_goes_to_a_healthy_voter() -> None:
    table = Table()
    table.row(MemberAdd("d"))
    assert table.row(MemberTransfer(0, view([1, 2, 3]))).name == "c", "the one that is most up to date"
    assert table.store.members.heir == 3
    assert table.row(MemberTransfer("b", view([1, 2]))).id == 2
    assert table.refused(MemberTransfer("c", view([1, 2]))).reason is Reason.MEMBER_LAGS
    assert table.refused(MemberTransfer("d", view([1, 2, 3, 4]))).reason is Reason.INVALID_ARGUMENT
    table.store.members.heir = 0
    assert table.row(MemberTransfer("a", view([1, 2, 3]))).id == 1
    assert table.store.members.heir == 0, "it leads already"


def test_the_number_of_members_and_of_tombstones_is_bounded() -> None:
    table = Table(Limits(members=4))
    table.row(MemberAdd("d"))
    assert table.refused(MemberAdd("e")).reason is Reason.OVERLOADED
    table.row(MemberRemove("d"))
    for _ in range(TOMBSTONES + 10):
        table.row(MemberAdd("e"))
        table.row(MemberRemove("e"))
    assert len(table.rows()) == 3 + TOMBSTONES
    assert table.store.members.removed(4), "forgotten by name, not by id"
    assert not table.store.members.removed(table.store.members.next_id)


def test_a_repeated_command_of_a_session_adds_once() -> None:
    table = Table()
    table.do(SessionOpen())
    first = table.do(MemberAdd("d"), 1, 1)
    assert table.do(MemberAdd("d"), 1, 1) == first
    assert [row.name for row in table.rows()] == ["a", "b", "c", "d"]


def test_the_table_is_part_of_the_snapshot() -> None:
    table = Table()
    table.row(MemberAdd("d", "h:1", incarnation="aa"))
    table.row(MemberRemove("b"))
    other = Store(Limits(), founders({1: "x"}))
    version = other.members.version
    other.restore(table.store.snapshot())
    assert other.members.rows == table.store.members.rows
    assert other.members.next_id == 5
    assert other.members.version != version, "whoever keeps links has to look again"
    assert other.snapshot() == table.store.snapshot()
    (result,) = other.apply(other.applied + 1, Batch(1, 0, [Envelope(0, 0, 0, [(0, MemberPromote("d"))])]))[0]
    assert isinstance(result, MemberResult)
    assert result.member.standing is Standing.VOTER, "the handlers look at the restored rows"
