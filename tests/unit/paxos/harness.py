"""A few Paxos cores on a perfect or broken network, driven by hand: records are durable when the test says so."""

from __future__ import annotations

import random
from collections.abc import Callable

from ringleader.consensus.paxos import Paxos, PaxosOptions
from ringleader.consensus.paxos.messages import CanvassReply, Promise, Refused
from ringleader.consensus.shape import Config, Entry, EntryKind, Output, Record, Role, Send


class Member:
    """One core with its disk image (records known durable) and what it has applied."""

    def __init__(self, id: int, config: Config, seed: int, options: PaxosOptions) -> None:
        self.id, self.config, self.options = id, config, options
        self.random = random.Random(seed)
        self.core = Paxos(id, config, self.random, options)
        self.core.recover(None, [])
        self.disk: list[Record] = []
        self.unsynced: list[Record] = []
        self.synced = 0
        self.held: list[Send] = []
        self.applied: list[tuple[int, Entry]] = []
        self.barriers: list[tuple[int, int]] = []
        self.failed: list[int] = []


class Cluster:
    """`size` members; `drop(sender, to, message)` loses messages."""

    def __init__(self, size: int, seed: int = 1, **options: object) -> None:
        config = Config(tuple(range(1, size + 1)))
        self.options = PaxosOptions(**options)  # type: ignore[arg-type]  # keyword arguments of a test
        self.now = 0.0
        self.members = {id: Member(id, config, seed * 100 + id, self.options) for id in config.voters}
        self.down: set[int] = set()
        self.queue: list[tuple[int, Send]] = []
        self.drop: Callable[[int, int, object], bool] = lambda sender, to, message: False

    def collect(self, member: Member) -> None:
        out: Output = member.core.take_output()
        member.unsynced += out.records
        member.held += out.messages
        member.applied += out.committed
        member.barriers += out.barriers
        member.failed += out.failed_barriers
        for to in out.wants_snapshot:
            member.core.offer_snapshot(to, member.core.snapshot_meta(member.core.log.offset))
        if out.fetch is not None:
            member.core.install(out.fetch[1])
        ready = [send for send in member.held if send.after <= member.synced]
        member.held = [send for send in member.held if send.after > member.synced]
        self.queue += [(member.id, send) for send in ready]

    def sync(self, member: Member) -> None:
        if member.unsynced:
            member.synced += len(member.unsynced)
            member.disk += member.unsynced
            member.unsynced = []
            member.core.synced(member.synced)

    def settle(self, *, sync: bool = True, rounds: int = 200) -> None:
        """Deliver until nothing is left to do."""
        for _ in range(rounds):
            for id, member in self.members.items():
                if id not in self.down:
                    self.collect(member)
                    if sync:
                        self.sync(member)
                        self.collect(member)
            if not self.queue:
                return
            batch, self.queue = self.queue, []
            for sender, send in batch:
                if (
                    send.to not in self.down
                    and sender not in self.down
                    and not self.drop(sender, send.to, send.message)
                ):
                    self.members[send.to].core.step(sender, send.message)
        raise AssertionError("the cluster does not settle")

    def run(self, seconds: float, step: float = 0.01) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += step
            for id, member in self.members.items():
                if id not in self.down:
                    member.core.tick(self.now)
            self.settle()

    def crash(self, id: int) -> None:
        self.down.add(id)
        self.queue = [(sender, send) for sender, send in self.queue if sender != id]

    def restart(self, id: int) -> None:
        self.down.discard(id)
        old = self.members[id]
        member = Member(id, old.config, 7000 + id, self.options)
        member.disk = list(old.disk)
        member.core.recover(None, member.disk)
        self.members[id] = member

    def leader(self) -> Member:
        leaders = [m for id, m in self.members.items() if id not in self.down and m.core.role is Role.LEADER]
        assert leaders, "no leader"
        return max(leaders, key=lambda member: member.core.term)

    def commands(self, id: int) -> list[bytes]:
        return [entry.data for _, entry in self.members[id].applied if entry.kind == 0]


def command(birth: int, data: bytes) -> Entry:
    return Entry(birth, int(EntryKind.COMMAND), data)


def sent(cluster: Cluster, member: Member, kind: type) -> list[object]:
    """What `member` has handed out and may leave, of one kind."""
    cluster.collect(member)
    found = [send.message for sender, send in cluster.queue if sender == member.id and isinstance(send.message, kind)]
    cluster.queue.clear()
    return found


def voter(now: float = 5.0) -> tuple[Cluster, Member]:
    """Member 2 of three, which has heard of nobody."""
    cluster = Cluster(3)
    member = cluster.members[2]
    member.core.tick(now)
    return cluster, member


def recovering(*promises: Promise) -> Paxos:
    """Member 3 of three, which has got these promises; each is given its ballot."""
    core = Paxos(3, Config((1, 2, 3)), random.Random(1))
    core.recover(None, [])
    core.step(1, Refused(0, 7000001))
    core.tick(5.0)
    core.tick(8.0)
    core.step(1, CanvassReply(core.canvassed, True, 0, 0))
    records = len(core.take_output().records)
    core.synced(records)
    for sender, promise in enumerate(promises, 1):
        promise.ballot = core.term
        core.step(sender, promise)
    return core
