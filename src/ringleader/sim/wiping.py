"""A voter comes back with an empty disk just when what it has forgotten matters, and the leader is gone at that moment.

What it had acknowledged was counted: with the leader and it, enough members held the newest committed entries. Whoever lags
behind would, with the vote of a member that does not remember them, be enough to lead without them. So a correct cluster waits
for its leader, and does not let the wiped node speak (`group.roster`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.consensus.shape import Role
from ringleader.sim.network import halves

if TYPE_CHECKING:
    from ringleader.sim.choice import Choice
    from ringleader.sim.faults import Nemesis
    from ringleader.sim.node import Machine

__all__ = ["wipe"]

PATIENCE = 2000
"""How many milliseconds are waited for such a moment."""


def wipe(nemesis: Nemesis, choice: Choice) -> None:
    """Wipe a voter, within what the operator may lose (`sim.churn`), as soon as there is one that is needed."""
    restart, away = choice.log_uniform(0.01, 1.0), choice.log_uniform(2.0, 8.0)
    _wipe(nemesis, choice, restart, away, PATIENCE)


def _wipe(nemesis: Nemesis, choice: Choice, restart: float, away: float, patience: int) -> None:
    world = nemesis.world
    if nemesis.healed:
        return
    found = _needed(nemesis)
    if not found:
        if patience:
            world.timeline.after(0.001, _wipe, nemesis, choice, restart, away, patience - 1)
        return
    leader, machine = choice.choice(found)
    others = [node for node in world.network.nodes if node != leader]
    nemesis.cut("a voter is wiped, and the leader isolated", halves([leader], others), away)
    world.probes.hit("needed voter wiped")
    machine.crash("its disk is lost", power=True)
    machine.wipe()
    world.timeline.after(restart, machine.start)


def _needed(nemesis: Nemesis) -> list[tuple[int, Machine]]:
    """Leaders, each with a voter that holds what is committed, while with that voter's vote those who do not are a majority."""
    world = nemesis.world
    committed, found = world.oracle.ledger.last, []
    for leader in world.machines.values():
        if leader.host is None or leader.lost or leader.host.core.role is not Role.LEADER:
            continue
        voters = [world.machines[id] for id in leader.host.core.config.voters if id in world.machines]
        others = [(one, one.host.core.last_index) for one in voters if one is not leader and one.host is not None]
        behind = sum(last < committed for _, last in others)
        if 2 * (behind + 1) > len(voters):
            found += [(leader.id, one) for one, last in others if last >= committed and world.churn.may_wipe(one)]
    return found
