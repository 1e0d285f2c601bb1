"""Members come and go in whole hosts: the reconciler, admission, what is remembered, hazards 18 to 21."""

from __future__ import annotations

import pytest

from ringleader.consensus.shape import Config
from ringleader.errors import Reason
from ringleader.group.options import GroupOptions
from ringleader.group.roster import ROSTER_FILE, Roster
from ringleader.log import LogCorruptError
from ringleader.store.commands import Failure, Put, Result
from ringleader.store.member_ops import (
    MemberAdd,
    MemberList,
    MemberListResult,
    MemberPromote,
    MemberRemove,
    MemberResult,
    MemberTransfer,
    Standing,
)
from ringleader.wire.frames import Results
from unit.group.harness import World


def up(size: int = 3, **options: int) -> World:
    world = World(size, GroupOptions(**options) if options else None)
    world.run(3.0)
    while not any(host.core.leads for host in world.hosts.values()):
        world.run(1.0)
    world.run(1.5)
    return world


def ask(world: World, command: MemberAdd | MemberPromote | MemberRemove | MemberTransfer) -> Result:
    """Through a follower, so that the command is forwarded."""
    conn = world.connect(world.follower())
    (result,) = world.results(conn, command)
    return result


def config(world: World, node: int = 0) -> Config:
    return world.hosts[node or world.leader()].core.config


def members(world: World, node: int) -> MemberListResult:
    answer = world.read(world.connect(node), MemberList())
    assert isinstance(answer, Results)
    (result,) = answer.results
    assert isinstance(result, MemberListResult)
    return result


def grow(world: World, id: int) -> None:
    result = ask(world, MemberAdd(f"n{id}", f"n{id}:2", incarnation=f"i{id}"))
    assert isinstance(result, MemberResult)
    assert result.member.id == id
    world.start(id, f"i{id}")
    world.run(3.0)


def test_nodes_tell_the_table_where_they_are_reached() -> None:
    world = up()
    assert [row.client for row in members(world, 1).members] == ["n1:1", "n2:1", "n3:1"]
    applied = world.hosts[1].store.applied
    world.run(5.0)
    assert world.hosts[1].store.applied == applied, "nothing is told twice"


def test_a_learner_is_added_and_promoted_by_itself_once_it_has_caught_up() -> None:
    world = up()
    world.results(world.connect(1), *(Put(b"k%d" % number, b"v") for number in range(50)))
    ask(world, MemberAdd("n4", incarnation="i4"))
    world.run(2.0)
    assert config(world) == Config((1, 2, 3), (), (4,)), "it does not run yet, so it cannot catch up"
    seen = members(world, world.follower())
    assert seen.members[3].standing is Standing.LEARNER
    assert seen.view is not None
    assert 4 not in seen.view.healthy
    assert seen.view.leader == world.leader()
    world.start(4, "i4")
    world.run(3.0)
    assert config(world) == Config((1, 2, 3, 4))
    assert world.hosts[4].core.config_settled
    assert world.hosts[4].store.hash_kv() == world.hosts[1].store.hash_kv()
    seen = members(world, 4)
    assert seen.view is not None
    assert seen.view.healthy == [1, 2, 3, 4]
    assert not seen.view.busy


def test_without_auto_promotion_a_learner_waits_for_the_word() -> None:
    world = up()
    ask(world, MemberAdd("n4", incarnation="i4", auto_promote=False))
    refused = ask(world, MemberPromote("n4"))
    assert isinstance(refused, Failure)
    assert refused.reason is Reason.CHANGE_UNDER_WAY or refused.reason is Reason.MEMBER_LAGS
    world.start(4, "i4")
    world.run(3.0)
    assert config(world).learners == (4,)
    assert isinstance(ask(world, MemberPromote("n4")), MemberResult)
    world.run(1.0)
    assert config(world) == Config((1, 2, 3, 4))


def test_a_learner_catches_up_by_snapshot() -> None:
    world = up(snapshot_entries=20, keep_entries=5)
    conn = world.connect(1)
    for number in range(60):
        world.results(conn, Put(b"k%d" % number, b"v"))
    grow(world, 4)
    assert config(world) == Config((1, 2, 3, 4))
    assert world.hosts[4].member.counts["snapshots_installed"] == 1
    assert world.hosts[4].members.rows()[4].incarnation == "i4"


def test_a_dead_node_is_replaced_and_two_of_three_are_enough() -> None:
    world = up()
    dead = world.follower()
    world.stop(dead)
    grow(world, 4)
    assert set(config(world).voters) == {1, 2, 3, 4}
    alive = next(id for id in (1, 2, 3) if id not in (dead, world.leader()))
    assert isinstance(ask(world, MemberRemove(f"n{dead}")), MemberResult)
    world.run(1.0)
    assert set(config(world).voters) == {1, 2, 3, 4} - {dead}
    world.stop(alive)
    world.run(4.0)
    assert isinstance(world.results(world.connect(4), Put(b"k", b"v"))[0], object)
    refused = ask(world, MemberRemove("n4"))
    assert isinstance(refused, Failure)
    assert refused.reason is Reason.QUORUM_LOSS


def test_a_leader_that_is_removed_hands_over_without_an_election_timeout() -> None:
    world = up()
    leader = world.leader()
    grow(world, 4)
    assert world.leader() == leader
    conn = world.connect(leader)
    world.results(conn, Put(b"a", b"1"))
    linked: list[bool] = []
    take = world._turn

    def turn(id: int) -> bool:
        busy = take(id)
        if id != leader and world.hosts[id].core.leader == leader:
            linked.append(leader in [peer.id for peer in world.links[id]])
            assert world.hosts[id].members.admit(leader, f"n{leader}", "") is None
        return busy

    world._turn = turn  # type: ignore[method-assign]  # a look at every turn
    assert isinstance(ask(world, MemberRemove(f"n{leader}")), MemberResult)
    world.run(0.4)  # less than an election time
    assert linked
    assert all(linked), "nobody hangs up on a leader that has yet to hand over"
    new = world.leader()
    assert new != leader
    assert set(config(world, new).voters) == {1, 2, 3, 4} - {leader}
    assert world.expelled[leader].reason is Reason.MEMBER_REMOVED
    term = world.hosts[new].core.term
    world.run(6.0)
    assert world.hosts[new].core.term == term, "the removed one disturbs nobody (hazard 21)"
    assert not world.hosts[leader].core.leads


def test_a_removed_follower_is_told_or_turned_away() -> None:
    world = up(4)
    gone = world.follower()
    world.cut.add(gone)  # so that it cannot hear of it
    assert isinstance(ask(world, MemberRemove(gone)), MemberResult)
    world.run(2.0)
    assert gone not in config(world).members()
    world.cut.discard(gone)
    term = world.hosts[world.leader()].core.term
    world.run(5.0)
    assert world.hosts[world.leader()].core.term == term, "hazard 21"
    for id in {1, 2, 3, 4} - {gone}:
        refusal = world.hosts[id].members.admit(gone, f"n{gone}", "")
        assert refusal is not None
        assert refusal[0] is Reason.MEMBER_REMOVED
        assert gone not in [peer.id for peer in world.links[id]]


def test_who_lags_behind_its_own_table_turns_nobody_away_for_good() -> None:
    """Found by the simulator: a node that had just joined sent away the leader that was being removed, and without whose vote,
    since another voter was dead, the removal itself could never be decided."""
    world = up()
    grow(world, 4)
    gone = 4
    assert isinstance(ask(world, MemberRemove(gone)), MemberResult)
    world.run(2.0)
    rows = [row for _, row in sorted(world.hosts[world.leader()].store.members.rows.items())]
    newcomer = world.start(5, "i5")
    newcomer.members.remembered = Roster(100, 6, rows)  # as the join told it
    assert newcomer.members.gone(gone)
    assert newcomer.members.admit(gone, f"n{gone}", f"i{gone}") is None
    refusal = newcomer.members.admit(gone, "somebody", "")
    assert refusal is not None
    assert refusal[0] is Reason.MEMBER_REMOVED


def test_who_restarts_in_the_middle_of_a_removal_still_listens_to_the_one_that_goes() -> None:
    world = up(4)
    leader = world.leader()
    gone, other, last = [id for id in (1, 2, 3, 4) if id != leader]
    world.cut.update((other, last))
    core = world.hosts[leader].core
    voters = tuple(id for id in core.config.voters if id != gone)
    assert core.change_members(Config(voters))
    world.run(0.2)
    assert not core.config_settled
    for id in (leader, gone):
        host = world.hosts[id]
        assert gone in host.core.parties
    world.stop(leader)
    back = world.start(leader)
    back.take_output()
    assert gone in back.core.parties
    assert gone in [peer.id for peer in back.members.links()]
    assert back.members.admit(gone, f"n{gone}", "") is None


def test_a_new_leader_finishes_a_joint_change_that_the_old_one_left() -> None:
    world = up()
    grow(world, 4)
    leader = world.leader()
    others = [id for id in (1, 2, 3, 4) if id != leader]
    core = world.hosts[leader].core
    assert core.change_members(Config(tuple(others)))
    world._turn(leader)  # the joint entry leaves; nobody has answered yet
    for id in others:
        world._turn(id)
    assert config(world, others[0]).outgoing, "the others are in the joint configuration"
    world.stop(leader)
    world.run(6.0)
    final = config(world)
    assert not final.outgoing, "hazard 20"
    assert set(final.voters) == {1, 2, 3, 4}, "and then the table's word counts: nobody was removed there"


def test_a_member_promoted_while_it_was_away_votes_all_the_same() -> None:
    world = up(2)
    ask(world, MemberAdd("n3", incarnation="i3", auto_promote=False))
    world.start(3, "i3")
    world.run(3.0)
    assert config(world).learners == (3,)
    world.cut.add(3)
    leader = world.leader()
    view_of = world.hosts[leader].member.leading.view()
    assert view_of is not None
    assert 3 in view_of.caught_up
    assert isinstance(ask(world, MemberPromote("n3")), MemberResult)
    world.run(0.5)
    assert set(config(world).voters) == {1, 2, 3}
    assert config(world, 3).learners == (3,), "it does not know (hazard 19)"
    world.cut.discard(3)
    world.stop(leader)
    world.run(6.0)
    assert world.hosts[world.leader()].core.config == Config((1, 2, 3))


def test_leadership_is_handed_over_on_demand() -> None:
    world = up()
    heir = world.follower()
    result = ask(world, MemberTransfer(f"n{heir}"))
    assert isinstance(result, MemberResult)
    world.run(0.5)
    assert world.leader() == heir
    assert isinstance(ask(world, MemberTransfer()), MemberResult)
    world.run(0.5)
    assert world.leader() != heir


def test_a_hand_over_of_an_earlier_term_is_not_done_once_more() -> None:
    """Found by review: who led after a restart of all applied it from its log, and handed leadership on."""
    world = up()
    heir = world.follower()
    assert isinstance(ask(world, MemberTransfer(f"n{heir}")), MemberResult)
    world.run(0.5)
    for id in (1, 2, 3):
        world.stop(id)
    for id in {1, 2, 3} - {heir}:
        world.start(id)
    world.run(4.0)
    assert sum(host.member.counts["leaderships"] for host in world.hosts.values()) == 1


def test_a_wiped_node_is_no_member_any_more() -> None:
    world = World(3)
    for id in (1, 2, 3):
        world.stop(id)
        world.disks[id].files.clear()
        world.start(id, f"i{id}")
    world.run(4.0)
    assert [row.incarnation for row in members(world, 1).members] == ["i1", "i2", "i3"]
    for id in (1, 2):
        refusal = world.hosts[id].members.admit(3, "n3", "other")
        assert refusal is not None
        assert refusal[0] is Reason.DATA_REPLACED
        assert world.hosts[id].members.admit(3, "n3", "i3") is None
    world.stop(3)
    world.disks[3].files.clear()
    world.start(3, "other")
    leader = world.leader()
    world.stop(leader)
    world.run(3.0)
    world.start(leader, f"i{leader}")
    world.run(6.0)  # nobody stands at the door here, so it hears of it from the log of the next leader
    assert world.expelled[3].reason is Reason.DATA_REPLACED
    assert "cluster remove n3" in world.expelled[3].hint


@pytest.mark.parametrize("keep", [1000, 3])
def test_a_node_whose_disk_lost_what_it_had_acknowledged_is_given_it_again(keep: int) -> None:
    """Found by review: under the same leader it answered for ever, counted as healthy, and copied nothing any more."""
    world = up(keep_entries=keep, snapshot_entries=10 if keep == 3 else 1000)
    away, leader = world.follower(), world.leader()
    old = {name: bytearray(data) for name, data in world.disks[away].files.items()}
    conn = world.connect(leader)
    for number in range(30):
        world.results(conn, Put(b"k%d" % number, b"v"))
    world.run(1.0)
    world.stop(away)
    world.disks[away].files = old
    host = world.start(away)
    world.run(8.0)
    assert world.leader() == leader
    assert host.core.last_index == world.hosts[leader].core.last_index
    assert host.store.snapshot() == world.hosts[leader].store.snapshot()
    assert world.hosts[leader].core.status().match[away] == host.core.last_index
    member = world.hosts[leader].member
    assert member.counts["acknowledged_lost"] == 1
    (notice,) = member.take_notices()
    assert f"n{away} (node {away}) has lost" in notice
    assert "Its disk" in notice
    assert member.take_notices() == []


def test_a_restarted_node_knows_the_members_before_it_has_applied_anything() -> None:
    world = up()
    grow(world, 4)
    world.results(world.connect(1), Put(b"a", b"1"))
    for id in (1, 2, 3, 4):
        world.stop(id)
    for id in (2, 4):
        incarnation = "i4" if id == 4 else ""
        host = world.start(id, incarnation)
        host.take_output()
        assert host.store.applied == 0
        rows = host.members.rows()
        assert (rows[4].peer, rows[4].incarnation) == ("n4:2", "i4")
        assert host.members.admit(4, "n4", "wiped") is not None or id == 4
        assert {peer.id: peer.address for peer in host.members.links()}.get(4, "n4:2") == "n4:2"
    world.start(1)
    world.run(5.0)
    assert set(config(world).voters) == {1, 2, 3, 4}


def test_a_node_that_was_away_believes_members_that_came_meanwhile() -> None:
    world = up()
    away = world.follower()
    world.stop(away)
    grow(world, 4)
    back = world.start(away)
    back.take_output()
    assert 4 not in back.members.rows()
    assert back.members.admit(4, "n4", "i4") is None, "everyone else it knows may have gone"
    world.links.clear()
    world._turn(away)
    assert 4 in [peer.id for peer in world.links[away]], "and it is answered"
    world.run(3.0)
    refusal = back.members.admit(4, "n4", "another")
    assert refusal is not None
    assert refusal[0] is Reason.DATA_REPLACED, "as soon as it knows better"


def test_who_lags_lets_members_speak_that_it_has_not_heard_of() -> None:
    """Found by the simulator: a learner was away while members changed, and then refused the leader for ever."""
    world = up()
    lagging = world.follower()
    world.cut.add(lagging)
    grow(world, 4)
    members = world.hosts[lagging].members
    assert 4 not in members.rows()
    assert members.admit(4, "n4", "i4") is None
    refusal = members.admit(1, "somebody", "")
    assert refusal is not None
    assert refusal[0] is Reason.WRONG_NODE


def test_a_damaged_list_of_members_stops_the_node() -> None:
    world = up()
    grow(world, 4)
    data = world.disks[2].files[ROSTER_FILE]
    world.stop(2)
    at = data.index(b"n4:2")
    data[at : at + 2] = b"n5"
    with pytest.raises(LogCorruptError, match="wrong checksum"):
        world.start(2)
    del data[at:]
    with pytest.raises(LogCorruptError, match="damaged"):
        world.start(2)


def test_a_snapshot_names_only_a_committed_configuration() -> None:
    world = up()
    leader = world.leader()
    for id in (1, 2, 3):
        if id != leader:
            world.cut.add(id)
    core = world.hosts[leader].core
    assert core.change_members(Config((leader,)))
    world.settle()
    assert core.config.voters == (leader,)
    meta = core.snapshot_meta(world.hosts[leader].store.applied)
    assert meta.config == Config((1, 2, 3)), "hazard 18"


def test_a_new_leader_calls_nobody_silent_before_it_could_have_heard_them() -> None:
    world = up()
    old, heir = world.leader(), world.follower()
    third = next(id for id in (1, 2, 3) if id not in (old, heir))
    world.cut.add(third)
    ask(world, MemberTransfer(heir))
    world.run(0.1)
    assert world.leader() == heir
    view = members(world, heir).view
    assert view is not None
    assert (view.healthy, view.unheard) == (sorted([old, heir]), [third]), "neither healthy nor silent"
    world.run(world.hosts[heir].member.leading.reconciler.election)
    view = members(world, heir).view
    assert view is not None
    assert (view.healthy, view.unheard) == (sorted([old, heir]), []), "silent"
    world.cut.clear()
    world.run(0.5)
    view = members(world, heir).view
    assert view is not None
    assert (view.healthy, view.unheard) == ([1, 2, 3], [])
