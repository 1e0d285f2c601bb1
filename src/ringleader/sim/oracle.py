"""The all-seeing observer: what a consensus group must never do, checked at every step from outside.

The oracle sees every output of every core, every message that leaves a node and every batch that a disk has made durable,
and keeps a ledger of what was ever committed. Nodes know nothing of it. Here stands what holds for every protocol:

* one leader a term (or ballot), and no node goes back to an earlier one;
* state-machine safety: all nodes are handed the same entries, in order, each once between two starts;
* the terms of entries never decrease along the log;
* snapshots stand for what was committed, with the configuration in force there.

What a protocol promises beyond that, above all what must be on which disks, stands in `sim.oracle_raft` and
`sim.oracle_paxos`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ringleader.consensus.shape import (
    Config,
    Entry,
    EntryKind,
    Output,
    Record,
    ReplicatedLog,
    Role,
    SnapshotMeta,
    decode_config,
)
from ringleader.sim.probes import Probes
from ringleader.sim.terms import term_word
from ringleader.sim.timeline import Timeline
from ringleader.sim.trace import Kind, Trace
from ringleader.sim.violation import Violation

__all__ = ["Ledger", "Oracle", "Seen"]


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


class Seen:
    """What the oracle knows of one node. `handed`: the last index handed out as committed."""

    __slots__ = ("handed", "role", "term")

    def __init__(self) -> None:
        self.handed = 0
        self.role = Role.FOLLOWER
        self.term = 0


S = TypeVar("S", bound=Seen)
C = TypeVar("C", bound=ReplicatedLog)


class Oracle(Generic[S, C]):
    """Checks one group. Every method raises `Violation` when an invariant is broken.

    A protocol's own oracle says what it knows of a node (`seen_class`) and fills in the methods at the end.
    """

    seen_class: type[S]

    def __init__(self, nodes: list[int], timeline: Timeline, trace: Trace, probes: Probes) -> None:
        self.ledger = Ledger()
        self.leaders: dict[int, int] = {}
        self.seen: dict[int, S] = {node: self.seen_class() for node in nodes}
        self.configs: list[tuple[int, Config]] = []  # those that were committed, and where
        # Called with (index, entry, time at which some node first wrote it) at its commit.
        self.on_commit: list[Callable[[int, Entry, float], None]] = []
        self._timeline = timeline
        self._trace = trace
        self._probes = probes

    # ----------------------------------------------------------------------------------------------- core output

    def output(self, node: int, core: C, out: Output) -> None:
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

    def _standing(self, node: int, seen: S, core: C) -> None:
        if core.term < seen.term:
            raise Violation(
                "term monotone", f"node {node} went back from term {term_word(seen.term)} to {term_word(core.term)}"
            )
        if core.role is Role.LEADER:
            if self.leaders.setdefault(core.term, node) != node:
                raise Violation(
                    "election safety",
                    f"nodes {self.leaders[core.term]} and {node} both lead term {term_word(core.term)}",
                )
            if seen.role is not Role.LEADER or seen.term != core.term:
                self._probes.hit("leader elected")
                if any(other != node and known.role is Role.LEADER for other, known in self.seen.items()):
                    self._probes.hit("two leaders at once")
                self._elected(node, core)
        elif seen.role is Role.LEADER:
            self._probes.hit("leader deposed")
        seen.role, seen.term = core.role, core.term
        text = f"is {core.role.name.lower()} of term {term_word(core.term)}"
        text += f", leader n{core.leader}" if core.leader else ""
        self._trace.add((self._timeline.now, Kind.ROLE, node, 0, text, 0.0))

    def _before_term(self, term: int) -> int:
        """The last entry that is known to have been committed in a term before this one."""
        index = self.ledger.last
        while index and self.ledger.terms[index - 1] >= term:
            index -= 1
        return index

    def _install(self, node: int, seen: S, meta: SnapshotMeta) -> None:
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

    def _committed(self, node: int, seen: S, core: C, committed: list[tuple[int, Entry]]) -> None:
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
                        f"node {node} committed entry {index} of term {term_word(entry.term)}, "
                        f"another one of term {term_word(known.term)}",
                    )
                if core.term < ledger.terms[index - 1]:
                    ledger.terms[index - 1] = core.term
                continue
            self._check_quorum(index, entry, core)
            if ledger.entries and entry.term < ledger.entries[-1].term:
                raise Violation("terms along the log", f"terms go back at the committed entry {index}")
            ledger.entries.append(entry)
            ledger.terms.append(core.term)
            if entry.kind == EntryKind.CONFIG:
                self._config(index, decode_config(entry.data))
            if entry.term < core.term:
                self._probes.hit("old-term entry committed")
            born = self._first_written(index, entry)
            for call in self.on_commit:
                call(index, entry, born)
        self._committed_up_to(node, core, committed[-1])
        self._trace.add((self._timeline.now, Kind.COMMIT, node, 0, (first, seen.handed), 0.0))

    def _config(self, index: int, config: Config) -> None:
        """A configuration is committed."""
        before = self.configs[-1][1] if self.configs else None
        self.configs.append((index, config))
        self._probes.hit("configuration changed")
        self._probes.hit("learner promoted", bool(before and set(before.learners) & set(config.voters)))

    # ------------------------------------------------------------------------------------------------- crashes

    def joined(self, node: int) -> None:
        """A node that has never been seen."""
        self.seen[node] = self.seen_class()

    def recovered(self, node: int, core: C) -> None:
        """A node was opened after a crash: nothing durable or promised may be missing."""
        seen = self.seen[node]
        self.check_image(node, core)
        if core.first_index > 1:
            self._probes.hit("recovered from snapshot")
        self._recovered(node, seen, core)
        seen.role, seen.term = core.role, core.term

    # ------------------------------------------------------------------------------- what a protocol has to say

    def _records(self, node: int, seen: S, records: list[Record]) -> None:
        """Records are on their way to the disk."""
        raise NotImplementedError

    def _elected(self, node: int, core: C) -> None:
        """A node leads from now on: it must hold what earlier leaders have committed."""
        raise NotImplementedError

    def _check_quorum(self, index: int, entry: Entry, core: C) -> None:
        """An entry counts as committed for the first time: enough nodes must have it on disk."""
        raise NotImplementedError

    def _committed_up_to(self, node: int, core: C, last: tuple[int, Entry]) -> None:
        """A node was handed entries up to `last`."""

    def _first_written(self, index: int, entry: Entry) -> float:
        """When a node first wrote this entry."""
        raise NotImplementedError

    def sent(self, node: int, to: int, messages: list[Any]) -> None:
        """These messages leave `node`: what they tell is promised."""
        raise NotImplementedError

    def disk_taken(self, node: int) -> int:
        """A disk batch is handed out: how many of the node's pending records it holds at most."""
        raise NotImplementedError

    def disk_done(self, node: int, records: int) -> None:
        """The first `records` pending records are durable."""
        raise NotImplementedError

    def wiped(self, node: int) -> None:
        """A node has lost its disk: it is not held to what it promised, except never to promise anything else."""
        raise NotImplementedError

    def _recovered(self, node: int, seen: S, core: C) -> None:
        """Begin anew with what a node has found on its disk."""
        raise NotImplementedError

    def check_image(self, node: int, core: C) -> None:
        """`core` was recovered from what is durable at `node`: compare it with what the node has promised."""
        raise NotImplementedError
