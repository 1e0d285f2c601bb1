"""Watches on a node that is of no use: refused, ended or silent, they go on elsewhere, each event once, without a storm."""

from __future__ import annotations

import pytest

from ringleader.client.options import ClientOptions
from ringleader.errors import Reason
from ringleader.store.commands import Put, Range
from ringleader.store.watch import Watcher
from ringleader.wire.frames import ClientFrame, ServerFrame, WatchCreate, WatchEnd, WatchEvents
from unit.client.fakes import Bench, FakeCluster


class Cluster(FakeCluster):
    """Nodes in `cut` hold no watches; those in `dumb` take them and never say anything of them again."""

    def __init__(self) -> None:
        super().__init__()
        self.cut: set[int] = set()
        self.dumb: set[int] = set()
        self.asked: list[tuple[int, WatchCreate]] = []

    def serve(self, node: int, frame: ClientFrame, watches: dict[int, Watcher]) -> list[ServerFrame]:
        if isinstance(frame, WatchCreate):
            self.asked.append((node, frame))
            if node in self.cut:
                return [WatchEnd(frame.watch, Reason.NO_LEADER, "out of touch")]
            answer = super().serve(node, frame, watches)
            if node in self.dumb:
                self.store.watches.cancel(watches.pop(frame.watch))
                return answer[:1]
            return answer
        return super().serve(node, frame, watches)


class Scene(Bench):
    """A client that only watches, and a writer whom nothing disturbs."""

    def __init__(self, options: ClientOptions | None = None) -> None:
        self.nodes = Cluster()
        self.nodes.leader = 0  # nobody to prefer
        super().__init__(self.nodes, options=options)
        self.watch = self.core.watch(b"k", b"l", start_revision=1)
        self.settle()
        self.written = 1

    def write(self, count: int = 3) -> None:
        writer = Bench(self.cluster)
        for _ in range(count):
            writer.core.submit([Put(b"k%d" % self.written, b"v")], 5.0)
            self.written += 1
        writer.settle()
        self.settle()

    @property
    def at(self) -> int:
        """The node that the client uses."""
        return self.cluster.node(self.pipes[self.active()].address)

    def cut_off(self, *nodes: int) -> None:
        """Those nodes end all watches, and take no new ones."""
        self.nodes.cut |= set(nodes)
        for pipe in self.pipes.values():
            if self.cluster.node(pipe.address) in nodes:
                for watch, watcher in list(pipe.watches.items()):
                    self.cluster.store.watches.cancel(watcher)
                    del pipe.watches[watch]
                    pipe.back.append(WatchEnd(watch, Reason.NO_LEADER, "out of touch"))

    def check(self) -> None:
        """Every event has come, once, in order."""
        news = self.events[self.watch]
        assert all(isinstance(each, WatchEvents) for each in news), news
        keys = [event.kv.key for each in news if isinstance(each, WatchEvents) for event in each.events]
        assert keys == [b"k%d" % number for number in range(1, self.written)]


def test_an_ended_watch_goes_on_at_another_node() -> None:
    scene = Scene()
    scene.write()
    bad = scene.at
    scene.cut_off(bad)
    scene.settle(1.0)
    assert scene.at != bad
    scene.write()
    scene.check()


@pytest.mark.parametrize("first", [1, 2, 3])
def test_nodes_that_have_just_refused_come_last(first: int) -> None:
    """Two of three are cut off: the third is found after one attempt at each, though the others welcome us."""
    scene = Scene()
    scene.write()
    good = first if first != scene.at else first % 3 + 1
    scene.cut_off(*({1, 2, 3} - {good}))
    scene.nodes.asked.clear()
    dials = len(scene.dials)
    scene.settle(2.0)
    assert scene.at == good
    assert len(scene.dials) - dials <= 2
    scene.write()
    scene.check()


def test_while_all_refuse_attempts_are_few_and_it_goes_on_when_one_is_back() -> None:
    scene = Scene()
    scene.core.watch(b"z")
    scene.settle()
    scene.write()
    scene.cut_off(1, 2, 3)
    scene.settle(5.0)
    dials, asked = len(scene.dials), len(scene.nodes.asked)
    for _ in range(200):
        scene.core.query([Range(b"k1")], 5.0, "stale")  # these are served, so that a node seems to be all right
        scene.settle(0.1)
    assert len(scene.dials) - dials <= 120, "three nodes, a pause of half a second at least at each"
    assert len(scene.nodes.asked) - asked <= 400
    scene.nodes.cut.clear()
    scene.settle(3.0)
    scene.write()
    scene.check()


def test_a_watch_that_hears_nothing_is_set_up_anew_elsewhere() -> None:
    scene = Scene()
    scene.write()
    bad = scene.at
    scene.nodes.dumb.add(bad)
    scene.break_link(scene.active())
    while not scene.pipes or scene.at != bad:  # it comes back to the very node, which is silent from now on
        for link in list(scene.pipes):
            scene.break_link(link)
        scene.settle(0.3)
    scene.write()
    with pytest.raises(AssertionError):
        scene.check()
    scene.settle(35.0)
    assert scene.at != bad
    scene.check()
    scene.write()
    scene.check()


def test_a_watch_that_hears_of_progress_stays() -> None:
    scene = Scene()
    scene.write()
    dials, asked = len(scene.dials), len(scene.nodes.asked)
    for _ in range(20):
        scene.settle(10.0)
        pipe = scene.pipes[scene.active()]
        for watch in pipe.watches:
            pipe.back.append(WatchEvents(watch, scene.cluster.store.revision, []))
    scene.settle()
    assert (len(scene.dials), len(scene.nodes.asked)) == (dials, asked)


def test_a_client_that_stood_still_reads_first() -> None:
    """What came meanwhile lies in its buffers: its watches are not lost for having been read late."""
    scene = Scene()
    scene.write()
    asked = len(scene.nodes.asked)
    pipe = scene.pipes[scene.active()]
    (wire,) = pipe.watches
    scene.now += 100.0
    scene.core.tick(scene.now)
    scene.core.received(scene.active(), WatchEvents(wire, scene.cluster.store.revision, []))
    scene.settle(5.0)
    assert len(scene.nodes.asked) == asked
