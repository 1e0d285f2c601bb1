"""A small hostile world for Paxos cores: messages are lost, doubled and overtaken, members crash and lose what is not synced.

After every step it checks what Paxos promises: one value a slot, births that never decrease, promises and acceptances that
outlive a crash, one leader a ballot, a leader that has all that was chosen, reads and leases that miss nothing, and that
what is told to be lost is lost.
"""

from __future__ import annotations

import heapq
import random
from collections import deque

from ringleader.consensus.paxos import Paxos, PaxosOptions
from ringleader.consensus.paxos.ballot import owner
from ringleader.consensus.paxos.messages import Accepted, PaxosMessage, Promise
from ringleader.consensus.shape import Config, Entry, EntryKind, Output, Record, Role, Send, SnapshotMeta

STEP = 0.02


class Disk:
    """Segments of records, as the log writes them, and the newest snapshot."""

    def __init__(self) -> None:
        self.segments: list[tuple[list[Record], int]] = [([], 0)]
        self.snapshot: SnapshotMeta | None = None

    def write(self, records: list[Record], last: int) -> None:
        held, bound = self.segments[-1]
        self.segments[-1] = (held + records, max(bound, last))

    def roll(self, checkpoint: list[Record]) -> None:
        self.segments.append((list(checkpoint), 0))

    def drop(self, index: int) -> None:
        while len(self.segments) > 1 and self.segments[0][1] <= index:
            self.segments.pop(0)

    def records(self) -> list[Record]:
        return [record for segment, _ in self.segments for record in segment]


class Node:
    def __init__(self, id: int, config: Config, seed: int, options: PaxosOptions) -> None:
        self.id = id
        self.config = config
        self.options = options
        self.seed = seed
        self.disk = Disk()
        self.up = True
        self.paused = 0.0  # until then it does nothing at all
        self.starts = 0
        self.last_index = 0
        self.told_promise = 0  # the highest ballot it has told anybody to have promised
        self.told_accepted: dict[int, Entry] = {}  # slot -> value it has told to have accepted
        self.start()

    def start(self) -> None:
        self.starts += 1
        self.core = Paxos(self.id, self.config, random.Random(self.seed * 1000 + self.starts), self.options)
        self.core.recover(self.disk.snapshot, self.disk.records())
        self.synced = 0
        self.unsynced: deque[tuple[list[Record], int]] = deque()
        self.held: list[Send] = []
        self.applied = self.disk.snapshot.index if self.disk.snapshot else 0
        self.applied_birth = self.disk.snapshot.term if self.disk.snapshot else 0
        self.asked: dict[int, int] = {}  # read -> what was known to be chosen when it was asked
        self.proposed: dict[int, tuple[int, bytes]] = {}  # slot -> (ballot, data)


class World:
    """`size` founding members of `total` nodes. `chaos`: how broken the network is, 0 to 1."""

    def __init__(
        self, seed: int, size: int = 3, total: int = 0, chaos: float = 0.5, election: float = 1.0, **options: float
    ) -> None:
        self.random = random.Random(seed)
        self.election = election
        self.options = PaxosOptions(heartbeat=election / 10, election=election, **options)  # type: ignore[arg-type]  # of a test
        config = Config(tuple(range(1, size + 1)))
        self.nodes = {id: Node(id, config, seed * 100 + id, self.options) for id in range(1, (total or size) + 1)}
        self.now = 0.0
        self.chaos = chaos
        self.loss = self.late = 0.0
        self.cut: set[tuple[int, int]] = set()
        self.queue: list[tuple[float, int, int, int, PaxosMessage]] = []
        self.number = 0
        self.reads = 0
        self.fetches: list[tuple[float, int, int, SnapshotMeta]] = []
        self.ledger: list[Entry] = [Entry(0, int(EntryKind.NOOP), b"")]  # what was chosen, by slot
        self.leaders: dict[int, int] = {}
        self.proposed: set[bytes] = set()
        self.lost: set[bytes] = set()
        self.counts: dict[str, int] = {}
        self.leases = True  # whether lease reads are checked

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # ------------------------------------------------------------------------------------------------------ turning

    def collect(self, node: Node) -> None:
        out: Output = node.core.take_output()
        if out.install is not None:
            self.count("install")
            assert out.install.index > node.applied, "applied goes back"
            self.check_meta(out.install)
            node.applied, node.applied_birth = out.install.index, out.install.term
        if out.records:
            node.unsynced.append((out.records, node.core.last_index))
        node.held += out.messages
        self.committed(node, out.committed)
        for token, index in out.barriers:
            known = node.asked.pop(token)
            assert index >= known, f"a read at slot {index} misses slot {known}"
            self.count("read")
        for token in out.failed_barriers:
            node.asked.pop(token)
        for to in out.wants_snapshot:
            if node.disk.snapshot is not None:
                node.core.offer_snapshot(to, node.disk.snapshot)
        if out.fetch is not None:
            self.fetches.append((self.now + self.random.random() * self.election, node.id, *out.fetch))
        self.release(node)
        self.check(node)

    def release(self, node: Node) -> None:
        held, node.held = node.held, []
        for send in held:
            if send.after > node.synced:
                node.held.append(send)
            else:
                self.send(node, send)

    def send(self, node: Node, send: Send) -> None:
        message = send.message
        if isinstance(message, Promise):
            node.told_promise = max(node.told_promise, message.ballot)
        elif isinstance(message, Accepted):
            node.told_promise = max(node.told_promise, message.ballot)
            for slot in range(max(1, node.core.log.first), message.upto + 1):
                if slot > node.core.commit:
                    node.told_accepted[slot] = node.core.log.at(slot)
        if (node.id, send.to) in self.cut or self.random.random() < self.loss:
            return
        for _ in range(2 if self.random.random() < self.loss / 2 else 1):
            self.number += 1
            delay = self.random.random() * (self.late if self.random.random() < 0.3 else 0.01)
            heapq.heappush(self.queue, (self.now + delay, self.number, node.id, send.to, message))

    def sync(self, node: Node, batches: int) -> None:
        done = 0
        while node.unsynced and done < batches:
            records, last = node.unsynced.popleft()
            node.disk.write(records, last)
            node.synced += len(records)
            done += 1
        if done:
            node.core.synced(node.synced)

    def step(self) -> None:
        self.now += STEP
        for node in self.nodes.values():
            if node.up and 0 < node.paused <= self.now:
                self.wake(node)
        while self.queue and self.queue[0][0] <= self.now:
            _, _, sender, to, message = heapq.heappop(self.queue)
            node = self.nodes[to]
            if node.paused:
                self.number += 1
                heapq.heappush(self.queue, (node.paused, self.number, sender, to, message))
            elif node.up:
                node.core.observe(self.now)
                node.core.step(sender, message)
                if self.random.random() < 0.7:
                    self.collect(node)
        for item in [item for item in self.fetches if item[0] <= self.now]:
            self.fetches.remove(item)
            self.fetched(*item[1:])
        for node in self.nodes.values():
            if node.up and not node.paused:
                node.core.tick(self.now)
                self.collect(node)
                if self.random.random() < 0.6:
                    self.sync(node, self.random.randint(1, 3))
                    self.collect(node)

    def wake(self, node: Node) -> None:
        """After a pause, what callers ask comes before anything that has happened meanwhile."""
        node.paused = 0.0
        node.core.observe(self.now)
        self.ask(node)
        self.offer(node)
        self.collect(node)

    def fetched(self, id: int, source: int, meta: SnapshotMeta) -> None:
        node = self.nodes[id]
        if node.up and self.nodes[source].up and self.nodes[source].disk.snapshot is not None:
            if node.disk.snapshot is None or node.disk.snapshot.index < meta.index:
                node.disk.snapshot = meta
            if node.disk.snapshot == meta:
                node.core.install(meta)
                self.collect(node)

    # ------------------------------------------------------------------------------------------------------- faults

    def crash(self, node: Node) -> None:
        """What is not synced is lost, but for some batches, in order, that the disk wrote of itself."""
        self.sync_silently(node, self.random.randint(0, len(node.unsynced)))
        node.up, node.paused = False, 0.0
        self.queue = [item for item in self.queue if item[3] != node.id]
        heapq.heapify(self.queue)
        self.count("crash")

    def sync_silently(self, node: Node, batches: int) -> None:
        for _ in range(batches):
            node.disk.write(*node.unsynced.popleft())

    def restart(self, node: Node) -> None:
        node.start()
        node.up = True
        core = node.core
        assert core.term >= node.told_promise, f"node {node.id} forgot its promise of {node.told_promise}"
        for slot, entry in node.told_accepted.items():
            if slot >= len(self.ledger) or slot <= core.log.offset:
                continue
            if entry == self.ledger[slot]:
                assert core.log.last >= slot, f"node {node.id} forgot that it accepted slot {slot}"
                assert core.log.at(slot) == entry, f"node {node.id} forgot that it accepted slot {slot}"

    def snapshot(self, node: Node) -> None:
        """Take one at what is applied, let go of what it covers."""
        self.collect(node)
        core = node.core
        if node.applied <= max(core.log.offset, node.disk.snapshot.index if node.disk.snapshot else 0):
            return
        meta = core.snapshot_meta(node.applied)
        self.check_meta(meta)
        node.disk.snapshot = meta
        if not node.unsynced:
            node.disk.roll(core.checkpoint())
        node.disk.drop(meta.index)
        core.compact(meta.index, self.random.choice([0, 0, 3]), 1000)
        self.count("snapshot")

    def mishap(self) -> None:
        """Something goes wrong, or heals."""
        what = self.random.random()
        ids = list(self.nodes)
        if what < 0.15:
            up = [node for node in self.nodes.values() if node.up]
            if up:
                self.crash(self.random.choice(up))
        elif what < 0.45:
            for node in self.nodes.values():
                if not node.up and self.random.random() < 0.7:
                    self.restart(node)
        elif what < 0.5:
            node = self.random.choice(list(self.nodes.values()))
            if node.up:
                node.paused = self.now + self.random.random() * 4 * self.election
        elif what < 0.65:
            self.cut = {(a, b) for a in ids for b in ids if a != b and self.random.random() < 0.4 * self.chaos}
        elif what < 0.8:
            self.cut = set()
        elif what < 0.9:
            self.loss = self.random.choice([0.0, 0.1, 0.4]) * self.chaos
            self.late = self.random.choice([0.0, 0.1, 1.5]) * self.chaos * self.election
        else:
            node = self.random.choice(list(self.nodes.values()))
            if node.up:
                self.snapshot(node)

    # --------------------------------------------------------------------------------------------------------- load

    def propose(self) -> None:
        for node in self.nodes.values():
            if node.up and not node.paused and self.random.random() < 0.7:
                self.offer(node)

    def offer(self, node: Node) -> None:
        """Propose a few values, if it leads."""
        if node.core.leads:
            data = [f"{node.id}.{self.number}.{i}".encode() for i in range(self.random.randint(1, 3))]
            self.number += 1
            first = node.core.propose(data)
            assert first, "a leader takes proposals"
            for slot, item in enumerate(data, first):
                self.proposed.add(item)
                node.proposed[slot] = (node.core.term, item)

    def read(self) -> None:
        for node in self.nodes.values():
            if node.up and not node.paused:
                self.ask(node)

    def ask(self, node: Node) -> None:
        """A linearizable read: what was chosen by now it must see."""
        self.reads += 1
        if node.core.read_barrier(self.reads):
            node.asked[self.reads] = len(self.ledger) - 1

    def change(self, founders: int) -> None:
        """Change to some other members, never fewer than two thirds of `founders`."""
        ids = list(self.nodes)
        self.random.shuffle(ids)
        count = self.random.randint(max(founders * 2 // 3, 1), len(ids))
        learners = tuple(sorted(id for id in ids[count:] if self.random.random() < 0.3))
        config = Config(tuple(sorted(ids[:count])), (), learners)
        for node in self.nodes.values():
            if node.up and node.core.change_members(config):
                self.count("change")

    def transfer(self) -> None:
        for node in self.nodes.values():
            if node.up and node.core.leads:
                to = self.random.choice(list(self.nodes))
                if to != node.id and node.core.transfer(to):
                    self.count("transfer")

    # ----------------------------------------------------------------------------------------------------- checking

    def committed(self, node: Node, entries: list[tuple[int, Entry]]) -> None:
        for slot, entry in entries:
            assert slot == node.applied + 1, f"node {node.id} applies slot {slot} after {node.applied}"
            if slot == len(self.ledger):
                assert entry.term >= self.ledger[-1].term, f"slot {slot} was born before slot {slot - 1}"
                assert entry.kind != EntryKind.COMMAND or entry.data in self.proposed, "a value out of nothing"
                assert entry.data not in self.lost or not entry.data, f"{entry.data!r} was told to be lost"
                self.ledger.append(entry)
            assert entry == self.ledger[slot], (
                f"slot {slot}: node {node.id} has {entry}, chosen was {self.ledger[slot]}"
            )
            node.applied = slot
            if entry.term > node.applied_birth:
                node.applied_birth = entry.term
                for at, (ballot, data) in list(node.proposed.items()):
                    if ballot < entry.term and at > slot:
                        self.lost.add(data)
            mine = node.proposed.get(slot)
            if mine is not None and mine[1] != entry.data:
                self.lost.add(mine[1])

    def check_meta(self, meta: SnapshotMeta) -> None:
        assert meta.term == self.ledger[meta.index].term, f"a snapshot at {meta.index} born in {meta.term}"

    def check(self, node: Node) -> None:
        core = node.core
        if core.role is Role.LEADER and core.lead is not None:
            ballot = core.lead.ballot
            assert ballot == core.term
            assert owner(ballot) == node.id
            assert self.leaders.setdefault(ballot, node.id) == node.id
            if core.lead.open:
                for slot in range(core.log.first, len(self.ledger)):
                    if slot > core.lead.last:
                        higher = [other for other in self.leaders if other > ballot]
                        assert higher, f"slot {slot} was chosen behind the back of the leader of {ballot}"
                        break
                    assert core.log.at(slot) == self.ledger[slot] or any(other > ballot for other in self.leaders), (
                        f"the leader of {ballot} lacks slot {slot}"
                    )
            if self.leases and core.lease_valid():
                assert core.commit >= len(self.ledger) - 1, "a lease read would miss something"

    # -------------------------------------------------------------------------------------------------------- whole

    def run(self, seconds: float, *, changes: bool = False, founders: int = 3) -> None:
        end = self.now + seconds
        while self.now < end:
            self.step()
            if self.random.random() < 0.3:
                self.propose()
            if self.random.random() < 0.2:
                self.read()
            if self.random.random() < 0.04 * self.chaos / self.election:
                self.mishap()
            if changes and self.random.random() < 0.03:
                self.change(founders)
            if self.random.random() < 0.005:
                self.transfer()

    def heal(self) -> None:
        """All faults stop: everything proposed from then on must be chosen, and all members must get it."""
        self.cut, self.loss, self.late = set(), 0.0, 0.0
        for node in self.nodes.values():
            if not node.up:
                self.restart(node)
        for _ in range(int(15 * self.election / STEP)):
            self.step()
        leaders = [node for node in self.nodes.values() if node.core.leads]
        assert leaders, "no leader after the faults stopped"
        leader = max(leaders, key=lambda node: node.core.term)
        self.proposed.add(b"the end")
        slot = leader.core.propose([b"the end"])
        for _ in range(int(5 * self.election / STEP)):
            self.step()
        assert len(self.ledger) > slot, f"slot {slot} is not chosen after the faults stopped"
        assert self.ledger[slot].data == b"the end"
        for member in leader.core.config.members():
            node = self.nodes[member]
            assert node.applied >= slot, f"node {member} stays behind: {node.applied} of {slot}"
            assert not node.core.acceptor.islands
