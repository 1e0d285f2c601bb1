"""A few Paxos cores driven by hand (see `unit.cores`), and members in the middle of something."""

from __future__ import annotations

import random

import msgspec

from ringleader.consensus.paxos import Paxos, PaxosOptions
from ringleader.consensus.paxos.messages import CanvassReply, Promise, Refused
from ringleader.consensus.shape import Config, Entry, EntryKind
from unit import cores

Member = cores.Member[Paxos]


class Cluster(cores.Cluster[Paxos]):
    """`size` members with these options (see `PaxosOptions`)."""

    def __init__(self, size: int, seed: int = 1, **options: object) -> None:
        self.options = msgspec.convert(options, PaxosOptions)
        super().__init__(lambda id, config, dice: Paxos(id, config, dice, self.options), size, seed)


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
