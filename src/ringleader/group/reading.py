"""Reads on their way: served at once where that is allowed, else once a barrier of the leader is applied here.

All linearizable reads of one turn share one barrier: asked of the own core when this member leads, else of the leader's.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ringleader.errors import Reason
from ringleader.group.exports import Exports
from ringleader.group.leading import Leading
from ringleader.group.readers import Reader, Readers
from ringleader.group.shared import CATCHING_UP, LEADER_CHANGED, NO_LEADER, Shared
from ringleader.ports import Entropy
from ringleader.store.auth import NODE, Caller
from ringleader.store.commands import (
    Failure,
    LeaseInfoResult,
    LeaseListResult,
    RangeResult,
    Read,
    Result,
    SnapshotPart,
    SnapshotRead,
    TxnResult,
)
from ringleader.store.member_ops import MemberList, MemberListResult
from ringleader.wire.frames import MAX_FRAME, Query, Results
from ringleader.wire.relay import ReadIndex, ReadIndexReply

__all__ = ["Reading", "result_bytes"]

ANSWER_BYTES = MAX_FRAME * 3 // 4
"""Most bytes of keys and values in the answer to one query."""


class Reading:
    """Every query is answered exactly once. `exports`: back-ups that clients read, part by part."""

    def __init__(self, shared: Shared, leading: Leading, exports: Exports, entropy: Entropy) -> None:
        self.shared = shared
        self.leading = leading
        self.exports = exports
        self._readers = Readers(entropy.getrandbits(62))
        self._token = 0
        self._barriers: dict[int, tuple[int, int, bool]] = {}  # the core's token -> (node, its token, with a view)
        self._view_wanted = False  # by a read that waits for this turn's barrier

    def query(self, conn: int, request: Query, caller: Caller) -> None:
        """Take in reads on behalf of `caller`; exactly one `Results` or `Refused` answers them, now or later."""
        shared = self.shared
        shared.counts["queries"] += 1
        deadline = shared.now + max(request.timeout_ms, 1) / 1000.0
        for op in request.reads:
            if type(op) is MemberList:
                self._view_wanted = True
        reader = Reader(conn, request.frame, request.reads, deadline, caller)
        if shared.installing:
            shared.refuse(conn, request.frame, Reason.UNREACHABLE, CATCHING_UP)
            return
        if request.consistency == "linearizable" or request.consistency == "leader_lease":
            lease = request.consistency == "leader_lease" and shared.core.lease_valid()
            if lease and shared.store.applied >= shared.core.commit:
                self._serve(reader)
            elif self._readers.waiting >= shared.options.reads_waiting:
                shared.refuse(conn, request.frame, Reason.OVERLOADED, "too many reads are waiting on this node")
            else:
                self._readers.add(reader)
        elif request.consistency == "stale":
            age_ms = (shared.now - shared.core.contact) * 1000.0
            if request.max_staleness_ms and age_ms > request.max_staleness_ms:
                text = f"this node last heard from the cluster {age_ms / 1000.0:.1f} s ago"
                if age_ms == float("inf"):
                    text = "this node has not heard from the cluster since it started"
                shared.refuse(conn, request.frame, Reason.UNREACHABLE, text)
            elif request.max_staleness_ms and shared.store.applied < shared.core.commit:
                self._readers.wait_for(shared.core.commit, reader)  # heard of in this turn, not applied yet
            else:
                self._serve(reader)
        else:
            text = f'unknown consistency {request.consistency[:32]!r}: say "linearizable", "leader_lease" or "stale"'
            shared.refuse(conn, request.frame, Reason.INVALID_ARGUMENT, text)

    def catch_up(self, then: Callable[[bool], None]) -> None:
        """Tell `then` once all that is committed by now is applied here (True), or that this cannot be said (False)."""
        shared = self.shared
        if not shared.core.leader or shared.installing or self._readers.waiting >= shared.options.reads_waiting:
            then(False)
        else:
            self._readers.add(Reader(0, 0, (), shared.now + shared.options.read_patience, NODE, then))

    # --------------------------------------------------------------------------------------------------- the answer

    def serve(self) -> None:
        """Serve all reads whose barrier is applied by now."""
        applied = self.shared.store.applied
        if self._readers.can_serve(applied):
            for reader in self._readers.servable(applied):
                self._serve(reader)

    def _serve(self, reader: Reader) -> None:
        if reader.then is not None:
            reader.then(True)
            return
        results: list[Result] = []
        room = ANSWER_BYTES
        read, caller, several = self.shared.store.read, reader.caller, len(reader.reads) > 1
        for op in reader.reads:
            result = read(op, caller)
            if type(result) is not RangeResult:
                result = self._complete(op, result)
            results.append(result)
            if several:  # one alone is bounded by the store
                room -= result_bytes(result)
                if room < 0:
                    text = f"the answers to {len(reader.reads)} reads together exceed {ANSWER_BYTES} bytes"
                    self.shared.refuse(reader.conn, reader.frame, Reason.TOO_LARGE, text)
                    return
        self.shared.answer(reader.conn, Results(reader.frame, results))

    def _complete(self, op: Read, result: Result) -> Result:
        """Add to the store's answer what the store cannot know."""
        shared = self.shared
        if type(result) is MemberListResult:
            return msgspec.structs.replace(result, view=self.leading.view())
        if type(result) is SnapshotPart and isinstance(op, SnapshotRead):
            if shared.core.status().first_index > shared.store.applied + 1:
                return Failure(Reason.UNREACHABLE, CATCHING_UP)  # from the end of this turn on
            return self.exports.read(op, shared.core.snapshot_meta(shared.store.applied), shared.now)
        return result

    # ------------------------------------------------------------------------------------------------------ barriers

    @property
    def gathered(self) -> bool:
        """Whether reads wait for the end of the turn: for `ask`, or for `serve`."""
        return self._readers.gathered() or self._readers.can_serve(self.shared.store.applied)

    def ask(self) -> None:
        """At the end of a turn: one barrier for all reads that came in it."""
        if not self._readers.gathered():
            return
        leader = self.shared.core.leader
        if not leader:
            self._refuse(self._readers.take_gathered(), NO_LEADER, Reason.NO_LEADER)
            return
        token = self._readers.ask(self.shared.now)
        view, self._view_wanted = self._view_wanted, False
        if leader == self.shared.node:
            self.asked(leader, token, False)
        else:
            self.shared.relay(leader, ReadIndex(token, view))

    def asked(self, sender: int, token: int, view: bool) -> None:
        """A member (this one too) wants a barrier, and the leader's `view` with it."""
        self._token += 1
        self._barriers[self._token] = (sender, token, view)
        if not self.shared.core.read_barrier(self._token):
            self.barrier_failed(self._token)

    def replied(self, message: ReadIndexReply) -> None:
        """The leader says where the barrier stands, or that it does not lead."""
        if message.index:
            self.leading.told = message.view or self.leading.told
            self._readers.confirmed(message.token, message.index)
        else:
            self._refuse(self._readers.failed(message.token), LEADER_CHANGED)

    def barrier_done(self, core_token: int, index: int) -> None:
        """The own core confirms one at `index`."""
        node, token, view = self._barriers.pop(core_token)
        if node == self.shared.node:
            self._readers.confirmed(token, index)
        else:
            self.shared.relay(node, ReadIndexReply(token, index, self.leading.view() if view else None))

    def barrier_failed(self, core_token: int) -> None:
        """The own core will never confirm this one."""
        node, token, _ = self._barriers.pop(core_token)
        if node == self.shared.node:
            self._refuse(self._readers.failed(token), LEADER_CHANGED)
        else:
            self.shared.relay(node, ReadIndexReply(token, 0))

    # ---------------------------------------------------------------------------------------------------- given up

    def expire(self) -> None:
        """Nobody waits for longer than for the deadline, or for a barrier that got lost."""
        now = self.shared.now
        for token in self._readers.asked_before(now - self.shared.options.read_patience):
            self._refuse(self._readers.failed(token), "no answer of the leader")
        self._refuse(self._readers.overdue(now), "this node lags behind the cluster", Reason.DEADLINE)

    def covered(self) -> None:
        """A snapshot replaces the state: there is nothing to read meanwhile."""
        self._refuse(self._readers.take_confirmed(), CATCHING_UP, Reason.UNREACHABLE)

    def _refuse(self, readers: list[Reader], text: str, reason: Reason = Reason.NOT_LEADER) -> None:
        for reader in readers:
            if reader.then is not None:
                reader.then(False)
            else:
                self.shared.refuse(reader.conn, reader.frame, reason, text)


def result_bytes(result: object) -> int:
    """About how many bytes a result takes in a frame."""
    if type(result) is RangeResult:  # by far the most frequent one
        size = 0
        for kv in result.kvs:
            size += len(kv.key) + len(kv.value) + 48
        return size
    match result:
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
