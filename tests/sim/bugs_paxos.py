"""Bugs in Paxos, planted from outside: what the simulator's judges of Paxos must notice."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from msgspec.structs import replace

from ringleader.consensus.paxos import acceptance, leader, quorum, recovery
from ringleader.consensus.paxos import core as paxos_core
from ringleader.consensus.paxos.acceptor import Acceptor
from ringleader.consensus.paxos.core import Paxos
from ringleader.consensus.paxos.messages import Accepted
from ringleader.consensus.paxos.records import replay as replay_records
from ringleader.consensus.shape import Entry, Record, SnapshotMeta
from ringleader.sim.options import LoadOptions, NetOptions, Options
from sim.bugkit import Bug, set_

__all__ = ["PAXOS_BUGS"]


def on_paxos(options: Options) -> Options:
    return replace(options, protocol="paxos", duration=15.0, faults_until=12.0)


def many_leaders(options: Options) -> Options:
    """Nobody leads for long, so that what one has proposed is accepted by some as the next begins."""
    return replace(
        on_paxos(options),
        nodes=5 if options.seed % 2 else 3,
        phase2=0,
        lasting="",
        election=0.3,
        heartbeat=0.05,
        net=NetOptions(delay=0.002, jitter=0.004),
        append_bytes=1,
        window_messages=4,
        load=LoadOptions(rate=100.0, reads=0.1),
        faults={"isolate-leader": 0.5, "kill": 1.5, "partition": 1.5},
    )


def accepted_before_sync(stack: ExitStack) -> None:
    def reply(paxos: Paxos, to: int, ballot: int, round: int) -> None:
        if ballot == paxos.acceptor.promised:
            paxos.send(to, Accepted(ballot, paxos.acceptor.upto, round), 0)

    set_(stack, acceptance, "reply", reply)


def promise_forgotten(stack: ExitStack) -> None:
    def replay(snapshot: SnapshotMeta | None, records: Iterable[Record]) -> Acceptor:
        acceptor = replay_records(snapshot, records)
        acceptor.promised = max([0, *acceptor.log.ballots])  # what it has accepted in, it has promised; no more
        return acceptor

    set_(stack, paxos_core, "replay", replay)


def lowest_ballot_wins(stack: ExitStack) -> None:
    set_(stack, recovery, "prefer", lambda reported, known: reported < known)


def quorums_that_do_not_meet(stack: ExitStack) -> None:
    set_(stack, quorum, "phase1_size", lambda voters, phase2: max(1, voters - quorum.phase2_size(voters, phase2)))


def open_slots_skipped(stack: ExitStack) -> None:
    def recovered(found: recovery.Found, commit: int, birth: int, told: int) -> list[Entry]:
        return []

    set_(stack, leader, "recovered", recovered)


def births_unsorted(stack: ExitStack) -> None:
    set_(stack, recovery, "births_fit", lambda before, birth, after: True)


PAXOS_BUGS = [
    Bug(
        "accepted-before-sync",
        6,
        "acceptances are told before they are on disk",
        accepted_before_sync,
        on_paxos,
        protocol="Paxos",
    ),
    Bug(
        "promise-forgotten",
        3,
        "a restarted acceptor knows what it accepted, not what it promised",
        promise_forgotten,
        many_leaders,
        protocol="Paxos",
    ),
    Bug(
        "lowest-ballot-wins",
        0,
        "a new leader takes up the value of the lowest ballot",
        lowest_ballot_wins,
        many_leaders,
        protocol="Paxos",
    ),
    Bug(
        "quorums-do-not-meet",
        0,
        "an election needs one promise too few",
        quorums_that_do_not_meet,
        many_leaders,
        protocol="Paxos",
    ),
    Bug(
        "open-slots-skipped",
        0,
        "a new leader proposes without regard to what was accepted",
        open_slots_skipped,
        many_leaders,
        protocol="Paxos",
    ),
    Bug(
        "births-unsorted",
        0,
        "a leader keeps every value that phase 1 found, whatever their births say",
        births_unsorted,
        many_leaders,
        protocol="Paxos",
    ),
]
