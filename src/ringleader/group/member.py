"""One member of one consensus group: the core, the state machine and everyone who waits for them, put together.

The order of things, which the simulator runs as it is: proposals of one turn become one entry; records go to the log; what
is committed is applied in order; whoever waits for it is answered from the result of the own apply. It knows neither
connections nor files: `Host` carries its output on.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from ringleader.consensus.shape import Config, Entry, EntryKind, Output, ReplicatedLog, SnapshotMeta
from ringleader.errors import Reason
from ringleader.group.admission import Admission
from ringleader.group.compaction import Compactor
from ringleader.group.exports import Exports
from ringleader.group.logtime import LogTime
from ringleader.group.membership import Reconciler
from ringleader.group.options import GroupOptions
from ringleader.group.pending import PendingWrite, PendingWrites
from ringleader.group.readers import Reader, Readers
from ringleader.ports import Entropy
from ringleader.store.auth import NODE, Caller
from ringleader.store.auth_ops import ExpireTokens
from ringleader.store.codec import BATCH_VERSION, decode_batch, decode_commands
from ringleader.store.commands import (
    Batch,
    Command,
    Compact,
    Envelope,
    ExpireLeases,
    Failure,
    LeaseInfoResult,
    LeaseListResult,
    RaiseVersion,
    RangeResult,
    Read,
    Result,
    SnapshotPart,
    SnapshotRead,
    TxnResult,
)
from ringleader.store.member_ops import MEMBER_COMMANDS, LeaderView, MemberList, MemberListResult, MemberPromote
from ringleader.store.store import Store
from ringleader.store.version import supported_by_all
from ringleader.wire.frames import MAX_FRAME, Query, Refused, Results, ServerFrame, Submit
from ringleader.wire.relay import Forward, ForwardRefused, ReadIndex, ReadIndexReply, RelayMessage

__all__ = ["ApplyError", "Member"]

EXPIRY_PERIOD = 0.2
"""Seconds between two looks of the leader for leases that are over."""
ANSWER_BYTES = MAX_FRAME * 3 // 4
"""Most bytes of keys and values in the answer to one query."""
LEADER_CHANGED = "the leader changed"
CATCHING_UP = "this node was away for long and is replacing its state by a snapshot: ask another one"
DISK_FULL = "the disk of the leader is full; it takes writes again when there is room"
HAND_ON = 10.0
"""Seconds between two attempts of a leader with a full disk to hand leadership to somebody else."""
LEADERS_OWN = (ExpireLeases, ExpireTokens, RaiseVersion)
"""Commands that no client may send."""

_encode = msgspec.msgpack.Encoder().encode
_envelope = msgspec.msgpack.Decoder(Envelope)


class ApplyError(Exception):
    """A committed entry cannot be understood by this release; applying on would break "same log, same state"."""


class Queued(NamedTuple):
    """An envelope for the log, as bytes and decoded, and the node it came from (0: the leader's own)."""

    raw: bytes
    envelope: Envelope
    source: int


class Member:
    """`answer(conn, frame)` takes frames for clients, `relay(node, message)` messages for other members."""

    def __init__(
        self,
        node: int,
        core: ReplicatedLog,
        store: Store,
        entropy: Entropy,
        options: GroupOptions,
        answer: Callable[[int, ServerFrame], None],
        relay: Callable[[int, RelayMessage], None],
        election: float = 1.0,
    ) -> None:
        self.node = node
        self.core = core
        self.store = store
        self.options = options
        self.answer = answer
        self.relay = relay
        self.now = 0.0
        self.counts: Counter[str] = Counter()
        self.applied_term = 0
        # Writes.
        self.writes = PendingWrites(entropy.getrandbits(62))
        self.admission = Admission(options.backlog_least, options.backlog_bytes, options.backlog_wait)
        self.queue: list[Queued] = []  # for the log, waiting for the end of the turn
        self.forwards: list[tuple[int, bytes]] = []  # (origin, envelope) for the leader
        self.backlog: deque[tuple[int, Entry]] = deque()  # decided, not applied yet
        self.decoded: dict[int, tuple[bytes, Batch]] = {}  # own proposals by index, to spare decoding them again
        self.led_term = 0  # the term in which this member noticed that it leads; 0: it does not
        self.led_from = 0  # it proposes once this index is applied
        self.clock = LogTime()
        self.clock_runs = False
        self.expiry_due = 0.0
        self.compactor = Compactor()
        self.disk_full = False  # told by the host: a leader takes no new work then
        self.hand_on_due = 0.0
        self.exports = Exports(store, 0, entropy.getrandbits(48))
        # Reads.
        self.readers = Readers(entropy.getrandbits(62))
        self.barrier_token = 0
        self.barriers: dict[int, tuple[int, int, bool]] = {}  # the core's token -> (node, its token, with a view)
        # Members.
        self.reconciler = Reconciler(node, election)
        self.view: LeaderView | None = None  # the leader's, as last told
        self.view_wanted = False  # by a read that waits for this turn's barrier
        self.member_commands = False  # the queue holds some, into which the leader writes its view
        # Snapshots.
        self.snapshot_index = 0
        self.bytes_since_snapshot = 0
        self.installing = False  # the state is being replaced by a snapshot

    # ---------------------------------------------------------------------------------------------------- clients

    def submit(self, conn: int, request: Submit, caller: Caller) -> None:
        """Take in commands on behalf of `caller`; exactly one `Results` or `Refused` answers them, now or later."""
        self.counts["submits"] += 1
        size = len(memoryview(request.commands)) + 64
        if not self.admission.admits(self.writes.bytes, size):  # before it costs more than a look
            self.counts["overloaded"] += 1
            self._refuse(conn, request.frame, Reason.OVERLOADED, "more writes are waiting than can be served in time")
            return
        try:
            commands = decode_commands(request.commands)
        except ValueError as error:
            self._refuse(conn, request.frame, Reason.INVALID_ARGUMENT, f"the commands make no sense: {error}")
            return
        if not commands:
            self.answer(conn, Results(request.frame, []))
            return
        if any(type(command) in LEADERS_OWN for _, command in commands):
            self._refuse(conn, request.frame, Reason.INVALID_ARGUMENT, "that is for the leader alone to say")
            return
        if self.installing:
            self._refuse(conn, request.frame, Reason.UNREACHABLE, CATCHING_UP)
            return
        if self.disk_full and self.core.leads:
            self.counts["refused_no_room"] += 1
            self._refuse(conn, request.frame, Reason.NO_SPACE, DISK_FULL)
            return
        if not self.core.leader:
            self._refuse(conn, request.frame, Reason.NO_LEADER, "the cluster has no leader at the moment")
            return
        deadline = self.now + max(request.timeout_ms, 1) / 1000.0
        origin = self.writes.add(PendingWrite(conn, request.frame, self.core.term, deadline, size))
        envelope = Envelope(origin, request.session, request.ack, commands, caller.principal, caller.revision)
        raw = _encode((origin, request.session, request.ack, request.commands, caller.principal, caller.revision))
        if self.core.leader == self.node:
            self._enqueue(Queued(raw, envelope, self.node))
        else:
            self.counts["forwarded"] += 1
            self.forwards.append((origin, raw))

    def query(self, conn: int, request: Query, caller: Caller) -> None:
        """Take in reads on behalf of `caller`; exactly one `Results` or `Refused` answers them, now or later."""
        self.counts["queries"] += 1
        deadline = self.now + max(request.timeout_ms, 1) / 1000.0
        if any(type(op) is MemberList for op in request.reads):
            self.view_wanted = True
        reader = Reader(conn, request.frame, request.reads, deadline, caller)
        if self.installing:
            self._refuse(conn, request.frame, Reason.UNREACHABLE, CATCHING_UP)
            return
        if request.consistency == "linearizable" or request.consistency == "leader_lease":
            lease = request.consistency == "leader_lease" and self.core.lease_valid()
            if lease and self.store.applied >= self.core.commit:
                self._serve(reader)
            elif self.readers.waiting >= self.options.reads_waiting:
                self._refuse(conn, request.frame, Reason.OVERLOADED, "too many reads are waiting on this node")
            else:
                self.readers.add(reader)
        elif request.consistency == "stale":
            age_ms = (self.now - self.core.contact) * 1000.0
            if request.max_staleness_ms and age_ms > request.max_staleness_ms:
                text = f"this node last heard from the cluster {age_ms / 1000.0:.1f} s ago"
                self._refuse(conn, request.frame, Reason.UNREACHABLE, text)
            elif request.max_staleness_ms and self.store.applied < self.core.commit:
                self.readers.wait_for(self.core.commit, reader)  # heard of in this turn, not applied yet
            else:
                self._serve(reader)
        else:
            text = f'unknown consistency {request.consistency[:32]!r}: say "linearizable", "leader_lease" or "stale"'
            self._refuse(conn, request.frame, Reason.INVALID_ARGUMENT, text)

    def _refuse(self, conn: int, frame: int, reason: Reason, message: str, *, unknown: bool = False) -> None:
        self.answer(conn, Refused(frame, reason, message, unknown, self.core.leader))

    def catch_up(self, then: Callable[[bool], None]) -> None:
        """Tell `then` once all that is committed by now is applied here (True), or that this cannot be said (False)."""
        if not self.core.leader or self.installing or self.readers.waiting >= self.options.reads_waiting:
            then(False)
        else:
            self.readers.add(Reader(0, 0, (), self.now + self.options.read_patience, NODE, then))

    def _serve(self, reader: Reader) -> None:
        if reader.then is not None:
            reader.then(True)
            return
        results: list[Result] = []
        room = ANSWER_BYTES
        for op in reader.reads:
            results.append(self._read(op, reader.caller))
            if len(reader.reads) > 1:  # one alone is bounded by the store
                room -= result_bytes(results[-1])
                if room < 0:
                    text = f"the answers to {len(reader.reads)} reads together exceed {ANSWER_BYTES} bytes"
                    self._refuse(reader.conn, reader.frame, Reason.TOO_LARGE, text)
                    return
        self.answer(reader.conn, Results(reader.frame, results))

    # ----------------------------------------------------------------------------------------------- other members

    def step(self, sender: int, message: Any) -> None:
        """A message from the same group's member on node `sender`."""
        match message:
            case Forward():
                self._on_forward(sender, message)
            case ForwardRefused():
                for write in self.writes.take_all(message.origins):
                    self._refuse(write.conn, write.frame, message.reason, message.message)
            case ReadIndex():
                self._on_read_index(sender, message.token, message.view)
            case ReadIndexReply(token, index, view):
                if index:
                    self.view = view or self.view
                    self.readers.confirmed(token, index)
                else:
                    self._refuse_readers(self.readers.failed(token), LEADER_CHANGED)
            case _:
                self.core.step(sender, message)

    def _on_forward(self, sender: int, message: Forward) -> None:
        try:
            envelopes = [_envelope.decode(raw) for raw in message.envelopes]
        except msgspec.MsgspecError:
            self.counts["garbled_forwards"] += (
                1  # whom to tell cannot be read either: the writes run into their deadline
            )
            return
        origins = [envelope.origin for envelope in envelopes]
        if self.disk_full and self.core.leads:
            self.relay(sender, ForwardRefused(origins, Reason.NO_SPACE, DISK_FULL))
            return
        if self.core.leads and self.core.term == message.term:
            for raw, envelope in zip(message.envelopes, envelopes, strict=True):
                self._enqueue(Queued(bytes(raw), envelope, sender))
            return
        self.relay(sender, ForwardRefused(origins, Reason.NOT_LEADER, "the node asked does not lead in that term"))

    def _on_read_index(self, sender: int, token: int, view: bool) -> None:
        self.barrier_token += 1
        self.barriers[self.barrier_token] = (sender, token, view)
        if not self.core.read_barrier(self.barrier_token):
            self._barrier_failed(self.barrier_token)

    def _barrier_done(self, core_token: int, index: int) -> None:
        node, token, view = self.barriers.pop(core_token)
        if node == self.node:
            self.readers.confirmed(token, index)
        else:
            self.relay(node, ReadIndexReply(token, index, self.leader_view() if view else None))

    def _barrier_failed(self, core_token: int) -> None:
        node, token, _ = self.barriers.pop(core_token)
        if node == self.node:
            self._refuse_readers(self.readers.failed(token), LEADER_CHANGED)
        else:
            self.relay(node, ReadIndexReply(token, 0))

    def _refuse_readers(self, readers: list[Reader], text: str, reason: Reason = Reason.NOT_LEADER) -> None:
        for reader in readers:
            if reader.then is not None:
                reader.then(False)
            else:
                self._refuse(reader.conn, reader.frame, reason, text)

    # -------------------------------------------------------------------------------------------------------- time

    def observe(self, now: float) -> None:
        """It is `now`; no timers run."""
        self.now = now
        self.core.observe(now)

    def tick(self, now: float) -> None:
        """Time has come to `now`."""
        self.now = now
        self.core.tick(now)
        if self.clock_runs and now >= self.reconciler.due and self.core.leads:
            self._lead_members()
        if now < self.expiry_due:
            return
        self.expiry_due = now + EXPIRY_PERIOD
        self.exports.expire(now)
        for write in self.writes.take_all(self.writes.overdue(now)):
            text = "no answer of the cluster within the deadline"
            self._refuse(write.conn, write.frame, Reason.DEADLINE, text, unknown=True)
        for token in self.readers.asked_before(now - self.options.read_patience):
            self._refuse_readers(self.readers.failed(token), "no answer of the leader")
        self._refuse_readers(self.readers.overdue(now), "this node lags behind the cluster", Reason.DEADLINE)
        if self.core.leads and self.disk_full:
            self._hand_on()
        elif self.core.leads and self.clock_runs:
            self._tend(self.clock.read(now))

    def _hand_on(self) -> None:
        """The disk is full: somebody else may have room."""
        if self.now < self.hand_on_due:
            return
        self.hand_on_due = self.now + HAND_ON
        status = self.core.status()
        others = [voter for voter in status.config.voters if voter != self.node]
        if others:
            self.core.transfer(max(others, key=lambda voter: status.match.get(voter, 0)))

    def _tend(self, time_ms: int) -> None:
        """What the leader proposes of its own accord at log time `time_ms`."""
        store = self.store
        due = store.due_leases(time_ms)
        if due:
            self._say(ExpireLeases(due))
        tokens = store.auth.due_tokens(time_ms)
        if tokens:
            self._say(ExpireTokens(tokens))
        target = self.compactor.target(
            time_ms, store.revision, store.compact_revision, store.settings, store.quota.pressed
        )
        if target:
            self._say(Compact(target))
        version = supported_by_all(store.members.rows.values())
        if version > store.version:
            self._say(RaiseVersion(version))

    def _say(self, command: Command) -> None:
        """Put a command of the leader's own into the log."""
        envelope = Envelope(0, 0, 0, [(0, command)], NODE.principal)
        self._enqueue(Queued(_encode(envelope), envelope, 0))

    # ----------------------------------------------------------------------------------------------------- members

    def leader_view(self) -> LeaderView | None:
        """How the leader sees the members: now if this member leads, else as it was last told."""
        if self.core.leads:
            self.view = self.reconciler.view(self.now, self.store.members, self.core.status())
        return self.view

    def _read(self, op: Read, caller: Caller) -> Result:
        result = self.store.read(op, caller)
        if type(result) is MemberListResult:
            return msgspec.structs.replace(result, view=self.leader_view())
        if type(result) is SnapshotPart and isinstance(op, SnapshotRead):
            if self.core.status().first_index > self.store.applied + 1:
                return Failure(Reason.UNREACHABLE, CATCHING_UP)  # from the end of this turn on
            return self.exports.read(op, self.core.snapshot_meta(self.store.applied), self.now)
        return result

    def _lead_members(self) -> None:
        """Take the next step from the configuration in force to the one that the table wants."""
        status = self.core.status()
        step = self.reconciler.next_step(self.now, self.store.members, status)
        if isinstance(step, Config):
            self.core.change_members(step)
        elif step:
            for member in step:
                self._say(MemberPromote(member))

    def _enqueue(self, item: Queued) -> None:
        self.queue.append(item)
        if not self.member_commands:
            self.member_commands = any(type(command) in MEMBER_COMMANDS for _, command in item.envelope.commands)

    def _write_view_into_queue(self) -> None:
        """What the table cannot know by itself travels in the command, so that all members decide alike."""
        self.member_commands = False
        view = self.leader_view()
        for place, item in enumerate(self.queue):
            if any(type(command) in MEMBER_COMMANDS for _, command in item.envelope.commands):
                commands = [(sequence, _with_view(command, view)) for sequence, command in item.envelope.commands]
                envelope = msgspec.structs.replace(item.envelope, commands=commands)
                self.queue[place] = Queued(_encode(envelope), envelope, item.source)

    def _hand_over(self, term: int) -> None:
        """The command just applied, of `term`, wants leadership handed on: by who led then, not by who leads now."""
        heir, self.store.members.heir = self.store.members.heir, 0
        if self.core.leads and self.core.term == term and heir != self.node:
            self.core.transfer(heir)

    # ------------------------------------------------------------------------------------------------ end of a turn

    def end_turn(self) -> Output:
        """Send off what gathered in this turn and take what the core wants done; what is committed goes to `apply`."""
        self._notice_leadership()
        if self.queue:
            self._propose()
        if self.forwards:
            self._forward()
        if self.readers.gathered():
            self._ask_barrier()
        out = self.core.take_output()
        for token in out.failed_barriers:
            self._barrier_failed(token)
        for token, index in out.barriers:
            self._barrier_done(token, index)
        return out

    def apply(self, committed: list[tuple[int, Entry]]) -> None:
        """Apply what is decided, and serve those who waited for it. While the state is being replaced it has to wait."""
        self.backlog.extend(committed)
        if self.installing:
            return
        if self.backlog:
            self._apply_some()
            self.compactor.note(self.store.time_ms, self.store.revision, self.store.settings)
        self.admission.turn(self.now, self.writes.bytes)
        self.store.trim()
        if self.readers.can_serve(self.store.applied):
            for reader in self.readers.servable(self.store.applied):
                self._serve(reader)

    def _notice_leadership(self) -> None:
        if not self.core.leads:
            self.led_term, self.clock_runs = 0, False
        elif self.led_term != self.core.term:
            self.led_term, self.led_from = self.core.term, self.core.last_index
            self.clock_runs = False
            self.counts["leaderships"] += 1
        if self.led_term and not self.clock_runs and self.store.applied >= self.led_from:
            self.clock.start(self.store.time_ms, self.now)
            self.clock_runs = True

    def _propose(self) -> None:
        if not self.led_term:
            self._refuse_queue()
        elif self.clock_runs:
            if self.member_commands:
                self._write_view_into_queue()
            time_ms = self.clock.read(self.now)
            start = size = total = 0
            for end, item in enumerate(self.queue):
                if end > start and size + len(item.raw) > self.options.entry_bytes:
                    self._propose_entry(time_ms, self.queue[start:end])
                    start, total, size = end, total + size, 0
                    if total >= self.options.turn_bytes:
                        break
                size += len(item.raw)
            else:
                self._propose_entry(time_ms, self.queue[start:])
                start = len(self.queue)
            del self.queue[:start]

    def _propose_entry(self, time_ms: int, part: list[Queued]) -> None:
        data = _encode((BATCH_VERSION, time_ms, [msgspec.Raw(item.raw) for item in part]))
        index = self.core.propose([data])
        assert index, "a leader takes proposals"
        self.decoded[index] = (data, Batch(BATCH_VERSION, time_ms, [item.envelope for item in part]))
        self.counts["entries"] += 1

    def _refuse_queue(self) -> None:
        """Leadership was lost before the turn ended: nothing of the queue reached the log."""
        queue, self.queue = self.queue, []
        for item in queue:
            if item.source not in (0, self.node):
                self.relay(item.source, ForwardRefused([item.envelope.origin], Reason.NOT_LEADER, LEADER_CHANGED))
        for write in self.writes.take_all(item.envelope.origin for item in queue):
            self._refuse(write.conn, write.frame, Reason.NOT_LEADER, LEADER_CHANGED)

    def _forward(self) -> None:
        forwards, self.forwards = self.forwards, []
        leader = self.core.leader
        if leader and leader != self.node:
            term = self.core.term
            same: list[msgspec.Raw] = []
            others: list[tuple[int, bytes]] = []
            for origin, raw in forwards:
                if self._forwarded_in(origin, term):
                    same.append(msgspec.Raw(raw))
                else:
                    others.append((origin, raw))
            if same:
                self.relay(leader, Forward(term, same))
            forwards = others
        for write in self.writes.take_all(origin for origin, _ in forwards):
            self._refuse(write.conn, write.frame, Reason.NOT_LEADER, LEADER_CHANGED)

    def _forwarded_in(self, origin: int, term: int) -> bool:
        write = self.writes.get(origin)
        return write is not None and write.term == term

    def _ask_barrier(self) -> None:
        leader = self.core.leader
        if not leader:
            readers = self.readers.take_gathered()
            self._refuse_readers(readers, "the cluster has no leader at the moment", Reason.NO_LEADER)
            return
        token = self.readers.ask(self.now)
        view, self.view_wanted = self.view_wanted, False
        if leader == self.node:
            self._on_read_index(self.node, token, False)
        else:
            self.relay(leader, ReadIndex(token, view))

    # ------------------------------------------------------------------------------------------------------- apply

    @property
    def idle(self) -> bool:
        """Whether a turn would bring nothing to light here, timers apart."""
        if self.queue or self.forwards or self.backlog or self.readers.gathered():
            return False
        return self.core.idle and not self.readers.can_serve(self.store.applied)

    @property
    def busy(self) -> bool:
        """Whether more is to be proposed or applied than one turn should do: the next turn should come at once."""
        return (bool(self.backlog) and not self.installing) or (self.clock_runs and bool(self.queue))

    def _apply_some(self) -> None:
        """As much as one turn should do: a turn that takes long keeps heartbeats and answers waiting."""
        room = self.options.turn_bytes
        while self.backlog and room > 0:
            index, entry = self.backlog.popleft()
            room -= len(entry.data)
            self._apply(index, entry)

    def _apply(self, index: int, entry: Entry) -> None:
        self.bytes_since_snapshot += len(entry.data) + 16
        if entry.term != self.applied_term:
            self._term_passed(entry.term)
        if entry.kind != EntryKind.COMMAND:
            self.store.skip(index)
            return
        own = self.decoded.pop(index, None)
        batch = own[1] if own is not None and own[0] is entry.data else _decode(index, entry.data)
        self.counts["applied_entries"] += 1
        for envelope, results in zip(batch.envelopes, self.store.apply(index, batch), strict=True):
            write = self.writes.take(envelope.origin)
            if write is not None:
                self.admission.served(write.size)
                self.answer(write.conn, Results(write.frame, results))
        if self.store.members.heir:
            self._hand_over(entry.term)

    def _term_passed(self, term: int) -> None:
        """The first entry of a later term: whatever was proposed in an earlier one and is not applied never will be."""
        self.applied_term = term
        self.decoded = {index: item for index, item in self.decoded.items() if index > self.store.applied}
        for write in self.writes.take_all(self.writes.older_than(term)):
            self._refuse(write.conn, write.frame, Reason.NOT_LEADER, "the leader changed before the write was copied")

    # --------------------------------------------------------------------------------------------------- snapshots

    def begin_install(self, meta: SnapshotMeta) -> None:
        """The state is about to be replaced; until `end_install` nothing is applied or read here.

        What became of writes whose entries the snapshot covers cannot be told.
        """
        self.installing = True
        self.core.abstain(True)
        while self.backlog and self.backlog[0][0] <= meta.index:
            self.backlog.popleft()
        self.snapshot_index = meta.index
        self.bytes_since_snapshot = 0
        self.applied_term = meta.term
        self.decoded.clear()
        for write in self.writes.take_all(self.writes.older_than(meta.term + 1)):
            text = "this node caught up by a snapshot that may or may not contain the write"
            self._refuse(write.conn, write.frame, Reason.CONNECTION_LOST, text, unknown=True)
        self._refuse_readers(self.readers.take_confirmed(), CATCHING_UP, Reason.UNREACHABLE)

    def end_install(self) -> None:
        """The store has become the snapshot; what was committed meanwhile follows."""
        self.installing = False
        self.core.abstain(False)
        self.compactor.forget()
        self.counts["snapshots_installed"] += 1

    @property
    def wants_snapshot(self) -> bool:
        """Whether the log has grown enough since the last snapshot."""
        options = self.options
        if self.store.applied <= self.snapshot_index:
            return False
        many = self.store.applied - self.snapshot_index >= options.snapshot_entries
        return many or self.bytes_since_snapshot >= options.snapshot_bytes

    def snapshot_failed(self) -> None:
        """It could not be written: one is still wanted."""
        self.bytes_since_snapshot = self.options.snapshot_bytes

    def snapshot_started(self, index: int) -> None:
        """A snapshot of the state as of `index` is on its way to the disk."""
        self.snapshot_index = index
        self.bytes_since_snapshot = 0


def _with_view(command: Command, view: LeaderView | None) -> Command:
    return msgspec.structs.replace(command, view=view) if type(command) in MEMBER_COMMANDS else command


def _decode(index: int, data: bytes) -> Batch:
    try:
        return decode_batch(data)
    except ValueError as error:
        raise ApplyError(f"entry {index} of the log is not understood: {error}") from error


def result_bytes(result: object) -> int:
    """About how many bytes a result takes in a frame."""
    match result:
        case RangeResult(kvs=kvs):
            return sum(len(kv.key) + len(kv.value) + 48 for kv in kvs)
        case TxnResult(results=results):
            return sum(map(result_bytes, results))
        case SnapshotPart(data=data):
            return len(data)
        case LeaseListResult(ids=ids):
            return 9 * len(ids)
        case LeaseInfoResult(keys=keys):
            return sum(map(len, keys))
        case _:
            return 64
