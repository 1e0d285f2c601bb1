"""Bugs that the model checker must find: planted by patches from outside, each with the scope that shows it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import msgspec
from msgspec.structs import replace

from ringleader.consensus.paxos import Paxos, leader, learner, recovery
from ringleader.consensus.paxos import quorum as paxos_quorum
from ringleader.consensus.paxos.messages import Promise
from ringleader.consensus.raft import Raft, election, membership, reads, replication
from ringleader.consensus.raft.messages import AppendReply, Vote
from ringleader.consensus.raft.quorum import has_quorum, quorum_value
from ringleader.consensus.shape import Config, Entry, Role
from ringleader.sim.check import SCOPES, Scope

__all__ = ["BUGS", "Bug", "scope"]


def scope(protocol: str, name: str) -> Scope:
    """One of the scopes that there are."""
    return next(scope for scope in SCOPES if (scope.protocol, scope.name) == (protocol, name))


class Bug(msgspec.Struct):
    """`planted`: the patch. `finds`: what the violation begins with. `events`: how many a shortest trace has."""

    name: str
    says: str
    scope: Scope
    finds: str
    events: int
    planted: Callable[[], AbstractContextManager[Any]]


# ------------------------------------------------------------------------------------------------------------------ Raft

_recover, _on_vote, _send = Raft.recover, election.on_vote, Raft.send


def _vote_forgotten(raft: Raft, snapshot: Any, records: Any) -> None:
    _recover(raft, snapshot, records)
    raft.vote = 0


def _term_forgotten(raft: Raft, snapshot: Any, records: Any) -> None:
    _recover(raft, snapshot, records)
    raft.term, raft.vote = raft.log.last_term, 0


def _votes_twice(raft: Raft, sender: int, message: Vote) -> None:
    if raft.role is Role.FOLLOWER and message.term == raft.term:
        raft.vote = 0
    _on_vote(raft, sender, message)


def _any_log(raft: Raft, sender: int, message: Vote) -> None:
    _on_vote(raft, sender, replace(message, last_index=1 << 30, last_term=1 << 30))


def _acknowledges_early(raft: Raft, to: int, message: Any, after: int) -> None:
    _send(raft, to, message, after)
    if isinstance(message, AppendReply):
        raft.out.messages[-1].after = 0


def _votes_early(raft: Raft, to: int, message: Any, after: int) -> None:
    _send(raft, to, message, after)
    raft.out.messages[-1].after = 0


def _advance(raft: Raft, own: int, *, any_term: bool) -> None:
    if raft.role is not Role.LEADER:
        return
    held = {member: peer.match for member, peer in raft.progress.items()} | {raft.id: own}
    index = quorum_value(raft.config, held, 0)
    if index > raft.commit and (any_term or raft.log.term(index) == raft.term):
        raft.commit = index
        membership.committed(raft)


def _commits_by_counting(raft: Raft) -> None:
    _advance(raft, min(raft.durable_index, raft.log.last), any_term=True)


def _counts_early(raft: Raft) -> None:
    _advance(raft, raft.log.last, any_term=False)


def _tail_kept(raft: Raft, first: int, entries: list[Entry]) -> None:
    beyond = raft.log.last + 1 - first
    if beyond < len(entries):
        raft.append_entries(entries[beyond:])


def _barrier_before_own_term(raft: Raft) -> None:
    if raft.reads.waiting:
        raft.reads.start(raft.now, raft.commit)  # the step after the one that is left out
        raft.reads.ask_all(raft.progress)


def _confirms_alone(raft: Raft) -> None:
    while raft.reads.rounds:
        _, _, index, tokens = raft.reads.rounds.popleft()
        raft.out.barriers.extend((token, index) for token in tokens)


def _new_majority(config: Config, members: Any) -> bool:
    return has_quorum(Config(config.voters, (), config.learners), members)


def _new_majority_value(config: Config, values: Any, missing: Any) -> Any:
    return quorum_value(Config(config.voters, (), config.learners), values, missing)


def _both_majorities_forgotten() -> AbstractContextManager[Any]:
    stack = patch.multiple(replication, has_quorum=_new_majority, quorum_value=_new_majority_value)
    return _Both(stack, patch.object(election, "has_quorum", _new_majority))


class _Both(AbstractContextManager[Any]):
    """Two patches as one."""

    def __init__(self, *patches: Any) -> None:
        self.patches = patches

    def __enter__(self) -> None:
        for one in self.patches:
            one.__enter__()

    def __exit__(self, *why: Any) -> None:
        for one in self.patches:
            one.__exit__(*why)


# ----------------------------------------------------------------------------------------------------------------- Paxos

_paxos_recover = Paxos.recover
_on_promise = leader.on_promise


def _promise_forgotten(paxos: Paxos, snapshot: Any, records: Any) -> None:
    _paxos_recover(paxos, snapshot, records)
    paxos.acceptor.promised = 0


def _ballots_forgotten(paxos: Paxos, snapshot: Any, records: Any) -> None:
    _paxos_recover(paxos, snapshot, records)
    paxos.log.ballots = [entry.term for entry in paxos.log.entries]


def _reports_ignored(paxos: Paxos, sender: int, message: Promise) -> None:
    _on_promise(paxos, sender, replace(message, runs=[]))


def _half(voters: int, phase2: int) -> int:
    return voters - paxos_quorum.phase2_size(voters, phase2)


# n1 leads in 1n1 with the promise of n3, and has accepted a value of its own in slot 1.
ONE_LEADS = replace(
    scope("paxos", "two-rounds"),
    opening=(
        "n1 time",
        "n3 deliver 2",
        "n1 deliver 3",
    ),
)

# n1 led term 1, n2 leads term 2 with the vote of n3; each is alone with its first entry.
TWO_LED = replace(
    scope("raft", "three-terms"),
    opening=(
        "n1 time",
        "n3 deliver 2",
        "n1 deliver 3",
        "n2 time",
        "n2 time",
        "n3 deliver 9",
        "n2 deliver 10",
    ),
)

BUGS: tuple[Bug, ...] = (
    Bug(
        "vote-forgotten",
        "a restarted member knows its term but not its vote",
        scope("raft", "crash-votes"),
        "promises are durable",
        5,
        lambda: patch.object(Raft, "recover", _vote_forgotten),
    ),
    Bug(
        "term-forgotten",
        "a restarted member takes the term of its last entry",
        scope("raft", "crash-votes"),
        "promises are durable",
        3,
        lambda: patch.object(Raft, "recover", _term_forgotten),
    ),
    Bug(
        "votes-twice",
        "a member votes for whoever asks last",
        scope("raft", "elections"),
        "election safety",
        6,
        lambda: patch.object(election, "on_vote", _votes_twice),
    ),
    Bug(
        "vote-for-any-log",
        "votes are granted whatever the candidate's log holds",
        scope("raft", "elections"),
        "leader completeness",
        8,
        lambda: patch.object(election, "on_vote", _any_log),
    ),
    Bug(
        "vote-before-sync",
        "messages leave before the records that they depend on are on disk",
        scope("raft", "crash-votes"),
        "promises are durable",
        2,
        lambda: patch.object(Raft, "send", _votes_early),
    ),
    Bug(
        "ack-before-sync",
        "acknowledgements leave before the entries are on disk",
        scope("raft", "crash-log"),
        "promises are durable",
        7,
        lambda: patch.object(Raft, "send", _acknowledges_early),
    ),
    Bug(
        "leader-counts-early",
        "a leader counts its own copy before it is on disk",
        scope("raft", "crash-terms"),
        "leader completeness",
        14,
        lambda: patch.object(replication, "advance_commit", _counts_early),
    ),
    Bug(
        "old-term-by-counting",
        "entries of older terms are committed by counting (Raft figure 8)",
        scope("raft", "figure-8"),
        "leader completeness",
        19,
        lambda: patch.object(replication, "advance_commit", _commits_by_counting),
    ),
    Bug(
        "tail-kept",
        "a follower keeps its own entries where they contradict the leader's",
        TWO_LED,
        "leader completeness",
        12,
        lambda: patch.object(replication, "_append_new", _tail_kept),
    ),
    Bug(
        "barrier-before-own-term",
        "reads are confirmed before the leader's term has committed anything",
        scope("raft", "read-barrier"),
        "stale read",
        11,
        lambda: patch.object(reads, "start_round", _barrier_before_own_term),
    ),
    Bug(
        "read-without-round",
        "a leader serves reads without asking anybody",
        scope("raft", "read-barrier"),
        "stale read",
        12,
        lambda: patch.object(reads, "confirm", _confirms_alone),
    ),
    Bug(
        "new-majority-suffices",
        "in a joint configuration the new majority decides alone",
        scope("raft", "member-change"),
        "",
        9,
        _both_majorities_forgotten,
    ),
    Bug(
        "not-the-highest",
        "a leader takes over the value of the lowest ballot that was accepted",
        ONE_LEADS,
        "",
        12,
        lambda: patch.object(recovery, "prefer", lambda reported, known: reported < known),
    ),
    Bug(
        "promise-forgotten",
        "a restarted acceptor does not know what it has promised",
        scope("paxos", "crash"),
        "promises are durable",
        3,
        lambda: patch.object(Paxos, "recover", _promise_forgotten),
    ),
    Bug(
        "ballot-forgotten",
        "a restarted acceptor takes the ballot in which a value was born for the one in which it was accepted",
        scope("paxos", "crash"),
        "promises are durable",
        14,
        lambda: patch.object(Paxos, "recover", _ballots_forgotten),
    ),
    Bug(
        "quorums-apart",
        "phase 1 is content with one member less than meets every phase-2 quorum",
        scope("paxos", "competing-leaders"),
        "",
        6,
        lambda: patch.object(paxos_quorum, "phase1_size", _half),
    ),
    Bug(
        "open-slots-skipped",
        "a new leader does not look at what phase 1 found in the open slots",
        scope("paxos", "competing-leaders"),
        "",
        8,
        lambda: patch.object(leader, "on_promise", _reports_ignored),
    ),
    Bug(
        "late-answer",
        "a leader that learns another value than it has proposed goes on leading",
        scope("paxos", "late-answer"),
        "state machine safety",
        46,
        lambda: patch.object(learner, "_superseded", lambda paxos, message: False),
    ),
    Bug(
        "births-unsorted",
        "a leader keeps every value that phase 1 found, whatever their births say",
        scope("paxos", "leftovers"),
        "births go back",
        13,
        lambda: patch.object(recovery, "births_fit", lambda before, birth, after: True),
    ),
)
