"""Back-ups on their way out of a node: one moment, whatever happens meanwhile; lost answers, limits, being given up."""

from __future__ import annotations

from ringleader.errors import Reason
from ringleader.group import exports
from ringleader.log import SnapshotDecoder
from ringleader.store.commands import Compact, Configure, Failure, Put, Result, SnapshotPart, SnapshotRead
from ringleader.store.store import Store
from ringleader.wire.frames import Results
from unit.group.harness import World


def read(world: World, conn: int, ticket: int = 0, offset: int = 0) -> Result:
    answer = world.read(conn, SnapshotRead(ticket, offset))
    assert isinstance(answer, Results)
    return answer.results[0]


def test_one_moment_while_everything_changes() -> None:
    world = World(size=1)
    world.run(2)
    conn = world.connect(1)
    world.results(conn, Configure(compaction="off"))
    for number in range(40):
        world.results(conn, Put(b"k%d" % number, bytes(50_000)))
    before = world.hosts[1].store.hash_kv()
    revision = world.hosts[1].store.revision
    decoder, frames = SnapshotDecoder("backup"), []
    part = read(world, conn)
    parts = 0
    while isinstance(part, SnapshotPart):
        parts += 1
        assert len(part.data) < 2 * exports.PART_BYTES
        assert read(world, conn, part.ticket, part.offset) == part or parts == 1, "a lost answer is given again"
        frames += decoder.feed(part.data)
        if part.done:
            break
        world.results(conn, Put(b"k1", b"changed"), Put(b"new%d" % parts, b""))
        world.results(conn, Compact(world.hosts[1].store.revision))
        part = read(world, conn, part.ticket, part.offset + len(part.data))
    assert parts > 4
    decoder.close()
    copy = Store()
    copy.restore(b"".join(frames))
    assert copy.revision == revision
    assert copy.hash_kv() == before


def test_what_is_given_up_and_refused() -> None:
    world = World(size=1)
    world.run(2)
    conn = world.connect(1)
    world.results(conn, Configure(compaction="off"))
    for number in range(10):
        world.results(conn, Put(b"k%d" % number, bytes(100_000)))
    parts = [read(world, conn) for _ in range(exports.AT_ONCE)]
    refused = read(world, conn)
    assert isinstance(refused, Failure)
    assert refused.reason is Reason.OVERLOADED
    first = parts[0]
    assert isinstance(first, SnapshotPart)
    wrong = read(world, conn, first.ticket, 17)
    assert isinstance(wrong, Failure)
    world.results(conn, Compact(world.hosts[1].store.revision))
    world.run(exports.IDLE + 1, step=1)
    gone = read(world, conn, first.ticket, len(first.data))
    assert isinstance(gone, Failure)
    assert "start again" in gone.message
    assert len(world.hosts[1].member.exports) == 0
    assert world.hosts[1].store.trim() is False
    assert isinstance(read(world, conn), SnapshotPart)


def test_neither_finished_nor_abandoned_ones_keep_a_new_one_out_for_long() -> None:
    world = World(size=1)
    world.run(2)
    conn = world.connect(1)
    for _ in range(5 * exports.AT_ONCE):  # one right after the other
        part = read(world, conn)
        assert isinstance(part, SnapshotPart)
        assert part.done
        assert read(world, conn, part.ticket, 0) == part, "a lost answer is given again"
    assert len(world.hosts[1].member.exports) <= exports.AT_ONCE
    for number in range(10):
        world.results(conn, Put(b"k%d" % number, bytes(100_000)))
    begun = [read(world, conn) for _ in range(exports.AT_ONCE)]
    world.run(exports.STALE + 1, step=1)
    goes_on = begun[0]
    assert isinstance(goes_on, SnapshotPart)
    assert isinstance(read(world, conn, goes_on.ticket, 0), SnapshotPart), "somebody still asks about this one"
    assert isinstance(read(world, conn), SnapshotPart)
    assert isinstance(read(world, conn, goes_on.ticket, len(goes_on.data)), SnapshotPart)
    second = begun[1]
    assert isinstance(second, SnapshotPart)
    assert isinstance(read(world, conn, second.ticket, 0), Failure)
    world.run(exports.IDLE + 1, step=1)
    assert len(world.hosts[1].member.exports) == 0
