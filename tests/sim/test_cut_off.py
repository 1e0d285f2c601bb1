"""Simulated clients that watch at a node to which no other node talks: their watches go on elsewhere, and miss nothing."""

from __future__ import annotations

import pytest

from ringleader.group.contact import Contact
from ringleader.sim.caller import Caller
from ringleader.sim.network import halves
from ringleader.sim.options import LoadOptions, Options
from ringleader.sim.watching import Watching
from ringleader.sim.world import World

CUT, LOOK = 6.0, 20.0


def stranded(seed: int) -> tuple[int, int]:
    """Cut one node off while clients that only watch sit there: how many did, and how many of their watches have missed
    something long after.
    """
    world = World(Options(seed=seed, faults={}, load=LoadOptions(clients=8, watches=1.0)))
    victims: list[Caller] = []
    behind: list[Watching] = []

    def cut() -> None:
        node = 3
        world.network.cut(halves([node], [id for id in world.machines if id != node]))
        for caller in world.callers:
            if any(wire.machine.id == node for wire in caller.cables.wires.values()):
                caller.stop_calling()
                victims.append(caller)

    def look() -> None:
        newest = world.truth.store.revision - 100  # what was written just now is on its way
        watchings = [watching for caller in victims for watching in caller.watchings.values()]
        behind.extend(watching for watching in watchings if not watching.caught_up(newest))

    world.timeline.at(CUT, cut)
    world.timeline.at(LOOK, look)
    world.run()
    return len(victims), len(behind)


@pytest.mark.parametrize("seed", [2, 4, 6])
def test_watches_at_a_node_that_is_cut_off_go_on_elsewhere(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    there, behind = stranded(seed)
    assert there > 0
    assert behind == 0
    monkeypatch.setattr(Contact, "turn", lambda self, now, contact: False)
    assert stranded(seed)[1] > 0, "the check can fail: by themselves they would stay where nothing happens"
