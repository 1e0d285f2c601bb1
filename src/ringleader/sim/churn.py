"""An operator who changes the members while everything else goes on: grow, replace a node that died for good, shrink.

He asks as any client does, through the calls of the simulated clients, again and again until the log shows that it is done;
new nodes are started from what the table says of them, and a node that is no member any more is switched off for good once
somebody has told it so, as the runtime's door and node do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ringleader.consensus.shape import Role
from ringleader.errors import Reason
from ringleader.group.membership import wanted
from ringleader.sim.choice import stream
from ringleader.sim.trace import Kind
from ringleader.store.member_ops import MemberAdd, MemberCommand, MemberRemove, MemberRow, MemberTransfer, Standing

if TYPE_CHECKING:
    from ringleader.sim.node import Machine
    from ringleader.sim.world import World

__all__ = ["Churn"]

BEAT = 0.3
"""Seconds between two looks of the operator."""
TIMEOUT = 3.0
MOST, LEAST = 5, 3
"""How many voters he strives for at most and at least."""


class Churn:
    """Acts from `faults_from` to `faults_until`, one change at a time; `idle` when none is half done."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.choice = stream(world.options.seed, "churn")
        self.moments = stream(world.options.seed, "churn moments")
        self.done = 0  # changes carried through
        self.told = 0  # nodes that stopped because they were told that they are members no more
        self._aim: Callable[[], bool] | None = None  # what is being done; true when it is
        self._asking = False
        self._buried: set[int] = set()  # died for good

    def start(self) -> None:
        """Begin to act."""
        self.world.timeline.at(self.world.options.faults_from, self._beat)

    @property
    def idle(self) -> bool:
        """Whether no change is half done."""
        return self._aim is None

    # ------------------------------------------------------------------------------------------------------- beats

    def _beat(self) -> None:
        world = self.world
        self._start_members()
        self._dial()
        if self._aim is not None and self._aim() and self._settled():
            self._aim = None
            self.done += 1
        if self._aim is None and world.timeline.now < world.options.faults_until:
            self._aim = self._next()
        if world.timeline.now < world.options.duration + world.options.grace:
            world.timeline.after(BEAT * (0.5 + self.moments.random()), self._beat)

    def _next(self) -> Callable[[], bool]:
        """What to do next; grow first, and never below what can lose one."""
        rows = self._rows()
        dead = [row for row in rows if row.id in self._buried]
        if dead:
            return self._removal(dead[0])
        pick = self.choice.random()
        if len(rows) < MOST and (len(rows) <= LEAST or pick < 0.4):
            return self._addition(f"m{self.done + 1}")
        if pick < 0.5:
            return self._transfer(self.choice.choice(rows))
        victim = self.choice.choice(rows)
        leader = self._leader()
        if leader is not None and pick > 0.8:
            victim = next(row for row in rows if row.id == leader.id)
        if len(rows) > LEAST and pick < 0.7 and not self._buried:
            self._bury(victim.id)
        return self._removal(victim)

    def _addition(self, name: str) -> Callable[[], bool]:
        self._note(f"{name} is to join")

        def aim() -> bool:
            row = next((row for row in self._rows() if row.name == name), None)
            if row is not None and row.standing is Standing.VOTER:
                return True
            if row is None:
                self._ask(MemberAdd(name, incarnation=f"folder of {name}"))
            return False

        return aim

    def _removal(self, row: MemberRow) -> Callable[[], bool]:
        self._note(f"{row.name} is to go")

        def aim() -> bool:
            if self.world.truth.store.members.removed(row.id):
                return True
            self._ask(MemberRemove(row.id))
            return False

        return aim

    def _transfer(self, row: MemberRow) -> Callable[[], bool]:
        tries = 0

        def aim() -> bool:
            nonlocal tries
            leader = self._leader()
            if (leader is not None and leader.id == row.id) or tries == 3:
                return True
            tries += 1
            self._ask(MemberTransfer(row.id))
            return False

        return aim

    # ----------------------------------------------------------------------------------------------------- plumbing

    def _rows(self) -> list[MemberRow]:
        return self.world.truth.store.members.active()

    def _leader(self) -> Machine | None:
        """Who leads in the newest term."""
        leaders = [
            machine
            for machine in self.world.machines.values()
            if machine.host is not None and self.world.core_of(machine.host).role is Role.LEADER
        ]
        return max(leaders, key=lambda machine: machine.host.core.term if machine.host else 0, default=None)

    def _settled(self) -> bool:
        """Whether consensus has followed the table."""
        leader = self._leader()
        if leader is None or leader.host is None:
            return False
        core = leader.host.core
        target = wanted(self._rows())
        same = set(core.config.voters) == set(target.voters) and set(core.config.learners) == set(target.learners)
        return same and core.config_settled

    def _ask(self, command: MemberCommand) -> None:
        """Through some client that is not otherwise hindered; whatever comes of it shows in the log."""
        callers = [caller for caller in self.world.callers if caller.running and not caller.paused_until]
        if self._asking or not callers:
            return
        caller = self.choice.choice(callers)
        life = caller.life
        self._asking = True

        def answered(_: Any) -> None:
            self._asking = False

        def ask() -> None:
            caller.submit(command, TIMEOUT, once=True, then=answered)

        def give_up() -> None:
            if caller.life != life:
                self._asking = False  # it crashed, and its calls with it

        caller.act(ask)
        self.world.timeline.after(2 * TIMEOUT, give_up)

    def _start_members(self) -> None:
        """Nodes that the table has and nobody has started yet."""
        for row in self._rows():
            if row.id not in self.world.machines and row.id not in self._buried:
                self._note(f"{row.name} starts as n{row.id}")
                self.world.add_machine(row.id, row.name, row.incarnation)

    def _dial(self) -> None:
        """A node that says nothing dials the others all the same, as the runtime's links do, and is turned away."""
        members, machines = self.world.truth.store.members, self.world.machines
        for id in [id for id, machine in machines.items() if members.removed(id) and machine.host is not None]:
            for other, machine in list(machines.items()):
                if id not in machines or other == id or machine.host is None or not self.world.network.reach(id, other):
                    continue
                refusal = machine.host.members.admit(id, machines[id].name, machines[id].incarnation)
                if refusal is not None and refusal[0] is Reason.MEMBER_REMOVED:
                    machines[id].expelled()

    def _bury(self, node: int) -> None:
        """The machine is lost with all that it held."""
        self._buried.add(node)
        machine = self.world.machines[node]
        self._note(f"n{node} dies for good")
        if machine.host is not None:
            machine.crash("it is gone for good", power=True)
        self.world.retire(machine)

    def _note(self, text: str) -> None:
        self.world.trace.add((self.world.timeline.now, Kind.NOTE, 0, 0, text, 0.0))
