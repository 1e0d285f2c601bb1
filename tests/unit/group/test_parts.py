"""A revision too large for one frame goes in parts: in order, no faster than they are taken, and told to be such."""

from __future__ import annotations

from ringleader.client.watches import Watch
from ringleader.group.options import GroupOptions
from ringleader.store.commands import Delete, Event, KeyValue, Put
from ringleader.wire.frames import WatchCancel, WatchCreate, WatchEvents
from unit.group.harness import World


def frames(world: World, conn: int) -> list[WatchEvents]:
    return [frame for frame in world.inbox[conn] if isinstance(frame, WatchEvents) and frame.events]


def small() -> tuple[World, int, int]:
    """A node that sends a kilobyte in one part, with twenty keys; a connection that watches them, and one that writes."""
    world = World(1, GroupOptions(watch_part_bytes=1000))
    world.run(2)
    writer, reader = world.connect(1), world.connect(1)
    for number in range(20):
        world.results(writer, Put(b"k%02d" % number, bytes(100)))
    world.tell(reader, WatchCreate(1, b"k", b"l", prev_kv=True))
    return world, reader, writer


def test_parts_come_in_order_and_then_what_follows() -> None:
    world, reader, writer = small()
    world.tell(reader, WatchCreate(2, b"k00"))
    world.results(writer, Delete(b"k", b"l"))
    world.results(writer, Put(b"k00", b"after"))
    world.run(1)
    got = [frame for frame in frames(world, reader) if frame.watch == 1]
    assert len(got) > 3
    assert [frame.more for frame in got] == [True] * (len(got) - 2) + [False, False]
    assert [event.kv.key for frame in got for event in frame.events] == [*(b"k%02d" % n for n in range(20)), b"k00"]
    assert {frame.revision for frame in got[:-1]} == {22}
    assert [(f.revision, f.more) for f in frames(world, reader) if f.watch == 2] == [(22, False), (23, False)]
    watch = Watch(1, WatchCreate(1, b"k", b"l"), 0)
    news = [each for frame in got if (each := watch.take(frame)) is not None]
    assert [(each.revision, len(each.events)) for each in news] == [(22, 20), (23, 1)]


def test_who_takes_nothing_is_sent_no_more_parts_and_hears_of_no_progress_between_them() -> None:
    world, reader, writer = small()
    world.hosts[1].client_writable(reader, False)
    world.results(writer, Delete(b"k", b"l"))
    world.hosts[1].client_writable(reader, True)
    world.hosts[1].service.end_turn()
    world.hosts[1].client_writable(reader, False)
    world.run(0.3)
    before = len(frames(world, reader))
    assert [frame.more for frame in frames(world, reader)] == [True]
    world.run(25, step=0.5)
    assert len(frames(world, reader)) == before
    assert not world.hosts[1].idle
    world.hosts[1].client_writable(reader, True)
    world.run(1)
    sent = [frame for frame in world.inbox[reader] if isinstance(frame, WatchEvents)]
    assert [len(frame.events) > 0 for frame in sent[1:]] == [True] * (len(sent) - 1)
    assert sum(len(frame.events) for frame in sent) == 20


def test_a_watch_that_ends_between_two_parts_leaves_nothing_behind() -> None:
    world, reader, writer = small()
    world.hosts[1].client_writable(reader, False)
    world.results(writer, Delete(b"k", b"l"))
    world.hosts[1].client_writable(reader, True)
    world.hosts[1].service.end_turn()
    assert world.hosts[1].service.parts.rest
    world.tell(reader, WatchCancel(1))
    assert not world.hosts[1].service.parts.rest
    world.run(1)


def test_what_was_begun_on_a_lost_connection_begins_anew() -> None:
    def event(number: int) -> Event:
        return Event(False, KeyValue(b"k%d" % number, b"", 5, 5, 1))

    watch = Watch(1, WatchCreate(1, b"k", b"l", 5), 4)
    assert watch.take(WatchEvents(1, 4, [])) is not None
    assert watch.take(WatchEvents(1, 5, [event(1)], True)) is None
    assert watch.request(2).start_revision == 5
    assert watch.take(WatchEvents(2, 5, [event(1)], True)) is None
    assert watch.take(WatchEvents(2, 5, [event(2)])) == WatchEvents(1, 5, [event(1), event(2)])
