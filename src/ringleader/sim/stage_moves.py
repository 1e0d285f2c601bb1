"""What a scenario may do with the membership, the leadership and the time of the members on a `Stage`."""

from __future__ import annotations

from ringleader.consensus.shape import Config
from ringleader.sim.picture import Sign
from ringleader.sim.stage import Stage

__all__ = ["change_members", "lease_read", "pause", "resume", "transfer"]


def _names(ids: tuple[int, ...]) -> str:
    return ", ".join(f"n{id}" for id in ids)


def change_members(stage: Stage, id: int, voters: tuple[int, ...], learners: tuple[int, ...]) -> None:
    """Ask member `id` for a change to these voters and learners."""
    actor = stage.actors[id]
    words = _names(voters) + (f"; learning: {_names(learners)}" if learners else "")
    if actor.core.change_members(Config(voters, (), learners)):
        stage.say(id, f"begins a change to the voters {words}", Sign.CALL, f"voters {words}")
    else:
        stage.say(id, f"refuses the change to {words}", Sign.CALL, "refuses the change")
    stage.drain(actor)


def transfer(stage: Stage, id: int, to: int) -> None:
    """Ask the leader `id` to hand leadership to member `to`."""
    actor = stage.actors[id]
    if actor.core.transfer(to):
        stage.say(id, f"hands leadership to n{to}: takes no more proposals", Sign.CALL, f"hand over to n{to}")
    else:
        stage.say(id, f"refuses to hand leadership to n{to}", Sign.CALL, "refuses to hand over")
    stage.drain(actor)


def lease_read(stage: Stage, id: int, token: int) -> None:
    """Ask member `id` for a read that it may answer by its leader lease, without asking anybody."""
    actor = stage.actors[id]
    actor.core.observe(stage.now / 1000)
    if actor.core.lease_valid():
        state = " ".join(actor.state) or "-"
        stage.say(
            id, f"serves read {token} by its lease, asking nobody: state {state}", Sign.RETURN, f"read {token} served"
        )
    else:
        stage.say(id, f"has no lease now: read {token} needs a round", Sign.CALL, f"read {token}: no lease")
        stage.read(id, token)


def pause(stage: Stage, id: int) -> None:
    """The process of a member stands still: it neither hears nor notices time."""
    stage.actors[id].paused = True
    stage.say(id, "stands still", Sign.NOTE, "stands still")


def resume(stage: Stage, id: int) -> None:
    """It goes on; what was sent to it meanwhile waits to be delivered."""
    stage.actors[id].paused = False
    stage.say(id, "goes on, and knows of no pause", Sign.NOTE, "goes on")
