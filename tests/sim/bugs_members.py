"""Bugs in changing the members, in what those may do who are none, or see not all, and in telling a wiped node from the one
it was (hazards 1, 10, 18 to 22 and 30)."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from msgspec.structs import replace

from ringleader.consensus.raft import election, membership
from ringleader.consensus.raft.core import Raft
from ringleader.consensus.raft.messages import Vote
from ringleader.consensus.shape import Config, SnapshotMeta
from ringleader.group import roster, standing
from ringleader.sim.options import LONG, DiskOptions, LoadOptions, NetOptions, Options
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


def _elections_without_manners(stack: ExitStack) -> None:
    """Raft as it stands in the paper's figures: no pre-vote, and votes are cast by those who hear a leader too."""
    original = election.on_vote

    def timer_ran_out(raft: Raft) -> None:
        election.restart_timer(raft)
        if raft.config.votes(raft.id) and not raft.abstaining:
            election.campaign(raft, pre=False)

    def on_vote(raft: Raft, sender: int, message: Vote) -> None:
        original(raft, sender, Vote(message.term, message.last_index, message.last_term, message.pre, True))

    set_(stack, election, "timer_ran_out", timer_ran_out)
    set_(stack, election, "on_vote", on_vote)


def removed_node_disrupts(stack: ExitStack) -> None:
    """Nobody is told that he was removed, or not let in, and elections listen to everybody."""
    _elections_without_manners(stack)
    set_(stack, standing, "admit", lambda *about: None)
    set_(stack, standing.MembersHere, "expelled", lambda self: None)


def learner_never_votes(stack: ExitStack) -> None:
    """A member that does not know yet that it was promoted refuses its vote, which may be the one that is needed."""
    original = election.on_vote

    def on_vote(raft: Raft, sender: int, message: Vote) -> None:
        if raft.config.votes(raft.id):
            original(raft, sender, message)

    set_(stack, election, "on_vote", on_vote)


def wiped_is_welcome(stack: ExitStack) -> None:
    set_(stack, roster, "_replaced", lambda row, incarnation: False)


def _churn(options: Options) -> Options:
    faults = {"churn": 0.5, "kill": 2.5, "isolate-leader": 2.5, "partition": 3.0, "slow-link": 2.0}
    return replace(options, nodes=3, faults=faults)


def _wiped(options: Options) -> Options:
    """A voter is wiped whose acknowledgements were counted while another was slow to hear."""
    return replace(options, nodes=3, faults={"wipe": 2.0, "slow-link": 1.0})


def _churn_and_snapshots(options: Options) -> Options:
    return replace(_churn(options), snapshot_every=30, keep_entries=0)


def _removals(options: Options) -> Options:
    """Members come and go while links are cut, and the world lasts until all should be calm."""
    return replace(_churn(options), duration=LONG, lasting="")


def _broken_for_good(options: Options) -> Options:
    """When the faults end not everybody reaches everybody."""
    lasting = "bridge" if options.seed % 2 else "ring"
    return replace(options, nodes=5, duration=LONG, lasting=lasting, faults={"partition": 5.0, "kill": 8.0})


def _promoted_alone(options: Options) -> Options:
    """Learners are promoted while they are away, and voters lost meanwhile."""
    return replace(
        options, nodes=3, faults={"churn": 0.3}, lasting="", net=NetOptions(), load=LoadOptions(), disk=DiskOptions()
    )


MEMBER_BUGS = [
    Bug(
        "removed-node-disrupts",
        21,
        "removed nodes are not told so, and elections listen to them",
        removed_node_disrupts,
        _removals,
    ),
    Bug(
        "elections-without-end",
        22,
        "who does not see the leader may depose it",
        _elections_without_manners,
        _broken_for_good,
    ),
    Bug(
        "learner-never-votes", 19, "a member votes only once it knows that it may", learner_never_votes, _promoted_alone
    ),
    Bug(
        "new-majority-suffices",
        1,
        "in a joint configuration the new majority decides alone",
        old_majority_suffices,
        _churn,
    ),
    Bug("config-forgotten", 10, "a restarted node has the configuration of its snapshot", config_forgotten, _churn),
    Bug(
        "newest-config-in-snapshot",
        18,
        "a snapshot carries the newest configuration",
        newest_config_in_snapshot,
        _churn_and_snapshots,
    ),
    Bug("joint-never-left", 20, "a new leader does not end its predecessor's joint change", joint_never_left, _churn),
    Bug("wiped-is-welcome", 30, "a wiped node is let in under its old name", wiped_is_welcome, _wiped),
]
