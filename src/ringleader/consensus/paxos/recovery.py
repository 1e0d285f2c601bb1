"""What a new leader makes of the reports of phase 1: which values it must propose again, and what fills the holes.

For one slot the rule is P2c of "Paxos Made Simple" (section 2.2): propose the value of the highest ballot that the quorum has
accepted, for that may be chosen. A log has two orders beside it that hold across slots, and leaders keep them in whatever
they propose in one ballot. Call a log *orderly* when

1. births never decrease along it (`Entry.term`; `group.member` tells clients by it what is certainly lost), and
2. nothing stands above a configuration entry before that entry is known to be chosen (sealing, see `membership`).

Contradictory leftovers can break both: the log of slot-wise highest ballots need not be orderly. So the view is built from
the highest accepted ballot downwards, and keeps a value only if the view stays orderly; everything else becomes a hole.

**Nothing that may be chosen is lost by this.** Let A(b) be what the leader of ballot b holds: what it knew to be chosen, its
view, and what it proposed after that. A value is *open* in (s, b) if a phase-2 quorum has accepted it in slot s in ballot b,
or still can. Claim: a value open in (s, b) stands at s in A(c) for every c > b whose phase 1 covered s. By induction over c.
The phase-1 quorum of c promised c, so one of its members had accepted the value in b before it reported. The highest report
at s is then of some ballot d with b <= d < c; if d > b it is the same value, since it stands in A(d). So the value is among
the reports, and only the sieve could drop it: because it does not fit to one kept at a slot s', accepted in e >= b.

* e = b: both stand in A(b), which is orderly; they fit.
* e > b, and the phase 1 of e covered s: by induction both stand in A(e), which is orderly; they fit.
* e > b, and it did not: then a configuration entry at r < s, with s' <= r, came into force in between, and whoever proposed in
  s in b knew everything up to r to be chosen, the value at s' too. Both stand in A(b); they fit.

The same holds against the prefix that this leader knows to be chosen. So what is dropped is not open, and will never be chosen;
what is kept is orderly; a hole takes the birth of what stands before it; and the leader's own entries are born in c, above all
others (a leader that learns of a later birth gives up, see `learner`). So A(c) is orderly again.

(A log that is committed without holes would stay one log without order 2 as well: what such a leftover sits on cannot be
committed any more. But a slot could then count as chosen by a configuration that turns out not to decide about it.)

For order 2 the view must know which configuration entries were known to be chosen when something was proposed above them: the
reports carry `told` for that. Whoever accepted a slot above one has been told so by the same message.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from ringleader.consensus.paxos.messages import Run
from ringleader.consensus.shape import CONFIG, NOOP, Entry

__all__ = ["Found", "births_fit", "gather", "prefer", "recovered", "seals"]

Found = dict[int, tuple[int, Entry]]
"""Slot -> (ballot, entry): the report of the highest ballot so far."""


def prefer(reported: int, known: int) -> bool:
    """Whether a value accepted in ballot `reported` takes the place of one accepted in ballot `known` (P2c)."""
    return reported > known


def gather(found: Found, runs: Iterable[Run], below: int) -> None:
    """Add one member's report to `found`; what was accepted in `below` or later is not for this leader to recover."""
    for run in runs:
        if run.ballot >= below:
            continue
        for slot, entry in enumerate(run.entries, run.first):
            known = found.get(slot)
            if known is None or prefer(run.ballot, known[0]):
                found[slot] = (run.ballot, entry)


def births_fit(before: int, birth: int, after: int) -> bool:
    """Whether an entry born in `birth` may stand between entries born in `before` and `after`."""
    return before <= birth <= after


def seals(slot: int, entry: Entry, told: int) -> bool:
    """Whether nothing may stand above `entry` yet: a configuration that is not known to be chosen."""
    return entry.kind == CONFIG and slot > told


def recovered(found: Found, commit: int, birth: int, told: int) -> list[Entry]:
    """The entries to propose in the slots from `commit + 1` on, without holes, up to the first configuration entry.

    `birth`: of the entry at `commit`. `told`: all slots up to here are known to be chosen, by somebody.
    """
    kept: list[int] = []
    seal = 0  # the lowest kept configuration entry that is not known to be chosen
    order = sorted((slot for slot in found if slot > commit), key=lambda slot: (-found[slot][0], slot))
    for slot in order:
        entry = found[slot][1]
        place = bisect_left(kept, slot)
        before = found[kept[place - 1]][1].term if place else birth
        after = found[kept[place]][1].term if place < len(kept) else entry.term
        sealing = seals(slot, entry, told)
        if not births_fit(before, entry.term, after):
            continue
        if (seal and slot > seal) or (sealing and place < len(kept)):
            continue
        if sealing:
            seal = slot
        insort(kept, slot)
    return _without_holes(found, kept, commit, birth)


def _without_holes(found: Found, kept: list[int], commit: int, birth: int) -> list[Entry]:
    entries: list[Entry] = []
    for slot in kept:
        while commit + len(entries) + 1 < slot:
            entries.append(Entry(birth, int(NOOP), b""))
        entry = found[slot][1]
        entries.append(entry)
        birth = entry.term
        if entry.kind == CONFIG:
            break
    return entries
