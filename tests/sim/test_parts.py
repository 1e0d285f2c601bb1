"""The small parts of a world: choices, clocks, the timeline, links, what a trace says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ringleader.sim.choice import stream
from ringleader.sim.clock import SimClock
from ringleader.sim.network import SimNetwork, bridge, halves, ring
from ringleader.sim.options import FAULTS, NetOptions, draw
from ringleader.sim.probes import PROBES, Probes
from ringleader.sim.timeline import Timeline
from ringleader.sim.trace import Kind, Trace
from ringleader.store.commands import Put


def test_streams_depend_on_seed_and_name_alone() -> None:
    assert stream(7, "disk").random() == stream(7, "disk").random()
    assert len({stream(seed, name).random() for seed in (1, 2) for name in ("a", "b")}) == 4
    # As computed once: a change would silently change every seed of the museum.
    assert stream(1, "network").getrandbits(32) == 3566222286


def test_options_are_fixed_by_the_seed_and_differ_between_seeds() -> None:
    assert draw(5) == draw(5)
    drawn = [draw(seed) for seed in range(60)]
    assert {options.nodes for options in drawn} == {3, 5}
    assert {options.recode for options in drawn} == {False, True}
    assert any(not options.faults for options in drawn)
    assert set().union(*(options.faults for options in drawn)) == set(FAULTS), "every kind of fault is drawn"
    assert msgspec.json.decode(msgspec.json.encode(draw(9))) == msgspec.to_builtins(draw(9))


def test_a_clock_runs_at_its_rate_and_stands_still_while_frozen() -> None:
    clock = SimClock(100.0, 1.5)
    assert clock.at(2.0) == 103.0
    clock.freeze(2.0)
    assert clock.at(10.0) == 103.0
    clock.thaw(10.0)
    clock.set_rate(12.0, 1.0)
    assert clock.at(13.0) == 107.0


def test_events_at_one_time_happen_in_the_order_of_scheduling() -> None:
    timeline = Timeline()
    seen: list[str] = []
    for name in "abc":
        timeline.at(1.0, seen.append, name)
    timeline.after(0.5, seen.append, "first")
    timeline.run_until(0.9)
    assert (seen, timeline.now) == (["first"], 0.9)
    timeline.run_until(2.0)
    assert seen == ["first", "a", "b", "c"]
    assert timeline.steps == 4


class Links:
    """A network of `nodes` with a list of what arrived."""

    def __init__(self, options: NetOptions, nodes: int = 3, seed: int = 1) -> None:
        self.timeline = Timeline()
        self.probes = Probes()
        self.arrived: list[tuple[int, int, Any]] = []
        self.network = SimNetwork(
            range(1, nodes + 1), options, stream(seed, "network"), self.timeline, self.arrive, Trace(), self.probes
        )

    def arrive(self, receiver: int, sender: int, messages: list[Any], sent: float) -> None:
        self.arrived += [(sender, receiver, message) for message in messages]

    def numbers(self) -> list[Any]:
        return [message for _, _, message in self.arrived]


def test_a_stream_keeps_its_order_and_loses_only_when_cut() -> None:
    links = Links(NetOptions(stream=True, jitter=0.05))
    for number in range(200):
        links.network.send(1, 2, [number])
    links.timeline.run_until(10.0)
    assert links.numbers() == list(range(200))
    links.network.send(1, 2, ["lost"])
    links.network.cut([(1, 2)])
    links.network.send(1, 2, ["lost too"])
    links.network.send(2, 1, ["the other way"])
    links.network.mend([(1, 2)])
    links.network.send(1, 2, ["through"])
    links.timeline.run_until(20.0)
    assert set(links.numbers()[200:]) == {"the other way", "through"}
    assert links.probes.counts["message lost"] == 2


def test_datagrams_are_lost_repeated_and_overtaken() -> None:
    links = Links(NetOptions(stream=False, jitter=0.01, loss=0.1, duplicate=0.1, reorder=0.3))
    for number in range(500):
        links.timeline.at(number * 0.001, links.network.send, 1, 2, [number])
    links.timeline.run_until(10.0)
    numbers = links.numbers()
    assert len(set(numbers)) < 480
    assert len(numbers) > len(set(numbers)) + 20
    assert numbers != sorted(numbers)
    assert all(links.probes.counts[name] for name in ("message lost", "message duplicated", "message overtaken"))


def test_two_cuts_of_one_link_need_two_mends() -> None:
    links = Links(NetOptions())
    links.network.cut([(1, 2)])
    links.network.cut([(1, 2)])
    links.network.mend([(1, 2)])
    links.network.send(1, 2, ["lost"])
    links.network.heal()
    links.network.send(1, 2, ["through"])
    links.timeline.run_until(1.0)
    assert links.numbers() == ["through"]


def test_shapes_of_partitions() -> None:
    assert halves([1], [2]) == [(1, 2), (2, 1)]
    cut = set(bridge([1, 2, 3, 4, 5]))
    assert {pair for pair in cut if 3 in pair} == set()
    assert (1, 5) in cut
    assert (1, 2) not in cut
    cut = set(ring([1, 2, 3, 4, 5]))
    assert (1, 2) not in cut
    assert (1, 5) not in cut
    assert (1, 3) in cut
    assert set(ring([1, 2, 3])) == {(1, 3), (3, 1)}


def test_a_trace_speaks_in_words_and_keeps_the_last_events() -> None:
    trace = Trace(2)
    trace.add((0.5, Kind.NOTE, 0, 0, "forgotten", 0.0))
    trace.add((1.0, Kind.DELIVER, 2, 1, Put(b"k", b"v" * 100), 0.25))
    trace.add((2.0, Kind.CRASH, 3, 0, "no power", 0.0))
    assert list(trace.lines()) == [
        "  1.000000  n2 <- n1  Put(key=b'k', value=<100 bytes>)  (sent 0.250000)",
        "  2.000000  n3 CRASHED no power",
    ]
    assert len(trace.between(1.5, 3.0)) == 1
    assert trace.digest() != trace.between(1.5, 3.0).digest()


def test_probes_must_be_declared() -> None:
    probes = Probes()
    probes.hit("pause")
    assert "pause" not in probes.missing()
    assert len(probes.missing()) == len(PROBES) - 1
    with pytest.raises(KeyError):
        probes.hit("never declared")
