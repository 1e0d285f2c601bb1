"""Known ways to get Paxos wrong, each put into the code for a while by taking one safeguard out.

`BUGS`: name -> function that patches it in, given a `patch(object, attribute, replacement)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ringleader.consensus.paxos import (
    acceptance,
    acceptor,
    core,
    election,
    leader,
    quorum,
    reads,
    recovery,
    replication,
)
from ringleader.consensus.paxos.records import promise_record
from ringleader.consensus.shape import Entry

__all__ = ["BUGS", "Patch"]

Patch = Callable[[Any, str, Any], None]


def not_the_highest_ballot(patch: Patch) -> None:
    """P2c: the value of the *highest* ballot reported may be chosen, not that of the lowest."""
    patch(recovery, "prefer", lambda reported, known: reported < known)


def promise_forgotten_at_a_crash(patch: Patch) -> None:
    """A promise that is told but not written."""
    patch(core, "promise_record", lambda ballot, told, commit: promise_record(0, told, commit))


def quorums_that_do_not_meet(patch: Patch) -> None:
    """One too few promises."""
    patch(quorum, "phase1_size", lambda voters, phase2: max(voters - quorum.phase2_size(voters, phase2), 1))


def open_slots_skipped(patch: Patch) -> None:
    """A new leader begins with its own values."""
    patch(leader, "recovered", lambda found, commit, birth, told: [])


def read_without_confirming(patch: Patch) -> None:
    """A leader answers reads by its own belief that it leads."""
    patch(reads, "confirmed_round", lambda paxos: paxos.reads.number)


def births_in_any_order(patch: Patch) -> None:
    """The log of slot-wise highest ballots."""
    patch(recovery, "births_fit", lambda before, birth, after: True)


def counted_before_durable(patch: Patch) -> None:
    """The leader counts its own copy at once."""
    patch(replication, "own_accepted", lambda lead: lead.last)


def acknowledged_before_durable(patch: Patch) -> None:
    """An acceptor tells of what it has in memory."""
    send = core.Paxos.send

    def at_once(self: core.Paxos, to: int, message: Any, after: int) -> None:
        send(self, to, message, after)
        self.out.messages[-1].after = 0

    patch(core.Paxos, "send", at_once)


def accepted_against_a_promise(patch: Patch) -> None:
    """P1a: what is below the promise must be refused."""

    def obey(paxos: core.Paxos, sender: int, ballot: int) -> bool:
        if ballot < paxos.term and paxos.lead is None:
            paxos.acceptor.promised = ballot
        return honest(paxos, sender, ballot)

    honest = acceptance.obey
    patch(acceptance, "obey", obey)


def chosen_by_an_older_ballot(patch: Patch) -> None:
    """An older acceptance is taken for what the leader says is chosen."""

    def promise(self: acceptor.Acceptor, ballot: int) -> None:
        self.promised = max(self.promised, ballot)

    patch(acceptor.Acceptor, "promise", promise)


def promised_while_a_lease_runs(patch: Patch) -> None:
    """A member answers a leader's heartbeat, and promises somebody else right after."""
    patch(election, "hears_leader", lambda paxos: False)


def snapshot_takes_what_is_above(patch: Patch) -> None:
    """What was accepted above a snapshot goes with what is below."""
    begin_after = acceptor.Acceptor.begin_after

    def all_gone(self: acceptor.Acceptor, slot: int, birth: int) -> None:
        begin_after(self, max(slot, self.log.last), birth)
        self.log.offset = self.told = self.commit = self.upto = slot

    patch(acceptor.Acceptor, "begin_after", all_gone)


def log_not_sealed(patch: Patch) -> None:
    """The leader proposes on while a configuration is being chosen."""

    def at_once(paxos: core.Paxos, data: list[bytes], kind: int) -> int:
        lead = paxos.lead
        assert lead is not None
        leader.propose_entries(paxos, [Entry(lead.ballot, int(kind), item) for item in data])
        return lead.last - len(data) + 1

    patch(leader, "hold_or_propose", at_once)


BUGS: dict[str, Callable[[Patch], None]] = {
    bug.__name__: bug
    for bug in (
        not_the_highest_ballot,
        promise_forgotten_at_a_crash,
        quorums_that_do_not_meet,
        open_slots_skipped,
        read_without_confirming,
        births_in_any_order,
        counted_before_durable,
        acknowledged_before_durable,
        accepted_against_a_promise,
        chosen_by_an_older_ballot,
        promised_while_a_lease_runs,
        snapshot_takes_what_is_above,
        log_not_sealed,
    )
}
