"""Who takes part: a change of configuration is an entry like any other, and seals the log at its slot.

The entry at slot s is decided by the old configuration, all slots above s by the new one. Nobody proposes above s before he
knows that s is chosen; a leader that knows it runs phase 1 of its own ballot with the new members, for the slots above,
before it proposes there. So each slot has one configuration that decides about it, known beforehand to whoever proposes in it,
and any change is one step: old and new quorums need not meet, and there is no joint phase (`Config.outgoing` stays empty).

The other rule of the literature is a window ("Paxos Made Simple", section 3: the configuration chosen at s decides from
s + alpha on). It bounds the pipeline to alpha slots for good, and needs alpha no-ops whenever a change is to come into force
at once. Sealing costs one round trip at each change, and nothing otherwise.

A change is *settled* once a slot above the entry is chosen. The first of these is chosen only by members that hold everything
up to it (`replication`), so from then on the new configuration needs nobody who left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.consensus.paxos import leader, reads, replication
from ringleader.consensus.shape import CONFIG, LEADER, Config, Entry, encode_config

if TYPE_CHECKING:
    from ringleader.consensus.paxos.core import Paxos

__all__ = ["came_into_force", "committed", "removed", "start_change"]


def start_change(paxos: Paxos, target: Config) -> int:
    """Propose the configuration `target` (its voters and learners); 0 when not leading or not now.

    Refused while another change is not settled.
    """
    lead = paxos.lead
    if lead is None or not reads.ready(paxos) or lead.transferee or not target.voters or not paxos.config_settled:
        return 0
    config = Config(target.voters, (), target.learners)
    leader.propose_entries(paxos, [Entry(lead.ballot, int(CONFIG), encode_config(config))])
    lead.sealed = lead.last
    lead.moved_at = paxos.now
    leader.follow_members(paxos)
    leader.ask_for_promises(paxos, config)  # in time, so that sealing costs no second round trip
    return lead.last


def came_into_force(paxos: Paxos) -> None:
    """A configuration entry is known to be chosen: it decides from now on."""
    if paxos.role is LEADER:
        reads.begin_anew(paxos)
        leader.follow_members(paxos)
    paxos.out.changed = True


def removed(paxos: Paxos) -> bool:
    """Whether this member has no vote any more, by a configuration that is settled."""
    return paxos.config_settled and not paxos.chosen_config.votes(paxos.id)


def committed(paxos: Paxos) -> None:
    """The commit index has moved at the leader: go on with a change; one that is no voter any more hands over and goes.

    It takes no more proposals, brings the voter that has most to the end of the log, and tells it to stand for election at
    once; so its going costs no election timeout.
    """
    lead = paxos.lead
    if lead is None:
        return
    lead.moved_at = paxos.now
    leader.proceed(paxos)
    if paxos.role is not LEADER or lead.leaving or not lead.open or not removed(paxos):
        return
    lead.leaving = True
    voters = [member for member in paxos.chosen_config.voters if member in lead.progress]
    heir = max(voters, key=lambda member: (lead.progress[member].match, -member), default=0)
    if not replication.start_transfer(paxos, heir):
        paxos.become_follower(0)
