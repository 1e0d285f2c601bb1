"""Bugs in changing the members, and in telling a wiped node from the one it was (hazards 1, 10, 18, 20 and 30)."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from msgspec.structs import replace

from ringleader.consensus.raft import membership
from ringleader.consensus.raft.core import Raft
from ringleader.consensus.shape import Config, SnapshotMeta
from ringleader.group import roster
from ringleader.sim.options import Options
from sim.bugkit import Bug, set_

__all__ = ["MEMBER_BUGS"]


def config_forgotten(stack: ExitStack) -> None:
    original = Raft.recover

    def recover(self: Raft, snapshot: SnapshotMeta | None, found: Any) -> None:
        original(self, snapshot, found)
        self.configs = self.configs[:1]

    set_(stack, Raft, "recover", recover)


def newest_config_in_snapshot(stack: ExitStack) -> None:
    original = Raft.snapshot_meta

    def snapshot_meta(self: Raft, index: int) -> SnapshotMeta:
        return replace(original(self, index), config=self.config)

    set_(stack, Raft, "snapshot_meta", snapshot_meta)


def joint_never_left(stack: ExitStack) -> None:
    original = membership.leave_joint_if_due

    def leave(raft: Raft) -> None:
        if raft.log.term(raft.configs[-1][0]) == raft.term:
            original(raft)

    set_(stack, membership, "leave_joint_if_due", leave)


def old_majority_suffices(stack: ExitStack) -> None:
    """During a joint change the new majority alone decides."""
    from ringleader.consensus.raft import election, replication
    from ringleader.consensus.raft.quorum import has_quorum, quorum_value

    def plain(config: Config) -> Config:
        return Config(config.voters, (), config.learners)

    set_(stack, replication, "quorum_value", lambda config, values, none: quorum_value(plain(config), values, none))
    set_(stack, election, "has_quorum", lambda config, members: has_quorum(plain(config), members))


def wiped_is_welcome(stack: ExitStack) -> None:
    set_(stack, roster, "_replaced", lambda row, incarnation: False)


def _churn(options: Options) -> Options:
    faults = {"churn": 0.5, "kill": 2.5, "isolate-leader": 2.5, "partition": 3.0, "slow-link": 2.0}
    return replace(options, nodes=3, faults=faults)


def _churn_and_snapshots(options: Options) -> Options:
    return replace(_churn(options), snapshot_every=30, keep_entries=0)


MEMBER_BUGS = [
    Bug(
        "new-majority-suffices",
        1,
        "in a joint configuration the new majority decides alone",
        old_majority_suffices,
        _churn,
    ),
    Bug("config-forgotten", 10, "a restarted node has the configuration of its snapshot", config_forgotten, _churn, 6),
    Bug(
        "newest-config-in-snapshot",
        18,
        "a snapshot carries the newest configuration",
        newest_config_in_snapshot,
        _churn_and_snapshots,
        9,
    ),
    Bug(
        "joint-never-left", 20, "a new leader does not end its predecessor's joint change", joint_never_left, _churn, 10
    ),
    Bug("wiped-is-welcome", 30, "a wiped node is let in under its old name", wiped_is_welcome, _churn, 11),
]
