"""Bugs for scenario files: each takes one safeguard of the production code away, so that a trace shows what it is good for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from unittest.mock import patch

from ringleader.consensus.paxos import core as paxos_core
from ringleader.consensus.paxos import election as paxos_election
from ringleader.consensus.paxos import leader as paxos_leader
from ringleader.consensus.paxos import records as paxos_records
from ringleader.consensus.paxos.acceptor import Acceptor
from ringleader.consensus.raft import membership, reads
from ringleader.consensus.raft.core import Raft
from ringleader.consensus.shape import Config, Entry, EntryKind, Record, Role, SnapshotMeta, encode_config

__all__ = ["WRONG"]


def one_step_change(stack: ExitStack) -> None:
    """New voters at once, without a time in which both majorities decide."""

    def start_change(raft: Raft, target: Config) -> int:
        if raft.role is not Role.LEADER:
            return 0
        data = encode_config(Config(target.voters, (), target.learners))
        raft.append_entries([Entry(raft.term, int(EntryKind.CONFIG), data)])
        return raft.log.last

    stack.enter_context(patch.object(membership, "start_change", start_change))


def read_without_round(stack: ExitStack) -> None:
    """The leader serves reads from its state without asking anybody whether it still leads."""

    def start_round(raft: Raft) -> None:
        raft.out.barriers.extend((token, raft.commit) for token in raft.reads.waiting)
        raft.reads.waiting = []

    stack.enter_context(patch.object(reads, "start_round", start_round))


def pause_unnoticed(stack: ExitStack) -> None:
    """A lease is held against the time of the last tick, not against now."""
    stack.enter_context(patch.object(Raft, "observe", lambda self, now: None))


def forgotten_promise(stack: ExitStack) -> None:
    """A member that comes back knows what it has accepted, but not what it has promised beyond that."""

    def replay(snapshot: SnapshotMeta | None, records: Iterable[Record]) -> Acceptor:
        kept = [record for record in records if record.kind != paxos_records.PROMISE]
        return paxos_records.replay(snapshot, kept)

    stack.enter_context(patch.object(paxos_core, "replay", replay))


def half_is_enough(stack: ExitStack) -> None:
    """Two of five may accept a value, and yet three promises are enough to lead: the two quorums need not meet."""

    def has_phase1(voters: tuple[int, ...], members: set[int], phase2: int) -> bool:
        return len(members.intersection(voters)) > len(voters) // 2

    for module in (paxos_election, paxos_leader):
        stack.enter_context(patch.object(module, "has_phase1", has_phase1))


WRONG: Mapping[str, Callable[[ExitStack], None]] = {
    "one-step-change": one_step_change,
    "read-without-round": read_without_round,
    "pause-unnoticed": pause_unnoticed,
    "forgotten-promise": forgotten_promise,
    "half-is-enough": half_is_enough,
}
