"""Writes on their way: from a client's frame into the leader's queue, here or through another node, and back as an answer.

Each write is answered exactly once. One that was proposed or forwarded in a term waits until its entry is applied, until an
entry of a later term is (then it never will be), or until its deadline (then nobody can say).
"""

from __future__ import annotations

import msgspec

from ringleader.consensus.shape import SnapshotMeta
from ringleader.errors import Reason
from ringleader.group.admission import Admission
from ringleader.group.leading import Leading
from ringleader.group.pending import PendingWrite, PendingWrites
from ringleader.group.proposals import Proposals, Queued
from ringleader.group.shared import CATCHING_UP, DISK_FULL, LEADER_CHANGED, NO_LEADER, Shared
from ringleader.group.upkeep import LEADERS_OWN
from ringleader.ports import Entropy
from ringleader.store.auth import Caller
from ringleader.store.codec import decode_commands
from ringleader.store.commands import Envelope, Result
from ringleader.wire.frames import Results, Submit
from ringleader.wire.relay import Forward, ForwardRefused

__all__ = ["Writing"]

_encode = msgspec.msgpack.Encoder().encode
_envelope = msgspec.msgpack.Decoder(Envelope)


class Writing:
    """`waiting`: writes taken in here and not answered yet. `admission`: how much may wait."""

    def __init__(self, shared: Shared, leading: Leading, proposals: Proposals, entropy: Entropy) -> None:
        options = shared.options
        self.shared = shared
        self.leading = leading
        self.proposals = proposals
        self.waiting = PendingWrites(entropy.getrandbits(62))
        self.admission = Admission(options.backlog_least, options.backlog_bytes, options.backlog_wait)
        self._forwards: list[tuple[int, bytes]] = []  # (origin, envelope) for the leader

    def submit(self, conn: int, request: Submit, caller: Caller) -> None:
        """Take in commands on behalf of `caller`; exactly one `Results` or `Refused` answers them, now or later."""
        shared = self.shared
        shared.counts["submits"] += 1
        size = len(memoryview(request.commands)) + 64
        if not self.admission.admits(self.waiting.bytes, size):  # before it costs more than a look
            shared.counts["overloaded"] += 1
            shared.refuse(conn, request.frame, Reason.OVERLOADED, "more writes are waiting than can be served in time")
            return
        try:
            commands = decode_commands(request.commands)
        except ValueError as error:
            shared.refuse(conn, request.frame, Reason.INVALID_ARGUMENT, f"the commands make no sense: {error}")
            return
        if not commands:
            shared.answer(conn, Results(request.frame, []))
            return
        for _, command in commands:
            if type(command) in LEADERS_OWN:
                shared.refuse(conn, request.frame, Reason.INVALID_ARGUMENT, "that is for the leader alone to say")
                return
        if shared.installing:
            shared.refuse(conn, request.frame, Reason.UNREACHABLE, CATCHING_UP)
            return
        core = shared.core
        if shared.disk_full and core.leads:
            shared.counts["refused_no_room"] += 1
            shared.refuse(conn, request.frame, Reason.NO_SPACE, DISK_FULL)
            return
        if not core.leader:
            shared.refuse(conn, request.frame, Reason.NO_LEADER, NO_LEADER)
            return
        deadline = shared.now + max(request.timeout_ms, 1) / 1000.0
        origin = self.waiting.add(PendingWrite(conn, request.frame, core.term, deadline, size))
        envelope = Envelope(origin, request.session, request.ack, commands, caller.principal, caller.revision)
        raw = _encode((origin, request.session, request.ack, request.commands, caller.principal, caller.revision))
        if core.leader == shared.node:
            self.proposals.add(Queued(raw, envelope, shared.node))
        else:
            shared.counts["forwarded"] += 1
            self._forwards.append((origin, raw))

    @property
    def _soon_leads(self) -> bool:
        """Whether this member has been elected and will propose in this term; with a full disk it would hand on instead."""
        return self.shared.core.recovering and not self.shared.disk_full

    # ----------------------------------------------------------------------------------------------- other members

    def forwarded(self, sender: int, message: Forward) -> None:
        """Another member has taken writes in and believes that this one leads."""
        shared = self.shared
        try:
            envelopes = [_envelope.decode(raw) for raw in message.envelopes]
        except (ValueError, RecursionError):
            # Whom to tell cannot be read either: the writes run into their deadline.
            shared.counts["garbled_forwards"] += 1
            return
        origins = [envelope.origin for envelope in envelopes]
        if shared.disk_full and shared.core.leads:
            shared.relay(sender, ForwardRefused(origins, Reason.NO_SPACE, DISK_FULL))
            return
        if (shared.core.leads or self._soon_leads) and shared.core.term == message.term:
            for raw, envelope in zip(message.envelopes, envelopes, strict=True):
                self.proposals.add(Queued(bytes(raw), envelope, sender))
            return
        shared.relay(sender, ForwardRefused(origins, Reason.NOT_LEADER, "the node asked does not lead in that term"))

    def refused(self, message: ForwardRefused) -> None:
        """The member that was taken for the leader has not put these into its log."""
        for write in self.waiting.take_all(message.origins):
            self.shared.refuse(write.conn, write.frame, message.reason, message.message)

    # ----------------------------------------------------------------------------------------------- end of a turn

    @property
    def gathered(self) -> bool:
        """Whether `send_off` has something to do."""
        return bool(self.proposals.queue or self._forwards)

    def send_off(self) -> None:
        """What gathered in this turn goes into the log, or to who leads.

        Who has just been elected keeps it until it may propose: no more than what the members admit (`admission`), and not for
        longer than until it comes to lead or gives up.
        """
        if self.proposals.queue:
            if self.leading.runs:
                self.proposals.propose()
            elif not (self.leading.term or self._soon_leads):
                self._refuse_queue()
        if self._forwards:
            self._forward()

    def _refuse_queue(self) -> None:
        """Leadership was lost before the turn ended: nothing of the queue reached the log."""
        shared = self.shared
        queue = self.proposals.give_up()
        for item in queue:
            if item.source not in (0, shared.node):
                shared.relay(item.source, ForwardRefused([item.envelope.origin], Reason.NOT_LEADER, LEADER_CHANGED))
        for write in self.waiting.take_all(item.envelope.origin for item in queue):
            shared.refuse(write.conn, write.frame, Reason.NOT_LEADER, LEADER_CHANGED)

    def _forward(self) -> None:
        shared = self.shared
        forwards, self._forwards = self._forwards, []
        leader = shared.core.leader
        if leader and leader != shared.node:
            term = shared.core.term
            same: list[msgspec.Raw] = []
            others: list[tuple[int, bytes]] = []
            for origin, raw in forwards:
                if self._taken_in(origin, term):
                    same.append(msgspec.Raw(raw))
                else:
                    others.append((origin, raw))
            if same:
                shared.relay(leader, Forward(term, same))
            forwards = others
        for write in self.waiting.take_all(origin for origin, _ in forwards):
            shared.refuse(write.conn, write.frame, Reason.NOT_LEADER, LEADER_CHANGED)

    def _taken_in(self, origin: int, term: int) -> bool:
        """Whether the write waits still, and came in that term."""
        write = self.waiting.get(origin)
        return write is not None and write.term == term

    # ---------------------------------------------------------------------------------------- what became of a write

    def applied(self, envelopes: list[Envelope], results: list[list[Result]]) -> None:
        """The envelopes of an entry were applied, each with its results: answer those that came in here."""
        take, served, answer = self.waiting.take, self.admission.served, self.shared.answer
        for envelope, found in zip(envelopes, results, strict=True):
            write = take(envelope.origin)
            if write is not None:
                served(write.size)
                answer(write.conn, Results(write.frame, found))

    def term_passed(self, term: int) -> None:
        """The first entry of a later term: whatever was proposed in an earlier one and is not applied never will be."""
        for write in self.waiting.take_all(self.waiting.older_than(term)):
            text = "the leader changed before the write was copied"
            self.shared.refuse(write.conn, write.frame, Reason.NOT_LEADER, text)

    def covered(self, meta: SnapshotMeta) -> None:
        """A snapshot replaces the state: what became of writes whose entries it covers cannot be told."""
        for write in self.waiting.take_all(self.waiting.older_than(meta.term + 1)):
            text = "this node caught up by a snapshot that may or may not contain the write"
            self.shared.refuse(write.conn, write.frame, Reason.CONNECTION_LOST, text, unknown=True)

    def expire(self) -> None:
        """Nobody waits any longer than until the deadline."""
        for write in self.waiting.take_all(self.waiting.overdue(self.shared.now)):
            text = "no answer of the cluster within the deadline"
            self.shared.refuse(write.conn, write.frame, Reason.DEADLINE, text, unknown=True)
