"""The all-seeing observer: what a consensus group must never do, checked at every step from outside.

The oracle sees every output of every core, every message that leaves a node and every batch that a disk has made durable,
and keeps a ledger of what was ever committed. Nodes know nothing of it. What it holds (Raft figure 3, and more):

* election safety: one leader a term, and no member votes for two candidates of a term, whatever it forgot in a crash;
* log matching: two entries of the same index and term are equal, and so is what precedes them;
* leader completeness: who leads a term holds everything that was committed in earlier ones;
* state-machine safety: all nodes are handed the same entries, in order, each once between two starts;
* durable before committed: an entry is committed only when a quorum has it on disk;
* durable before acknowledged: after a crash a node still has every entry, term and vote that its messages told of;
* committed is never lost: nobody overwrites a committed entry;
* own term commits: a leader commits entries of older terms only together with one of its own (Raft section 5.4.2).
"""

from __future__ import annotations

from typing import Any

import msgspec

from ringleader.consensus.raft import Raft, membership
from ringleader.consensus.raft.messages import Append, AppendReply, SnapshotReply, Vote, VoteReply
from ringleader.consensus.raft.quorum import has_quorum
from ringleader.consensus.raft.records import ENTRIES, RESET
from ringleader.consensus.shape import Config, Entry, EntryKind, Output, Record, Role, SnapshotMeta
from ringleader.sim.probes import Probes
from ringleader.sim.timeline import Timeline
from ringleader.sim.trace import Kind, Trace
from ringleader.sim.violation import Violation

__all__ = ["Ledger", "Oracle"]

_decode_entries = msgspec.msgpack.Decoder(tuple[int, list[Entry]]).decode
_decode_reset = msgspec.msgpack.Decoder(tuple[int, int]).decode


class Ledger:
    """Everything ever committed: `entries[i]` has index i + 1; `terms[i]` is the earliest term known to have committed it."""

    __slots__ = ("entries", "terms")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.terms: list[int] = []

    @property
    def last(self) -> int:
        """The highest committed index."""
        return len(self.entries)

    def term(self, index: int) -> int:
        """The term of the committed entry at `index`."""
        return self.entries[index - 1].term


class _Seen:
    """What the oracle knows of one node.

    `log`: terms of the entries that its records hold, index 1 first. `pending`: entry records handed to the disk but not
    yet durable. `durable`: as `log`, of what is on disk. `acked`: leader's term -> the highest index acknowledged to it.
    `handed`: the last index handed out as committed. `ghost`: as `durable`, of what was on a disk that it has lost since.
    """

    __slots__ = ("acked", "durable", "ghost", "handed", "log", "pending", "role", "term", "told_term", "votes")

    def __init__(self) -> None:
        self.log: list[int] = []
        self.durable: list[int] = []
        self.pending: list[tuple[int, list[int]]] = []
        self.acked: dict[int, int] = {}
        self.votes: dict[int, int] = {}
        self.told_term = 0
        self.ghost: list[int] = []
        self.handed = 0
        self.role = Role.FOLLOWER
        self.term = 0


class Oracle:
    """Checks one group. Every method raises `Violation` when an invariant is broken."""

    def __init__(self, nodes: list[int], timeline: Timeline, trace: Trace, probes: Probes) -> None:
        self.ledger = Ledger()
        self.leaders: dict[int, int] = {}
        self.seen = {node: _Seen() for node in nodes}
        self.configs: list[tuple[int, Config]] = []  # those that were committed, and where
        self.on_commit: list[
            Any
        ] = []  # called with (index, entry, time at which some node first wrote it) at its commit
        self._timeline = timeline
        self._trace = trace
        self._probes = probes
        # (index, term) -> (term before, data, when a node first wrote it)
        self._entries: dict[tuple[int, int], tuple[int, bytes, float]] = {}

    # ----------------------------------------------------------------------------------------------- core output

    def output(self, node: int, core: Raft, out: Output) -> None:
        """A core has handed out `out`."""
        seen = self.seen[node]
        if out.records:
            self._records(node, seen, out.records)
        if out.changed or core.role is not seen.role or core.term != seen.term:
            self._standing(node, seen, core)
        if out.install is not None:
            self._install(node, seen, out.install)
        if out.committed:
            self._committed(node, seen, core, out.committed)

    def _records(self, node: int, seen: _Seen, records: list[Record]) -> None:
        for record in records:
            if record.kind == ENTRIES:
                first, entries = _decode_entries(record.payload)
                self._appended(node, seen, first, entries)
                seen.pending.append((first, [entry.term for entry in entries]))
            elif record.kind == RESET:
                index, term = _decode_reset(record.payload)
                self._check_snapshot(node, index, term)
                terms = [entry.term for entry in self.ledger.entries[:index]]
                seen.log = terms
                seen.pending.append((0, list(terms)))

    def _appended(self, node: int, seen: _Seen, first: int, entries: list[Entry]) -> None:
        log, ledger = seen.log, self.ledger
        if first > len(log) + 1:
            raise Violation("log matching", f"node {node} wrote entry {first} after entry {len(log)}: a hole")
        if first <= len(log):
            self._probes.hit("entries overwritten")
            for index in range(first, min(len(log), ledger.last) + 1):
                place = index - first
                kept = place < len(entries) and entries[place].term == ledger.term(index)
                if log[index - 1] == ledger.term(index) and not kept:
                    raise Violation("committed never lost", f"node {node} overwrote committed entry {index}")
            del log[first - 1 :]
        before, now = log[-1] if log else 0, self._timeline.now
        for index, entry in enumerate(entries, first):
            known = self._entries.setdefault((index, entry.term), (before, entry.data, now))
            if known[0] != before or known[1] != entry.data:
                raise Violation(
                    "log matching", f"two entries {index} of term {entry.term} differ; one is of node {node}"
                )
            if entry.term < before:
                raise Violation("log matching", f"terms go back at entry {index} of node {node}")
            before = entry.term
            log.append(before)
            if entry.kind == EntryKind.CONFIG and self.leaders.get(before) == node:
                self._probes.hit("leader removed", not membership.decode(entry.data).votes(node))

    def _standing(self, node: int, seen: _Seen, core: Raft) -> None:
        if core.term < seen.term:
            raise Violation("term monotone", f"node {node} went back from term {seen.term} to {core.term}")
        if core.role is Role.LEADER:
            if self.leaders.setdefault(core.term, node) != node:
                raise Violation(
                    "election safety", f"nodes {self.leaders[core.term]} and {node} both lead term {core.term}"
                )
            if seen.role is not Role.LEADER or seen.term != core.term:
                self._elected(node, core)
        elif seen.role is Role.LEADER:
            self._probes.hit("leader deposed")
        seen.role, seen.term = core.role, core.term
        text = f"is {core.role.name.lower()} of term {core.term}" + (f", leader n{core.leader}" if core.leader else "")
        self._trace.add((self._timeline.now, Kind.ROLE, node, 0, text, 0.0))

    def _elected(self, node: int, core: Raft) -> None:
        self._probes.hit("leader elected")
        self._probes.hit("leadership handed over", core.forced)
        if any(other != node and seen.role is Role.LEADER for other, seen in self.seen.items()):
            self._probes.hit("two leaders at once")
        index = self.ledger.last
        while index and self.ledger.terms[index - 1] >= core.term:
            index -= 1  # committed in this term or later: it need not be here
        if index > core.log.offset and core.log.term(index) != self.ledger.term(index):
            raise Violation(
                "leader completeness", f"node {node} leads term {core.term} without committed entry {index}"
            )

    def _install(self, node: int, seen: _Seen, meta: SnapshotMeta) -> None:
        self._probes.hit("snapshot installed")
        index = meta.index
        self._check_snapshot(node, index, meta.term)
        config = next((config for at, config in reversed(self.configs) if at <= index), None)
        if config is not None and config != meta.config:
            raise Violation("members", f"the snapshot at {index} that node {node} took has {meta.config}, not {config}")
        if index <= seen.handed:
            raise Violation(
                "applied monotone", f"node {node} went back from entry {seen.handed} to a snapshot at {index}"
            )
        seen.handed = index

    def _check_snapshot(self, node: int, index: int, term: int) -> None:
        if index > self.ledger.last or self.ledger.term(index) != term:
            raise Violation("state-machine safety", f"node {node} took a snapshot at {index} that was never committed")

    def _committed(self, node: int, seen: _Seen, core: Raft, committed: list[tuple[int, Entry]]) -> None:
        ledger = self.ledger
        first = committed[0][0]
        for index, entry in committed:
            if index != seen.handed + 1:
                raise Violation("applied monotone", f"node {node} was handed entry {index} after {seen.handed}")
            seen.handed = index
            if index <= ledger.last:
                known = ledger.entries[index - 1]
                if known is not entry and (known.term != entry.term or known.data != entry.data):
                    raise Violation(
                        "state-machine safety",
                        f"node {node} committed entry {index} of term {entry.term}, another one of term {known.term}",
                    )
                if core.term < ledger.terms[index - 1]:
                    ledger.terms[index - 1] = core.term
                continue
            self._check_quorum(index, entry, core)
            ledger.entries.append(entry)
            ledger.terms.append(core.term)
            if entry.kind == EntryKind.CONFIG:
                self._config(index, membership.decode(entry.data))
            if entry.term < core.term:
                self._probes.hit("old-term entry committed")
            for call in self.on_commit:
                call(index, entry, self._entries[index, entry.term][2])
        if core.role is Role.LEADER and ledger.last == seen.handed and committed[-1][1].term != core.term:
            raise Violation(
                "own term commits", f"node {node} of term {core.term} committed up to {seen.handed}, all of older terms"
            )
        self._trace.add((self._timeline.now, Kind.COMMIT, node, 0, (first, seen.handed), 0.0))

    def _config(self, index: int, config: Config) -> None:
        """A configuration is committed."""
        before = self.configs[-1][1] if self.configs else None
        self.configs.append((index, config))
        self._probes.hit("configuration changed")
        self._probes.hit("learner promoted", bool(before and set(before.learners) & set(config.voters)))

    def _check_quorum(self, index: int, entry: Entry, core: Raft) -> None:
        """An entry counts as committed for the first time: a quorum must have it on disk."""
        holders = [
            node
            for node, seen in self.seen.items()
            for durable in (seen.durable, seen.ghost)
            if len(durable) >= index and durable[index - 1] == entry.term
        ]
        # A configuration may have been appended after the commit index moved, within the same step.
        if not any(has_quorum(config, holders) for _, config in core.configs[-3:]):
            raise Violation(
                "durable before committed",
                f"entry {index} of term {entry.term} is taken for committed but only nodes {holders} have it on disk",
            )

    # --------------------------------------------------------------------------------------------- what leaves

    def sent(self, node: int, to: int, messages: list[Any]) -> None:
        """These messages leave `node`: what they tell is promised."""
        seen = self.seen[node]
        for message in messages:
            kind = type(message)
            if kind is AppendReply:
                if message.ok and message.index > seen.acked.get(message.term, 0):
                    seen.acked[message.term] = message.index
                seen.told_term = max(seen.told_term, message.term)
            elif kind is Append:
                if message.term > seen.told_term:
                    seen.told_term = message.term
            elif kind is VoteReply:
                if message.granted and not message.pre:
                    self._vote(node, seen, message.term, to)
                if not (message.pre and message.granted):
                    seen.told_term = max(seen.told_term, message.term)
            elif kind is Vote:
                if not message.pre:
                    self._vote(node, seen, message.term, node)
                    seen.told_term = max(seen.told_term, message.term)
            elif kind is SnapshotReply and message.index > seen.acked.get(message.term, 0):
                seen.acked[message.term] = message.index

    def _vote(self, node: int, seen: _Seen, term: int, candidate: int) -> None:
        if seen.votes.setdefault(term, candidate) != candidate:
            raise Violation(
                "election safety",
                f"node {node} voted for {candidate} in term {term}, and before for {seen.votes[term]}",
            )

    # ---------------------------------------------------------------------------------------------------- disk

    def disk_taken(self, node: int) -> int:
        """A disk batch is handed out: how many of the node's pending records it holds at most."""
        return len(self.seen[node].pending)

    def disk_done(self, node: int, records: int) -> None:
        """The first `records` pending records are durable."""
        seen = self.seen[node]
        durable = seen.durable
        for first, terms in seen.pending[:records]:
            if first:
                del durable[first - 1 :]
                durable.extend(terms)
            else:
                seen.durable = durable = list(terms)
        del seen.pending[:records]

    # ------------------------------------------------------------------------------------------------- crashes

    def joined(self, node: int) -> None:
        """A node that has never been seen."""
        self.seen[node] = _Seen()

    def wiped(self, node: int) -> None:
        """A node has lost its disk: it is not held to what it promised, but to its votes, since it must never vote again."""
        before = self.seen[node]
        seen = self.seen[node] = _Seen()
        seen.votes, seen.ghost = before.votes, before.durable  # what it had acknowledged may have been counted

    def recovered(self, node: int, core: Raft) -> None:
        """A node was opened after a crash: nothing durable or promised may be missing."""
        seen = self.seen[node]
        self.check_image(node, core)
        log, ledger = core.log, self.ledger
        seen.log = [entry.term for entry in ledger.entries[: log.offset]] + [entry.term for entry in log.entries]
        seen.durable = list(seen.log)
        seen.pending.clear()
        seen.handed = core.handed_out
        seen.role, seen.term = core.role, core.term
        if log.offset:
            self._probes.hit("recovered from snapshot")

    def check_image(self, node: int, core: Raft) -> None:
        """`core` was recovered from what is durable at `node`: compare it with what the node has promised."""
        seen, ledger = self.seen[node], self.ledger
        if core.term < seen.told_term:
            raise Violation(
                "durable before acknowledged",
                f"node {node} told of term {seen.told_term} and recovers term {core.term}",
            )
        voted = seen.votes.get(core.term)
        if voted is not None and core.vote != voted:
            raise Violation(
                "durable before acknowledged",
                f"node {node} voted for {voted} in term {core.term} and recovers a vote for {core.vote}",
            )
        if core.log.offset > ledger.last:
            raise Violation("state-machine safety", f"node {node} recovers a snapshot that was never committed")
        for index in range(core.log.offset + 1, min(len(seen.durable), ledger.last) + 1):
            if seen.durable[index - 1] == ledger.term(index) and core.log.term(index) != ledger.term(index):
                raise Violation("committed never lost", f"node {node} had committed entry {index} on disk and lost it")
        for term, acked in seen.acked.items():
            for index in range(min(acked, ledger.last), core.log.offset, -1):
                if ledger.terms[index - 1] <= term:
                    if core.log.term(index) != ledger.term(index):
                        raise Violation(
                            "durable before acknowledged",
                            f"node {node} acknowledged entry {index} to the leader of term {term} and does not recover it",
                        )
                    break  # by log matching, what precedes it is there too
