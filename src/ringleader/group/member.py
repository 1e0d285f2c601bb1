"""One member of one consensus group: the core, the state machine and everyone who waits for them, put together.

The order of things, which the simulator runs as it is: proposals of one turn become one entry; records go to the log; what
is committed is applied in order; whoever waits for it is answered from the result of the own apply. It knows neither
connections nor files: `Host` carries its output on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from ringleader.consensus.shape import COMMAND, Entry, Output, ReplicatedLog, SnapshotMeta
from ringleader.group.exports import Exports
from ringleader.group.leading import Leading
from ringleader.group.options import GroupOptions
from ringleader.group.proposals import Proposals
from ringleader.group.reading import Reading
from ringleader.group.shared import Shared
from ringleader.group.upkeep import Upkeep
from ringleader.group.writing import Writing
from ringleader.ports import Entropy
from ringleader.store.auth import Caller
from ringleader.store.store import Store
from ringleader.wire.frames import Query, ServerFrame, Submit
from ringleader.wire.relay import Forward, ForwardRefused, ReadIndex, ReadIndexReply, RelayMessage

__all__ = ["Member"]

EXPIRY_PERIOD = 0.2
"""Seconds between two looks for who waits in vain, and of the leader for what is over."""


class Member(Shared):
    """`writing`, `reading`: the requests under way. `leading`, `upkeep`: what it does while it leads."""

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
        super().__init__(node, core, store, options, answer, relay)
        self.leading = Leading(self, election)
        self.proposals = Proposals(self, self.leading)
        self.writing = Writing(self, self.leading, self.proposals, entropy)
        self.exports = Exports(store, 0, entropy.getrandbits(48))
        self.reading = Reading(self, self.leading, self.exports, entropy)
        self.upkeep = Upkeep(self, self.leading, self.proposals)
        self.backlog: deque[tuple[int, Entry]] = deque()  # decided, not applied yet
        self.applied_term = 0
        self.snapshot_index = 0
        self.bytes_since_snapshot = 0
        self._expiry_due = 0.0

    # ------------------------------------------------------------------------------------------------- what arrives

    def submit(self, conn: int, request: Submit, caller: Caller) -> None:
        """Take in commands on behalf of `caller`; exactly one `Results` or `Refused` answers them, now or later."""
        self.writing.submit(conn, request, caller)

    def query(self, conn: int, request: Query, caller: Caller) -> None:
        """Take in reads on behalf of `caller`; exactly one `Results` or `Refused` answers them, now or later."""
        self.reading.query(conn, request, caller)

    def catch_up(self, then: Callable[[bool], None]) -> None:
        """Tell `then` once all that is committed by now is applied here (True), or that this cannot be said (False)."""
        self.reading.catch_up(then)

    def step(self, sender: int, message: Any) -> None:
        """A message from the same group's member on node `sender`."""
        match message:
            case Forward():
                self.writing.forwarded(sender, message)
            case ForwardRefused():
                self.writing.refused(message)
            case ReadIndex(token, view):
                self.reading.asked(sender, token, view)
            case ReadIndexReply():
                self.reading.replied(message)
            case _:
                self.core.step(sender, message)

    def observe(self, now: float) -> None:
        """It is `now`; no timers run."""
        self.now = now
        self.core.observe(now)

    def tick(self, now: float) -> None:
        """Time has come to `now`."""
        self.now = now
        self.core.tick(now)
        leading = self.leading
        if leading.runs and now >= leading.reconciler.due and self.core.leads:
            self.upkeep.members()
        if now < self._expiry_due:
            return
        self._expiry_due = now + EXPIRY_PERIOD
        self.exports.expire(now)
        self.writing.expire()
        self.reading.expire()
        if self.core.leads and self.disk_full:
            leading.hand_on()
        elif self.core.leads and leading.runs:
            self.upkeep.state()

    # ------------------------------------------------------------------------------------------------ end of a turn

    def end_turn(self) -> Output:
        """Send off what gathered in this turn and take what the core wants done; what is committed goes to `apply`."""
        self.leading.notice()
        self.writing.send_off()
        self.reading.ask()
        out = self.core.take_output()
        for token in out.failed_barriers:
            self.reading.barrier_failed(token)
        for token, index in out.barriers:
            self.reading.barrier_done(token, index)
        if out.lost:
            self._say_lost(out.lost)
        return out

    def _say_lost(self, lost: list[tuple[int, int, int]]) -> None:
        """Nothing that is committed is in danger by one such member, but a disk that forgets will do so again."""
        for member, had, has in lost:
            self.counts["acknowledged_lost"] += 1
            self.notice(
                f"{self.name_of(member)} has lost entries that it had acknowledged as durable: up to {had} of the log, it "
                f"has {has}. They are sent again. Its disk, or what lies between, drops writes that it was told to sync, or "
                "its data folder is an older copy: look into that before more members lose the same entries"
            )

    def apply(self, committed: list[tuple[int, Entry]]) -> None:
        """Apply what is decided, and serve those who waited for it. While the state is being replaced it has to wait."""
        self.backlog.extend(committed)
        if self.installing:
            return
        if self.backlog:
            self._apply_some()
            self.upkeep.applied()
        writing = self.writing
        writing.admission.turn(self.now, writing.waiting.bytes)
        self.store.trim()
        self.reading.serve()

    @property
    def idle(self) -> bool:
        """Whether a turn would bring nothing to light here, timers apart."""
        if self.backlog or self.writing.gathered or self.reading.gathered:
            return False
        return self.core.idle

    @property
    def busy(self) -> bool:
        """Whether more is to be proposed or applied than one turn should do: the next turn should come at once."""
        return (bool(self.backlog) and not self.installing) or (self.leading.runs and bool(self.proposals.queue))

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
        if entry.kind != COMMAND:
            self.store.skip(index)
            return
        batch = self.proposals.batch(index, entry)
        self.counts["applied_entries"] += 1
        self.writing.applied(batch.envelopes, self.store.apply(index, batch))
        if self.store.members.heir:
            self.leading.hand_over(entry.term)

    def _term_passed(self, term: int) -> None:
        self.applied_term = term
        self.proposals.term_passed(self.store.applied)
        self.writing.term_passed(term)

    # --------------------------------------------------------------------------------------------------- snapshots

    def begin_install(self, meta: SnapshotMeta) -> None:
        """The state is about to be replaced; until `end_install` nothing is applied or read here."""
        self.installing = True
        self.core.abstain(True)
        while self.backlog and self.backlog[0][0] <= meta.index:
            self.backlog.popleft()
        self.snapshot_index = meta.index
        self.bytes_since_snapshot = 0
        self.applied_term = meta.term
        self.proposals.forget()
        self.writing.covered(meta)
        self.reading.covered()

    def end_install(self) -> None:
        """The store has become the snapshot; what was committed meanwhile follows."""
        self.installing = False
        self.core.abstain(False)
        self.upkeep.forget()
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
