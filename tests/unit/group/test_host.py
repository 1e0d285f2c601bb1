"""A whole pure node: writes, reads, forwarding, fail-over, restart, snapshots, watches."""

from __future__ import annotations

import msgspec
import pytest

import ringleader
from ringleader.consensus.raft.messages import Append
from ringleader.consensus.shape import Entry, EntryKind
from ringleader.errors import Reason
from ringleader.group.host import GROUP, RELEASE, Host
from ringleader.group.options import GroupOptions
from ringleader.log import LogOptions
from ringleader.store.commands import Delete, ExpireLeases, LeaseGrant, Put, PutResult, Range, RangeResult, Result
from ringleader.wire.frames import (
    Hello,
    NodeInfo,
    Ping,
    Query,
    Refused,
    Results,
    StatusQuery,
    StatusReply,
    Submit,
    Topology,
    WatchCreate,
    WatchEnd,
    WatchEvents,
)
from ringleader.wire.relay import Forward, ForwardRefused, ReadIndexReply
from unit.group.harness import World


def value(results: Results | Refused | None) -> list[bytes]:
    assert isinstance(results, Results), results
    (found,) = results.results
    assert isinstance(found, RangeResult)
    return [kv.value for kv in found.kvs]


def ready(size: int = 3, group: GroupOptions | None = None, log: LogOptions | None = None) -> World:
    world = World(size, group, log)
    world.run(3)
    return world


def test_release_is_the_packages() -> None:
    assert ringleader.__version__ == RELEASE


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_write_through_any_node_is_read_through_any_other(size: int) -> None:
    world = ready(size)
    for node in list(world.hosts):
        conn = world.connect(node)
        (result,) = world.results(conn, Put(b"k", str(node).encode()))
        assert isinstance(result, PutResult)
        for other in list(world.hosts):
            assert value(world.read(world.connect(other), Range(b"k"))) == [str(node).encode()]


def test_all_members_hold_the_same_state() -> None:
    world = ready()
    conn = world.connect(world.follower())
    for i in range(50):
        world.results(conn, Put(b"k%d" % (i % 7), b"v%d" % i))
    world.run(0.5)
    assert len({host.store.hash_kv() for host in world.hosts.values()}) == 1


def test_losing_the_leader_loses_no_acknowledged_write() -> None:
    world = ready()
    old = world.leader()
    conn = world.connect(world.follower())
    world.results(conn, Put(b"k", b"before"))
    world.stop(old)
    refused = world.submit(conn, Put(b"k", b"lost?"))
    assert refused is None, "forwarded to a node that is gone: no answer yet"
    world.run(5)
    late = world.answer(conn, world.frames)
    assert isinstance(late, Refused)
    assert not late.unknown, "an entry of a later term was applied, so it is certain"
    assert value(world.read(world.connect(world.leader()), Range(b"k"))) == [b"before"]


def test_a_repeated_command_of_a_session_runs_once() -> None:
    world = ready()
    conn = world.connect(world.follower())
    session = world.session(conn)
    first = world.results(conn, Put(b"k", b"1"), session=session, seq=1, ack=1)
    again = world.results(world.connect(world.leader()), Put(b"k", b"1"), session=session, seq=1, ack=1)
    assert first == again
    assert world.hosts[world.leader()].store.revision == 2


def test_restart_of_all_nodes_keeps_everything() -> None:
    world = ready(log=LogOptions(segment_bytes=2048, runway_bytes=512))
    conn = world.connect(world.leader())
    for i in range(100):
        world.results(conn, Put(b"k%d" % i, b"v" * 40))
    for id in list(world.hosts):
        world.stop(id)
    for id in world.disks:
        world.start(id)
    world.run(4)
    conn = world.connect(world.follower())
    answer = world.read(conn, Range(b"k", b"l", count_only=True))
    assert isinstance(answer, Results)
    assert isinstance(answer.results[0], RangeResult)
    assert answer.results[0].count == 100


def test_snapshots_let_old_segments_go_and_bring_back_a_member_that_was_away() -> None:
    group = GroupOptions(snapshot_entries=20, keep_entries=5)
    world = ready(group=group, log=LogOptions(segment_bytes=2048, runway_bytes=512))
    away = world.follower()
    world.stop(away)
    conn = world.connect(world.leader())
    for i in range(200):
        world.results(conn, Put(b"k%d" % (i % 30), b"v%d" % i))
    names = world.disks[world.leader()].names()
    assert len([name for name in names if name.startswith("snap-")]) == 1
    assert len(names) < 15, "old segments are gone"
    world.start(away)
    world.run(2)
    assert world.hosts[away].member.counts["snapshots_installed"] == 1
    assert world.hosts[away].store.hash_kv() == world.hosts[world.leader()].store.hash_kv()
    for id in list(world.hosts):
        world.stop(id)
    for id in world.disks:
        world.start(id)
    world.run(4)
    assert len({host.store.hash_kv() for host in world.hosts.values()}) == 1


def test_a_deposed_leader_answers_no_linearizable_read_and_says_how_stale_it_is() -> None:
    world = ready()
    old = world.leader()
    conn = world.connect(old)
    world.cut.add(old)
    assert world.read(conn, Range(b"k")) is None
    assert isinstance(world.read(conn, Range(b"k"), consistency="stale"), Results)
    world.run(5)
    late = world.answer(conn, world.frames - 1)
    assert isinstance(late, Refused)
    assert not late.unknown
    assert world.leader() != old


def test_unknown_consistency_is_refused_by_name() -> None:
    world = ready(1)
    refused = world.read(world.connect(1), Range(b"k"), consistency="strong")
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.INVALID_ARGUMENT
    assert "strong" in refused.message


def test_without_a_leader_a_write_is_refused_at_once() -> None:
    world = World(3)
    refused = world.submit(world.connect(1), Put(b"k", b"v"))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.unknown) == (Reason.NO_LEADER, False)


def test_senseless_commands_are_refused_before_the_log() -> None:
    world = ready(1)
    conn = world.connect(1)
    for raw in [b"\xc1", msgspec.msgpack.encode([[1, [99]]]), msgspec.msgpack.encode("x")]:
        world.tell(conn, Submit(900, 1000, 0, 0, msgspec.Raw(raw)))
        refused = world.answer(conn, 900)
        assert isinstance(refused, Refused)
        assert refused.reason == Reason.INVALID_ARGUMENT
        world.inbox[conn].clear()
    refused = world.submit(conn, ExpireLeases([1]))
    assert isinstance(refused, Refused)


def test_too_much_waiting_is_refused_clearly() -> None:
    world = ready(3, GroupOptions(backlog_bytes=1000))
    leader = world.leader()
    conn = world.connect(leader)
    world.cut.add(leader)
    answers = [world.submit(conn, Put(b"k", b"x" * 400)) for _ in range(4)]
    assert isinstance(answers[-1], Refused)
    assert answers[-1].reason == Reason.OVERLOADED
    assert not answers[-1].unknown


def test_much_at_once_is_proposed_and_applied_in_portions() -> None:
    world = ready(3, GroupOptions(entry_bytes=300, turn_bytes=600))
    leader = world.leader()
    host = world.hosts[leader]
    conn = world.connect(leader)
    raw = msgspec.Raw(msgspec.msgpack.encode([(0, Put(b"k", b"x" * 100))]))
    before = host.core.last_index
    for number in range(1000, 1040):
        host.client_frame(conn, Submit(number, 5000, 0, 0, raw))
    out = host.take_output()
    assert out.more, "another turn is wanted"
    assert 2 <= host.core.last_index - before <= 4
    for to, group, message in out.peers:
        world.hosts[to].peer_message(leader, group, message)
    assert out.disk is not None
    world.disks[leader].execute(out.disk.ops)
    host.disk_done(out.disk.number)
    world.settle()
    world.run(0.3)
    answered = [frame.frame for frame in world.inbox[conn] if isinstance(frame, Results)]
    assert answered == list(range(1000, 1040)), "all of them, in their order"
    assert not host.take_output().more


def test_a_lease_ends_by_log_time_and_takes_its_keys() -> None:
    world = ready()
    conn = world.connect(world.follower())
    world.results(conn, LeaseGrant(2000, 7), Put(b"mine", b"x", lease=7))
    world.run(1.5)
    assert value(world.read(conn, Range(b"mine"))) == [b"x"]
    world.run(1.5)
    assert value(world.read(conn, Range(b"mine"))) == []


def test_watch_through_a_follower() -> None:
    world = ready()
    conn = world.connect(world.follower())
    world.tell(conn, WatchCreate(1, b"a", b"b", prev_kv=True))
    writer = world.connect(world.leader())
    world.results(writer, Put(b"a1", b"x"))
    world.results(writer, Put(b"z", b"x"))
    world.results(writer, Delete(b"a1"))
    world.run(0.3)
    frames = [frame for frame in world.inbox[conn] if isinstance(frame, WatchEvents)]
    assert frames[0].events == []
    events = [event for frame in frames for event in frame.events]
    assert [(event.deleted, event.kv.key) for event in events] == [(False, b"a1"), (True, b"a1")]
    assert events[1].prev_kv is not None
    assert events[1].prev_kv.value == b"x"


def test_a_connection_that_takes_nothing_goes_on_where_it_stood() -> None:
    world = ready(1)
    conn = world.connect(1)
    world.tell(conn, WatchCreate(1, b"k"))
    world.hosts[1].client_writable(conn, False)
    writer = world.connect(1)
    for i in range(10):
        world.results(writer, Put(b"k", b"%d" % i))
    assert [f for f in world.inbox[conn] if isinstance(f, WatchEvents) and f.events] == []
    world.hosts[1].client_writable(conn, True)
    world.settle()
    events = [event for f in world.inbox[conn] if isinstance(f, WatchEvents) for event in f.events]
    assert [event.kv.value for event in events] == [b"%d" % i for i in range(10)]


def test_a_watch_from_compacted_history_says_so() -> None:
    from ringleader.store.commands import Compact

    world = ready(1)
    conn = world.connect(1)
    for i in range(5):
        world.results(conn, Put(b"k", b"%d" % i))
    world.results(conn, Compact(5))
    world.tell(conn, WatchCreate(1, b"k", start_revision=2))
    (end,) = [frame for frame in world.inbox[conn] if isinstance(frame, WatchEnd)]
    assert (end.reason, end.compact_revision) == (Reason.COMPACTED, 5)


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (Ping(1), Reason.PROTOCOL),
        (Hello("http", 1), Reason.PROTOCOL),
        (Hello("ringleader", 99), Reason.VERSION),
        (Hello("ringleader", 1, "other"), Reason.WRONG_CLUSTER),
    ],
)
def test_strangers_are_told_why(first: Hello | Ping, reason: Reason) -> None:
    world = World(1)
    world.inbox[1] = []
    world.where[1] = 1
    world.hosts[1].client_opened(1)
    world.hosts[1].client_frame(1, first)
    out = world.hosts[1].take_output()
    ((_, refused),) = out.clients
    assert isinstance(refused, Refused)
    assert refused.reason == reason
    assert out.close == [1]


def test_status_and_change_of_leader_are_told() -> None:
    world = ready()
    conn = world.connect(world.follower())
    world.tell(conn, StatusQuery(5))
    (status,) = [frame for frame in world.inbox[conn] if isinstance(frame, StatusReply)]
    assert (status.role, status.voters, status.leader) == ("follower", [1, 2, 3], world.leader())
    world.stop(world.leader())
    world.run(5)
    tops = [frame for frame in world.inbox[conn] if isinstance(frame, Topology)]
    assert tops[-1].leader == world.leader()


def test_results_come_from_the_nodes_own_apply_also_for_many_at_once() -> None:
    world = ready(group=GroupOptions(entry_bytes=300))
    conn = world.connect(world.follower())
    results: list[Result] = world.results(conn, *[Put(b"k%d" % i, b"x" * 50) for i in range(20)])
    assert [result.revision for result in results if isinstance(result, PutResult)] == list(range(2, 22))


def test_clients_learn_where_a_node_is_reached() -> None:
    world = ready(1)
    conn = world.connect(1)
    moved = NodeInfo(1, "n1", "elsewhere:1")
    world.hosts[1].learn_node(moved)
    world.settle()
    assert [frame.nodes for frame in world.inbox[conn] if isinstance(frame, Topology)] == [[moved]]


def test_reads_whose_answers_do_not_fit_one_frame_are_refused_together() -> None:
    world = ready(1)
    conn = world.connect(1)
    for i in range(4):
        world.results(conn, Put(b"big%d" % i, b"x" * 900_000))
    everything = Range(b"big", b"bih")
    assert isinstance(world.read(conn, everything), Results)
    refused = world.read(conn, everything, everything)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.unknown) == (Reason.TOO_LARGE, False)


def test_an_installed_snapshot_takes_the_place_of_the_older_file() -> None:
    world = ready(3, GroupOptions(snapshot_entries=20, keep_entries=5))
    behind = world.follower()
    conn = world.connect(world.leader())
    for i in range(50):
        world.results(conn, Put(b"k%d" % i, b"x"))
    world.run(0.5)
    world.cut.add(behind)
    for i in range(80):
        world.results(conn, Put(b"k%d" % i, b"y"))
    before = world.hosts[behind].member.counts["snapshots_installed"]
    world.cut.clear()
    world.run(1.0)
    assert world.hosts[behind].member.counts["snapshots_installed"] == before + 1
    assert len([name for name in world.disks[behind].names() if name.startswith("snap-")]) == 1


def test_a_lease_read_after_a_pause_is_not_answered_by_the_lease() -> None:
    """The frame that woke the node is handled before its timers: the lease must be held against the time it is now."""
    world = ready(3)
    leader = world.leader()
    conn = world.connect(leader)
    host = world.hosts[leader]
    world.cut.add(leader)
    host.observe(world.now + 5.0)
    host.client_frame(conn, Query(77, 1000, "leader_lease", [Range(b"k")]))
    out = host.take_output()
    assert [frame for to, frame in out.clients if to == conn] == [], "it has to ask the others first"


def test_a_long_history_is_sent_in_portions_and_all_watches_get_their_turn() -> None:
    """Else one frame of a client could make a node build all its history in memory, once for each watch."""
    world = ready(1, GroupOptions(watch_bytes=1000, watch_frames_per_turn=3))
    writer, conn = world.connect(1), world.connect(1)
    for i in range(60):
        world.results(writer, Put(b"k", b"%04d" % i + b"x" * 500))
    host = world.hosts[1]
    for watch in range(1, 6):
        host.client_frame(conn, WatchCreate(watch, b"k", start_revision=1))
    most, first_end = 0, 0
    seen: dict[int, list[bytes]] = {watch: [] for watch in range(1, 6)}
    for turn in range(1000):
        frames = [frame for to, frame in host.take_output().clients if to == conn and isinstance(frame, WatchEvents)]
        frames = [frame for frame in frames if frame.events]
        if not frames:
            break
        most = max(most, len(frames))
        for frame in frames:
            seen[frame.watch] += [event.kv.value[:4] for event in frame.events]
        if not first_end and any(len(values) == 60 for values in seen.values()):
            first_end = turn
            assert min(map(len, seen.values())) > 30, "one after the other instead of side by side"
    assert most == 3
    assert all(values == [b"%04d" % i for i in range(60)] for values in seen.values())


def test_a_bounded_stale_read_waits_for_what_was_just_heard_of() -> None:
    """A member that hears after long that much was committed is up to date only once it has applied it."""
    world = ready()
    follower, leader = world.follower(), world.leader()
    conn = world.connect(follower)
    host = world.hosts[follower]
    world.now += 5.0
    host.observe(world.now)
    host.client_frame(conn, Query(1, 1000, "stale", [Range(b"k")], 1000))
    refused = [frame for _, frame in host.take_output().clients]
    assert [type(frame) for frame in refused] == [Refused], "it has heard nothing for five seconds"
    core = host.core
    last = core.last_index
    host.peer_message(
        leader, GROUP, Append(core.term, last, core.term, [Entry(core.term, EntryKind.NOOP, b"")], last + 1)
    )
    host.client_frame(conn, Query(2, 1000, "stale", [Range(b"k")], 1000))
    assert host.out.clients == [], "not answered before the entry is applied"
    assert [frame.frame for _, frame in host.take_output().clients if isinstance(frame, Results)] == [2]


def test_a_garbled_forward_of_a_peer_is_left_aside() -> None:
    world = ready()
    leader, follower = world.leader(), world.follower()
    host = world.hosts[leader]
    not_text = msgspec.msgpack.encode((0, 0, 0, [], "me")).replace(b"me", b"\xff\xfe")
    for raw in (b"\x01", b"\x90", b"\xa3abc", not_text):
        host.peer_message(follower, GROUP, Forward(host.core.term, [msgspec.Raw(raw)]))
    host.peer_message(follower, GROUP, ReadIndexReply(-1, 2**63))
    host.peer_message(follower, GROUP, ForwardRefused([0, -1, 2**64 - 1], Reason.NOT_LEADER, ""))
    world.settle()
    assert host.member.counts["garbled_forwards"] == 4
    assert isinstance(world.submit(world.connect(leader), Put(b"k", b"v")), Results)


def test_an_answer_that_changes_nothing_asks_for_no_turn() -> None:
    world = ready()
    leader = world.leader()
    host = world.hosts[leader]

    def idle(of: Host = host) -> bool:
        return of.idle

    conn = world.connect(leader)
    others = [id for id in world.hosts if id != leader]
    world.settle()
    assert idle()
    host.client_frame(conn, Submit(77, 5000, 0, 0, msgspec.Raw(msgspec.msgpack.encode([(0, Put(b"k", b"v"))]))))
    assert not idle(), "a write came"
    out = host.take_output()
    assert out.disk is not None
    host.disk_done(out.disk.number)
    assert idle(), "the own copy alone decides nothing"
    answers = []
    for to, group, message in out.peers:
        world.hosts[to].peer_message(leader, group, message)
    for id in others:
        reply = world.hosts[id].take_output()
        assert not reply.peers, "nothing leaves before it is on disk"
        assert reply.disk is not None
        world.hosts[id].disk_done(reply.disk.number)
        assert not idle(world.hosts[id]), "its answer may leave now"
        answers.append((id, world.hosts[id].take_output().peers))
    for place, (id, messages) in enumerate(answers):
        for _, group, message in messages:
            host.peer_message(id, group, message)
        assert idle() is bool(place), "the first makes a quorum, the second adds nothing"
        if not place:
            assert [frame.frame for _, frame in host.take_output().clients if isinstance(frame, Results)] == [77]
