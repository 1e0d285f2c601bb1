"""A whole simulated world: machines, clients, network and nemesis on one timeline, watched over by the oracle.

Everything in it is the code that runs in production, but for disk, network and clock. It is single-threaded and draws all
chance from the seed, so the same seed gives the same run, event by event.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ringleader.client.credentials import Credentials
from ringleader.consensus.protocols import Choice, CoreOptions, options_for
from ringleader.consensus.shape import ConsensusOptions, Output, ReplicatedLog, Role
from ringleader.errors import Reason
from ringleader.group.host import Host
from ringleader.group.options import GroupOptions, HostConfig
from ringleader.group.roster import Roster, roster_ops
from ringleader.group.standing import expulsion
from ringleader.log import LogOptions
from ringleader.sim.cables import Wire
from ringleader.sim.caller import Caller
from ringleader.sim.calm import Calm
from ringleader.sim.choice import stream
from ringleader.sim.churn import Churn
from ringleader.sim.faults import Nemesis
from ringleader.sim.network import SimNetwork
from ringleader.sim.node import Machine
from ringleader.sim.options import LOSSES, Options
from ringleader.sim.oracles import oracle_for
from ringleader.sim.probes import Probes
from ringleader.sim.record import CallLog
from ringleader.sim.retention import Retention
from ringleader.sim.timeline import Timeline
from ringleader.sim.trace import Trace, name_of
from ringleader.sim.truth import Truth
from ringleader.sim.violation import Violation
from ringleader.store.limits import Limits
from ringleader.wire.frames import ClientFrame, NodeInfo, ServerFrame
from ringleader.wire.peer import PeerMessage
from ringleader.wire.relay import Forward

__all__ = ["World"]

_encode = msgspec.msgpack.Encoder().encode
_peer = msgspec.msgpack.Decoder(tuple[int, PeerMessage]).decode
_client = msgspec.msgpack.Decoder(ClientFrame).decode
_server = msgspec.msgpack.Decoder(ServerFrame).decode


class World:
    """The world of `options`. `run` raises `Violation` when an invariant breaks."""

    def __init__(self, options: Options, trace: Trace | None = None) -> None:
        self.options = options
        self.timeline = Timeline()
        self.trace = trace if trace is not None else Trace()
        self.probes = Probes()
        self.choice = stream(options.seed, "world")
        ids = list(range(1, options.nodes + 1))
        self.oracle = oracle_for(options.protocol, ids, self.timeline, self.trace, self.probes)
        self.limits = Limits(session_ttl_ms=int(options.session_ttl * 1000))
        self.truth = Truth(self.limits, self.probes, {id: f"n{id}" for id in ids}, self.timeline, options.fastest)
        self._wanted = None if options.calls is None else frozenset(options.calls)
        self.oracle.on_commit.append(self.truth.committed)
        self.log = CallLog(self.timeline)
        self.network = SimNetwork(
            ids,
            options.net,
            stream(options.seed, "network"),
            self.timeline,
            self._arrive,
            self.trace,
            self.probes,
            _recode_peer if options.recode else None,
            _repeatable,
        )
        self.founders = tuple(ids)
        self.consensus = _consensus(options)
        self.machines = {id: Machine(self, id, f"n{id}", f"n{id}, first") for id in ids}
        self._refused: dict[tuple[int, int], bool] = {}  # links that would not be made, as far as known
        self.wires: dict[int, tuple[Caller, Wire]] = {}
        self._last_wire = 0
        self.callers: list[Caller] = []
        self.credentials: Credentials | None = None  # with which the clients log in
        self._churned = bool(LOSSES & options.faults.keys())
        self.made: list[tuple[int, int]] = []  # the calls that were made, in order
        self.nemesis = Nemesis(self)
        self.churn = Churn(self)
        self.retention = Retention(self)
        self.calm = Calm(self)

    # --------------------------------------------------------------------------------------------------- the course

    def run(self) -> None:
        """The fault phase, then healing, then the phase in which everything must come right."""
        options, timeline = self.options, self.timeline
        for machine in self.machines.values():
            machine.start()
        self.callers = [Caller(self, place) for place in range(options.load.clients)]
        self.nemesis.start()
        self.retention.start()
        for _ in range(options.image_checks):
            timeline.at(self.choice.uniform(options.faults_from, options.faults_until), self._check_images)
        timeline.run_until(options.faults_until)
        self.nemesis.heal()
        self.calm.begin()
        self._bring_clients_back()
        timeline.run_until(options.duration)
        self.calm.end()
        for caller in self.callers:
            caller.stop_calling()
        self._bring_clients_back()
        timeline.run_until(options.duration + options.grace, self.settled)
        self._must_be_settled()

    def _bring_clients_back(self) -> None:
        """Clients that reach no member, since all whom they had heard of are gone, start again with new addresses.

        A node that was wiped still answers, but knows of nobody else.
        """
        if self._churned:
            for caller in self.callers:
                if all(wire.machine.lost for wire in caller.cables.wires.values()):
                    caller.crash()

    def settled(self) -> bool:
        """One leader, no call outstanding, and all nodes have applied the whole log."""
        newest = self.truth.store.revision
        if self.truth.chronicle.leases:
            return False  # nobody keeps them alive any more
        if not all(caller.finished(newest) for caller in self.callers):
            return False
        table = self.truth.store.members
        members = [self.machines.get(row.id) for row in table.active()]
        hosts = [machine.host for machine in members if machine is not None and not machine.lost]
        running = [host for host in hosts if host is not None]
        if len(running) < len(hosts):
            return False
        cores, last = [host.core for host in running], self.oracle.ledger.last
        leaders = [core for core in cores if core.role is Role.LEADER]
        if any(host.store.applied != last for host in running) or cores[0].config.outgoing:
            return False
        if len(leaders) != 1 or any(core.leader != leaders[0].status().id for core in cores):
            return False
        return all(core.last_index == last or self._may_keep_more(core) for core in cores)

    def _may_keep_more(self, core: ReplicatedLog) -> bool:
        """Whether entries may stay above the end of the log: in Paxos, with those who follow, such as nobody will choose."""
        return self.options.protocol == "paxos" and core.role is not Role.LEADER

    def _must_be_settled(self) -> None:
        if self.settled():
            for id, machine in self.machines.items():
                if machine.host is not None and not machine.lost:
                    self.truth.compare(id, machine.host.store)
            self.retention.settled()
            return
        parts = [
            f"n{id}: " + ("down" if machine.host is None else str(machine.host.core.status()))
            for id, machine in self.machines.items()
        ]
        parts += [caller.standing() for caller in self.callers]
        parts += [f"lease {id} lives" for id in self.truth.chronicle.leases]
        text = f"{self.options.grace} s after the last call was made it is not quiet: {'; '.join(parts)}"
        raise Violation("liveness", text)

    # ------------------------------------------------------------------------------------------------------- nodes

    def open_host(self, machine: Machine) -> Host:
        """Open the host of a machine on its disk."""
        return self._open(machine.id, machine.disk, machine.choice, machine.clock.at(self.timeline.now))

    def _open(self, id: int, disk: Any, entropy: Any, now: float) -> Host:
        options = self.options
        machine = self.machines[id]
        nodes = tuple(NodeInfo(node, f"n{node}", f"n{node}:1") for node in self.founders)
        if id not in self.founders:
            nodes += (NodeInfo(id, machine.name, f"n{id}:1"),)
        config = HostConfig(
            cluster="sim",
            node=id,
            name=machine.name,
            nodes=nodes,
            voters=self.founders,
            incarnation=machine.incarnation,
            consensus=self.consensus,
            log=LogOptions(options.disk.segment_bytes, options.disk.runway_bytes),
            limits=self.limits,
            group=GroupOptions(
                snapshot_entries=options.snapshot_every,
                keep_entries=options.keep_entries,
                slice_bytes=1000,  # so that taking, sending and becoming even a small snapshot takes many steps
                chunk_bytes=1500,
                turn_bytes=2_000,
            ),
        )
        return Host.open(config, disk, entropy, now)

    def observe(self, machine: Machine, core: ReplicatedLog) -> None:
        """From now on the oracle sees every output of `core`."""
        host = machine.host
        assert host is not None
        take, output, id, store = core.take_output, self.oracle.output, machine.id, host.store
        truth, probes = self.truth, self.probes
        truth.compare(id, store)
        first, last = core.first_index, core.last_index

        def take_output() -> Output:
            nonlocal first, last
            out = take()
            if core.first_index != first:
                probes.hit("log compacted")
                first = core.first_index
                truth.compare(id, store)
            grown, last = core.last_index != last, core.last_index
            if out.records or out.committed or out.changed or grown or out.install is not None:
                output(id, core, out)
            return out

        core.take_output = take_output  # type: ignore[method-assign]  # to listen in on what it says

    def restart_later(self, machine: Machine) -> None:
        """Start a machine again in a while."""
        pause = self.choice.log_uniform(0.05, 8.0)
        self.timeline.after(pause, self._restart, machine)

    def _restart(self, machine: Machine) -> None:
        if machine.host is None:
            machine.start()

    def node_is_gone(self, machine: Machine) -> None:
        """A machine crashed."""
        for caller in self.callers:
            caller.cables.node_gone(machine)

    def _arrive(self, receiver: int, sender: int, messages: list[Any], sent: float) -> None:
        if self._churned and not self.linked(sender, receiver):
            self.probes.hit("link refused")
            self._turn_away(self.machines[sender], self.machines[receiver])
            return
        self.machines[receiver].peer_messages(sender, messages, sent)

    def join(self, id: int, name: str, incarnation: str) -> None:
        """The node of a new member starts, with a disk that holds only the list of members it was told in the handshake."""
        if id in self.machines:
            return
        self.network.add(id)
        self.oracle.joined(id)
        machine = self.machines[id] = Machine(self, id, name, incarnation)
        table = self.truth.store.members
        rows = [row for _, row in sorted(table.rows.items())]
        machine.disk.execute(roster_ops(Roster(self.truth.store.applied, table.next_id, rows)))
        self._churned = True
        self.members_changed()
        machine.start()

    def members_changed(self) -> None:
        """Some node sees the members otherwise than before: its links are to be judged anew."""
        self._refused.clear()

    def linked(self, sender: int, receiver: int) -> bool:
        """Whether these two nodes would talk to each other, each by what it knows of the members: their handshake."""
        refused = self._refused.get((sender, receiver))
        if refused is None:
            one, other = self.machines[sender], self.machines[receiver]
            if one.host is None or other.host is None:
                return not (one.lost or other.lost)
            refused = self._refused[sender, receiver] = not (self._admits(one, other) and self._admits(other, one))
        return not refused

    @staticmethod
    def _turn_away(machine: Machine, by: Machine) -> None:
        """In the handshake `machine` is told why it is refused; one that is no member any more then stops."""
        if by.host is not None and not by.lost:
            why = by.host.members.admit(machine.id, machine.name, machine.incarnation)
            if why is not None and why[0] in (Reason.MEMBER_REMOVED, Reason.DATA_REPLACED):
                machine.expelled(expulsion(*why, machine.name))

    @staticmethod
    def _admits(machine: Machine, other: Machine) -> bool:
        host = machine.host
        assert host is not None
        return host.members.admit(other.id, other.name, other.incarnation) is None

    def _check_images(self) -> None:
        """What every disk holds for certain right now, read by the real recovery, must hold what was promised."""
        for id, machine in self.machines.items():
            if machine.host is None:
                continue
            copy = machine.disk.durable_copy(stream(self.options.seed, "image"))
            if not copy.names():
                continue
            host = self._open(id, copy, stream(self.options.seed, "image"), machine.clock.at(self.timeline.now))
            self.oracle.check_image(id, host.core)

    # ----------------------------------------------------------------------------------------------------- clients

    def new_wire(self, caller: Caller, link: int, machine: Machine) -> Wire:
        """A connection between a client and a machine."""
        self._last_wire += 1
        wire = Wire(self._last_wire, link, machine)
        self.wires[wire.number] = (caller, wire)
        return wire

    def to_client(self, machine: Machine, conn: int, frame: Any) -> None:
        """A node sends a frame to a client."""
        caller, wire = self.wires[conn]
        caller.cables.from_node(wire, frame)

    def close_client(self, machine: Machine, conn: int) -> None:
        """A node closes a connection."""
        caller, wire = self.wires[conn]
        caller.cables.node_closed(wire)

    def crash_client(self, place: int) -> None:
        """Client `place` loses its memory and starts anew."""
        self.callers[place].crash()

    def disconnect_client(self, place: int) -> None:
        """The connections of client `place` break."""
        self.callers[place].cables.disconnect(silent=self.choice.random() < 0.5)

    def wanted(self, number: tuple[int, int]) -> bool:
        """Whether this call is made: (client, number), or with a negative number a step of its leases."""
        if self._wanted is not None and number not in self._wanted:
            return False
        self.made.append(number)
        return True

    def one_holder(self) -> None:
        """Somebody has taken the lock: nobody else may believe in holding it, where clocks keep within their bound."""
        holders = [caller for caller in self.callers if caller.leasing.believes()]
        if len(holders) > 1 and self.options.true_clocks:
            names = [f"{name_of(caller.id)} (token {caller.leasing.token})" for caller in holders]
            self.violated("one holder", f"{' and '.join(names)} both hold the lock")

    def client_places(self) -> list[int]:
        """All clients, by place."""
        return list(range(len(self.callers)))

    def recode_client(self, frame: Any) -> Any:
        """A frame as the node will see it."""
        return _client(_encode(frame)) if self.options.recode else frame

    def recode_server(self, frame: Any) -> Any:
        """A frame as the client will see it."""
        return _server(_encode(frame)) if self.options.recode else frame

    def violated(self, invariant: str, text: str) -> None:
        """Raise a `Violation`."""
        raise Violation(invariant, text)


def _consensus(options: Options) -> CoreOptions:
    common = ConsensusOptions(
        heartbeat=options.heartbeat,
        election=options.election,
        append_bytes=options.append_bytes,
        window_messages=options.window_messages,
    )
    return options_for(Choice(options.protocol, options.phase2), common)


def _recode_peer(message: tuple[int, Any]) -> tuple[int, Any]:
    return _peer(_encode(message))


def _repeatable(message: tuple[int, Any]) -> bool:
    return type(message[1]) is not Forward
