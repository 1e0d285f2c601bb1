"""Where to connect: the endpoints with their backoff, and the state of one connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum

from ringleader.client.calls import Flight
from ringleader.client.credentials import Attempt
from ringleader.ports import Entropy
from ringleader.wire.frames import NodeInfo

__all__ = ["Endpoints", "Link", "LinkState"]

_LEARNED_MAX = 64
_NEVER = (0, float("-inf"))


class LinkState(IntEnum):
    """The life of a connection: being made, waiting for `Welcome`, usable, or only waiting for answers to come."""

    DIALING = 0
    GREETING = 1
    READY = 2
    DRAINING = 3


class Link:
    """One connection. `flights`: frames not yet answered, oldest first. `watches`: wire number to watch call."""

    __slots__ = (
        "address",
        "attempt",
        "flights",
        "heard_at",
        "name",
        "node",
        "number",
        "pinged_at",
        "started_at",
        "state",
        "watches",
    )

    def __init__(self, number: int, address: str, now: float) -> None:
        self.number = number
        self.address = address
        self.state = LinkState.DIALING
        self.node = 0
        self.name = address
        self.started_at = now
        self.heard_at = now
        self.pinged_at: float | None = None
        self.attempt: Attempt | None = None
        self.flights: dict[int, Flight] = {}
        self.watches: dict[int, int] = {}


class Endpoints:
    """All addresses worth trying: those given by the user, for ever, and those that nodes told of; each with its own backoff.

    An address is what the user or a node wrote: a name in it is looked up anew at every connection.
    """

    def __init__(self, addresses: Sequence[str], entropy: Entropy, backoff_min: float, backoff_max: float) -> None:
        self._given = list(dict.fromkeys(addresses))
        self._all = list(self._given)
        self._entropy = entropy
        self._min = backoff_min
        self._max = backoff_max
        self._cursor = int(entropy.random() * len(self._given))
        self._failures: dict[str, tuple[int, float]] = {}  # how often in a row, and when to try again
        self._refusals: dict[str, tuple[int, float]] = {}  # the same, of nodes that welcome us but hold no watches
        self._as_of = 0  # the log index by which `nodes` are the nodes
        self.nodes: dict[int, NodeInfo] = {}

    def learn(self, nodes: Iterable[NodeInfo], as_of: int = 0) -> None:
        """These were the nodes of the cluster as of that log index (0: not said): those that are gone are forgotten.

        What a node tells that lags behind is ignored, or a client that meets one that was removed long ago would forget the
        living for the dead. But when none of all the known addresses works, nothing known is worth more than what comes.
        """
        lost = all(address in self._failures for address in self._all if address not in self._given)
        if 0 < as_of < self._as_of and not lost:
            return
        self._as_of = as_of
        self.nodes = {node.id: node for node in nodes}
        told = [node.client for node in self.nodes.values() if node.client][:_LEARNED_MAX]
        self._all = list(dict.fromkeys([*self._given, *told]))
        self._failures = {address: state for address, state in self._failures.items() if address in self._all}
        self._refusals = {address: state for address, state in self._refusals.items() if address in self._all}

    def address_of(self, node: int) -> str:
        """The client address of a node, "" when it is not known."""
        info = self.nodes.get(node)
        return info.client if info is not None else ""

    def failed(self, address: str, now: float) -> None:
        """A connection to `address` could not be made or was lost: leave it alone for a while."""
        count = self._failures.get(address, (0, 0.0))[0] + 1
        self._failures[address] = (count, now + self.pause(count))

    def worked(self, address: str) -> None:
        """A connection to `address` got an answer."""
        self._failures.pop(address, None)

    def refused(self, address: str, now: float) -> None:
        """The node at `address` holds no watches at the moment. To be welcomed there again changes nothing of that."""
        count, until = self._refusals.get(address, _NEVER)
        if until <= now:  # else another watch was refused just before
            self._refusals[address] = (count + 1, now + self.pause(count + 1))

    def held(self, address: str) -> None:
        """The node at `address` holds a watch."""
        if self._refusals:
            self._refusals.pop(address, None)

    def pause(self, count: int) -> float:
        """A jittered pause before the next attempt after `count` failures in a row, seconds."""
        full = min(self._max, self._min * 2.0 ** min(count - 1, 16))
        return full * (0.5 + 0.5 * self._entropy.random())

    def retry_at(self, address: str) -> float:
        """When `address` may be tried; minus infinity when it has not failed."""
        due = self._failures.get(address, _NEVER)[1]
        return max(due, self._refusals.get(address, _NEVER)[1]) if self._refusals else due

    def pick(self, now: float, avoid: str = "") -> str | None:
        """The next address to try now, taking turns, or None when all have to wait. Never `avoid`."""
        count = len(self._all)
        for step in range(count):
            address = self._all[(self._cursor + step) % count]
            if address != avoid and self.retry_at(address) <= now:
                self._cursor = (self._cursor + step + 1) % count
                return address
        return None

    def next_try(self, avoid: str = "") -> float:
        """When `pick` will next have something to give."""
        return min((self.retry_at(address) for address in self._all if address != avoid), default=float("inf"))
