"""Whatever a client sends, however extreme, a node goes on: every frame is answered once, and all members agree."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringleader.group.options import GroupOptions
from ringleader.log import LogOptions
from ringleader.store.commands import (
    Command,
    Compact,
    Compare,
    Delete,
    ExpireLeases,
    HashKv,
    LeaseGrant,
    LeaseInfo,
    LeaseKeepAlive,
    LeaseList,
    LeaseRevoke,
    Put,
    Range,
    Read,
    SessionClose,
    SessionOpen,
    Txn,
)
from ringleader.wire.frames import (
    ClientFrame,
    Hello,
    Ping,
    Pong,
    Query,
    Refused,
    Results,
    StatusQuery,
    StatusReply,
    Submit,
    WatchCancel,
    WatchCreate,
    WatchEnd,
    WatchEvents,
)
from unit.group.harness import World

EDGES = [-(2**63), -(2**63) + 1, -(2**32), -2, -1, 0, 1, 2, 3, 7, 100, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1]
numbers = st.one_of(st.integers(0, 12), st.sampled_from(EDGES))
small = st.sampled_from([b"a", b"b", b"c", b"aa", b"k"])
keys = st.one_of(small, small, st.sampled_from([b"", b"\0", b"\xff", b"\xff" * 4, b"x" * 4096, b"x" * 4097]))
values = st.sampled_from([b"", b"v", b"\0" * 100, b"w" * 5000])
words = st.sampled_from(
    ["", "=", "!=", "<", ">", "key", "mod", "version", "create", "value", "lease", "ascend", "none", "\0"]
)
flags = st.booleans()

puts = st.builds(Put, keys, values, st.one_of(st.just(0), numbers), flags, flags, flags)
deletes = st.builds(Delete, keys, st.one_of(st.just(b""), keys), flags)
ranges = st.builds(
    Range, keys, keys, numbers, numbers, words, words, flags, flags, numbers, numbers, numbers, numbers
) | st.builds(Range, keys, keys)
compares = st.builds(Compare, keys, words, words, st.one_of(numbers, values), st.one_of(st.just(b""), keys))
leaves: st.SearchStrategy[Put | Delete | Range | Txn] = st.one_of(puts, deletes, ranges)


def _txns(inner: st.SearchStrategy[Put | Delete | Range | Txn]) -> st.SearchStrategy[Put | Delete | Range | Txn]:
    return st.builds(Txn, st.lists(compares, max_size=2), st.lists(inner, max_size=3), st.lists(inner, max_size=3))


@st.composite
def deep(draw: st.DrawFn) -> Txn:
    """One transaction in another, so and so many times."""
    txn = Txn([], [draw(puts)])
    for _ in range(draw(st.sampled_from([3, 15, 16, 17, 62, 63, 64, 65, 120]))):
        txn = Txn([], [txn])
    return txn


txns = st.recursive(leaves, _txns, max_leaves=6).map(lambda op: op if isinstance(op, Txn) else Txn([], [op]))
commands: st.SearchStrategy[Command] = st.one_of(
    puts,
    puts,
    deletes,
    txns,
    deep(),
    st.builds(Compact, numbers),
    st.builds(LeaseGrant, numbers, numbers),
    st.builds(LeaseRevoke, numbers),
    st.builds(LeaseKeepAlive, numbers),
    st.builds(ExpireLeases, st.lists(numbers, max_size=2)),
    st.builds(SessionOpen),
    st.builds(SessionClose),
)
reads: st.SearchStrategy[Read] = st.one_of(
    ranges, txns, deep(), st.builds(HashKv, numbers), st.builds(LeaseInfo, numbers, flags), st.builds(LeaseList)
)
numbered = st.lists(st.tuples(numbers, commands), max_size=6)
many = st.builds(lambda one, count: [(i, one) for i in range(count)], commands, st.sampled_from([500, 5000]))
junk = st.sampled_from([b"\xc0", b"\x90", b"\x91\x90", b"\x91\x92\xcb?\xf0\0\0\0\0\0\0\x92\x01\xc4\x01a"])
bodies = st.one_of(numbered, numbered, numbered, many).map(msgspec.msgpack.encode) | junk
consistencies = st.sampled_from(
    ["linearizable", "linearizable", "leader_lease", "stale", "", "LINEARIZABLE", "\0" * 50]
)

frames: st.SearchStrategy[ClientFrame] = st.one_of(
    st.builds(Submit, st.just(0), numbers, numbers, numbers, bodies.map(msgspec.Raw)),
    st.builds(Query, st.just(0), numbers, consistencies, st.lists(reads, max_size=4), numbers),
    st.builds(WatchCreate, st.integers(0, 5) | numbers, keys, keys, numbers, flags, flags, flags),
    st.builds(WatchCancel, st.integers(0, 5) | numbers),
    st.builds(Ping, st.just(0)),
    st.builds(StatusQuery, st.just(0)),
    st.builds(Hello, words, numbers, words, words),
)
steps = st.lists(
    st.tuples(st.integers(0, 2), frames, st.sampled_from(["", "", "", "tick", "blind", "sight"])), max_size=40
)


class Guest:
    """One connection, made anew whenever the node closes it, and what is owed to it."""

    def __init__(self, world: World, node: int) -> None:
        self.world, self.node = world, node
        self.number = 0
        self.conn = world.connect(node)
        self.asked: Counter[int] = Counter()
        self.watches: Counter[int] = Counter()

    def send(self, frame: ClientFrame) -> None:
        """As the wire would: through bytes. What cannot be encoded or read never reaches a host."""
        owed = not self.world.hosts[self.node].service.connections[self.conn].over  # else it has been told to go
        if isinstance(frame, Submit | Query | Ping | StatusQuery):
            self.number += 1
            frame = msgspec.structs.replace(frame, frame=self.number)
            self.asked[self.number] += owed
        elif isinstance(frame, WatchCreate | WatchCancel):
            self.watches[frame.watch] += owed
        arrived = msgspec.msgpack.decode(msgspec.msgpack.encode(frame), type=ClientFrame)
        self.world.hosts[self.node].client_frame(self.conn, arrived)

    def check(self) -> None:
        """Every frame was answered exactly once."""
        inbox = self.world.inbox[self.conn]
        answered = Counter(f.frame for f in inbox if isinstance(f, Results | Refused | Pong | StatusReply) and f.frame)
        assert answered == +self.asked, (self.asked - answered, answered - self.asked)
        watched = Counter(f.watch for f in inbox if isinstance(f, WatchEnd | WatchEvents))
        expelled = any(isinstance(f, Refused) and not f.frame for f in inbox)
        assert expelled or set(watched) == set(self.watches)
        seen: dict[int, int] = {}
        for frame in inbox:
            if isinstance(frame, WatchEnd):
                seen.pop(frame.watch, None)
            elif isinstance(frame, WatchEvents) and not expelled:
                assert frame.revision >= 0, frame
                assert frame.revision >= seen.get(frame.watch, 0) or not frame.events, "a watch went back in time"
                seen[frame.watch] = frame.revision


def play(size: int, script: list[tuple[int, ClientFrame, str]], seed: int) -> None:
    world = World(
        size, GroupOptions(snapshot_entries=7, keep_entries=3, entry_bytes=2000), LogOptions(segment_bytes=20_000)
    )
    world.run(3, step=0.1)
    guests = [Guest(world, 1 + place % size) for place in range(3)]
    first = guests[0]
    first.send(Submit(0, 1000, 0, 0, msgspec.Raw(msgspec.msgpack.encode([(0, SessionOpen()), (0, Put(b"a", b"1"))]))))
    choice = random.Random(seed)
    for place, frame, then in script:
        guest = guests[place]
        guest.send(frame)
        if then == "tick":
            world.now += choice.choice([0.01, 0.3])
            for host in world.hosts.values():
                host.tick(world.now)
        elif then:
            world.hosts[guest.node].client_writable(guest.conn, then == "sight")
        if choice.random() < 0.4:
            world.settle()
    world.settle()
    for guest in guests:
        world.hosts[guest.node].client_writable(guest.conn, True)
    world.run(7, step=0.2)  # past every patience; huge deadlines are not waited for
    for guest in guests:
        guest.check()
    stores = [host.store for host in world.hosts.values()]
    assert len({(store.applied, store.revision, store.hash_kv(), store.snapshot()) for store in stores}) == 1
    for id in list(world.hosts):
        world.stop(id)
        world.start(id)
    world.run(4, step=0.2)
    assert {host.store.hash_kv() for host in world.hosts.values()} == {stores[0].hash_kv()}


def test_every_extreme_number_where_a_revision_or_an_id_stands() -> None:
    script: list[tuple[int, ClientFrame, str]] = []
    for place, number in enumerate(EDGES):
        script.append((0, WatchCreate(100 + place, b"a", b"", number), ""))
        commands: list[Command] = [
            LeaseGrant(number),
            LeaseGrant(5000, number),
            Compact(number),
            Put(b"a", b"", number),
        ]
        script.append(
            (1, Submit(0, number, 0, number, msgspec.Raw(msgspec.msgpack.encode([(number, c) for c in commands]))), "")
        )
        asked: list[Read] = [HashKv(number), LeaseInfo(number, True), Range(b"a", b"\0", number, number)]
        script.append((2, Query(0, number, "linearizable", asked, number), ""))
    play(1, script, 1)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps, st.integers(0, 1000))
def test_a_single_node_takes_any_frame(script: list[tuple[int, ClientFrame, str]], seed: int) -> None:
    play(1, script, seed)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps, st.integers(0, 1000))
def test_three_nodes_take_any_frame_and_agree(script: list[tuple[int, ClientFrame, str]], seed: int) -> None:
    play(3, script, seed)
