"""A whole node without a world: what arrives goes in, what is to be written, sent and answered comes out.

Both worlds drive this very object: the runtime with real disks and sockets, the simulator with simulated ones. It decides
the order of persist, send and apply; a world only carries out lists in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ringleader.consensus.protocols import choice_of, make_core
from ringleader.consensus.shape import Config, Record, ReplicatedLog, Role, Send
from ringleader.errors import Reason, RingleaderError
from ringleader.group.bulk import BulkWork
from ringleader.group.contact import ELECTIONS, Contact
from ringleader.group.member import Member
from ringleader.group.options import HostConfig
from ringleader.group.roster import Peer, Roster, read_roster, roster_ops
from ringleader.group.service import Service
from ringleader.group.shelf import Stored
from ringleader.group.snapshots import Snapshots, recover_snapshot
from ringleader.group.standing import MembersHere
from ringleader.log import (
    Identity,
    LogCorruptError,
    LogRecord,
    LogWriter,
    create,
    exists,
    recover,
)
from ringleader.ports import Disk, DiskOp, Entropy
from ringleader.store.auth import NODE
from ringleader.store.commands import Command
from ringleader.store.members import founders
from ringleader.store.store import Store
from ringleader.wire.absurd import absurdity
from ringleader.wire.frames import ClientFrame, NodeInfo, Refused, Results, ServerFrame, StatusReply, Submit
from ringleader.wire.relay import RelayMessage
from ringleader.wire.transfer import TransferMessage

__all__ = ["GROUP", "DiskWork", "Host", "HostOutput"]

GROUP = 0
"""The group of the strong store; frames, records and file names have room for more."""
OWN = -1
"""The connection number of what a node asks of itself."""
PROMISES = 16 * 1024
"""Bytes that are left for terms and votes when the disk is full: for hundreds of them."""
IDLE_MARK = 1.0
"""Seconds after the last batch at which an empty one is written."""

_encode = msgspec.msgpack.Encoder().encode


class DiskWork(msgspec.Struct):
    """Carry out `ops` in order, then report `disk_done(number)`. Any failure is fatal to the node."""

    number: int
    ops: list[DiskOp]


class HostOutput(msgspec.Struct):
    """`disk`, `bulk`: at most one piece of work at a time each; neither waits for the other.

    `peers`, `bulk_peers`: (node, group, message), on connections of their own. `clients`: (connection, frame).

    `close`: connections to close once their frames are written. `links`: when it has changed, to whom links are to be kept.
    `expelled`: why this node is no member any more, and has to stop. `more`: there is more to do than fits into a turn: call
    again soon, after what arrives meanwhile.
    """

    disk: DiskWork | None = None
    bulk: BulkWork | None = None
    peers: list[tuple[int, int, Any]] = []
    bulk_peers: list[tuple[int, int, TransferMessage]] = []
    clients: list[tuple[int, ServerFrame]] = []
    close: list[int] = []
    links: list[Peer] | None = None
    expelled: RingleaderError | None = None
    more: bool = False


class Covered(msgspec.Struct):
    """What a piece of disk work makes durable: the log position and the core's record."""

    position: int
    record: int


class Host:
    """Made by `Host.open`. Not thread-safe; call from one loop."""

    def __init__(
        self,
        config: HostConfig,
        core: ReplicatedLog,
        store: Store,
        writer: LogWriter,
        entropy: Entropy,
        now: float,
        report: str,
        stored: Stored | None = None,
        roster: Roster | None = None,
    ) -> None:
        self.config = config
        self.core = core
        self.store = store
        self.writer = writer
        self.report = report
        self.out = HostOutput()
        self.consensus = str(choice_of(config.consensus))
        self.started = now
        self.now = now
        node = next((info for info in config.nodes if info.id == config.node), NodeInfo(config.node, config.name, ""))
        self.member = Member(
            config.node, core, store, entropy, config.group, self._answer, self._relay, config.consensus.election
        )
        self.service = Service(
            config.cluster,
            node,
            config.nodes,
            self.member,
            config.group,
            entropy,
            self._answer,
            self._close,
            self.status,
            Contact(max(config.group.watch_contact, ELECTIONS * config.consensus.election), now),
        )
        self.snapshots = Snapshots(GROUP, self.member, stored, self._covered, self._tell)
        self.members = MembersHere(config, node, core, store, roster)
        self.asked: dict[int, Callable[[Results | Refused], None]] = {}  # by this node itself, by frame number
        self.ask_number = 0
        self.held: list[Send] = []  # messages that wait for the disk
        self.records = 0  # of the core, handed to the log so far
        self.durable = 0  # of them, known on disk
        self.let_in = 0  # bytes of entries taken in this turn in spite of a full disk
        self.pending_ops: list[DiskOp] = []  # to go before the log's own in the next piece of work
        self.appended = now
        self.work_number = 0
        self.working: Covered | None = None

    @classmethod
    def open(cls, config: HostConfig, disk: Disk, entropy: Entropy, now: float) -> Host:
        """Recover from `disk`, or start with an empty one.

        Raises `RingleaderError` (`LogCorruptError`, `WrongIdentityError` ...) saying what is wrong and what to do, and
        `OSError` when the disk itself fails.
        """
        identity = Identity(config.cluster, config.node, config.incarnation)
        names = {info.id: info.name for info in config.nodes if info.id in config.voters}
        store = Store(config.limits, founders(names), config.supports)
        roster = read_roster(disk)
        stored = recover_snapshot(disk, GROUP, store)
        records: list[LogRecord] = []
        if exists(disk):
            recovery = recover(disk, identity, config.log)
            records, writer, report = recovery.records, recovery.writer, recovery.report
        elif stored is not None:
            raise LogCorruptError("there is a snapshot but no log", file="log-*", offset=0)
        else:
            writer, report = create(identity, config.log, disk), "started with an empty log"
        core = make_core(config.node, Config(config.voters), entropy, config.consensus)
        try:
            meta = stored.meta if stored is not None else None
            core.recover(meta, [Record(record.kind, record.payload) for record in records if record.group == GROUP])
        except ValueError as error:
            raise RingleaderError(
                f"the log does not fit the snapshot: {error}",
                reason=Reason.DATA_CORRUPT,
                hint="Remove this node from the cluster and add it again with an empty data folder",
            ) from error
        host = cls(config, core, store, writer, entropy, now, report, stored, roster)
        host.snapshots.receiver.recover(disk)
        host.tick(now)
        return host

    # -------------------------------------------------------------------------------------------------- what arrives

    def tick(self, now: float) -> None:
        """Time has come to `now` (monotonic seconds); at least every tenth of a heartbeat."""
        self.now = now
        self.member.tick(now)
        report = self.members.report_due(now)
        if report is not None:
            self.ask([report], self.members.reported)
        if self.writer.wants_mark and now >= self.appended + IDLE_MARK:
            self.writer.append([])  # says on disk that the batch before it is durable, so that its loss is noticed

    def observe(self, now: float) -> None:
        """It is `now`; no timers run. Call before what arrives: it may have waited out a pause of the process."""
        self.now = max(self.now, now)
        self.member.observe(self.now)

    def peer_message(self, sender: int, group: int, message: Any) -> str:
        """A message of node `sender`; of an unknown group it is ignored. Returns why it was refused, or ""."""
        if group == GROUP:
            absurd = absurdity(message, self.core.term)
            if absurd:
                return absurd
            if isinstance(message, TransferMessage):
                self.snapshots.message(sender, message)
            elif not self._too_much(message):
                self.member.step(sender, message)
        return ""

    def _too_much(self, message: Any) -> bool:
        """Whether the disk is full and the message's entries would take the room left for promises: then it is lost."""
        entries = getattr(message, "entries", ()) if self.member.disk_full else ()
        size = sum(len(one.data) + 64 for one in entries)
        if entries and size + self.let_in + PROMISES > self.writer.room:
            return True
        self.let_in += size
        return False

    def client_opened(self, conn: int, identity: str = "", *, own: bool = False) -> None:
        """A client connection was accepted; `conn` is a number never used before.

        `identity`: the name in the certificate that it came with. `own`: it comes from this very process, and may do all.
        """
        self.service.opened(conn, identity, own=own)

    def client_frame(self, conn: int, frame: ClientFrame) -> None:
        """A frame of a client."""
        self.service.frame(conn, frame)

    def client_closed(self, conn: int) -> None:
        """A client connection is gone."""
        self.service.closed(conn)

    def client_writable(self, conn: int, flag: bool) -> None:
        """Whether the connection takes more data at the moment."""
        self.service.writable(conn, flag)

    def learn_node(self, info: NodeInfo) -> None:
        """Another node has said, in the handshake of its link, where clients reach it; our clients are told."""
        self.service.learn_node(info)

    def ask(
        self, commands: Sequence[Command], on_done: Callable[[Results | Refused], None], timeout_ms: int = 5000
    ) -> None:
        """Submit commands on behalf of this node itself, outside of any session; `on_done` gets the one answer."""
        self.ask_number += 1
        self.asked[self.ask_number] = on_done
        raw = msgspec.Raw(_encode([(0, command) for command in commands]))
        self.member.submit(OWN, Submit(self.ask_number, timeout_ms, 0, 0, raw), NODE)

    def disk_full(self, flag: bool) -> None:
        """The disk is full (what was handed out waits for room), or has room again."""
        self.member.disk_full = flag
        self.writer.disk_full(flag)

    def disk_done(self, number: int) -> None:
        """The work handed out under `number` is carried out and durable."""
        done = self.working
        assert done is not None, "no disk work is outstanding"
        assert number == self.work_number, (number, self.work_number)
        self.working = None
        self.durable = done.record
        self.writer.synced(done.position)
        self.core.synced(done.record)
        still = []
        for send in self.held:
            if send.after <= self.durable:
                self.out.peers.append((send.to, GROUP, send.message))
            else:
                still.append(send)
        self.held = still

    def bulk_done(self, number: int, data: bytes | None) -> None:
        """The bulk work handed out under `number` is carried out; `data` is what it read, None: there was no room."""
        self.snapshots.lane.finished(number, data)

    # ----------------------------------------------------------------------------------------------- what is to do

    @property
    def idle(self) -> bool:
        """Whether a turn would bring nothing to light, timers apart: what has arrived asks for nothing.

        The second of two answers that would each have made a quorum is of that kind, as is the end of the leader's own
        disk work before anybody else has answered. A world may then wait for the next event, or tick, with its turn.
        """
        out = self.out
        if out.peers or out.clients or out.bulk_peers or out.close or not self.member.idle:
            return False
        if self.snapshots.lane.ready or self.members.differs() or self.store.watches.behind or self.service.parts.rest:
            return False
        return self.working is not None or not (self.pending_ops or self.writer.wants_work)

    def take_output(self) -> HostOutput:
        """Everything to be done since the last call; call it after events, once a turn."""
        out = self.member.end_turn()
        self.snapshots.replace_state(out)
        self.member.apply(out.committed)
        if self.members.changed():
            self._members_changed()
        self.service.end_turn()
        self.snapshots.turn(out, self.now)
        if out.records:
            batch = [LogRecord(GROUP, record.kind, record.payload) for record in out.records]
            self.writer.append(batch, {GROUP: self.core.last_index})
            self.records += len(batch)
            self.appended = self.now
        self.let_in = 0
        for send in out.messages:
            if send.after <= self.durable:
                self.out.peers.append((send.to, GROUP, send.message))
            else:
                self.held.append(send)
        if self.working is None:
            self._start_work()
        self.out.more = self.member.busy
        self.out.bulk = self.snapshots.lane.take()
        result, self.out = self.out, HostOutput()
        return result

    def _start_work(self) -> None:
        if self.writer.wants_roll:
            checkpoint = [LogRecord(GROUP, record.kind, record.payload) for record in self.core.checkpoint()]
            self.writer.roll(checkpoint)
        ops = self.pending_ops + self.writer.take_ops()
        if not ops:
            return
        self.pending_ops = []
        self.work_number += 1
        self.working = Covered(self.writer.position, self.records)
        self.out.disk = DiskWork(self.work_number, ops)

    def _members_changed(self) -> None:
        """Who belongs to the cluster has changed: remember it, tell the clients and the world."""
        roster = self.members.to_save()
        if roster is not None:
            self.pending_ops += roster_ops(roster)
        self.service.set_nodes(self.members.nodes())
        self.out.links = self.members.links()
        self.out.expelled = self.members.expelled()

    # ----------------------------------------------------------------------------------------------------- plumbing

    def _answer(self, conn: int, frame: ServerFrame) -> None:
        if conn == OWN and isinstance(frame, Results | Refused):
            self.asked.pop(frame.frame)(frame)
        elif conn in self.service.connections:
            self.out.clients.append((conn, frame))

    def _relay(self, node: int, message: RelayMessage) -> None:
        self.out.peers.append((node, GROUP, message))

    def _tell(self, node: int, message: TransferMessage) -> None:
        self.out.bulk_peers.append((node, GROUP, message))

    def _covered(self, index: int) -> None:
        """A durable snapshot covers the log up to `index`."""
        self.writer.drop_segments({GROUP: index})

    def _close(self, conn: int) -> None:
        self.out.close.append(conn)

    # ------------------------------------------------------------------------------------------------------- status

    def status(self, frame: int = 0) -> StatusReply:
        """How this node stands, as it tells clients."""
        status = self.core.status()
        return StatusReply(
            frame=frame,
            node=self.config.node,
            name=self.config.name,
            release=RELEASE,
            role=Role(status.role).name.lower(),
            term=status.term,
            leader=status.leader,
            commit=status.commit,
            applied=self.store.applied,
            last_index=status.last_index,
            revision=self.store.revision,
            compact_revision=self.store.compact_revision,
            voters=list(status.config.voters),
            learners=list(status.config.learners),
            uptime=self.now - self.started,
            used_bytes=self.store.used_bytes,
            quota_bytes=self.store.settings.quota_bytes,
            full=self.store.quota.full,
            disk_full=self.member.disk_full,
            cluster_version=self.store.version,
            supports=self.store.supports,
            consensus=self.consensus,
        )


RELEASE = "0.1.0"
"""The release as nodes tell it; a test holds it equal to `ringleader.__version__`."""
