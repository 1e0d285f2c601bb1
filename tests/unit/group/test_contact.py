"""A node that is cut off says so to those who watch there, and holds no watches until it is in touch again."""

from __future__ import annotations

from ringleader.errors import Reason
from ringleader.group.options import GroupOptions
from ringleader.store.commands import Put, Range
from ringleader.wire.frames import Query, Refused, Results, WatchCreate, WatchEnd, WatchEvents
from unit.group.harness import World


def watched(world: World, node: int) -> int:
    """A connection to `node` with watch 1 of all keys."""
    conn = world.connect(node)
    world.tell(conn, WatchCreate(1, b"a", b"z"))
    assert isinstance(world.inbox[conn][-1], WatchEvents)
    return conn


def ends(world: World, conn: int) -> list[WatchEnd]:
    return [frame for frame in world.inbox[conn] if isinstance(frame, WatchEnd)]


def test_a_node_that_is_cut_off_ends_its_watches_and_takes_none_until_it_is_back() -> None:
    world = World()
    world.run(3.0)
    node = world.follower()
    conn = watched(world, node)
    world.cut.add(node)
    world.run(4.0)
    assert not ends(world, conn), "an election or two are no reason"
    world.run(3.0)
    (end,) = ends(world, conn)
    assert (end.watch, end.reason) == (1, Reason.NO_LEADER)
    assert "another" in end.message

    world.tell(conn, WatchCreate(2, b"a", b"z"))
    assert [end.watch for end in ends(world, conn)] == [1, 2], "and a new one is refused"

    world.cut.clear()
    world.run(2.0)
    world.tell(conn, WatchCreate(3, b"a", b"z"))
    world.results(world.connect(world.leader()), Put(b"k", b"v"))
    world.run(0.2)
    assert [frame.watch for frame in world.inbox[conn] if isinstance(frame, WatchEvents) and frame.events] == [3]


def test_a_leader_without_a_majority_ends_its_watches_too() -> None:
    world = World()
    world.run(3.0)
    leader = world.leader()
    conn = watched(world, leader)
    for id in list(world.hosts):
        if id != leader:
            world.stop(id)
    world.run(8.0)
    assert [end.reason for end in ends(world, conn)] == [Reason.NO_LEADER]


def test_a_node_that_starts_alone_holds_no_watch_for_long() -> None:
    world = World()
    world.run(3.0)
    node = world.follower()
    world.cut.add(node)
    world.stop(node)
    world.start(node)
    conn = watched(world, node)
    world.run(8.0)
    assert [end.reason for end in ends(world, conn)] == [Reason.NO_LEADER]


def test_a_node_that_starts_alone_says_that_it_knows_nothing() -> None:
    """It said that it had heard from the cluster "inf s ago"."""
    world = World()
    world.run(3.0)
    node = world.follower()
    world.cut.add(node)
    world.stop(node)
    world.start(node)
    conn = world.connect(node)
    world.tell(conn, Query(1, 1000, "stale", [Range(b"k")], 1000))
    answer = world.inbox[conn][-1]
    assert isinstance(answer, Refused)
    assert answer.message == "this node has not heard from the cluster since it started"


def test_a_leader_that_has_just_taken_over_is_as_fresh_as_before() -> None:
    """It answered no read of bounded staleness before its first heartbeat was answered."""
    world = World()
    world.run(3.0)
    old, heir = world.leader(), world.follower()
    assert world.hosts[old].core.transfer(heir)
    conn = world.connect(heir)
    for _ in range(100):
        world.run(0.005)
        world.tell(conn, Query(1, 1000, "stale", [Range(b"k")], 500))
        assert isinstance(world.inbox[conn][-1], Results)
    assert world.leader() == heir


def test_in_a_quiet_cluster_watches_stay_and_hear_of_it() -> None:
    """The leader is in touch by its heartbeats alone, and so are the others; what a watch hears tells it that it lives."""
    world = World(group=GroupOptions(progress_period=2.0))
    world.run(3.0)
    conns = [watched(world, node) for node in world.hosts]
    for conn in conns:
        world.inbox[conn].clear()
    world.run(20.0, 0.05)
    for conn in conns:
        assert not ends(world, conn)
        heard = [frame for frame in world.inbox[conn] if isinstance(frame, WatchEvents)]
        assert len(heard) in (9, 10)
        assert not any(frame.events for frame in heard)


def test_a_watch_from_a_revision_to_come_hears_that_it_lives() -> None:
    world = World(1, GroupOptions(progress_period=1.0))
    world.run(3.0)
    conn = world.connect(1)
    world.results(conn, Put(b"k", b"v"))
    world.tell(conn, WatchCreate(1, b"k", start_revision=world.hosts[1].store.revision + 3))
    world.inbox[conn].clear()
    world.run(3.0)
    heard = [frame.revision for frame in world.inbox[conn] if isinstance(frame, WatchEvents)]
    assert set(heard) == {world.hosts[1].store.revision + 2}
    for value in (b"1", b"2", b"3", b"4"):
        world.results(conn, Put(b"k", value))
    world.run(0.2)
    events = [event for frame in world.inbox[conn] if isinstance(frame, WatchEvents) for event in frame.events]
    assert [event.kv.value for event in events] == [b"3", b"4"]


def test_changes_of_the_leader_end_no_watch() -> None:
    """A new leader has no contact by the core's word until it has committed something."""
    world = World()
    world.run(3.0)
    conns = {node: watched(world, node) for node in world.hosts}
    for _ in range(4):
        leader = world.leader()
        world.cut.add(leader)
        world.run(3.0)
        world.cut.clear()
        world.run(3.0)
    assert not any(ends(world, conn) for conn in conns.values())
