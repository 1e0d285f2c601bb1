"""Two releases in one cluster: new rules hold only once every member knows them, and then everywhere from the same entry.

The "new release" is the real one with one rule patched in on the test's side: from cluster version 2 on a lease is granted
twice what was asked for.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ringleader.errors import Reason
from ringleader.group.host import Host
from ringleader.store.commands import LeaseGrant, Put, RaiseVersion
from ringleader.store.member_ops import MemberAdd
from ringleader.store.store import Store
from ringleader.store.version import NewerClusterError
from ringleader.wire.frames import Refused
from unit.group.harness import World
from unit.store.test_rebirth import reborn_bytes


def install_new_rule(host: Host, *, gated: bool) -> None:
    store, handlers = host.store, host.store._commands
    before = handlers[LeaseGrant]

    def grant(op: LeaseGrant) -> Any:
        if store.version >= 2 or not gated:
            op = LeaseGrant(op.ttl_ms * 2, op.id)
        return before(op)

    handlers[LeaseGrant] = grant


class Mixed(World):
    """`new`: the nodes that run the new release."""

    def __init__(self, new: set[int], *, gated: bool = True) -> None:
        self.new = new
        self.gated = gated
        super().__init__()

    def configured(self, config: Any) -> Any:
        return msgspec.structs.replace(config, supports=2 if config.node in self.new else 1)

    def start(self, id: int, incarnation: str = "") -> Host:
        host = super().start(id, incarnation)
        if id in self.new:
            install_new_rule(host, gated=self.gated)
        return host

    def states(self) -> int:
        return len({host.store.snapshot() for host in self.hosts.values()})

    def versions(self) -> set[int]:
        return {host.store.version for host in self.hosts.values()}

    def grants(self) -> None:
        conn = self.connect(self.leader())
        self.results(conn, LeaseGrant(5000), Put(b"k", b"v"))
        self.run(1)

    def ttls(self) -> list[int]:
        return [lease.ttl_ms for lease in self.hosts[self.leader()].store._leases.by_id.values()]


def test_a_rolling_upgrade_keeps_the_states_equal_at_every_step() -> None:
    world = Mixed(set())
    world.run(3)
    world.grants()
    for id in (1, 2, 3):
        assert world.versions() == {1}
        world.stop(id)
        world.run(4)
        world.new.add(id)
        world.start(id)
        world.run(4)
        world.grants()
        assert world.states() == 1
    world.run(25)
    assert world.versions() == {2}
    before = len(world.ttls())
    world.grants()
    assert world.ttls()[before:] == [10_000]
    assert world.states() == 1
    status = world.hosts[world.leader()].status()
    assert (status.cluster_version, status.supports) == (2, 2)


def test_without_the_gate_the_states_part() -> None:
    """The check above can fail: a rule that does not ask for the cluster version makes two states of one log."""
    world = Mixed({1, 2}, gated=False)
    world.run(3)
    world.grants()
    assert world.versions() == {1}
    assert world.states() == 2


def test_one_old_member_holds_the_version_back() -> None:
    world = Mixed({1, 2})
    world.run(40)
    assert world.versions() == {1}
    assert [row.supports for row in world.hosts[1].store.members.active()] == [2, 2, 1]


def start_and_run(world: World, id: int) -> None:
    world.start(id)
    world.run(5)


def test_a_release_that_is_too_old_does_not_take_part() -> None:
    world = Mixed({1, 2, 3})
    world.run(30)
    assert world.versions() == {2}
    world.stop(3)
    world.new.remove(3)
    with pytest.raises(NewerClusterError, match="supports up to 1") as refused:
        start_and_run(world, 3)
    assert refused.value.reason is Reason.VERSION
    assert "Start the newer release again" in str(refused.value)
    del world.hosts[3]
    conn = world.connect(world.leader())
    (answer,) = world.results(conn, MemberAdd("n4", "n4:2", incarnation="x", supports=1))
    assert getattr(answer, "reason", None) is Reason.VERSION


def test_a_snapshot_of_a_newer_cluster_is_refused_and_a_back_up_keeps_its_version() -> None:
    world = Mixed({1, 2, 3})
    world.run(30)
    store = world.hosts[1].store
    with pytest.raises(NewerClusterError):
        Store(supports=1).restore(store.snapshot())
    with pytest.raises(NewerClusterError):
        Store(supports=1).restore(reborn_bytes(store, {1: "a"}))


def test_only_the_leader_raises_it_and_never_back() -> None:
    world = Mixed({1, 2, 3})
    world.run(30)
    conn = world.connect(world.leader())
    answer = world.submit(conn, RaiseVersion(7))
    assert isinstance(answer, Refused)
    store = world.hosts[1].store
    for version in (1, 2, 3):
        assert getattr(store._run(RaiseVersion(version)), "reason", None) is not None
