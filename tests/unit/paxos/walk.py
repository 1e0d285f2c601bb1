"""A world without common time: any clock may run on, any message may arrive, at any moment.

Wilder than `world` as far as safety goes, and much faster; leases, which need clocks of about the same rate, are left out.
"""

from __future__ import annotations

import heapq

from ringleader.consensus.paxos.messages import PaxosMessage
from ringleader.consensus.shape import Send
from unit.paxos.world import Node, World

__all__ = ["SIZES", "Walk", "walk"]

WAITING = 60
"""Most messages on the way; beyond, the oldest are lost."""
SIZES = [(3, 3, 0), (3, 4, 0), (2, 4, 0), (1, 3, 0), (4, 4, 2), (5, 5, 2)]
"""Founders, all nodes, and the phase-2 quorum."""


class Walk(World):
    """See above; `event` lets one thing happen."""

    def __init__(self, seed: int) -> None:
        size, total, phase2 = SIZES[seed % len(SIZES)]
        super().__init__(seed, size, total, chaos=1.0, phase2=phase2)
        self.clocks = dict.fromkeys(self.nodes, 0.0)
        self.bag: list[tuple[int, int, PaxosMessage]] = []
        self.loss = [0.0, 0.1, 0.3][seed % 3]
        self.changes = total > size or bool(seed % 2)
        self.leases = False

    def send(self, node: Node, send: Send) -> None:
        super().send(node, send)
        while self.queue:
            self.bag.append(heapq.heappop(self.queue)[2:])
        if len(self.bag) > WAITING:
            del self.bag[: self.random.randrange(1, 20)]

    def event(self) -> None:
        choose, kind = self.random, self.random.random()
        node = self.nodes[choose.choice(list(self.nodes))]
        if kind < 0.62:
            self.deliver()
        elif kind < 0.9:
            self.local(node, kind)
        elif kind < 0.915:
            self.read()
        elif kind < 0.925 and node.up:
            self.crash(node)
            self.bag = [item for item in self.bag if item[1] != node.id or choose.random() < 0.5]
        elif 0.925 < kind < 0.965 and not node.up:
            self.restart(node)
        elif 0.965 < kind < 0.972 and node.up:
            self.snapshot(node)
        elif 0.972 < kind < 0.98 and self.fetches:
            self.fetched(*self.fetches.pop(choose.randrange(len(self.fetches)))[1:])
        elif 0.98 < kind < 0.99 and self.changes:
            self.change(2)
        elif kind > 0.995:
            self.transfer()

    def deliver(self) -> None:
        """Some message arrives, mostly one of the oldest, and sometimes not for the last time."""
        if not self.bag:
            return
        choose = self.random
        place = (
            choose.randrange(len(self.bag)) if choose.random() < 0.5 else min(choose.randrange(5), len(self.bag) - 1)
        )
        sender, to, message = self.bag[place]
        if choose.random() < 0.93:
            del self.bag[place]
        node = self.nodes[to]
        if node.up:
            node.core.step(sender, message)
            if choose.random() < 0.6:
                self.collect(node)

    def local(self, node: Node, kind: float) -> None:
        """Something that concerns one node alone: time, its disk, its callers."""
        if not node.up:
            return
        if kind < 0.72:
            self.clocks[node.id] += self.random.choice([0.1, 0.1, 0.5, 1.2, 2.5])
            node.core.tick(self.clocks[node.id])
        elif kind < 0.85:
            self.collect(node)
            self.sync(node, self.random.randint(1, 3))
        else:
            self.offer(node)
        self.collect(node)


def walk(seed: int, events: int = 4000) -> Walk:
    """Let so many things happen."""
    world = Walk(seed)
    for _ in range(events):
        world.event()
    return world
