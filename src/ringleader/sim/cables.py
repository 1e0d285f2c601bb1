"""The connections of one simulated client: byte streams in spirit, in order, both ways, until they break.

A break may be told to both ends (a reset) or to neither (a cable pulled): then each end finds out by its own means, or never.
With `NetOptions.again` a frame may reach the node twice, the second time late: what a proxy that repeats requests does. Only
frames whose repetition must be harmless are repeated: reads, and commands that are part of a session. (Of those, "not
applied" can then be said of one frame only, not of its repetition; TCP itself repeats nothing.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringleader.sim.choice import Choice
from ringleader.wire.frames import Query, Submit

if TYPE_CHECKING:
    from ringleader.sim.caller import Caller
    from ringleader.sim.node import Machine

__all__ = ["Cables", "Wire"]


class Wire:
    """One connection. `open` false: both ends know that it is over; `silent`: frames vanish and nobody knows."""

    __slots__ = ("arrival_at_client", "arrival_at_node", "life", "link", "machine", "number", "open", "silent")

    def __init__(self, number: int, link: int, machine: Machine) -> None:
        self.number = number
        self.link = link
        self.machine = machine
        self.life = machine.life
        self.open = True
        self.silent = False
        self.arrival_at_node = 0.0
        self.arrival_at_client = 0.0


class Cables:
    """All connections of `caller`, by the number of its core's link."""

    def __init__(self, caller: Caller, choice: Choice) -> None:
        self.caller = caller
        self.world = caller.world
        self.timeline = caller.timeline
        self.choice = choice
        self.wires: dict[int, Wire] = {}

    def _delay(self) -> float:
        net = self.world.options.net
        return net.delay + self.choice.expovariate(1.0 / net.jitter)

    # ------------------------------------------------------------------------------------------- what the client does

    def dial(self, link: int, node: int) -> None:
        """Connect to `node`; the caller hears `connected` or `closed`."""
        caller, machine = self.caller, self.world.machines.get(node)
        if machine is None or machine.host is None:
            self.timeline.after(self._delay(), caller.closed, caller.life, link, "connection refused")
            return
        wire = self.wires[link] = self.world.new_wire(self.caller, link, machine)
        self.timeline.after(self._delay(), self._connected, caller.life, wire)

    def send(self, link: int, frame: Any) -> None:
        """A frame for the node at the other end, if there still is one."""
        wire = self.wires.get(link)
        if wire is None or wire.silent or not wire.open:
            return
        arrival = max(self.timeline.now + self._delay(), wire.arrival_at_node)
        wire.arrival_at_node = arrival
        frame = self.world.recode_client(frame)
        self.timeline.at(arrival, self._at_node, wire, frame)
        again = self.world.options.net.again
        if again and (type(frame) is Query or (type(frame) is Submit and frame.session)) and self.choice.chance(again):
            self.world.probes.hit("client frame repeated")
            self.timeline.at(arrival + self.choice.log_uniform(0.001, 3.0), self._at_node, wire, frame)

    def close(self, link: int) -> None:
        """The client closes a connection."""
        wire = self.wires.get(link)
        if wire is not None:
            self.cut(wire, tell_client=False)

    # --------------------------------------------------------------------------------------------------- on the way

    def _connected(self, life: int, wire: Wire) -> None:
        if life != self.caller.life or not wire.open or wire.silent:
            return
        if wire.machine.life != wire.life:
            self.cut(wire, tell_client=True)
            return
        wire.machine.client_opened(wire.number, wire.life)
        self.caller.connected(life, wire.link)

    def _at_node(self, wire: Wire, frame: Any) -> None:
        if wire.open and not wire.silent and wire.machine.life == wire.life:
            wire.machine.client_frame(wire.number, frame)

    def from_node(self, wire: Wire, frame: Any) -> None:
        """The node sends a frame."""
        if wire.silent or not wire.open:
            return
        arrival = max(self.timeline.now + self._delay(), wire.arrival_at_client)
        wire.arrival_at_client = arrival
        self.timeline.at(arrival, self._received, self.caller.life, wire, self.world.recode_server(frame))

    def _received(self, life: int, wire: Wire, frame: Any) -> None:
        if life == self.caller.life and not wire.silent and self.wires.get(wire.link) is wire:
            self.caller.received(life, wire.link, frame)

    # ------------------------------------------------------------------------------------------------------- the end

    def node_closed(self, wire: Wire) -> None:
        """The node closes the connection, after what it has sent."""
        arrival = max(self.timeline.now + self._delay(), wire.arrival_at_client)
        wire.arrival_at_client = arrival
        self.timeline.at(arrival, self._closed_by_node, self.caller.life, wire, "connection closed by the node")

    def _closed_by_node(self, life: int, wire: Wire, why: str) -> None:
        if life == self.caller.life and self.wires.get(wire.link) is wire and not wire.silent:
            wire.open = False
            self.wires.pop(wire.link)
            self.caller.closed(life, wire.link, why)

    def cut(self, wire: Wire, *, tell_client: bool) -> None:
        """The connection is over; the node hears of it, the client if asked for."""
        wire.open = False
        self.wires.pop(wire.link, None)
        if not wire.silent:
            self.timeline.at(
                max(self.timeline.now + self._delay(), wire.arrival_at_node), self._node_hears, wire, wire.life
            )
        if tell_client:
            caller = self.caller
            self.timeline.after(self._delay(), caller.closed, caller.life, wire.link, "connection reset")

    def cut_all(self) -> None:
        """The client is gone: the nodes hear of it."""
        for wire in list(self.wires.values()):
            self.cut(wire, tell_client=False)

    def _node_hears(self, wire: Wire, life: int) -> None:
        if wire.machine.life == life:
            wire.machine.client_closed(wire.number)

    def disconnect(self, *, silent: bool) -> None:
        """Break all connections; with `silent` no end is told."""
        for wire in list(self.wires.values()):
            self.world.probes.hit("client connection lost")
            if silent:
                wire.silent = True
                self.timeline.after(20.0, self._node_hears, wire, wire.life)  # the node's keep-alive gives up
            else:
                self.cut(wire, tell_client=True)

    def node_gone(self, machine: Machine) -> None:
        """A node crashed: its connections break, half of the time without a word."""
        for wire in list(self.wires.values()):
            if wire.machine is machine and wire.open:
                if self.choice.random() < 0.5:
                    wire.silent = True
                else:
                    wire.open = False
                    self.timeline.after(
                        self._delay(), self._closed_by_crash, self.caller.life, wire, "connection reset by peer"
                    )

    def _closed_by_crash(self, life: int, wire: Wire, why: str) -> None:
        if life == self.caller.life and self.wires.get(wire.link) is wire:
            self.wires.pop(wire.link)
            self.caller.closed(life, wire.link, why)
