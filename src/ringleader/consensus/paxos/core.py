"""The Paxos core: the state of one member, and the dispatch of what happens to it to the file that knows what to do.

Follows Lamport, "Paxos Made Simple" (2001), section 3, for the log; Howard, Malkhi and Spiegelman, "Flexible Paxos" (2016), for
quorums; Ng, Haridi and Carbone, "Omni-Paxos" (2023), for who should lead when not everybody reaches everybody.

* `synod.py`: the algorithm for one value, to begin with.
* `acceptor.py`, `acceptance.py`: what a member promises and accepts, and how it answers.
* `election.py`: who stands. `leader.py`: the stages from phase 1 to taking proposals. `recovery.py`: what phase 1 found.
* `replication.py`: phase 2, pipelined. `learner.py`: catching up otherwise.
* `membership.py`: who takes part. `reads.py`: when a read may be served. `quorum.py`: how many are enough.

The books about records, turns and snapshots, which do not depend on the protocol, stand in `consensus.core`.

What the shape calls a term is a ballot here: the highest one that this member has promised. `Entry.term` is the ballot in
which the value was *born*, not that in which it was accepted last; it is part of the value, so all members agree on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ringleader.consensus.core import Core
from ringleader.consensus.paxos import acceptance, election, leader, learner, membership, reads, replication
from ringleader.consensus.paxos.acceptor import Acceptor
from ringleader.consensus.paxos.ballot import MEMBERS
from ringleader.consensus.paxos.leader import Leadership
from ringleader.consensus.paxos.messages import (
    Accept,
    Accepted,
    Canvass,
    CanvassReply,
    Chosen,
    Learn,
    Offer,
    PaxosMessage,
    Prepare,
    Promise,
    Refused,
    TakeOver,
)
from ringleader.consensus.paxos.progress import Progress
from ringleader.consensus.paxos.quorum import check_phase2
from ringleader.consensus.paxos.records import accept_record, promise_record, replay
from ringleader.consensus.paxos.slots import SlotLog
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

__all__ = ["Paxos", "PaxosOptions"]


class PaxosOptions(ConsensusOptions, frozen=True):
    """`phase2`: how many must accept a value, 0: a majority; the same at all members."""

    phase2: int = 0
    canvass: bool = True
    check_quorum: bool = True


class Paxos(Core[PaxosMessage]):
    """One member of a Paxos group; implements `consensus.shape.ReplicatedLog`.

    `id`: this member (1 to 999,999). `config`: the members that the group starts with; a snapshot or the log overrides it.
    Raises `ValueError` for an id or a phase-2 quorum that makes no sense.
    """

    def __init__(self, id: int, config: Config, entropy: Entropy, options: PaxosOptions | None = None) -> None:
        super().__init__(id, config, entropy)
        self.options = options or PaxosOptions()
        if not 0 < id < MEMBERS:
            raise ValueError(f"member {id}: Paxos members have numbers from 1 to {MEMBERS - 1}")
        check_phase2(max(len(config.voters), self.options.phase2 if not config.voters else 0), self.options.phase2)
        # On disk, by records.
        self.acceptor = Acceptor()
        # Slots above `commit` with a configuration entry; `configs` has those known to be chosen.
        self.proposed_configs: list[int] = []
        # Of every member.
        self.promised_at = float("-inf")  # when it last promised a candidate
        self.seen = 0  # the highest ballot heard of
        self.fetching = 0  # the index of the snapshot that was offered last
        self.fetching_since = 0.0
        # Of a candidate.
        self.canvassed = 0  # the ballot that members were asked about; 0: none
        self.granted: set[int] = set()
        # Of a candidate that has prepared its ballot, and of a leader.
        self.lead: Leadership | None = None
        # Of what has happened since the last record or answer.
        self.unwritten: list[int] = []  # [first, last] of slots accepted in this turn, without a record yet
        self.replies: dict[int, tuple[int, int]] = {}  # leader -> (ballot, newest round), answered once a turn

    # ------------------------------------------------------------------------------------------------ start-up

    def recover(self, snapshot: SnapshotMeta | None, records: Iterable[Record]) -> None:
        """See `ReplicatedLog.recover`."""
        self.acceptor = replay(snapshot, records)
        if snapshot is not None:
            self.configs = [(snapshot.index, snapshot.config)]
            self.handed_out = snapshot.index
        log = self.acceptor.log
        for slot, entry in enumerate(log.entries, log.first):
            if entry.kind == CONFIG:
                self.proposed_configs.append(slot)
        self._configs_chosen()

    def checkpoint(self) -> list[Record]:
        """See `ReplicatedLog.checkpoint`: the promise; slots stay in the segments until a snapshot covers them."""
        return [promise_record(self.term, self.acceptor.told, self.commit)]

    # -------------------------------------------------------------------------------------------------- events

    def tick(self, now: float) -> None:
        """See `ReplicatedLog.tick`."""
        self.now = now
        if not self.ticked:
            self.ticked = True
            # A restarted member may have given its word to a leader, by answering it, for an election time.
            self.heard_leader = now if self.term else float("-inf")
            election.restart_timer(self)
            if self.chosen_config.voters == (self.id,):
                self.deadline = now  # nobody to wait for
        if self.lead is not None:
            replication.tick_leader(self, self.lead)
        if self.role is not LEADER and now >= self.deadline:
            election.timer_ran_out(self)

    def step(self, sender: int, message: PaxosMessage) -> None:
        """See `ReplicatedLog.step`."""
        match message:
            case Accept():
                acceptance.on_accept(self, sender, message)
            case Accepted():
                replication.on_accepted(self, sender, message)
            case Prepare():
                acceptance.on_prepare(self, sender, message)
            case Promise():
                leader.on_promise(self, sender, message)
            case Refused():
                acceptance.on_refused(self, message)
            case Canvass():
                election.on_canvass(self, sender, message)
            case CanvassReply():
                election.on_canvass_reply(self, sender, message)
            case Learn():
                learner.on_learn(self, sender, message)
            case Chosen():
                learner.on_chosen(self, sender, message)
            case Offer():
                learner.on_offer(self, sender, message)
            case TakeOver():
                election.on_take_over(self, sender, message)

    def propose(self, data: Sequence[bytes], kind: EntryKind = COMMAND) -> int:
        """See `ReplicatedLog.propose`."""
        if self.lead is None or not self.leads:
            return 0
        return leader.hold_or_propose(self, data, kind)

    def lease_valid(self) -> bool:
        """Whether no other leader can have been elected yet, if clocks run at rates that differ by less than a tenth.

        Never again in a ballot in which an order to take over has left: it may arrive late, and who obeys it breaks the word
        that members have given.
        """
        lead = self.lead
        return (
            lead is not None
            and reads.ready(self)
            and not lead.handed_over
            and not lead.transferee
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
        lead = self.lead
        if lead is None:
            return
        way = self.on_the_way
        while way and way[0][0] <= self.durable:
            lead.durable = max(lead.durable, way.popleft()[1])
        if self.id not in lead.promised:
            self.own_promise_durable()
        replication.advance_commit(self)

    def offer_snapshot(self, to: int, meta: SnapshotMeta) -> None:
        """See `ReplicatedLog.offer_snapshot`."""
        replication.send_offer(self, to, meta)

    def install(self, meta: SnapshotMeta) -> None:
        """See `ReplicatedLog.install`."""
        learner.install_snapshot(self, meta)

    def abstain(self, flag: bool) -> None:
        """See `ReplicatedLog.abstain`."""
        self.abstaining = flag
        if flag and self.role is CANDIDATE:  # it stood for election just before
            self.become_follower(0)

    @property
    def idle(self) -> bool:
        """See `ReplicatedLog.idle`."""
        if self.replies or self.unwritten or self.put_down:
            return False
        if self.role is not LEADER or self.lead is None:
            return True
        return not (self.reads.waiting or replication.wants_to_send(self, self.lead))

    def take_output(self) -> Output:
        """See `ReplicatedLog.take_output`."""
        if self.role is LEADER and self.lead is not None:
            reads.start_round(self)
            replication.send_all(self, self.lead)
        self.flush()
        if self.replies:
            for to, (ballot, round) in self.replies.items():
                acceptance.reply(self, to, ballot, round)
            self.replies.clear()
        return self.hand_out()

    # ---------------------------------------------------------------------------------------------- properties

    @property
    def term(self) -> int:  # type: ignore[override]  # nobody sets it: it is the acceptor's
        """The highest ballot promised."""
        return self.acceptor.promised

    @property
    def commit(self) -> int:  # type: ignore[override]  # nobody sets it: it is the acceptor's
        """See `ReplicatedLog.commit`: up to here all slots are chosen and known here."""
        return self.acceptor.commit

    @property
    def log(self) -> SlotLog:  # type: ignore[override]  # nobody sets it: it is the acceptor's
        """The slots held."""
        return self.acceptor.log

    @property
    def peers(self) -> Mapping[int, Progress]:
        """See `Core.peers`."""
        return self.lead.progress if self.lead is not None else {}

    @property
    def leads(self) -> bool:
        """See `ReplicatedLog.leads`."""
        lead = self.lead
        return self.role is LEADER and lead is not None and lead.open and not lead.transferee

    @property
    def recovering(self) -> bool:
        """See `ReplicatedLog.recovering`: stages 2 and 3 of `paxos.leader`."""
        return self.role is LEADER and self.lead is not None and not self.lead.open

    @property
    def chosen_index(self) -> int:
        """The slot of the configuration that decides about the slot after `commit`."""
        return self.configs[-1][0]

    @property
    def chosen_config(self) -> Config:
        """The configuration that decides about the slot after `commit`: the latest that is known to be chosen."""
        return self.configs[-1][1]

    @property
    def config(self) -> Config:
        """See `ReplicatedLog.config`: the latest one accepted here; `chosen_config` is the one that decides."""
        if self.proposed_configs:
            return decode_config(self.log.at(self.proposed_configs[-1]).data)
        return self.configs[-1][1]

    @property
    def config_settled(self) -> bool:
        """See `ReplicatedLog.config_settled`: a slot above the configuration entry is chosen, so by the new members."""
        index = self.configs[-1][0]
        return not self.proposed_configs and (index < self.commit or index == 0)

    @property
    def last_index(self) -> int:
        """See `ReplicatedLog.last_index`; at the leader, what it has proposed or holds back."""
        lead = self.lead
        if lead is None or not lead.open:
            return self.log.last
        return lead.last + (1 + len(lead.held) if lead.sealed else 0)

    # ------------------------------------------------------------------------- what the handlers have in common

    def next_record(self) -> int:
        """The number of the record that will hold everything that has happened up to now."""
        return self.emitted + (1 if self.unwritten else 0)

    def save_promise(self, ballot: int) -> None:
        """Promise `ballot`, in a record of its own."""
        self.flush()
        self.acceptor.promise(ballot)
        self.emit(promise_record(ballot, self.acceptor.told, self.commit))
        self.promise_record = self.emitted
        self.on_the_way.clear()

    def accept(self, first: int, entries: Sequence[Entry]) -> None:
        """Accept a run of slots in the ballot promised; its record is emitted at the end of the turn."""
        low, last = self.acceptor.accept(self.acceptor.promised, first, entries)
        if low > last:
            return
        self.note_configs(low, entries[low - first :] if low > first else entries)
        unwritten = self.unwritten
        if unwritten and unwritten[1] + 1 == low:
            unwritten[1] = last
        else:
            self.flush()
            self.unwritten = [low, last]

    def flush(self) -> None:
        """Emit the record of slots that have none yet."""
        if self.unwritten:
            (first, last), self.unwritten = self.unwritten, []
            acceptor = self.acceptor
            self.number(accept_record(acceptor.promised, first, acceptor.told, acceptor.log.slice(first, last)))
            if self.lead is not None:
                self.on_the_way.append((self.emitted, last))

    def note_configs(self, first: int, entries: Sequence[Entry]) -> None:
        """Remember where configuration entries stand among those just put into the slots from `first` on."""
        before = self.proposed_configs
        found = [slot for slot, entry in enumerate(entries, first) if entry.kind == CONFIG]
        if found or before:
            last = first + len(entries) - 1
            self.proposed_configs = sorted([slot for slot in before if not first <= slot <= last] + found)

    def advance(self, told: int) -> None:
        """Everything up to `told` is chosen, as the leader says or has found out."""
        self.acceptor.tell(told)
        if self.proposed_configs:
            self._configs_chosen()

    def _configs_chosen(self) -> None:
        """Configuration entries that are known to be chosen by now come into force."""
        while self.proposed_configs and self.proposed_configs[0] <= self.commit:
            slot = self.proposed_configs.pop(0)
            self.configs.append((slot, decode_config(self.log.at(slot).data)))
            membership.came_into_force(self)

    def own_promise_durable(self) -> None:
        """Count the own promise of a candidate, once it is on disk."""
        lead = self.lead
        if lead is not None and self.id not in lead.promised and self.durable >= lead.promise_record:
            lead.promised.add(self.id)
            leader.proceed(self)

    def began_after(self, meta: SnapshotMeta) -> None:
        """The log begins anew after a snapshot."""
        self.configs = [(meta.index, meta.config)]
        self.proposed_configs = [slot for slot in self.proposed_configs if slot > meta.index]
        self.handed_out = max(self.handed_out, meta.index)
        self._configs_chosen()

    def give_up_leading(self) -> None:
        """Forget what a candidate or leader knows."""
        if self.role is LEADER:
            self.end_leadership()
            election.restart_timer(self)
        self.flush()
        self.lead = None
        self.canvassed = 0
        self.on_the_way.clear()

    def become_follower(self, leader: int) -> None:
        """Follow `leader` (0: not known yet), giving up whatever role there was."""
        self.give_up_leading()
        self.role = FOLLOWER
        self.leader = leader
        self.out.changed = True
