"""Who takes part: configurations in the log, changed by joint consensus only (Raft section 6, thesis section 4.3).

A configuration is in force as soon as it is appended. A change of voters first appends a joint one (old and new majorities
both decide); when that is committed the leader, whoever it is by then, appends the new one alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.consensus.raft import reads, replication
from ringleader.consensus.raft.progress import Progress
from ringleader.consensus.shape import CONFIG, LEADER, Config, Entry, encode_config

if TYPE_CHECKING:
    from ringleader.consensus.raft.core import Raft

__all__ = ["adopt", "committed", "leave_joint_if_due", "removed", "start_change"]


def start_change(raft: Raft, target: Config) -> int:
    """Append the first step towards `target` (its voters and learners); 0 when not leading or not now.

    Refused while another change is not committed, and before this term has committed anything (hazard 1).
    """
    current_index, current = raft.configs[-1]
    if raft.role is not LEADER or raft.transferee or not target.voters:
        return 0
    if not reads.ready(raft) or current_index > raft.commit or current.outgoing:
        return 0
    joint = set(target.voters) != set(current.voters)
    config = Config(target.voters, current.voters if joint else (), target.learners)
    raft.append_entries([Entry(raft.term, int(CONFIG), encode_config(config))])
    return raft.log.last


def adopt(raft: Raft, index: int, config: Config) -> None:
    """A configuration was appended: it is in force from now on."""
    raft.configs.append((index, config))
    if raft.role is LEADER:
        members = config.members()
        for member in members:
            if member != raft.id and member not in raft.progress:
                raft.progress[member] = Progress(raft.log.last + 1, raft.now)
        for member in [member for member in raft.progress if member not in members]:
            del raft.progress[member]
    raft.out.changed = True


def leave_joint_if_due(raft: Raft) -> None:
    """As leader, append the configuration that ends a committed joint one (also one that a former leader left)."""
    index, config = raft.configs[-1]
    if raft.role is LEADER and config.outgoing and index <= raft.commit:
        final = Config(config.voters, (), config.learners)
        raft.append_entries([Entry(raft.term, int(CONFIG), encode_config(final))])


def removed(raft: Raft) -> bool:
    """Whether this member has no vote any more, by a configuration that is committed."""
    index, config = raft.configs[-1]
    return index <= raft.commit and not config.votes(raft.id)


def committed(raft: Raft) -> None:
    """The commit index has moved: end a joint change; a leader that is no longer a voter hands over and steps down.

    It takes no more proposals, brings the voter that is most up to date to the end of the log, and tells it to stand for
    election at once; so its going costs no election timeout (thesis sections 3.10 and 4.2.2).
    """
    leave_joint_if_due(raft)
    if raft.role is not LEADER or not removed(raft) or raft.leaving:
        return
    raft.leaving = True
    voters = [member for member in raft.config.voters if member in raft.progress]
    heir = max(voters, key=lambda member: (raft.progress[member].match, -member), default=0)
    if not replication.start_transfer(raft, heir):
        raft.become_follower(raft.term, 0)
