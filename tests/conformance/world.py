"""A few cores on a network that loses, repeats and reorders, judged after every event; all chance comes from one seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from conformance.kinds import Kind
from conformance.member import Member
from ringleader.consensus.shape import Config, ConsensusOptions, Entry, EntryKind, Role, Send, decode_config

__all__ = ["World", "started"]

Drop = Callable[[int, int, Any], bool]


class World:
    """`spares`: members beyond the voters, that may join later. `now` is the one clock of all, in seconds.

    `drop(sender, to, message)` says which messages are lost. Judged: agreement, one leader a term, terms that never decrease
    along the log, nothing lost or brought back after `passed` said so, reads and leases that see all that was decided.
    """

    def __init__(self, kind: Kind, seed: int = 1, spares: int = 0, **common: Any) -> None:
        self.random = random.Random(f"{kind} {seed}")
        self.founders = Config(tuple(range(1, kind.voters + 1)))
        options = ConsensusOptions(**common)
        self.members = {
            id: Member(id, self.founders, kind.choice, self.random.getrandbits(60), options)
            for id in range(1, kind.voters + spares + 1)
        }
        self.now = 0.0
        self.wire: list[tuple[int, Send]] = []
        self.drop: Drop = lambda sender, to, message: False
        self.ledger: list[Entry] = []
        self.leaders: dict[int, int] = {}
        self.seen: dict[tuple[int, int], int] = {}  # (member, life) -> how much of `committed` has been judged
        self.terms: dict[int, int] = {}
        self.contacts: dict[tuple[int, int], float] = {}  # (member, life) -> when it was in touch last
        self.proposed: dict[bytes, int] = {}  # command -> the term in which it was proposed
        self.asked: dict[tuple[int, int], int] = {}  # (member, token) -> what was decided when the read was asked
        self.answered = 0
        self.token = 0

    # ------------------------------------------------------------------------------------------------------- judging

    def judge(self, member: Member) -> None:
        """Whatever has just happened at `member` must be right."""
        core, id = member.core, member.id
        done = self.seen.get((id, member.lives), 0)
        for index, entry in member.committed[done:]:
            if index > len(self.ledger):
                assert index == len(self.ledger) + 1, (index, len(self.ledger))
                self._decided(entry)
            else:
                known = self.ledger[index - 1]
                assert (entry.term, entry.kind, entry.data) == (known.term, known.kind, known.data), (
                    f"member {id} was handed another entry {index}"
                )
        self.seen[id, member.lives] = len(member.committed)
        assert core.commit <= core.last_index
        assert core.term >= self.terms.get(id, 0), "a member went back to an earlier term"
        if member.synced == member.emitted:
            self.terms[id] = core.term  # what is not durable may be forgotten in a crash
        if core.role is Role.LEADER:
            assert self.leaders.setdefault(core.term, id) == id, f"two leaders of term {core.term}"
        for token, index in member.barriers:
            assert index >= self.asked[id, token], "a read misses what was decided before it was asked"
            self.answered += 1
        member.barriers.clear()
        if core.lease_valid():
            assert core.commit >= len(self.ledger), "a lease is held while somebody else has decided more"
        before = self.contacts.get((id, member.lives), float("-inf"))
        assert before <= core.contact <= self.now, "what it knew to hold once it holds for good"
        self.contacts[id, member.lives] = core.contact
        status = core.status()
        assert (status.term, status.commit, status.last_index) == (core.term, core.commit, core.last_index)
        assert status.first_index == core.first_index
        assert all(match <= max(core.last_index, match) for match in status.match.values())

    def _decided(self, entry: Entry) -> None:
        if self.ledger:
            assert entry.term >= self.ledger[-1].term, "terms decrease along the log"
        if entry.kind == EntryKind.COMMAND:
            assert entry.data in self.proposed, "an entry that nobody has proposed"
            assert entry.term == self.proposed[entry.data], "an entry changed its term"
            assert entry.data not in {each.data for each in self.ledger if each.kind == EntryKind.COMMAND}
        self.ledger.append(entry)

    # ------------------------------------------------------------------------------------------------------- events

    def collect(self, member: Member) -> None:
        """Carry out what a core wants done, and judge it."""
        for send in member.collect():
            self.wire.append((member.id, send))
        self.judge(member)

    def sync(self, member: Member, count: int | None = None) -> None:
        """Records become durable."""
        for send in member.sync(count):
            self.wire.append((member.id, send))
        self.collect(member)

    def deliver(self, place: int) -> None:
        """The message at that place of the wire arrives, if it is not lost."""
        sender, send = self.wire.pop(place)
        to = self.members.get(send.to)
        if to is None or not to.up or self.drop(sender, send.to, send.message):
            return
        to.send_to(send.message, sender, self.now)
        self.collect(to)

    def fetch(self, member: Member) -> None:
        """The snapshot that `member` waits for arrives, if who has it is there."""
        assert member.fetching is not None
        source = self.members[member.fetching[0]]
        member.fetching = None
        if source.up and source.snapshot is not None and not self.drop(source.id, member.id, source.snapshot):
            member.install(source.snapshot)
            self.collect(member)

    def tick(self, seconds: float) -> None:
        """Time goes on for everyone."""
        self.now += seconds
        for member in self.running():
            member.core.tick(self.now)
            self.collect(member)

    def propose(self, member: Member, data: bytes) -> int:
        """A new command at `member`."""
        index = member.propose(data)
        if index:
            self.proposed[data] = member.core.term
        self.collect(member)
        return index

    def read(self, member: Member) -> bool:
        """A read barrier at `member`."""
        self.token += 1
        self.asked[member.id, self.token] = len(self.ledger)
        asked = member.core.read_barrier(self.token)
        self.collect(member)
        return asked

    def crash(self, member: Member) -> None:
        """Power is lost: any number of the records that were not synced survive, but none without those before it."""
        member.crash(self.random.randint(0, len(member.unsynced)))
        self.terms.pop(member.id, None)
        self.wire = [(sender, send) for sender, send in self.wire if sender != member.id or self.random.random() < 0.5]

    def restart(self, member: Member) -> None:
        """It comes back."""
        known = self.terms.get(member.id, 0)
        member.start(self.now)
        assert member.core.term >= known
        self.collect(member)

    # --------------------------------------------------------------------------------------------- a calm passage

    def settle(self, *, sync: bool = True) -> None:
        """Deliver and sync until nothing is left to do."""
        for _ in range(500):
            for member in self.running():
                self.collect(member)
                if sync:
                    self.sync(member)
                if member.fetching is not None:
                    self.fetch(member)
            if not self.wire:
                return
            for _ in range(len(self.wire)):
                self.deliver(0)
        raise AssertionError("messages go to and fro for ever")

    def run(self, seconds: float, step: float = 0.02) -> None:
        """Time goes on, and every message arrives at once."""
        end = self.now + seconds
        while self.now < end:
            self.tick(step)
            self.settle()

    def running(self) -> list[Member]:
        """All that are up."""
        return [member for member in self.members.values() if member.up]

    def leader(self) -> Member:
        """Who leads, takes proposals and reads, and knows its configuration decided."""
        leaders = [member for member in self.running() if member.core.leads]
        assert leaders, "nobody leads"
        return max(leaders, key=lambda member: member.core.term)

    def lead(self) -> Member:
        """Let time pass until somebody leads."""
        for _ in range(40):
            self.run(0.5)
            if any(member.core.leads for member in self.running()):
                return self.leader()
        raise AssertionError("nobody leads for twenty seconds")

    def followers(self) -> list[Member]:
        """Voters that do not lead."""
        leader = self.leader()
        return [m for m in self.running() if m is not leader and m.id in leader.core.config.voters]

    def cut(self, *ids: int) -> None:
        """Nothing passes between these members and the others."""
        inside = set(ids)
        self.drop = lambda sender, to, message: (sender in inside) != (to in inside)

    def heal(self) -> None:
        """All messages arrive again."""
        self.drop = lambda sender, to, message: False

    def configs(self) -> list[Config]:
        """All decided configurations, oldest first."""
        return [self.founders] + [decode_config(e.data) for e in self.ledger if e.kind == EntryKind.CONFIG]


def started(kind: Kind, *data: bytes, spares: int = 0, seed: int = 1) -> World:
    """A world with a leader, where `data` is decided and known to everyone."""
    world = World(kind, seed, spares)
    leader = world.lead()
    for each in data:
        assert world.propose(leader, each)
    world.run(0.5)
    return world
