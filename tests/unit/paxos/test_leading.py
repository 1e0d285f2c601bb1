"""Who leads, for how long, and what a leader answers."""

from __future__ import annotations

from ringleader.consensus.paxos.ballot import owner
from ringleader.consensus.paxos.messages import (
    Accept,
    Canvass,
    Learn,
    Prepare,
    TakeOver,
)
from ringleader.consensus.shape import Role
from unit.paxos.harness import Cluster, sent, voter


def test_a_leader_that_slept_through_its_fall_serves_no_read() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    old = cluster.leader()
    cluster.down.add(old.id)
    cluster.run(4)
    assert cluster.leader().id != old.id
    cluster.leader().core.propose([b"new"])
    cluster.settle()
    cluster.down.discard(old.id)
    old.core.observe(cluster.now)
    assert old.core.read_barrier(1), "it does not know yet"
    cluster.settle()
    assert old.barriers == []
    assert old.failed == [1]


def test_the_one_that_reaches_a_quorum_leads_however_short_its_log() -> None:
    """The constrained election of the Omni-Paxos paper: only member 1 reaches others, and it lacks what was chosen."""
    cluster = Cluster(5)
    cluster.run(3)
    while cluster.leader().id == 1:
        old = cluster.leader()
        assert old.core.transfer(2)
        cluster.run(1)
    old = cluster.leader()
    cluster.drop = lambda sender, to, message: 1 in (sender, to)
    old.core.propose([b"a", b"b"])
    cluster.run(0.5)
    assert cluster.commands(1) == []
    cluster.crash(old.id)
    cluster.drop = lambda sender, to, message: 1 not in (sender, to)
    cluster.run(6)
    assert cluster.leader().id == owner(cluster.leader().core.term) == 1
    cluster.leader().core.propose([b"c"])
    cluster.run(0.5)
    assert cluster.commands(1) == [b"a", b"b", b"c"]


def test_two_of_five_go_on_together_until_something_parts_them() -> None:
    """Enough to choose (`phase2` 2), too few to elect (4): a leader that has stepped down does not come back."""
    cluster = Cluster(5, phase2=2)
    cluster.run(3)
    leader = cluster.leader()
    other, *rest = [id for id in cluster.members if id != leader.id]
    for id in rest:
        cluster.crash(id)
    cluster.run(5)
    leader.core.propose([b"a"])
    cluster.settle()
    assert cluster.commands(leader.id) == cluster.commands(other) == [b"a"]
    cluster.drop = lambda sender, to, message: True
    cluster.run(2)
    cluster.drop = lambda sender, to, message: False
    cluster.run(5)
    assert not any(cluster.members[id].core.leads for id in (leader.id, other))
    for id in rest[:2]:
        cluster.restart(id)
    cluster.run(5)
    cluster.leader().core.propose([b"b"])
    cluster.run(0.5)
    assert cluster.commands(other) == [b"a", b"b"]


def test_who_takes_over_need_not_ask_what_is_chosen() -> None:
    """It is told with the order: a question and its answer would keep the group without a leader for a round trip more."""
    cluster = Cluster(3)
    cluster.run(3)
    old = cluster.leader()
    heir = next(id for id in cluster.members if id != old.id)
    passed: list[type] = []

    def watch(sender: int, to: int, message: object) -> bool:
        passed.append(type(message))
        return False

    cluster.drop = watch
    old.core.propose([b"a"])
    assert old.core.transfer(heir)
    cluster.settle()
    assert cluster.leader().id == heir
    assert TakeOver in passed
    assert Learn not in passed
    assert cluster.commands(heir) == [b"a"]


def test_a_quorum_of_two_of_five_decides_and_four_elect() -> None:
    cluster = Cluster(5, phase2=2)
    cluster.run(3)
    leader = cluster.leader()
    others = [id for id in cluster.members if id != leader.id]
    for id in others[:3]:
        cluster.crash(id)
    leader.core.propose([b"a"])
    cluster.run(3)
    assert cluster.commands(others[3]) == [b"a"]
    assert cluster.leader().id == leader.id
    assert leader.core.read_barrier(1)
    cluster.run(0.3)
    assert [token for token, _ in leader.barriers] == [1]
    cluster.crash(leader.id)
    for id in others[:2]:
        cluster.restart(id)
    cluster.run(6)
    assert all(cluster.members[id].core.role is not Role.LEADER for id in others), "three are too few"
    cluster.restart(others[2])
    cluster.run(4)
    assert b"a" in cluster.commands(cluster.leader().id)


def test_nobody_is_promised_while_a_leader_is_heard_after_a_restart_too() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    follower, rival = [id for id in cluster.members if id != leader.id]
    cluster.crash(follower)
    cluster.restart(follower)
    core = cluster.members[follower].core
    core.tick(cluster.now)
    before = core.term
    core.step(rival, Prepare(9000000 + rival, 1))
    assert core.term == before
    core.observe(cluster.now + 1.1)
    core.step(rival, Prepare(9000000 + rival, 1))
    assert core.term == 9000000 + rival


def test_who_abstains_stands_for_no_election() -> None:
    cluster, member = voter()
    core = member.core
    core.abstain(True)
    for seconds in range(6, 20):
        core.tick(float(seconds))
        assert not sent(cluster, member, Canvass)
    core.abstain(False)
    core.tick(30.0)
    assert sent(cluster, member, Canvass)
    core.abstain(True)
    assert core.role is Role.FOLLOWER


def test_a_silent_member_costs_no_memory_however_many_reads_are_served() -> None:
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    gone = next(id for id in cluster.members if id != leader.id)
    cluster.crash(gone)
    for token in range(300):
        assert leader.core.read_barrier(token)
        cluster.run(0.02)  # long enough for it to be noticed if it was the one who was asked
    assert len(leader.barriers) == 300
    assert leader.core.lead is not None
    assert len(leader.core.lead.progress[gone].pings) < 5


def test_asking_everybody_for_a_read_takes_nothing_on_the_way_for_lost() -> None:
    """The heartbeat bore the number of a round in which entries had left before it: whoever answered those seemed to have
    missed what left later, and was sent it twice.
    """
    cluster = Cluster(3)
    cluster.run(3)
    leader = cluster.leader()
    assert leader.core.lead is not None
    cluster.now = leader.core.lead.heartbeat_due
    leader.core.tick(cluster.now)
    cluster.settle()
    assert leader.core.read_barrier(1)
    cluster.collect(leader)
    ((_, asked),) = cluster.queue
    (other,) = {1, 2, 3} - {leader.id, asked.to}
    for data in (b"a", b"b", b"c"):
        leader.core.propose([data])
        cluster.collect(leader)
    leader.core.tick(cluster.now + leader.core.options.heartbeat / 9)
    cluster.collect(leader)
    times: list[bytes] = []
    while cluster.queue:  # they arrive one by one in order, and each is answered
        sender, send = cluster.queue.pop(0)
        if send.to == asked.to:
            continue
        if send.to == other and isinstance(send.message, Accept):
            times += [entry.data for entry in send.message.entries]
        to = cluster.members[send.to]
        to.core.step(sender, send.message)
        cluster.collect(to)
        cluster.sync(to)
        cluster.collect(to)
    assert [token for token, _ in leader.barriers] == [1]
    assert times == [b"a", b"b", b"c"]
