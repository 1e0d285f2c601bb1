"""A new leader on Paxos that does not know yet all that was chosen before it: what becomes of writes meanwhile."""

from __future__ import annotations

import msgspec

from ringleader.consensus.paxos import PaxosOptions
from ringleader.consensus.paxos.messages import Chosen
from ringleader.errors import Reason
from ringleader.group.options import GroupOptions, HostConfig
from ringleader.store.commands import Put, Range, RangeResult
from ringleader.wire.frames import Refused, Results
from unit.group.harness import World


class Forgetful(World):
    """Three hosts on Paxos. While `lossy`, nobody is told what was chosen by whoever is asked for it."""

    lossy = False

    def configured(self, config: HostConfig) -> HostConfig:
        return msgspec.structs.replace(config, consensus=PaxosOptions())

    def passes(self, sender: int, to: int, message: object) -> bool:
        return not (self.lossy and isinstance(message, Chosen))


def elected() -> tuple[Forgetful, int, int]:
    """A world, a leader that lacks what was chosen before it, and the other one, which follows it."""
    world = Forgetful(3, GroupOptions())
    world.run(3.0)
    old = world.leader()
    heir, other = (id for id in world.hosts if id != old)
    world.cut.add(heir)
    world.results(world.connect(other), Put(b"before", b"1"))
    assert world.hosts[other].core.commit > world.hosts[heir].core.commit
    world.cut = {old}
    world.hosts[other].core.abstain(True)
    world.lossy = True
    for _ in range(200):
        world.run(0.02)
        if world.hosts[heir].core.recovering:
            break
    assert world.hosts[heir].core.recovering
    assert not world.hosts[heir].core.leads
    assert world.hosts[other].core.leader == heir
    return world, heir, other


def test_writes_wait_until_the_leader_knows_what_was_chosen() -> None:
    """Its own clients' and those that others forward: a refusal would cost a retry each, after a pause."""
    world, heir, other = elected()
    mine, theirs = world.connect(heir), world.connect(other)
    assert world.submit(mine, Put(b"mine", b"1")) is None
    first = world.frames
    assert world.submit(theirs, Put(b"theirs", b"1")) is None
    second = world.frames
    world.lossy = False
    for _ in range(50):
        world.run(0.02)
        if world.hosts[heir].core.leads:
            break
    world.settle()
    assert isinstance(world.answer(mine, first), Results)
    assert isinstance(world.answer(theirs, second), Results)
    found = world.read(theirs, Range(b"a", b"z"))
    assert isinstance(found, Results)
    (listed,) = found.results
    assert isinstance(listed, RangeResult)
    assert {bytes(pair.key) for pair in listed.kvs} == {b"before", b"mine", b"theirs"}


def test_writes_are_refused_unapplied_when_it_comes_to_nothing() -> None:
    """And are told so: they may be repeated at once."""
    world, heir, other = elected()
    mine, theirs = world.connect(heir), world.connect(other)
    assert world.submit(mine, Put(b"mine", b"1")) is None
    first = world.frames
    assert world.submit(theirs, Put(b"theirs", b"1")) is None
    second = world.frames
    for _ in range(200):
        world.run(0.02)
        if not world.hosts[heir].core.recovering:
            break
    for conn, frame in ((mine, first), (theirs, second)):
        answer = world.answer(conn, frame)
        assert isinstance(answer, Refused)
        assert (answer.reason, answer.unknown) == (Reason.NOT_LEADER, False)


def test_a_full_disk_keeps_nothing_waiting() -> None:
    """Such a leader hands on: another one may have room."""
    world, heir, _ = elected()
    world.hosts[heir].disk_full(True)
    answer = world.submit(world.connect(heir), Put(b"mine", b"1"))
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.unknown) == (Reason.NOT_LEADER, False)
