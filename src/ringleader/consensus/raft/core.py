"""The Raft core: the state of one member, and the dispatch of what happens to it to the file that knows what to do.

Follows Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014), and Ongaro's thesis for PreVote
(9.6), CheckQuorum (6.2), ReadIndex (6.4), leadership transfer (3.10) and joint consensus (4.3).

* `election.py`: who leads.
* `replication.py`: how the leader's entries reach the others and when they are committed.
* `reads.py`: when a read may be served.
* `membership.py`: who takes part.

The books about records, turns and snapshots, which do not depend on the protocol, stand in `consensus.core`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from ringleader.consensus.core import Core
from ringleader.consensus.raft import election, membership, reads, replication
from ringleader.consensus.raft.entries import EntryLog
from ringleader.consensus.raft.messages import (
    Append,
    AppendReply,
    InstallSnapshot,
    RaftMessage,
    SnapshotReply,
    TimeoutNow,
    Vote,
    VoteReply,
)
from ringleader.consensus.raft.progress import Progress
from ringleader.consensus.raft.records import entries_record, hard_record, replay, reset_record
from ringleader.consensus.shape import (
    CANDIDATE,
    COMMAND,
    CONFIG,
    FOLLOWER,
    LEADER,
    Config,
    ConsensusOptions,
    Entry,
    EntryKind,
    Output,
    Record,
    SnapshotMeta,
    decode_config,
)
from ringleader.ports import Entropy

__all__ = ["Raft", "RaftOptions"]


class RaftOptions(ConsensusOptions, frozen=True):
    """`pre_vote`: who stands for election asks first whether it would win. `check_quorum`: a leader that a quorum does not
    answer steps down. Both can be left out only to show what they are for.
    """

    pre_vote: bool = True
    check_quorum: bool = True


class Raft(Core[RaftMessage]):
    """One member of a Raft group; implements `consensus.shape.ReplicatedLog`.

    `id`: this member (> 0). `config`: the members that the group starts with; a snapshot or the log overrides it.
    """

    def __init__(self, id: int, config: Config, entropy: Entropy, options: RaftOptions | None = None) -> None:
        super().__init__(id, config, entropy)
        self.options = options or RaftOptions()
        # On disk, by records.
        self.term = 0
        self.vote = 0
        self.log: EntryLog = EntryLog()
        # Of every member.
        self.commit = 0
        # Of a candidate.
        self.pre = False
        self.votes: dict[int, bool] = {}
        self.self_vote_record = 0
        self.forced = False
        # Of a leader.
        self.progress: dict[int, Progress] = {}
        self.heartbeat_due = 0.0
        self.term_start = 0  # index of the no-op of this term
        self.transferee = 0
        self.transfer_until = 0.0
        self.leaving = False  # it was removed and hands over; nothing can keep it in its place
        self.handed_over = False  # an order to take over has left in this term
        # Of what has happened since the last record or answer.
        self.durable_index = 0  # own log is on disk up to here
        self.unwritten_first = 0  # entries from here on have no record yet; 0: none
        self.replies: dict[int, AppendReply] = {}  # the newest append reply for each leader, sent once a turn

    # ------------------------------------------------------------------------------------------------ start-up

    def recover(self, snapshot: SnapshotMeta | None, records: Iterable[Record]) -> None:
        """See `ReplicatedLog.recover`."""
        found = replay(snapshot, records)
        self.term, self.vote, self.log = found.term, found.vote, found.log
        if snapshot is not None:
            self.configs = [(snapshot.index, snapshot.config)]
            self.commit = self.handed_out = snapshot.index
            if snapshot.term > self.term:  # its file outlived the records that were to follow it
                self.term, self.vote = snapshot.term, 0
            if found.rebased:
                # A crash came between the snapshot's file and the record of the reset. Without that record the next
                # replay would put new entries behind the old ones, find that they contradict the snapshot, and drop all.
                self.emit(reset_record(snapshot.index, snapshot.term))
        self.durable_index = self.log.last
        for position, entry in enumerate(self.log.entries):
            if entry.kind == CONFIG:
                self.configs.append((self.log.first + position, decode_config(entry.data)))

    def checkpoint(self) -> list[Record]:
        """See `ReplicatedLog.checkpoint`: term and vote; entries stay in the segments until a snapshot covers them."""
        return [hard_record(self.term, self.vote)]

    # -------------------------------------------------------------------------------------------------- events

    def tick(self, now: float) -> None:
        """See `ReplicatedLog.tick`."""
        self.now = now
        if not self.ticked:
            self.ticked = True
            # A restarted member may have promised a leader, by hearing from it, not to vote for an election time.
            self.heard_leader = now if self.term else float("-inf")
            election.restart_timer(self)
            if self.config.voters == (self.id,) and not self.config.outgoing:
                self.deadline = now  # nobody to wait for
        if self.role is LEADER:
            replication.tick_leader(self)
        elif now >= self.deadline:
            election.timer_ran_out(self)

    def step(self, sender: int, message: RaftMessage) -> None:
        """See `ReplicatedLog.step`."""
        match message:
            case Append():
                replication.on_append(self, sender, message)
            case AppendReply():
                replication.on_append_reply(self, sender, message)
            case Vote():
                election.on_vote(self, sender, message)
            case VoteReply():
                election.on_vote_reply(self, sender, message)
            case InstallSnapshot():
                replication.on_install_snapshot(self, sender, message)
            case SnapshotReply():
                replication.on_snapshot_reply(self, sender, message)
            case TimeoutNow():
                election.on_timeout_now(self, sender, message)

    def propose(self, data: Sequence[bytes], kind: EntryKind = COMMAND) -> int:
        """See `ReplicatedLog.propose`."""
        if self.role is not LEADER or self.transferee:
            return 0
        first = self.log.last + 1
        self.append_entries([Entry(self.term, int(kind), item) for item in data])
        return first

    def lease_valid(self) -> bool:
        """Whether no other leader can have been elected yet, if clocks run at rates that differ by less than a tenth.

        Never again in a term in which an order to take over has left: it may arrive late, and its votes break promises.
        """
        return (
            self.role is LEADER
            and not self.handed_over
            and not self.transferee
            and reads.ready(self)
            and self.now < self.reads.confirmed_at + self.options.election * 0.9
        )

    def change_members(self, config: Config) -> int:
        """See `ReplicatedLog.change_members`."""
        return membership.start_change(self, config)

    def transfer(self, to: int) -> bool:
        """See `ReplicatedLog.transfer`."""
        return replication.start_transfer(self, to)

    def synced(self, number: int) -> None:
        """See `ReplicatedLog.synced`."""
        self.durable = max(self.durable, number)
        while self.on_the_way and self.on_the_way[0][0] <= self.durable:
            self.durable_index = max(self.durable_index, self.on_the_way.popleft()[1])
        if self.role is LEADER:
            replication.advance_commit(self)
        elif self.role is CANDIDATE and not self.pre:
            election.tally(self)

    def offer_snapshot(self, to: int, meta: SnapshotMeta) -> None:
        """See `ReplicatedLog.offer_snapshot`."""
        replication.send_snapshot(self, to, meta)

    def install(self, meta: SnapshotMeta) -> None:
        """See `ReplicatedLog.install`."""
        replication.install_snapshot(self, meta)

    def abstain(self, flag: bool) -> None:
        """See `ReplicatedLog.abstain`."""
        self.abstaining = flag
        if flag and self.role is CANDIDATE:  # it stood for election just before
            self.become_follower(self.term, 0)

    @property
    def idle(self) -> bool:
        """See `ReplicatedLog.idle`."""
        if self.replies or self.unwritten_first or self.put_down:
            return False
        return self.role is not LEADER or not (self.reads.waiting or replication.wants_to_send(self))

    def take_output(self) -> Output:
        """See `ReplicatedLog.take_output`."""
        if self.role is LEADER:
            reads.start_round(self)
            replication.send_all(self)
        self.flush()
        for to, reply in self.replies.items():
            self.send(to, reply, self.emitted)
        self.replies.clear()
        return self.hand_out()

    @property
    def leads(self) -> bool:
        """See `ReplicatedLog.leads`."""
        return self.role is LEADER and not self.transferee

    @property
    def recovering(self) -> bool:
        """See `ReplicatedLog.recovering`."""
        return False

    @property
    def config_settled(self) -> bool:
        """See `ReplicatedLog.config_settled`."""
        index, config = self.configs[-1]
        return index <= self.commit and not config.outgoing

    @property
    def last_index(self) -> int:
        """See `ReplicatedLog.last_index`."""
        return self.log.last

    # ------------------------------------------------------------------------- what the handlers have in common

    @property
    def peers(self) -> Mapping[int, Progress]:
        """See `Core.peers`."""
        return self.progress

    @property
    def config(self) -> Config:
        """The configuration in force: the latest in the log, committed or not (Raft section 6)."""
        return self.configs[-1][1]

    def next_record(self) -> int:
        """The number of the record that will hold everything that has happened up to now."""
        return self.emitted + (1 if self.unwritten_first else 0)

    def save_term(self, term: int, vote: int) -> None:
        """Take up a term and a vote, in one record."""
        self.term, self.vote = term, vote
        self.emit(hard_record(term, vote))
        self.promise_record = self.emitted

    def append_entries(self, entries: list[Entry]) -> None:
        """Add entries at the end of the own log; their record is emitted at the end of the turn."""
        first = self.log.last + 1
        if not self.unwritten_first:
            self.unwritten_first = first
        self.log.append(entries)
        for position, entry in enumerate(entries):
            if entry.kind == CONFIG:
                membership.adopt(self, first + position, decode_config(entry.data))

    def truncate(self, first: int) -> None:
        """Remove own entries from `first` on: a leader of a newer term has other ones. Never reaches committed ones."""
        assert first > self.commit, (first, self.commit)
        self.flush()
        self.log.truncate(first)
        self.durable_index = min(self.durable_index, first - 1)
        self.on_the_way = deque((number, min(last, first - 1)) for number, last in self.on_the_way)
        while self.configs[-1][0] >= first:
            self.configs.pop()

    def flush(self) -> None:
        """Emit the record of entries that have none yet."""
        if self.unwritten_first:
            first, self.unwritten_first = self.unwritten_first, 0
            self.number(entries_record(first, self.log.slice(first, self.log.last)))
            self.on_the_way.append((self.emitted, self.log.last))

    def reset_log(self, meta: SnapshotMeta) -> None:
        """Replace the whole log by the snapshot."""
        self.emit(reset_record(meta.index, meta.term))
        self.log.reset(meta.index, meta.term)
        self.configs = [(meta.index, meta.config)]
        self.commit = self.handed_out = meta.index
        self.durable_index = 0
        self.on_the_way.clear()
        self.on_the_way.append((self.emitted, meta.index))

    def become_follower(self, term: int, leader: int) -> None:
        """Follow in `term`, giving up whatever role there was. `leader` 0: not known yet."""
        if term > self.term:
            self.save_term(term, 0)
        if self.role is LEADER:
            self.end_leadership()
            self.progress = {}
            self.transferee = 0
            election.restart_timer(self)
        self.role = FOLLOWER
        self.pre = False
        if leader != self.leader:
            self.leader = leader
        self.out.changed = True
