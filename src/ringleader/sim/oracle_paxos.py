"""What Paxos promises beyond what every protocol does, checked at every step from outside.

The oracle keeps the history of all acceptances that have become durable: who accepted which value in which slot and ballot.
From that alone it knows what is chosen. It holds:

* one value a ballot: in one slot nobody accepts two values in the same ballot, whoever asks for it;
* chosen stays chosen: once a phase-2 quorum has accepted a value in a ballot, no other is accepted in a later one (P2 in
  "Paxos Made Simple");
* promises are kept: nobody accepts below what it has promised in a message, whatever it forgot in a crash;
* durable before committed: what a node takes for committed has been accepted, durably, by a phase-2 quorum in one ballot;
* durable before acknowledged: after a crash a node still has each promise and each acceptance that its messages told of;
* a ballot belongs to one member, which alone leads in it, and which holds all that was committed in lower ones once it leads;
* sealing: nothing is proposed above a configuration before that is chosen.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ringleader.consensus.paxos import Paxos
from ringleader.consensus.paxos.ballot import ballot_word, owner
from ringleader.consensus.paxos.messages import Accept, Accepted, Prepare, Promise, TakeOver
from ringleader.consensus.paxos.quorum import has_phase2
from ringleader.consensus.paxos.records import ACCEPT, CHOSEN
from ringleader.consensus.shape import Config, Entry, EntryKind, Output, Record, decode_config
from ringleader.sim.oracle import Oracle, Seen
from ringleader.sim.probes import Probes
from ringleader.sim.timeline import Timeline
from ringleader.sim.trace import Trace
from ringleader.sim.violation import Violation

__all__ = ["PaxosOracle"]

_decode_accept = msgspec.msgpack.Decoder(tuple[int, int, int, list[Entry]]).decode
_decode_chosen = msgspec.msgpack.Decoder(tuple[int, list[Entry]]).decode


class _Acceptance:
    """A value in one slot and ballot, and who has accepted it durably."""

    __slots__ = ("entry", "nodes")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.nodes: set[int] = set()


class PaxosSeen(Seen):
    """Beside what `Seen` holds: `promised`: the highest ballot that its messages promised. `acked`: the ballot that it
    acknowledged last, and the slots up to which it did. `slots`: slot -> the ballot in which its records accept a value.
    `pending`: acceptances (ballot, first, last) handed to the disk but not yet durable. `led`: the ballot in which it has
    been found complete. `held`: how many entries it holds back.
    """

    __slots__ = ("acked", "held", "led", "pending", "promised", "slots")

    def __init__(self) -> None:
        super().__init__()
        self.promised = 0
        self.acked = (0, 0)
        self.slots: dict[int, int] = {}
        self.pending: list[tuple[int, int, int]] = []
        self.led = 0
        self.held = 0


class PaxosOracle(Oracle[PaxosSeen, Paxos]):
    """Checks one Paxos group."""

    seen_class = PaxosSeen

    def __init__(self, nodes: list[int], timeline: Timeline, trace: Trace, probes: Probes) -> None:
        super().__init__(nodes, timeline, trace, probes)
        self._founders = Config(tuple(nodes))
        self._phase2 = 0
        self._accepted: dict[int, dict[int, _Acceptance]] = {}  # slot -> ballot
        self._chosen: dict[
            int, tuple[int, Entry]
        ] = {}  # slot -> the lowest ballot known to have chosen it, and the value
        self._seals: dict[int, list[int]] = {}  # ballot -> slots in which it proposes a configuration
        self._first: dict[tuple[int, int, bytes], float] = {}  # (slot, birth, data) -> when a node first had it

    # ------------------------------------------------------------------------------------------------- records

    def output(self, node: int, core: Paxos, out: Output) -> None:
        """See `Oracle.output`; beside that, who begins to lead must be complete."""
        self._phase2 = core.options.phase2
        super().output(node, core, out)
        seen = self.seen[node]
        if core.leads and seen.led != core.term:
            seen.led = core.term
            self._complete(node, core)
        held = core.lead.held if core.lead is not None else []
        if held:
            self._held(seen, held, core.last_index)
        seen.held = len(held)

    def _held(self, seen: PaxosSeen, held: list[Entry], last: int) -> None:
        """What is held back while a configuration is being chosen exists from then on, though nobody has written it."""
        for place in range(seen.held, len(held)):
            entry = held[place]
            self._first.setdefault((last - len(held) + 1 + place, entry.term, entry.data), self._timeline.now)

    def _records(self, node: int, seen: PaxosSeen, records: list[Record]) -> None:
        for record in records:
            if record.kind == ACCEPT:
                ballot, first, _, entries = _decode_accept(record.payload)
                if ballot < seen.promised:
                    raise Violation(
                        "promises kept",
                        f"node {node} promised ballot {ballot_word(seen.promised)} and accepts in {ballot_word(ballot)}",
                    )
                self._accepting(node, seen, ballot, first, entries)
                seen.pending.append((ballot, first, first + len(entries) - 1))
            elif record.kind == CHOSEN:
                first, entries = _decode_chosen(record.payload)
                for slot, entry in enumerate(entries, first):
                    self._learnt(node, slot, entry)

    def _accepting(self, node: int, seen: PaxosSeen, ballot: int, first: int, entries: list[Entry]) -> None:
        now = self._timeline.now
        last = first + len(entries) - 1
        for seal in self._seals.get(ballot, ()):
            if seal < last and seal not in self._chosen:
                raise Violation(
                    "sealing", f"node {node} accepts slot {last} above a configuration in {seal} that is not chosen"
                )
        for slot, entry in enumerate(entries, first):
            accepted = self._accepted.setdefault(slot, {})
            known = accepted.get(ballot)
            if known is None:
                accepted[ballot] = _Acceptance(entry)
                self._first.setdefault((slot, entry.term, entry.data), now)
                if entry.kind == EntryKind.CONFIG:
                    self._proposed_config(ballot, slot, entry)
                self._check_chosen(node, slot, ballot, entry)
            elif not _same(known.entry, entry):
                raise Violation(
                    "one value a ballot",
                    f"slot {slot} has two values in ballot {ballot_word(ballot)}; one is of node {node}",
                )
            before = accepted.get(seen.slots.get(slot, ballot))
            self._probes.hit("entries overwritten", before is not None and not _same(before.entry, entry))
            seen.slots[slot] = ballot

    def _proposed_config(self, ballot: int, slot: int, entry: Entry) -> None:
        self._seals.setdefault(ballot, []).append(slot)
        if entry.term == ballot:
            self._probes.hit("leader removed", not decode_config(entry.data).votes(owner(ballot)))

    def _check_chosen(self, node: int, slot: int, ballot: int, entry: Entry) -> None:
        chosen = self._chosen.get(slot)
        if chosen is not None and ballot > chosen[0] and not _same(chosen[1], entry):
            raise Violation(
                "chosen stays chosen",
                f"node {node} accepts another value in slot {slot}, ballot {ballot_word(ballot)}, "
                f"than ballot {ballot_word(chosen[0])} had chosen",
            )

    def _learnt(self, node: int, slot: int, entry: Entry) -> None:
        chosen = self._chosen.get(slot)
        if chosen is None or not _same(chosen[1], entry):
            raise Violation("state-machine safety", f"node {node} learnt a value in slot {slot} that was never chosen")

    # --------------------------------------------------------------------------------------- leaders and commits

    def _elected(self, node: int, core: Paxos) -> None:
        if owner(core.term) != node:
            raise Violation(
                "election safety", f"node {node} leads in ballot {ballot_word(core.term)}, which is not its own"
            )

    def _complete(self, node: int, core: Paxos) -> None:
        log = core.acceptor.log
        for index in range(log.first, self._before_term(core.term) + 1):
            if index > log.last or not _same(log.at(index), self.ledger.entries[index - 1]):
                raise Violation(
                    "leader completeness",
                    f"node {node} leads ballot {ballot_word(core.term)} without committed entry {index}",
                )

    def _check_quorum(self, index: int, entry: Entry, core: Paxos) -> None:
        chosen = self._chosen.get(index)
        if chosen is None or not _same(chosen[1], entry):
            holders = {
                ballot_word(ballot): sorted(found.nodes) for ballot, found in self._accepted.get(index, {}).items()
            }
            raise Violation(
                "durable before committed",
                f"entry {index} born in {ballot_word(entry.term)} is taken for committed; accepted, by ballot: {holders}",
            )

    def _first_written(self, index: int, entry: Entry) -> float:
        return self._first[index, entry.term, entry.data]

    def _config_for(self, slot: int, ballot: int) -> Config:
        """Who decides `slot` in `ballot`: the members after the last configuration below it.

        Not one in whose slot the ballot has proposed something else: its leader knows nothing of that configuration, and
        steps down when it learns of it, so it never counts what its new members had accepted before they became members.
        """
        for at, config in reversed(self.configs):
            if at < slot:
                proposed = self._accepted.get(at, {}).get(ballot)
                if proposed is None or _same(proposed.entry, self.ledger.entries[at - 1]):
                    return config
        return self._founders

    # --------------------------------------------------------------------------------------------- what leaves

    def sent(self, node: int, to: int, messages: list[Any]) -> None:
        """See `Oracle.sent`."""
        seen = self.seen[node]
        for message in messages:
            kind = type(message)
            if kind is Accepted:
                seen.promised = max(seen.promised, message.ballot)
                if (message.ballot, message.upto) > seen.acked:
                    seen.acked = (message.ballot, message.upto)
            elif kind is Promise:
                seen.promised = max(seen.promised, message.ballot)
            elif kind is TakeOver:
                self._probes.hit("leadership handed over")
            elif (kind is Accept or kind is Prepare) and owner(message.ballot) != node:
                raise Violation(
                    "election safety",
                    f"node {node} speaks in ballot {ballot_word(message.ballot)}, which is not its own",
                )

    # ---------------------------------------------------------------------------------------------------- disk

    def disk_taken(self, node: int) -> int:
        """See `Oracle.disk_taken`."""
        return len(self.seen[node].pending)

    def disk_done(self, node: int, records: int) -> None:
        """See `Oracle.disk_done`."""
        seen = self.seen[node]
        for ballot, first, last in seen.pending[:records]:
            for slot in range(first, last + 1):
                self._durable(node, slot, ballot)
        del seen.pending[:records]

    def _durable(self, node: int, slot: int, ballot: int) -> None:
        accepted = self._accepted[slot]
        found = accepted[ballot]
        found.nodes.add(node)
        chosen = self._chosen.get(slot)
        if chosen is not None and chosen[0] <= ballot:
            return
        if has_phase2(self._config_for(slot, ballot).voters, found.nodes, self._phase2):
            if chosen is not None and not _same(chosen[1], found.entry):
                raise Violation(
                    "chosen stays chosen", f"two values are chosen in slot {slot}: one in ballot {ballot_word(ballot)}"
                )
            self._chosen[slot] = (ballot, found.entry)
            for later, each in accepted.items():
                if later > ballot and not _same(each.entry, found.entry):
                    raise Violation(
                        "chosen stays chosen",
                        f"slot {slot} is chosen in ballot {ballot_word(ballot)}, and {ballot_word(later)} has another value",
                    )

    # ------------------------------------------------------------------------------------------------- crashes

    def wiped(self, node: int) -> None:
        """See `Oracle.wiped`; what it had accepted may have been counted, and stays."""
        self.seen[node] = PaxosSeen()

    def _recovered(self, node: int, seen: PaxosSeen, core: Paxos) -> None:
        log = core.acceptor.log
        seen.slots = {slot: log.ballot(slot) for slot in range(log.first, log.last + 1) if log.ballot(slot)}
        for slot, ballot in seen.slots.items():  # records that were not known durable may be on the disk all the same
            found = self._accepted.get(slot, {}).get(ballot)
            if found is not None and _same(found.entry, log.at(slot)):
                self._durable(node, slot, ballot)
        seen.pending.clear()
        seen.handed = core.handed_out
        seen.led = 0

    def check_image(self, node: int, core: Paxos) -> None:
        """See `Oracle.check_image`."""
        seen, ledger, log = self.seen[node], self.ledger, core.acceptor.log
        if core.term < seen.promised:
            raise Violation(
                "durable before acknowledged",
                f"node {node} promised ballot {ballot_word(seen.promised)} and recovers one of {ballot_word(core.term)}",
            )
        if log.offset > ledger.last:
            raise Violation("state-machine safety", f"node {node} recovers a snapshot that was never committed")
        ballot, upto = seen.acked
        for slot in range(log.first, upto + 1):
            held = log.ballot(slot)
            if held < ballot and not self._known(slot, log.at(slot) if slot <= log.last else None):
                raise Violation(
                    "durable before acknowledged",
                    f"node {node} acknowledged slot {slot} in ballot {ballot_word(ballot)} "
                    f"and recovers what it held in {ballot_word(held)}",
                )

    def _known(self, slot: int, entry: Entry | None) -> bool:
        """Whether that is what was chosen in `slot`."""
        chosen = self._chosen.get(slot)
        return entry is not None and chosen is not None and _same(chosen[1], entry)


def _same(one: Entry, other: Entry) -> bool:
    return one is other or (one.term == other.term and one.kind == other.kind and one.data == other.data)
