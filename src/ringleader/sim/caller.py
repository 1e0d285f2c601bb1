"""A simulated client: the real `ClientCore`, its connections, and the load that it makes, with every call on record.

Connections are byte streams in spirit: in order, both ways, until they break. A break may be told to both ends (a reset) or to
neither (a cable pulled): then each end finds out by its own means, or never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringleader.client.core import ClientCore
from ringleader.client.failures import CompactedError
from ringleader.client.options import ClientOptions
from ringleader.errors import NotAppliedError, OutcomeUnknownError, RingleaderError, UsageError
from ringleader.sim.choice import stream
from ringleader.sim.clock import SimClock
from ringleader.sim.record import Record
from ringleader.sim.trace import FIRST_CLIENT, Kind, name_of
from ringleader.sim.watching import Watching
from ringleader.store.commands import Command, Compact, Compare, Delete, Put, Range, Txn

if TYPE_CHECKING:
    from ringleader.sim.node import Machine
    from ringleader.sim.world import World

__all__ = ["Caller", "Wire"]


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


class Caller:
    """Client number `place` (from 0). Calls at random moments, `load.outstanding` at once at most."""

    def __init__(self, world: World, place: int) -> None:
        self.world = world
        self.timeline = world.timeline
        self.id = FIRST_CLIENT + place
        options = world.options
        self.choice = stream(options.seed, f"client {place}")
        drift = options.clock.drift
        self.clock = SimClock(self.choice.uniform(0.0, 1000.0), 1.0 + self.choice.uniform(-drift, drift))
        self.life = 0
        self.wires: dict[int, Wire] = {}
        self.calls: dict[int, Record] = {}
        self.known: dict[bytes, bytes] = {}  # the last value seen of each key: what compare-and-set compares with
        self.written = 0
        self.wakeup = float("inf")
        self.calling = True
        self.running = False
        self.watchings: dict[int, Watching] = {}
        self._core: ClientCore
        self.start()

    def start(self) -> None:
        """A new process: a new core, without any memory."""
        options = ClientOptions(prefer_leader=self.choice.random() < 0.5, attempt_timeout=1.0)
        addresses = [f"n{node}:1" for node in self.world.machines]
        self._core = ClientCore(addresses, self.choice, self.clock.at(self.timeline.now), options)
        self.running = True
        self.wakeup = float("inf")
        self._next_call()
        self.watchings = {}
        if self.choice.random() < self.world.options.load.watches:
            self._watch()
        self._drain()

    def _watch(self) -> None:
        """Watch all keys from the beginning or some revision on, or one key from now on."""
        choice, truth = self.choice, self.world.truth
        if choice.random() < 0.7:
            key, start = b"", choice.randrange(1, truth.store.revision + 1)
        else:
            key, start = b"k%d" % choice.randrange(self.world.options.load.keys), 0
        self.watchings[self._watch_from(key, start)] = Watching(truth, self.id, key, start)

    def crash(self) -> None:
        """The process dies: nobody will ever hear what became of its calls."""
        if not self.running:
            return
        self.running = False
        self.world.probes.hit("client crashed")
        self.world.trace.add((self.timeline.now, Kind.CRASH, self.id, 0, f"{len(self.calls)} calls outstanding", 0.0))
        self.life += 1
        for record in self.calls.values():
            self.world.log.unknown(record)
        self.calls.clear()
        for wire in list(self.wires.values()):
            self._break(wire, tell_client=False)
        self.timeline.after(self.choice.uniform(0.05, 1.0), self.start)

    def stop_calling(self) -> None:
        """No new calls from now on."""
        self.calling = False

    # -------------------------------------------------------------------------------------------------------- load

    def _next_call(self) -> None:
        load = self.world.options.load
        self.timeline.after(self.choice.expovariate(load.rate / load.clients), self._call, self.life)

    def _call(self, life: int) -> None:
        if life != self.life or not self.calling:
            return
        self._next_call()
        if len(self.calls) < self.world.options.load.outstanding:
            self._core.tick(self.clock.at(self.timeline.now))
            self._ask()
            self._drain()

    def _ask(self) -> None:
        world, choice = self.world, self.choice
        load = world.options.load
        key = b"k%d" % choice.randrange(load.keys)
        timeout = load.timeout * choice.uniform(0.5, 1.5)
        if choice.random() < load.reads:
            reads = [Range(key)]
            record = world.log.call(self.id, reads[0])
            consistency = "leader_lease" if choice.random() < load.lease_reads else "linearizable"
            self.calls[self._core.query(reads, timeout, consistency)] = record
        elif choice.random() < load.compactions:
            self._compact(timeout)
            return
        else:
            command = self._command(key)
            record = world.log.call(self.id, command)
            self.calls[self._core.submit([command], timeout, once=choice.random() < 0.85)] = record
        world.trace.add((self.timeline.now, Kind.CALL, self.id, 0, record.op, 0.0))

    def _compact(self, timeout: float) -> None:
        """Throw old history away; what becomes of the call is of no interest."""
        revision = self._core.revision - self.choice.randrange(100)
        if revision > 0:
            self._core.submit([Compact(revision)], timeout)

    def _command(self, key: bytes) -> Command:
        """A put of a value never written before, a compare-and-set, or a delete."""
        choice = self.choice
        kind = choice.random()
        if kind < 0.12:
            return Delete(key)
        self.written += 1
        value = b"c%d.%d" % (self.id - FIRST_CLIENT + 1, self.written)
        padding = self.world.options.load.padding
        if padding:
            value += b"." * choice.randrange(padding)
        if kind < 0.6:
            return Put(key, value)
        known = self.known.get(key)
        compare = Compare(key, "version", "=", 0) if known is None else Compare(key, "value", "=", known)
        return Txn([compare], [Put(key, value)], [Range(key)])

    # ----------------------------------------------------------------------------------------------------- the core

    def _wake(self, life: int) -> None:
        if life != self.life:
            return
        now = self.timeline.now
        if now + 1e-9 < self.wakeup:
            return
        self.wakeup = float("inf")
        self._core.tick(self.clock.at(now))
        self._drain()

    def _drain(self) -> None:
        core = self._core
        out = core.take_output()
        for link, address in out.dial:
            self._dial(link, int(address[1:].partition(":")[0]))
        for link, frame in out.send:
            wire = self.wires.get(link)
            if wire is not None:
                self._send(wire, frame)
        for link in out.close:
            wire = self.wires.get(link)
            if wire is not None:
                self._break(wire, tell_client=False)
        for call, answer in out.done:
            self._answered(call, answer)
        for watch, news in out.events:
            if watch in self.watchings:
                self._watched(watch, news)
        self._schedule()

    def _watched(self, watch: int, news: Any) -> None:
        watching = self.watchings[watch]
        if isinstance(news, CompactedError):
            self.world.probes.hit("watch compacted away")
            del self.watchings[watch]
            start = watching.compacted(news.compact_revision)
            self.watchings[self._watch_from(watching.key, start)] = watching
        else:
            watching.take(news)

    def _watch_from(self, key: bytes, start: int) -> int:
        """Watch `key` (b"": all keys) from revision `start` on (0: from now on); returns the number of the watch."""
        if key:
            return self._core.watch(key, start_revision=start)
        return self._core.watch(b"k", b"l", start_revision=start)

    def _schedule(self) -> None:
        due = self._core.next_wakeup()
        now = self.timeline.now
        if due == float("inf"):
            return
        moment = now + max(due - self.clock.at(now), 0.001) / self.clock.rate
        if moment < self.wakeup - 0.001:
            self.wakeup = moment
            self.timeline.at(moment, self._wake, self.life)

    def _answered(self, call: int, answer: Any) -> None:
        record = self.calls.pop(call, None)
        if record is None:
            return
        world = self.world
        if isinstance(answer, list):
            result = answer[0]
            world.log.answered(record, result)
            if type(record.op) is not Range:
                world.truth.acknowledged(record.op, result)
            self._learn(record.op, result)
        else:
            self._failed(record, answer)
        world.trace.add((self.timeline.now, Kind.RETURN, self.id, 0, (record.op, answer), 0.0))

    def _failed(self, record: Record, error: RingleaderError) -> None:
        log = self.world.log
        if isinstance(error, OutcomeUnknownError):
            self.world.probes.hit("outcome unknown")
            log.unknown(record)
        elif isinstance(error, NotAppliedError):
            log.not_applied(record)
            self.world.truth.refused(record.op)
        elif isinstance(error, UsageError):
            self.world.violated("client", f"{record.op!r} was refused as wrong: {error}")
        else:
            self.world.violated("client", f"{record.op!r} ended with {error!r}")

    def _learn(self, op: Any, result: Any) -> None:
        if type(op) is Put:
            self.known[op.key] = op.value
        elif type(op) is Range:
            self._saw(op.key, result)
        elif type(op) is Txn:
            put = op.success[0]
            assert isinstance(put, Put)
            if result.succeeded:
                self.known[put.key] = put.value
            else:
                self._saw(put.key, result.results[0])
        elif type(op) is Delete:
            self.known.pop(op.key, None)

    def _saw(self, key: bytes, result: Any) -> None:
        if result.kvs:
            self.known[key] = result.kvs[0].value
        else:
            self.known.pop(key, None)

    # -------------------------------------------------------------------------------------------------- connections

    def _delay(self) -> float:
        net = self.world.options.net
        return net.delay + self.choice.expovariate(1.0 / net.jitter)

    def _dial(self, link: int, node: int) -> None:
        machine = self.world.machines[node]
        if machine.host is None:
            self.timeline.after(self._delay(), self._closed, self.life, link, "connection refused")
            return
        wire = self.wires[link] = self.world.new_wire(self, link, machine)
        self.timeline.after(self._delay(), self._connected, self.life, wire)

    def _connected(self, life: int, wire: Wire) -> None:
        if life != self.life or not wire.open or wire.silent:
            return
        if wire.machine.life != wire.life:
            self._break(wire, tell_client=True)
            return
        wire.machine.client_opened(wire.number, wire.life)
        self._core.tick(self.clock.at(self.timeline.now))
        self._core.connected(wire.link)
        self._drain()

    def _send(self, wire: Wire, frame: Any) -> None:
        if wire.silent or not wire.open:
            return
        arrival = max(self.timeline.now + self._delay(), wire.arrival_at_node)
        wire.arrival_at_node = arrival
        self.timeline.at(arrival, self._at_node, wire, self.world.recode_client(frame))

    def _at_node(self, wire: Wire, frame: Any) -> None:
        if wire.open and not wire.silent and wire.machine.life == wire.life:
            wire.machine.client_frame(wire.number, frame)

    def from_node(self, wire: Wire, frame: Any) -> None:
        """The node sends a frame."""
        if wire.silent or not wire.open:
            return
        arrival = max(self.timeline.now + self._delay(), wire.arrival_at_client)
        wire.arrival_at_client = arrival
        self.timeline.at(arrival, self._received, self.life, wire, self.world.recode_server(frame))

    def _received(self, life: int, wire: Wire, frame: Any) -> None:
        if life != self.life or wire.silent or self.wires.get(wire.link) is not wire:
            return
        self._core.tick(self.clock.at(self.timeline.now))
        self._core.received(wire.link, frame)
        self._drain()

    def _closed(self, life: int, link: int, why: str) -> None:
        if life != self.life:
            return
        self.wires.pop(link, None)
        self._core.tick(self.clock.at(self.timeline.now))
        self._core.closed(link, why)
        self._drain()

    def node_closed(self, wire: Wire) -> None:
        """The node closes the connection, after what it has sent."""
        arrival = max(self.timeline.now + self._delay(), wire.arrival_at_client)
        wire.arrival_at_client = arrival
        self.timeline.at(arrival, self._closed_by_node, self.life, wire)

    def _closed_by_node(self, life: int, wire: Wire) -> None:
        if life == self.life and self.wires.get(wire.link) is wire and not wire.silent:
            wire.open = False
            self._closed(life, wire.link, "connection closed by the node")

    def _break(self, wire: Wire, *, tell_client: bool) -> None:
        """The connection is over; the node hears of it, the client if asked for."""
        wire.open = False
        self.wires.pop(wire.link, None)
        if not wire.silent:
            self.timeline.at(
                max(self.timeline.now + self._delay(), wire.arrival_at_node), self._node_hears, wire, wire.life
            )
        if tell_client:
            self.timeline.after(self._delay(), self._closed, self.life, wire.link, "connection reset")

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
                self._break(wire, tell_client=True)

    def node_gone(self, machine: Machine) -> None:
        """A node crashed: its connections break, half of the time without a word."""
        for wire in list(self.wires.values()):
            if wire.machine is machine and wire.open:
                if self.choice.random() < 0.5:
                    wire.silent = True
                else:
                    wire.open = False
                    self.timeline.after(self._delay(), self._closed_by_crash, self.life, wire)

    def _closed_by_crash(self, life: int, wire: Wire) -> None:
        if life == self.life and self.wires.get(wire.link) is wire:
            self._closed(life, wire.link, "connection reset by peer")

    def finished(self, newest: int) -> bool:
        """Whether no call is outstanding and every watch has come to revision `newest`."""
        return not self.calls and all(watching.caught_up(newest) for watching in self.watchings.values())

    def standing(self) -> str:
        """What is outstanding, in words."""
        watches = ", ".join(f"a watch at revision {watching.seen}" for watching in self.watchings.values())
        return f"{name_of(self.id)}: {len(self.calls)} calls" + (f", {watches}" if watches else "")
