"""Members come and go while everything else goes wrong: learners join and are promoted, nodes die for good and are replaced,
leaders are removed, leadership is handed over, a node comes back with an empty disk.

All by the ordinary commands of a client. The budget: a voter is lost for good (dead or wiped) only while no other one is,
and while enough others would stay whatever becomes of the removals asked for; and it is wiped only when the others have learnt
which data folder it had, which they do about a second after its first start.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ringleader.errors import OutcomeUnknownError, RingleaderError
from ringleader.sim.choice import Choice
from ringleader.store.member_ops import MemberAdd, MemberCommand, MemberPromote, MemberRemove, MemberTransfer, Standing

if TYPE_CHECKING:
    from ringleader.group.host import Host
    from ringleader.sim.node import Machine
    from ringleader.sim.world import World

__all__ = ["Churn"]

MOST, FEWEST = 6, 3
"""Members are added up to the one and removed down to the other number of voters."""
PATIENCE = 8.0
"""Seconds that a member command may take."""


class Churn:
    """The operator of `world`'s cluster."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.named = 0
        self.removals: dict[int, int] = {}  # member -> how many removals of it were asked for and may yet come to be

    def strike(self, choice: Choice) -> None:
        """One step of some kind that is possible now."""
        world = self.world
        table = world.truth.store.members
        lost, voters = self._lost(), self._voters()
        if lost and self._active(lost[0].id) and choice.random() < 0.8:
            self._remove(lost[0].id, choice)
            return
        kind = choice.random()
        learners = [row.id for row in table.active() if row.standing is Standing.LEARNER]
        if learners and kind < 0.15:
            self._promote(choice.choice(learners), choice)
        elif kind < 0.25:
            self.hand_over(choice)
        elif len(table.active()) < MOST and kind < 0.65:
            self._add(choice)
        elif len(voters) > FEWEST and kind < 0.85:
            member = choice.choice(voters)
            if len(self._staying(voters, member)) > FEWEST:
                self._remove(member, choice)
        elif voters:
            machine = world.machines.get(choice.choice(voters))
            if machine is not None and self._may_lose(machine):
                self._lose(machine, choice)

    def _promote(self, member: int, choice: Choice) -> None:
        """A learner is to vote; every other time it goes down that very moment and does not hear of it for a while."""
        self._ask(MemberPromote(member), choice)
        machine, away, seconds = self.world.machines.get(member), choice.chance(0.5), choice.log_uniform(0.5, 8.0)
        if away and machine is not None and machine.host is not None and not machine.lost:
            self.world.probes.hit("learner away as it is to be promoted")
            machine.crash("away as it is to be promoted", power=False)
            machine.absent = True
            self.world.timeline.after(seconds, self._return, machine)

    def _return(self, machine: Machine) -> None:
        machine.absent = False
        machine.start()

    def hand_over(self, choice: Choice) -> None:
        """Leadership is to go to somebody else."""
        self._ask(MemberTransfer(choice.choice([0, *self._voters()])), choice)

    def may_wipe(self, machine: Machine) -> bool:
        """Whether that voter may come back with an empty disk."""
        return self._may_lose(machine) and self._known(machine)

    def _may_lose(self, machine: Machine) -> bool:
        """Whether that voter can be spared for good."""
        if machine.absent or machine.lost or machine.damage is not None or self._lost():
            return False
        voters = self._voters()
        return len(voters) >= FEWEST and self._settled(voters) and len(self._staying(voters, machine.id)) >= FEWEST

    def _voters(self) -> list[int]:
        return [row.id for row in self.world.truth.store.members.active() if row.standing is Standing.VOTER]

    def _lost(self) -> list[Machine]:
        """The members that are lost for good and not removed."""
        return [machine for machine in self.world.machines.values() if machine.lost and self._counts(machine.id)]

    def _counts(self, id: int) -> bool:
        """Whether that node is a member by the table, or by any configuration that is still in force somewhere."""
        hosts = [
            machine.host for machine in self.world.machines.values() if machine.host is not None and not machine.lost
        ]
        return self._active(id) or any(id in host.core.config.members() for host in hosts)

    def _settled(self, voters: list[int]) -> bool:
        """Whether all members go by the configuration that the table asks for, so that one of them can be spared.

        Of those that are down it is not known; so most have to be up.
        """
        hosts = [machine.host for machine in self.world.machines.values() if machine.id in voters]
        cores = [host.core for host in hosts if host is not None]
        agree = all(sorted(core.config.voters) == sorted(voters) and not core.config.outgoing for core in cores)
        if self.world.options.protocol == "paxos":  # the members before decide about those who come, and may be few
            agree = agree and all(core.config_settled for core in cores)
        return agree and 2 * len(cores) > len(voters)

    def _staying(self, voters: list[int], member: int) -> list[int]:
        """`member`, and who is left of the voters if all removals come to be that were asked for and are not decided."""
        return [voter for voter in voters if voter == member or not self.removals.get(voter)]

    def _remove(self, member: int, choice: Choice) -> None:
        """Ask for a removal. One whose outcome nobody knows may yet come to be: its entry may lie in some log."""

        def answered(answer: Any) -> None:
            if isinstance(answer, RingleaderError) and not isinstance(answer, OutcomeUnknownError):
                self.removals[member] -= not self.world.options.net.again  # else its repetition may be carried out

        self.removals[member] = self.removals.get(member, 0) + 1
        if not self._ask(MemberRemove(member), choice, answered):
            self.removals[member] -= 1

    def _active(self, id: int) -> bool:
        row = self.world.truth.store.members.rows.get(id)
        return row is not None and row.active

    def _ask(self, command: MemberCommand, choice: Choice, then: Any = None) -> bool:
        """Through any client that runs; False when there is none."""
        callers = [caller for caller in self.world.callers if caller.running and caller.calling and not caller.paused]
        if callers:
            caller = choice.choice(callers)
            caller.act(lambda: caller.submit(command, PATIENCE, once=True, then=then or _ignore))
        return bool(callers)

    def _add(self, choice: Choice) -> None:
        self.named += 1
        name = f"m{self.named}"
        command = MemberAdd(name, incarnation=f"{name}, first", auto_promote=choice.random() < 0.8)
        self._ask(command, choice, partial(self._added, name))

    def _added(self, name: str, answer: Any) -> None:
        """The new member has an id: its node starts, with an empty disk."""
        if not isinstance(answer, RingleaderError):
            self.world.probes.hit("member added")
            self.world.join(answer.member.id, name, f"{name}, first")

    def _known(self, machine: Machine) -> bool:
        """Whether all others know its data folder: whoever has heard nothing yet cannot tell an empty one from the first."""
        hosts = [other.host for other in self.world.machines.values() if other is not machine and not other.gone]
        return all(host is not None and _incarnation(host, machine.id) for host in hosts)

    def _lose(self, machine: Machine, choice: Choice) -> None:
        """A voter is lost for good: its machine burns down, or comes back with an empty disk under its old name."""
        if machine.host is not None:
            machine.crash("lost for good", power=True)
        if choice.random() < 0.5 or not self._known(machine):
            machine.lost = machine.gone = True
        else:
            machine.wipe()
            self.world.restart_later(machine)


def _ignore(answer: Any) -> None:
    """What came of it shows in the log."""


def _incarnation(host: Host, id: int) -> str:
    """Which data folder `host` takes for that member's; "" when it does not know."""
    row = host.members.rows().get(id)
    return row.incarnation if row is not None else ""
