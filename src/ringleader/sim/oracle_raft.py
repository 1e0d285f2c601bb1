"""What Raft promises beyond what every protocol does, checked at every step from outside (Raft figure 3, and more).

* election safety: no member votes for two candidates of a term, whatever it forgot in a crash;
* log matching: two entries of the same index and term are equal, and so is what precedes them;
* leader completeness: who leads a term holds everything that was committed in earlier ones;
* durable before committed: an entry is committed only when a quorum has it on disk;
* durable before acknowledged: after a crash a node still has every entry, term and vote that its messages told of;
* committed is never lost: nobody overwrites a committed entry;
* own term commits: a leader commits entries of older terms only together with one of its own (Raft section 5.4.2).
"""

from __future__ import annotations

from typing import Any

import msgspec

from ringleader.consensus.raft import Raft
from ringleader.consensus.raft.messages import Append, AppendReply, SnapshotReply, TimeoutNow, Vote, VoteReply
from ringleader.consensus.raft.quorum import has_quorum
from ringleader.consensus.raft.records import ENTRIES, RESET
from ringleader.consensus.shape import Entry, EntryKind, Record, Role, decode_config
from ringleader.sim.oracle import Oracle, Seen
from ringleader.sim.probes import Probes
from ringleader.sim.timeline import Timeline
from ringleader.sim.trace import Trace
from ringleader.sim.violation import Violation

__all__ = ["RaftOracle"]

_decode_entries = msgspec.msgpack.Decoder(tuple[int, list[Entry]]).decode
_decode_reset = msgspec.msgpack.Decoder(tuple[int, int]).decode


class RaftSeen(Seen):
    """Beside what `Seen` holds: `log`: terms of the entries that the node's records hold, index 1 first. `pending`: entry
    records handed to the disk but not yet durable. `durable`: as `log`, of what is on disk. `acked`: leader's term -> the
    highest index acknowledged to it. `ghost`: as `durable`, of what was on a disk that it has lost since.
    """

    __slots__ = ("acked", "durable", "ghost", "log", "pending", "told_term", "votes")

    def __init__(self) -> None:
        super().__init__()
        self.log: list[int] = []
        self.durable: list[int] = []
        self.pending: list[tuple[int, list[int]]] = []
        self.acked: dict[int, int] = {}
        self.votes: dict[int, int] = {}
        self.told_term = 0
        self.ghost: list[int] = []


class RaftOracle(Oracle[RaftSeen, Raft]):
    """Checks one Raft group."""

    seen_class = RaftSeen

    def __init__(self, nodes: list[int], timeline: Timeline, trace: Trace, probes: Probes) -> None:
        super().__init__(nodes, timeline, trace, probes)
        # (index, term) -> (term before, data, when a node first wrote it)
        self._entries: dict[tuple[int, int], tuple[int, bytes, float]] = {}

    # ------------------------------------------------------------------------------------------------- records

    def _records(self, node: int, seen: RaftSeen, records: list[Record]) -> None:
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

    def _appended(self, node: int, seen: RaftSeen, first: int, entries: list[Entry]) -> None:
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
                self._probes.hit("leader removed", not decode_config(entry.data).votes(node))

    # --------------------------------------------------------------------------------------- leaders and commits

    def _elected(self, node: int, core: Raft) -> None:
        index = self._before_term(core.term)  # what was committed in this term or later need not be here
        if index > core.log.offset and core.log.term(index) != self.ledger.term(index):
            raise Violation(
                "leader completeness", f"node {node} leads term {core.term} without committed entry {index}"
            )

    def _committed_up_to(self, node: int, core: Raft, last: tuple[int, Entry]) -> None:
        index, entry = last
        if core.role is Role.LEADER and self.ledger.last == index and entry.term != core.term:
            raise Violation(
                "own term commits", f"node {node} of term {core.term} committed up to {index}, all of older terms"
            )

    def _first_written(self, index: int, entry: Entry) -> float:
        return self._entries[index, entry.term][2]

    def _check_quorum(self, index: int, entry: Entry, core: Raft) -> None:
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
        """See `Oracle.sent`."""
        seen = self.seen[node]
        for message in messages:
            kind = type(message)
            if kind is TimeoutNow:
                self._probes.hit("leadership handed over")
            elif kind is AppendReply:
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

    def _vote(self, node: int, seen: RaftSeen, term: int, candidate: int) -> None:
        if seen.votes.setdefault(term, candidate) != candidate:
            raise Violation(
                "election safety",
                f"node {node} voted for {candidate} in term {term}, and before for {seen.votes[term]}",
            )

    # ---------------------------------------------------------------------------------------------------- disk

    def disk_taken(self, node: int) -> int:
        """See `Oracle.disk_taken`."""
        return len(self.seen[node].pending)

    def disk_done(self, node: int, records: int) -> None:
        """See `Oracle.disk_done`."""
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

    def wiped(self, node: int) -> None:
        """See `Oracle.wiped`: it is held to its votes."""
        before = self.seen[node]
        seen = self.seen[node] = RaftSeen()
        seen.votes, seen.ghost = before.votes, before.durable  # what it had acknowledged may have been counted

    def _recovered(self, node: int, seen: RaftSeen, core: Raft) -> None:
        log = core.log
        seen.log = [entry.term for entry in self.ledger.entries[: log.offset]] + [entry.term for entry in log.entries]
        seen.durable = list(seen.log)
        seen.pending.clear()
        seen.handed = core.handed_out

    def check_image(self, node: int, core: Raft) -> None:
        """See `Oracle.check_image`."""
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
