"""Automatic compaction by the leader, and idle watches that outlive it."""

from __future__ import annotations

import pytest

from ringleader.client.watches import Watch
from ringleader.group.compaction import PRESSED_MS, Compactor
from ringleader.group.options import GroupOptions
from ringleader.store.commands import Configure, Put
from ringleader.store.settings import Settings
from ringleader.wire.frames import WatchCreate, WatchEnd, WatchEvents
from unit.group.harness import World

MINUTE = Settings(retention_ms=60_000)


def filled(settings: Settings) -> Compactor:
    """Ten revisions a second for two minutes."""
    compactor = Compactor()
    for tenth in range(1200):
        compactor.note(tenth * 100, tenth + 1, settings)
    return compactor


def test_periodic_keeps_the_retention_and_little_more() -> None:
    target = filled(MINUTE).target(120_000, 1200, 0, MINUTE, pressed=False)
    assert 600 - 15 <= target <= 601


def test_it_compacts_sooner_when_the_quota_is_nearly_used_up() -> None:
    target = filled(MINUTE).target(120_000, 1200, 0, MINUTE, pressed=True)
    assert 1200 - PRESSED_MS / 100 - 15 <= target <= 1200 - PRESSED_MS / 100 + 1


def test_it_is_not_proposed_over_and_over_and_never_back() -> None:
    compactor = filled(MINUTE)
    first = compactor.target(120_000, 1200, 0, MINUTE, pressed=False)
    assert first
    assert not compactor.target(120_100, 1200, first, MINUTE, pressed=False)
    assert compactor.target(130_000, 1200, first, MINUTE, pressed=False) > first
    assert not compactor.target(140_000, 1200, 1200, MINUTE, pressed=False)


def test_last_revisions_are_kept_whatever_the_time() -> None:
    settings = Settings(compaction="revisions", retention_revisions=100)
    assert Compactor().target(1000, 500, 0, settings, pressed=False) == 400
    assert Compactor().target(1000, 500, 395, settings, pressed=False) == 0, "not for every revision"


def test_last_revisions_are_kept_and_looked_after_in_time() -> None:
    """Found by the simulator: it looked as seldom as the retention time asks for, which means nothing in this mode."""
    compactor, settings = Compactor(), Settings(compaction="revisions", retention_revisions=100)
    assert compactor.target(1_000, 150, 0, settings, False) == 50
    assert compactor.target(2_000, 250, 50, settings, False) == 150


def test_off_means_off() -> None:
    assert not filled(MINUTE).target(120_000, 1200, 0, Settings(compaction="off"), pressed=True)


def test_a_snapshot_makes_it_forget_when_what_stood() -> None:
    compactor = filled(MINUTE)
    compactor.forget()
    assert not compactor.target(120_000, 1200, 0, MINUTE, pressed=False)


def test_samples_are_few_however_long_it_runs() -> None:
    compactor = Compactor()
    for second in range(100_000):
        compactor.note(second * 1000, second, Settings())
    assert len(compactor._samples) < 110


def test_the_leader_compacts_through_the_log_and_the_next_leader_goes_on() -> None:
    world = World(group=GroupOptions(progress_period=0.5))
    world.run(3)
    conn = world.connect(world.leader())
    world.results(conn, Configure(retention_ms=2000))
    for number in range(300):
        world.results(conn, Put(b"k%d" % (number % 5), b"v"))
        world.run(0.02)
    marks = {host.store.compact_revision for host in world.hosts.values()}
    assert min(marks) > 100, marks
    world.run(1)
    before = {host.store.compact_revision for host in world.hosts.values()}
    assert len(before) == 1
    assert all(host.store.trim() is False for host in world.hosts.values()), "freed as the turns went by"
    world.stop(world.leader())
    world.run(6)
    assert min(host.store.compact_revision for host in world.hosts.values()) > before.pop()


@pytest.mark.parametrize("progress", [0.5, 1e9])
def test_an_idle_watch_can_go_on_elsewhere_after_a_compaction(progress: float) -> None:
    """The check can fail: without progress frames the client knows only a revision that is compacted by then."""
    world = World(group=GroupOptions(progress_period=progress))
    world.run(3)
    leader = world.leader()
    conn = world.connect(leader)
    world.results(conn, Put(b"idle", b"v"), Configure(retention_ms=1000))
    world.tell(conn, WatchCreate(7, b"idle"))
    for _ in range(300):
        world.results(conn, Put(b"busy", b"v"))
        world.run(0.02)
    frames = world.inbox[conn]
    assert not [frame for frame in frames if isinstance(frame, WatchEnd)]
    seen = max(frame.revision for frame in frames if isinstance(frame, WatchEvents))
    assert len([frame for frame in frames if isinstance(frame, WatchEvents)]) < 20
    other = world.connect(world.follower())
    world.tell(other, WatchCreate(8, b"idle", start_revision=seen + 1))
    ended = [frame for frame in world.inbox[other] if isinstance(frame, WatchEnd)]
    assert bool(ended) == (progress > 1000)


def test_a_client_goes_on_from_the_progress_it_heard_of() -> None:
    watch = Watch(1, WatchCreate(0, b"idle"), floor=3)
    assert watch.take(WatchEvents(7, 5, [])) is not None
    assert watch.request(8).start_revision == 6
    assert watch.take(WatchEvents(7, 900, [])) is not None
    assert watch.request(8).start_revision == 901
    assert watch.take(WatchEvents(7, 800, [])) is None, "a node that lags behind takes nothing back"
    assert watch.request(8).start_revision == 901
