"""What the cores of all protocols have in common: the books about what is on disk, in force, and handed out.

* *Durability.* Records are numbered as they are handed out, and each message names the one that it waits for: its own reason,
  or the record of what this member has promised (its term and vote, or ballot), whichever comes later.
* *Turns.* What happens puts things down in `out`; the end of a turn hands them out, with the entries decided by now.
* *Configurations and snapshots.* Which configuration was in force where, since a snapshot must say so; and how much of the log
  goes once there is one.

What the members say to each other, and when something is decided, are the protocols' own: see `raft.core` and `paxos.core`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Generic, TypeVar

from ringleader.consensus.peer import Peer
from ringleader.consensus.rounds import Reads
from ringleader.consensus.shape import FOLLOWER, LEADER, LEARNER, Config, Output, Record, Send, SnapshotMeta, Status
from ringleader.consensus.tail import LogTail
from ringleader.ports import Entropy

__all__ = ["Core"]

Message = TypeVar("Message")


class Core(Generic[Message]):
    """One member of a group, as far as the protocol makes no difference. A protocol gives it `term`, `commit` and `log`,
    `flush`, and the properties that raise here.
    """

    term: int
    commit: int
    log: LogTail

    def __init__(self, id: int, config: Config, entropy: Entropy) -> None:
        self.id = id
        self.entropy = entropy
        self.now = 0.0
        self.ticked = False
        # Configurations in force one after the other: the base one, then those in the log, as (index, config), oldest first.
        self.configs: list[tuple[int, Config]] = [(0, config)]
        self.role = FOLLOWER
        self.leader = 0
        self.handed_out = 0  # up to here entries have been given out as committed
        self.heard_leader = float("-inf")  # until one election time later this member helps nobody else to lead
        self.up_to_date_at = float("-inf")  # see `contact`
        self.deadline = 0.0  # of the election timer
        self.abstaining = False
        self.reads = Reads()
        # Durability: records are numbered as they are emitted.
        self.emitted = 0
        self.durable = 0
        self.promise_record = 0  # the record that holds the present term and vote, or promise
        self.on_the_way: deque[tuple[int, int]] = deque()  # (record number, last index of the own log that it covers)
        self.out = Output()

    @property
    def config(self) -> Config:
        """See `ReplicatedLog.config`."""
        raise NotImplementedError

    @property
    def last_index(self) -> int:
        """See `ReplicatedLog.last_index`."""
        raise NotImplementedError

    @property
    def contact(self) -> float:
        """See `ReplicatedLog.contact`. Who begins or ends to lead goes on with what it knew."""
        return self.up_to_date_at

    @property
    def peers(self) -> Mapping[int, Peer]:
        """What a leader knows of the others; empty at all others."""
        raise NotImplementedError

    def flush(self) -> None:
        """Emit the record of entries that have none yet."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------- time and reads

    def observe(self, now: float) -> None:
        """See `ReplicatedLog.observe`."""
        self.now = max(self.now, now)

    def read_barrier(self, token: int) -> bool:
        """See `ReplicatedLog.read_barrier`."""
        if self.role is not LEADER:
            return False
        self.reads.ask(token)
        return True

    def end_leadership(self) -> None:
        """This leader leads no more: it gives up the reads that wait."""
        self.out.failed_barriers += self.reads.give_up()

    # ----------------------------------------------------------------------------------------------- durability

    def send(self, to: int, message: Message, after: int) -> None:
        """Hand out a message that may leave once record `after`, and what this member has promised, are durable."""
        if after < self.promise_record:
            after = self.promise_record
        self.out.messages.append(Send(to, message, 0 if after <= self.durable else after))

    def emit(self, record: Record) -> None:
        """Hand out a record and number it, after that of the entries that came before."""
        self.flush()
        self.number(record)

    def number(self, record: Record) -> None:
        """Hand out a record and number it."""
        self.emitted += 1
        self.out.records.append(record)

    # ---------------------------------------------------------------------------------------------------- turns

    @property
    def put_down(self) -> bool:
        """Whether this turn has something to hand out already."""
        out = self.out
        if self.commit > self.handed_out or out.messages or out.changed or out.records or out.barriers:
            return True
        return bool(out.failed_barriers or out.wants_snapshot or out.fetch or out.install)

    def hand_out(self) -> Output:
        """The end of a turn: all that was put down in it, and the entries decided by now."""
        out, commit = self.out, self.commit
        if commit > self.handed_out:
            first = self.handed_out + 1
            out.committed = list(enumerate(self.log.slice(first, commit), first))
            self.handed_out = commit
        self.out = Output()
        return out

    # ------------------------------------------------------------------------------ configurations and snapshots

    def config_at(self, index: int) -> tuple[int, Config]:
        """The configuration in force at `index`, and where it stands itself."""
        return next(item for item in reversed(self.configs) if item[0] <= index)

    @property
    def parties(self) -> set[int]:
        """See `ReplicatedLog.parties`: of the last configuration that is committed, and of all that came after it."""
        parties = set(self.config.members())
        for index, config in reversed(self.configs):
            parties.update(config.members())
            if index <= self.commit:
                break
        return parties

    def compact(self, index: int, keep_entries: int = 0, keep_bytes: int = 0) -> SnapshotMeta:
        """See `ReplicatedLog.compact`."""
        index = self.log.tail_start(index, keep_entries, keep_bytes)
        meta = self.snapshot_meta(max(index, self.log.offset))
        if index > self.log.offset:
            self.log.forget(index, meta.term)
            self.configs = [self.config_at(index), *[item for item in self.configs if item[0] > index]]
        return meta

    def snapshot_meta(self, index: int) -> SnapshotMeta:
        """See `ReplicatedLog.snapshot_meta`."""
        assert self.log.offset <= index <= self.handed_out, (self.log.offset, index, self.handed_out)
        return SnapshotMeta(index, self.log.term(index), self.config_at(index)[1])

    # --------------------------------------------------------------------------------------------------- status

    @property
    def first_index(self) -> int:
        """See `ReplicatedLog.first_index`."""
        return self.log.first

    def status(self) -> Status:
        """See `ReplicatedLog.status`."""
        config, peers = self.config, self.peers
        return Status(
            id=self.id,
            role=LEARNER if self.role is FOLLOWER and self.id in config.learners else self.role,
            term=self.term,
            leader=self.leader,
            commit=self.commit,
            last_index=self.last_index,
            first_index=self.log.first,
            config=config,
            match={id: peer.match for id, peer in peers.items()},
            heard={id: peer.heard for id, peer in peers.items() if peer.answered},
        )
