"""The network between nodes: links that delay, lose, repeat and reorder, and can be cut one way or both.

A link is one direction between two nodes. As a *stream* it behaves as a TCP connection does: what arrives is in order, and
when the link is cut, everything on the way is lost at once. As *datagrams* each batch of messages travels alone: it may be
lost, come twice, or overtake another. The cores must stand both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ringleader.sim.choice import Choice
from ringleader.sim.options import NetOptions
from ringleader.sim.probes import Probes
from ringleader.sim.timeline import Timeline
from ringleader.sim.trace import Kind, Trace

__all__ = ["Link", "SimNetwork", "bridge", "halves", "ring"]

Pair = tuple[int, int]


class Link:
    """One direction between two nodes. `cuts` counts the faults that block it now; 0 lets messages through.

    `epoch` changes when everything on the way is lost. `last`: when the latest message of a stream arrives, or, of
    datagrams, when the latest that arrived was sent. `slow`: delay factor.
    """

    __slots__ = ("cuts", "epoch", "last", "slow")

    def __init__(self) -> None:
        self.cuts = 0
        self.epoch = 0
        self.last = 0.0
        self.slow = 1.0


class SimNetwork:
    """All links between nodes. `arrive(receiver, sender, messages, sent)` is called for what gets through.

    `recode` gives the message as the receiver will see it. `repeatable` says which messages may come twice: real links are
    TCP, which repeats nothing; the cores stand it, a forwarded write without a session must not.
    """

    def __init__(
        self,
        nodes: Iterable[int],
        options: NetOptions,
        choice: Choice,
        timeline: Timeline,
        arrive: Callable[[int, int, list[Any], float], None],
        trace: Trace,
        probes: Probes,
        recode: Callable[[Any], Any] | None = None,
        repeatable: Callable[[Any], bool] = lambda message: True,
    ) -> None:
        self.nodes = sorted(nodes)
        self.options = options
        self.choice = choice
        self.links = {(a, b): Link() for a in self.nodes for b in self.nodes if a != b}
        self.healed = False
        self._timeline = timeline
        self._arrive = arrive
        self._trace = trace
        self._probes = probes
        self._recode = recode
        self._repeatable = repeatable
        self._random = choice.random
        self._exponential = choice.expovariate

    def add(self, node: int) -> None:
        """One more node."""
        for other in self.nodes:
            self.links[node, other], self.links[other, node] = Link(), Link()
        self.nodes = sorted([*self.nodes, node])

    def send(self, sender: int, receiver: int, messages: list[Any]) -> None:
        """Put messages on the way, in order, as one batch."""
        link = self.links.get((sender, receiver))
        if link is None:
            return  # a member whose node has never been started
        now = self._timeline.now
        if self._recode is not None:
            messages = [self._recode(message) for message in messages]
        options = self.options
        if link.cuts:
            self._lost(sender, receiver, messages, now)
            return
        delay = (options.delay + self._exponential(1.0 / options.jitter)) * link.slow
        if options.stream or self.healed:
            arrival = max(now + delay, link.last)
            link.last = arrival
        else:
            if self._random() < options.loss:
                self._lost(sender, receiver, messages, now)
                return
            if self._random() < options.reorder:
                delay += self._exponential(1.0 / (10.0 * options.jitter + 0.02))
            arrival = now + delay
            if self._random() < options.duplicate:
                twice = [message for message in messages if self._repeatable(message)]
                self._probes.hit("message duplicated", len(twice))
                again = arrival + self._exponential(1.0 / (20.0 * options.jitter + 0.05))
                self._timeline.at(again, self._deliver, link, link.epoch, receiver, sender, twice, now)
        self._timeline.at(arrival, self._deliver, link, link.epoch, receiver, sender, messages, now)

    def _deliver(self, link: Link, epoch: int, receiver: int, sender: int, messages: list[Any], sent: float) -> None:
        if link.epoch != epoch:
            self._lost(sender, receiver, messages, sent)
            return
        if not self.options.stream and not self.healed:
            if sent < link.last:
                self._probes.hit("message overtaken")
            link.last = max(sent, link.last)
        self._arrive(receiver, sender, messages, sent)

    def _lost(self, sender: int, receiver: int, messages: list[Any], sent: float) -> None:
        self._probes.hit("message lost", len(messages))
        now = self._timeline.now
        for message in messages:
            words = message[1] if type(message) is tuple else message  # the group says nothing to people
            self._trace.add((now, Kind.LOSE, receiver, sender, words, sent))

    # ------------------------------------------------------------------------------------------------------ faults

    def cut(self, pairs: Iterable[Pair]) -> None:
        """Block these directions; what is on the way there is lost. May be done several times over."""
        for pair in pairs:
            link = self.links[pair]
            link.cuts += 1
            link.epoch += 1

    def mend(self, pairs: Iterable[Pair]) -> None:
        """Undo one `cut` of these directions."""
        for pair in pairs:
            self.links[pair].cuts -= 1

    def reset(self, pair: Pair) -> None:
        """What is on the way is lost, as when a connection breaks; the next message gets through."""
        self.links[pair].epoch += 1

    def lose_inbound(self, node: int) -> None:
        """A node is gone: the streams that end at it break."""
        for (_, receiver), link in self.links.items():
            if receiver == node:
                link.epoch += 1

    def heal(self) -> None:
        """From now on every link works, in order, at its normal speed."""
        self.healed = True
        for link in self.links.values():
            link.cuts = 0
            link.slow = 1.0


def halves(left: Iterable[int], right: Iterable[int]) -> list[Pair]:
    """Both directions between two sets of nodes."""
    left, right = list(left), list(right)
    return [pair for a in left for b in right for pair in ((a, b), (b, a))]


def bridge(nodes: list[int]) -> list[Pair]:
    """What to cut so that only the middle node sees both halves."""
    middle = len(nodes) // 2
    return halves(nodes[:middle], nodes[middle + 1 :])


def ring(nodes: list[int]) -> list[Pair]:
    """What to cut so that each node sees its two neighbours only (for fewer than four nodes: a chain)."""
    count = len(nodes)
    near = {frozenset((nodes[i], nodes[(i + 1) % count])) for i in range(count if count > 3 else count - 1)}
    return [(a, b) for a in nodes for b in nodes if a != b and frozenset((a, b)) not in near]
