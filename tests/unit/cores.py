"""A few cores of one protocol on a perfect or broken network, driven by hand: records are durable when the test says so."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Generic, TypeVar

from ringleader.consensus.shape import Config, Entry, EntryKind, Output, Record, ReplicatedLog, Role, Send

Core = TypeVar("Core", bound=ReplicatedLog)


class Member(Generic[Core]):
    """One core with its disk image (records known durable) and what it has applied."""

    def __init__(self, core: Core, id: int, config: Config, disk: list[Record]) -> None:
        self.core, self.id, self.config = core, id, config
        self.disk = list(disk)
        self.core.recover(None, self.disk)
        self.unsynced: list[Record] = []
        self.synced = 0
        self.held: list[Send] = []
        self.applied: list[tuple[int, Entry]] = []
        self.barriers: list[tuple[int, int]] = []
        self.failed: list[int] = []


class Cluster(Generic[Core]):
    """`size` members, whose cores are made by `make(id, config, dice)`; `drop(sender, to, message)` loses messages."""

    def __init__(self, make: Callable[[int, Config, random.Random], Core], size: int, seed: int) -> None:
        self.make = make
        self.now = 0.0
        self.members: dict[int, Member[Core]] = {}
        config = Config(tuple(range(1, size + 1)))
        for id in config.voters:
            self.start(id, config, seed * 100 + id)
        self.down: set[int] = set()
        self.queue: list[tuple[int, Send]] = []
        self.drop: Callable[[int, int, object], bool] = lambda sender, to, message: False

    def start(self, id: int, config: Config, seed: int, disk: list[Record] | None = None) -> None:
        self.members[id] = Member(self.make(id, config, random.Random(seed)), id, config, disk or [])

    def collect(self, member: Member[Core]) -> None:
        out: Output = member.core.take_output()
        member.unsynced += out.records
        member.held += out.messages
        member.applied += out.committed
        member.barriers += out.barriers
        member.failed += out.failed_barriers
        for to in out.wants_snapshot:
            member.core.offer_snapshot(to, member.core.snapshot_meta(member.core.first_index - 1))
        if out.fetch is not None:
            member.core.install(out.fetch[1])
        ready = [send for send in member.held if send.after <= member.synced]
        member.held = [send for send in member.held if send.after > member.synced]
        self.queue += [(member.id, send) for send in ready]

    def sync(self, member: Member[Core]) -> None:
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
                down = send.to in self.down or sender in self.down
                if not down and not self.drop(sender, send.to, send.message):
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
        self.start(id, old.config, 7000 + id, old.disk)

    def leader(self) -> Member[Core]:
        leaders = [m for id, m in self.members.items() if id not in self.down and m.core.role is Role.LEADER]
        assert leaders, "no leader"
        return max(leaders, key=lambda member: member.core.term)

    def commands(self, id: int) -> list[bytes]:
        return [entry.data for _, entry in self.members[id].applied if entry.kind == EntryKind.COMMAND]
