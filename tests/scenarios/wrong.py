"""Bugs for scenario files: each takes one safeguard of the production code away, so that a trace shows what it is good for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from unittest.mock import patch

from ringleader.consensus.raft import membership, reads
from ringleader.consensus.raft.core import Raft
from ringleader.consensus.shape import Config, Entry, EntryKind, Role, encode_config

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


WRONG: Mapping[str, Callable[[ExitStack], None]] = {
    "one-step-change": one_step_change,
    "read-without-round": read_without_round,
    "pause-unnoticed": pause_unnoticed,
}
