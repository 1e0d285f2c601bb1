"""Progress under partial connectivity: one member that a quorum can reach, both ways, is enough.

The three cases of Ng, Haridi and Carbone ("Omni-Paxos", 2023, section 2), and any other graph.
"""

from __future__ import annotations

import random

import pytest

from ringleader.consensus.paxos.ballot import round_of
from ringleader.consensus.paxos.quorum import phase1_size, phase2_size
from ringleader.consensus.shape import Config
from unit.paxos.harness import Cluster

Link = tuple[int, int]


def only(cluster: Cluster, links: set[Link]) -> None:
    """From now on messages pass only from the first to the second of each of these pairs."""
    cluster.drop = lambda sender, to, message: (sender, to) not in links


def both_ways(*pairs: Link) -> set[Link]:
    return {link for a, b in pairs for link in ((a, b), (b, a))}


def led_by(cluster: Cluster, id: int) -> None:
    for _ in range(5):
        if cluster.leader().id == id:
            return
        cluster.leader().core.transfer(id)
        cluster.run(1)
    raise AssertionError(f"{id} does not come to lead")


def progress(cluster: Cluster, elections: int) -> int:
    """Let so many election times pass; who then leads and gets something chosen. Fails when nobody does."""
    cluster.run(elections * cluster.options.election)
    leader = cluster.leader()
    slot = leader.core.propose([b"on"])
    cluster.run(0.5)
    assert leader.core.commit >= slot > 0
    return leader.id


def test_quorum_loss() -> None:
    """All reach only member 1, and the leader was another one."""
    cluster = Cluster(5)
    cluster.run(3)
    led_by(cluster, 2)
    only(cluster, both_ways((1, 2), (1, 3), (1, 4), (1, 5)))
    assert progress(cluster, 6) == 1


def test_constrained_election() -> None:
    """The leader is gone for all, and the only one that reaches others lacks what was chosen last."""
    cluster = Cluster(5)
    cluster.run(3)
    led_by(cluster, 2)
    only(cluster, both_ways((2, 3), (2, 4), (2, 5)))
    cluster.leader().core.propose([b"unknown to 1"])
    cluster.run(0.3)
    assert cluster.commands(1) == []
    only(cluster, both_ways((1, 3), (1, 4), (1, 5)))
    assert progress(cluster, 6) == 1
    assert cluster.commands(1) == [b"unknown to 1", b"on"]


def test_chained() -> None:
    """1 - 2 - 3: whoever leads goes on leading; the far one neither deposes it nor raises ballots for ever."""
    cluster = Cluster(3)
    cluster.run(3)
    led_by(cluster, 1)
    only(cluster, both_ways((1, 2), (2, 3)))
    before = cluster.leader().core.term
    assert progress(cluster, 20) == 1
    assert cluster.leader().core.term == before
    cluster.run(3)
    assert cluster.commands(3), "and it learns what was chosen from the one between"


def test_a_leader_that_is_not_heard_gives_way() -> None:
    """It hears all, and nobody hears it."""
    cluster = Cluster(3)
    cluster.run(3)
    led_by(cluster, 1)
    only(cluster, {(2, 1), (3, 1), *both_ways((2, 3))})
    assert progress(cluster, 6) in (2, 3)


def test_a_leader_that_does_not_hear_gives_way() -> None:
    """All hear it, and it hears nobody."""
    cluster = Cluster(3)
    cluster.run(3)
    led_by(cluster, 1)
    only(cluster, {(1, 2), (1, 3), *both_ways((2, 3))})
    assert progress(cluster, 6) in (2, 3)


@pytest.mark.parametrize("seed", range(30))
def test_any_graph_in_which_somebody_reaches_a_quorum(seed: int) -> None:
    choose = random.Random(seed)
    size = choose.choice([3, 4, 5])
    phase2 = choose.choice([0, 0, 2])
    cluster = Cluster(size, seed + 1, phase2=phase2)
    cluster.run(3)
    ids = list(cluster.members)
    links = {(a, b) for a in ids for b in ids if a != b and choose.random() < 0.4}
    hub = choose.choice(ids)
    reached = choose.sample(
        [id for id in ids if id != hub], max(phase1_size(size, phase2), phase2_size(size, phase2)) - 1
    )
    only(cluster, links | both_ways(*[(hub, id) for id in reached]))
    progress(cluster, 15)
    rounds = round_of(max(member.core.term for member in cluster.members.values()))
    assert rounds < 12, "ballots rise for ever"


def test_a_learner_that_the_leader_cannot_reach_learns_from_others() -> None:
    cluster = Cluster(3)
    cluster.start(4, Config((1, 2, 3)), 44)
    cluster.run(3)
    led_by(cluster, 1)
    assert cluster.leader().core.change_members(Config((1, 2, 3), (), (4,)))
    cluster.run(1)
    only(cluster, both_ways((1, 2), (1, 3), (2, 3), (4, 2)))
    cluster.leader().core.propose([b"a", b"b"])
    cluster.run(12)
    assert cluster.commands(4) == [b"a", b"b"]
    assert cluster.leader().id == 1
