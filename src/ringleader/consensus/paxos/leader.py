"""The distinguished proposer: phase 1 once per leadership, over all open slots; then one value after the other in phase 2.

"Paxos Made Simple", section 3. A leader goes through stages, and `proceed` takes it as far as it can get at the moment:

1. *Promises.* It has the promises of a phase-1 quorum of the configuration that decides about the next slot.
2. *Catching up.* It knows everything that anyone who promised knew to be chosen (`learner`); else it goes back to 1, for there
   may be another configuration by then.
3. *Recovery.* It proposes again, in its own ballot, what may have been chosen in the open slots (`recovery`), holes filled. If
   that ends with a configuration entry, it waits until that is chosen, and goes back to 1 for the slots above.
4. *Open.* Behind all that it puts an entry of its own, born in its ballot, and takes proposals from then on.

A change of configuration while it leads is the same in small: the entry is proposed, everything after it is held back until it
is chosen and the new configuration's quorum has promised (sealing, see `membership`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ringleader.consensus.paxos import learner
from ringleader.consensus.paxos.messages import Prepare, Promise, Run
from ringleader.consensus.paxos.progress import Progress
from ringleader.consensus.paxos.quorum import has_phase1
from ringleader.consensus.paxos.recovery import Found, gather, recovered
from ringleader.consensus.shape import CANDIDATE, CONFIG, LEADER, NOOP, Config, Entry, EntryKind

if TYPE_CHECKING:
    from ringleader.consensus.paxos.core import Paxos

__all__ = [
    "Leadership",
    "ask_for_promises",
    "begin",
    "follow_members",
    "hold_or_propose",
    "on_promise",
    "open_slots",
    "proceed",
    "propose_entries",
    "won",
]

OPEN = 1 << 20
"""Most slots that a member can have open above what it knows to be chosen: more than windows and queues hold."""


class Leadership:
    """What a candidate or leader knows in its `ballot`; forgotten with it.

    `promised`: who has promised, with a complete report. `rest`: where the reports of the others go on. `found`: all
    reports merged. `knew`: up to where each one knew the log. `told`, `best`, `best_member`: from the reports: up to where
    all is chosen; up to where it is known, by whom.
    `last`: the last slot proposed in this ballot (until the first: what is known to be chosen). `durable`: up to here the
    own copy is on disk. `open`: recovered; takes proposals. `barrier`: the slot of the leader's own first entry under the
    configuration in force. `sealed`: the slot of a configuration entry proposed in this ballot that has not come into force;
    0: none. `held`: entries held back by it. `moved_at`: when it last came any further.
    """

    __slots__ = (
        "ballot",
        "barrier",
        "best",
        "best_member",
        "durable",
        "forced",
        "found",
        "handed_over",
        "heartbeat_due",
        "held",
        "knew",
        "last",
        "leaving",
        "moved_at",
        "open",
        "progress",
        "promise_record",
        "promised",
        "rest",
        "sealed",
        "told",
        "transfer_until",
        "transferee",
    )

    def __init__(self, ballot: int, commit: int, now: float, *, forced: bool) -> None:
        self.ballot = ballot
        self.forced = forced
        self.promise_record = 0  # of the own promise
        self.promised: set[int] = set()
        self.rest: dict[int, int] = {}
        self.knew: dict[int, int] = {}
        self.found: Found = {}
        self.told = self.best = commit
        self.best_member = 0
        self.last = self.durable = commit
        self.open = False
        self.barrier = 0
        self.sealed = 0
        self.held: list[Entry] = []
        self.moved_at = now
        self.progress: dict[int, Progress] = {}
        self.heartbeat_due = now
        self.transferee = 0
        self.transfer_until = 0.0
        self.leaving = False  # it was removed and hands over; nothing can keep it in its place
        self.handed_over = False  # an order to take over has left in this ballot


# --------------------------------------------------------------------------------------------------- phase 1


def begin(paxos: Paxos, ballot: int, *, forced: bool) -> None:
    """Stand for election in `ballot`: promise it oneself, and ask all voters for theirs."""
    paxos.give_up_leading()
    paxos.role = CANDIDATE
    paxos.leader = 0
    paxos.out.changed = True
    lead = Leadership(ballot, paxos.commit, paxos.now, forced=forced)
    paxos.save_promise(ballot)  # before a Prepare leaves: a ballot is used once, crash or no crash
    lead.promise_record = paxos.emitted
    lead.told = paxos.acceptor.told
    lead.heartbeat_due += paxos.options.heartbeat
    gather(lead.found, open_slots(paxos)[0], ballot)
    paxos.lead = lead
    ask_for_promises(paxos, paxos.chosen_config)
    paxos.own_promise_durable()


def open_slots(paxos: Paxos, first: int = 0, room: int = 1 << 62) -> tuple[list[Run], int]:
    """What is accepted here and not known to be chosen, from slot `first` on, of about `room` bytes; and where the rest
    begins, 0: there is no more.
    """
    return paxos.log.runs(max(first, paxos.commit + 1), room)


def ask_for_promises(paxos: Paxos, config: Config) -> None:
    """Ask every voter of `config` that has not promised, for all slots from the first open one on."""
    lead = paxos.lead
    assert lead is not None
    for member in config.voters:
        if member != paxos.id and member not in lead.promised:
            first = lead.rest.get(member, paxos.commit + 1)
            paxos.send(member, Prepare(lead.ballot, first, lead.forced), lead.promise_record)


def on_promise(paxos: Paxos, sender: int, message: Promise) -> None:
    """Count a promise, and keep what it reports; one that reports what cannot be is not counted."""
    lead = paxos.lead
    if lead is None or message.ballot != lead.ballot or sender in lead.promised:
        return
    if any(not message.commit < run.first <= message.commit + OPEN for run in message.runs):
        return
    expected = lead.rest.get(sender, 0)
    if expected and message.more and message.more <= expected:
        return  # said already
    if not lead.open:
        gather(lead.found, message.runs, lead.ballot)
        lead.told = max(lead.told, message.told)
        if message.commit > lead.best:
            lead.best, lead.best_member = message.commit, sender
    lead.knew[sender] = message.commit
    lead.moved_at = paxos.now
    peer = lead.progress.get(sender)
    if peer is not None:
        peer.heard, peer.answered = paxos.now, True
        _learn_place(peer, message.commit)
    if message.more:
        lead.rest[sender] = message.more
        paxos.send(sender, Prepare(lead.ballot, message.more, lead.forced), lead.promise_record)
        return
    lead.rest.pop(sender, None)
    lead.promised.add(sender)
    proceed(paxos)


def _learn_place(peer: Progress, upto: int) -> None:
    """The member knows the log up to `upto`: it need not be asked where it stands."""
    if not peer.known:
        peer.known = True
        peer.match = max(peer.match, upto)
        peer.go_back()


def won(paxos: Paxos) -> bool:
    """Whether a phase-1 quorum of the configuration that decides about the next slot has promised."""
    lead = paxos.lead
    assert lead is not None
    return has_phase1(paxos.chosen_config.voters, lead.promised, paxos.options.phase2)


# --------------------------------------------------------------------------------------------------- stages


def proceed(paxos: Paxos) -> None:
    """Go through the stages as far as possible; call it whenever something that they wait for may have happened."""
    lead = paxos.lead
    if lead is None or (lead.open and not lead.sealed) or paxos.commit < lead.sealed:
        return
    if not won(paxos):
        return
    if paxos.role is not LEADER:
        _become_leader(paxos, lead)
    if paxos.commit < lead.best:
        learner.ask(paxos, lead.best_member)
        return
    lead.sealed = 0
    if lead.open:
        _into_force(paxos, lead)
    else:
        _recover(paxos, lead)


def _become_leader(paxos: Paxos, lead: Leadership) -> None:
    paxos.role = LEADER
    paxos.leader = paxos.id
    paxos.out.changed = True
    paxos.reads.reset()
    lead.moved_at = paxos.now
    lead.heartbeat_due = paxos.now + paxos.options.heartbeat
    follow_members(paxos)


def _recover(paxos: Paxos, lead: Leadership) -> None:
    """Stages 3 and 4."""
    lead.last = lead.durable = paxos.commit
    lead.moved_at = paxos.now
    lead.found = {slot: item for slot, item in lead.found.items() if slot > paxos.commit}
    entries = recovered(lead.found, paxos.commit, paxos.log.birth(paxos.commit), lead.told)
    if entries and entries[-1].kind == CONFIG:
        propose_entries(paxos, entries)
        lead.sealed = lead.last
        ask_for_promises(paxos, paxos.config)
        return
    lead.open = True
    lead.found = {}
    propose_entries(paxos, [*entries, Entry(lead.ballot, int(NOOP), b"")])
    lead.barrier = lead.last


def _into_force(paxos: Paxos, lead: Leadership) -> None:
    """The configuration entry is chosen and the new quorum has promised: what was held back is proposed under it.

    Nothing accepted earlier above the entry is open: the entry was born in this ballot, so no earlier leader proposed there
    under the new configuration, and the old one's phase 1 found nothing there.
    """
    held, lead.held = lead.held, []
    lead.moved_at = paxos.now
    propose_entries(paxos, [Entry(lead.ballot, int(NOOP), b""), *held])
    lead.barrier = lead.last - len(held)


# --------------------------------------------------------------------------------------------------- phase 2


def hold_or_propose(paxos: Paxos, data: Sequence[bytes], kind: EntryKind) -> int:
    """Propose in the next slots, or as soon as the configuration that is being chosen is in force; returns the first slot."""
    lead = paxos.lead
    assert lead is not None
    entries = [Entry(lead.ballot, int(kind), item) for item in data]
    if not lead.sealed:
        propose_entries(paxos, entries)
        return lead.last - len(entries) + 1
    lead.held += entries
    return lead.last + 1 + len(lead.held) - len(entries) + 1  # behind the entry that begins the new configuration


def propose_entries(paxos: Paxos, entries: list[Entry]) -> None:
    """Phase 2a: the leader accepts them itself, and sends them to the others at the end of the turn."""
    lead = paxos.lead
    assert lead is not None
    first = lead.last + 1
    lead.last += len(entries)
    paxos.accept(first, entries)


def follow_members(paxos: Paxos) -> None:
    """Keep what is known of each member of the configurations in force and proposed.

    Who has left stays until the change is settled, so that it hears of it.
    """
    lead = paxos.lead
    if lead is None or paxos.role is not LEADER:
        return
    members = {*paxos.chosen_config.members(), *paxos.config.members()} - {paxos.id}
    for member in members:
        if member not in lead.progress:
            peer = lead.progress[member] = Progress(paxos.now)
            if member in lead.knew:
                _learn_place(peer, lead.knew[member])
    if paxos.config_settled:
        for member in [member for member in lead.progress if member not in members]:
            del lead.progress[member]
