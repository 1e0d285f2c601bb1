"""Whole simulated clusters on networks in which not everybody reaches everybody, for as long as it takes to be sure.

Every node runs, and some node can talk with a quorum, both ways. So there must come to be a leader that lasts, and clients
must get on; for Raft, as long as that node has everything that was committed (see docs/learn/3-consensus.md).
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest

from ringleader.consensus.shape import Role
from ringleader.sim.network import Pair, bridge, halves, ring
from ringleader.sim.options import LoadOptions, Options
from ringleader.sim.world import World

CUT, CALM, END = 3.0, 9.0, 14.0
NODES = [1, 2, 3, 4, 5]


def star(leader: int) -> list[Pair]:
    """Only one node reaches everybody, and it is not the leader."""
    middle = leader % len(NODES) + 1
    others = [id for id in NODES if id != middle]
    return [(a, b) for a in others for b in others if a != b]


def chain(leader: int) -> list[Pair]:
    """Each node reaches its neighbours in a row, at the end of which stands the leader."""
    row = [leader, *(id for id in NODES if id != leader)]
    return [(a, b) for i, a in enumerate(row) for j, b in enumerate(row) if abs(i - j) > 1]


def two_halves(leader: int) -> list[Pair]:
    """Two pairs that do not see each other, and one node that sees all; the leader is in one of the pairs."""
    return bridge([leader, *(id for id in NODES if id != leader)])


def in_a_ring(leader: int) -> list[Pair]:
    """Each node sees its two neighbours, so everybody is one of three that can talk: the leader need not change."""
    return ring(NODES)


def deaf(leader: int) -> list[Pair]:
    """Everybody hears the leader, it hears nobody."""
    return [(id, leader) for id in NODES if id != leader]


def dumb(leader: int) -> list[Pair]:
    """The leader hears everybody, nobody hears it."""
    return [(leader, id) for id in NODES if id != leader]


def one_way_ring(leader: int) -> list[Pair]:
    """Between nodes that are no neighbours messages pass in one direction only."""
    return [(a, b) for a, b in ring(NODES) if (b - a) % 5 == 2]


def away_from_one(leader: int) -> list[Pair]:
    """The leader and one follower have lost sight of each other, nothing else."""
    return halves([leader], [leader % len(NODES) + 1])


def with_one_other(leader: int) -> list[Pair]:
    """The leader and one follower reach each other, and that one all the others."""
    return halves([leader], [id for id in NODES if id not in (leader, leader % len(NODES) + 1)])


def at_random(seed: int) -> Callable[[int], list[Pair]]:
    """Any links at all, one way or both, as long as some node has two others with whom it can talk."""
    chance = random.Random(seed)
    while True:
        share = chance.choice((0.3, 0.5, 0.6, 0.7))
        cut = {pair for a in NODES for b in NODES if a < b for pair in _broken(a, b, chance.random() - share, chance)}
        if any(sum(not {(a, b), (b, a)} & cut for b in NODES if b != a) >= 2 for a in NODES):
            return lambda leader: sorted(cut)


def _broken(a: int, b: int, luck: float, chance: random.Random) -> list[Pair]:
    if luck < 0:
        return [(a, b), (b, a)]
    return [chance.choice([(a, b), (b, a)])] if luck < 0.2 else []


class Standing:
    """What a world is like once its links are cut: committed revisions, terms and leaders at some moments."""

    def __init__(self, protocol: str, cuts: Callable[[int], list[Pair]], seed: int = 1, phase2: int = 0) -> None:
        load = LoadOptions(clients=3, rate=30.0, timeout=2.0, watches=0.0)
        self.world = World(
            Options(
                seed=seed,
                protocol=protocol,
                phase2=phase2,
                nodes=5,
                faults_until=END,
                duration=END + 2.0,
                image_checks=0,
                load=load,
            )
        )
        self.cuts = cuts
        self.revisions: list[int] = []
        self.terms: list[int] = []
        self.leader_before = 0
        self.leaders: list[int] = []
        self.world.timeline.at(CUT, self._cut)
        for moment in (CALM, END - 0.01):
            self.world.timeline.at(moment, self._look)

    def run(self) -> None:
        """To the end, where everything is whole again and must have come right."""
        self.world.run()

    def _leaders(self) -> list[int]:
        hosts = {id: machine.host for id, machine in self.world.machines.items()}
        return [id for id, host in hosts.items() if host is not None and host.core.role is Role.LEADER]

    def _cut(self) -> None:
        (self.leader_before,) = self._leaders()
        self.world.network.cut(self.cuts(self.leader_before))

    def _look(self) -> None:
        cores = [machine.host.core for machine in self.world.machines.values() if machine.host is not None]
        self.terms.append(max(core.term for core in cores))
        self.revisions.append(self.world.truth.store.revision)
        self.leaders = self._leaders()

    @property
    def got_on(self) -> int:
        """How many writes were committed in the time at the end."""
        return self.revisions[1] - self.revisions[0]


PROTOCOLS = pytest.mark.parametrize("protocol", ["raft", "paxos"])
NETWORKS = (star, chain, two_halves, in_a_ring, deaf, dumb, one_way_ring, away_from_one)


@PROTOCOLS
@pytest.mark.parametrize("cuts", NETWORKS, ids=lambda cuts: cuts.__name__)
def test_there_is_one_leader_that_lasts_and_clients_get_on(protocol: str, cuts: Callable[[int], list[Pair]]) -> None:
    standing = Standing(protocol, cuts)
    standing.run()
    assert standing.got_on > 40
    assert len(standing.leaders) == 1
    assert standing.terms[0] == standing.terms[1], "nobody raises terms or ballots for nothing"
    if cuts in (in_a_ring, one_way_ring, away_from_one):
        assert standing.leaders == [standing.leader_before], "a leader that a quorum hears is left in peace"
    if cuts in (star, deaf, dumb):
        assert standing.leaders != [standing.leader_before]


@PROTOCOLS
@pytest.mark.parametrize("seed", [3, 11, 12])
def test_links_that_are_broken_at_random(protocol: str, seed: int) -> None:
    standing = Standing(protocol, at_random(seed), seed)
    standing.run()
    assert standing.got_on > 40
    assert len(standing.leaders) == 1
    assert standing.terms[0] == standing.terms[1]


def test_two_of_five_are_enough_to_go_on() -> None:
    standing = Standing("paxos", with_one_other, phase2=2)
    standing.run()
    assert standing.got_on > 40
    assert standing.leaders == [standing.leader_before], (
        "the four others could promise, but one of them hears the leader"
    )


@PROTOCOLS
def test_the_check_can_fail(protocol: str) -> None:
    standing = Standing(protocol, in_a_ring)
    bare = {"pre_vote": False} if protocol == "raft" else {"canvass": False}
    consensus = standing.world.consensus
    standing.world.consensus = msgspec.structs.replace(consensus, check_quorum=False, **bare)
    standing.run()
    assert standing.terms[0] < standing.terms[1], "who does not see the leader deposes it, again and again"


@PROTOCOLS
def test_only_a_node_that_lags_is_heard_by_a_quorum(protocol: str) -> None:
    """The one difference: Raft stands still until a link is back, Paxos goes on. Neither does anything wrong."""
    standing = Standing(protocol, lambda leader: [])
    network, timeline = standing.world.network, standing.world.timeline

    def lag() -> None:
        hub = standing.leader_before % len(NODES) + 1
        network.cut(halves([hub], [id for id in NODES if id != hub]))

    def strand() -> None:
        leader = standing.leader_before
        hub = leader % len(NODES) + 1
        others = [id for id in NODES if id not in (leader, hub)]
        network.mend(halves([hub], others))
        network.cut((a, b) for a in others for b in [*others, leader] if a != b)
        network.cut((leader, id) for id in others)

    timeline.at(CUT + 0.001, lag)
    timeline.at(CUT + 0.6, strand)
    standing.run()
    if protocol == "raft":
        assert (standing.got_on, standing.leaders) == (0, [])
    else:
        assert standing.got_on > 40
        assert standing.leaders == [standing.leader_before % len(NODES) + 1]
