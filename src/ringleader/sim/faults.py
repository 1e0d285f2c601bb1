"""The nemesis: faults begin at random moments, last for a random while, and end; each seed has its own selection.

The budget: whatever happens here, a correct cluster must lose nothing. Disks lose or garble only what was not synced; nodes
that stop (power, full disk, failed sync) start again on the same disk; damaged durable bytes are such as a node must notice,
and are put back once it has refused to start; what relies on the rate of clocks is checked only where they keep it. So every
violation is a bug. Progress is asked for only after `heal`.

The whole schedule is drawn at the start, and every strike draws from a stream of its own: leaving some out (as a shrinker
does) changes none of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ringleader.consensus.shape import Role
from ringleader.sim.choice import Choice, stream
from ringleader.sim.network import Pair, bridge, halves, ring
from ringleader.sim.options import FASTEST
from ringleader.sim.rot import damage, parts
from ringleader.sim.trace import Kind
from ringleader.sim.wiping import wipe

if TYPE_CHECKING:
    from ringleader.sim.node import Machine
    from ringleader.sim.world import World

__all__ = ["Nemesis"]

CRASH_POINTS = ("disk", "disk", "rename", "rename", "done", "send", "recovery")

SLOWEST_SYNC = 1.0
"""Seconds that a sync takes on average on the slowest disk: what was begun on it must end before the world does."""

LONGEST_ABSENCE = 10.0
"""Seconds after which a node that is away returns in any case."""

LAST_STRIKE = 60.0
"""Strikes are drawn up to this time, whenever faults are to end, so that a shorter run has the same ones."""

LONGEST_GOODBYE = 500
"""How many milliseconds are waited for a leader to begin to hand over."""

LONGEST_WAIT_FOR_PART = 500
"""How many hundredths of a second are waited for a node to fetch a snapshot."""

PATIENCE = 100
"""How many milliseconds a power cut waits for a disk to be at work, which is when it can do most harm."""


class Nemesis:
    """Injects the faults of `world.options.faults` until `heal`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.timeline = world.timeline
        self.choice = stream(world.options.seed, "faults")
        self.healed = False
        self.struck: list[int] = []  # the numbers of the strikes so far
        self._kinds: dict[str, Callable[[], None]] = {
            "partition": self._partition,
            "one-way": self._one_way,
            "partial": self._partial,
            "isolate-leader": self._isolate_leader,
            "reset": self._reset,
            "slow-link": self._slow_link,
            "kill": self._kill,
            "power-cut": self._power_cut,
            "power-cut-all": self._power_cut_all,
            "crash-point": self._crash_point,
            "pause": self._pause,
            "freeze": self._freeze,
            "slow-disk": self._slow_disk,
            "disk-full": self._disk_full,
            "sync-error": self._sync_error,
            "clock-rate": self._clock_rate,
            "clock-jump": self._clock_jump,
            "absence": self._absence,
            "disk-rot": self._disk_rot,
            "client-crash": self._client_crash,
            "client-disconnect": self._client_disconnect,
            "client-pause": self._client_pause,
            "churn": lambda: world.churn.strike(self.choice),
            "kill-then-cut": self._kill_then_cut,
            "hand-over": self._hand_over,
            "wipe": lambda: wipe(self, self.choice),
        }

    def start(self) -> None:
        """Schedule all strikes, in the order of time and numbered so."""
        options, draw = self.world.options, self.choice
        moments: list[tuple[float, str]] = []
        for kind in sorted(options.faults):
            moment = options.faults_from + draw.expovariate(1.0 / options.faults[kind])
            while moment < LAST_STRIKE:
                moments.append((moment, kind))
                moment += draw.expovariate(1.0 / options.faults[kind])
        for number, (moment, kind) in enumerate(sorted(moments)):
            wanted = options.strikes is None or number in options.strikes
            if wanted and moment < options.faults_until:
                self.timeline.at(moment, self._strike, number, kind)

    def heal(self) -> None:
        """End all faults, for good: links work, disks too, every node runs."""
        world = self.world
        self.healed = True
        self._note("all faults end")
        world.network.heal()
        for machine in world.machines.values():
            machine.crash_point = ""
            machine.work.slow = 1.0
            machine.disk.make_room()
            machine.disk.fail_sync = machine.absent = False
            machine.clock.set_rate(self.timeline.now, 1.0)
            if machine.host is None:
                machine.start()

    # ---------------------------------------------------------------------------------------------------- plumbing

    def _strike(self, number: int, kind: str) -> None:
        self.struck.append(number)
        self.choice = stream(self.world.options.seed, f"fault {number}")
        self._kinds[kind]()

    def _note(self, text: str) -> None:
        self.world.trace.add((self.timeline.now, Kind.NOTE, 0, 0, text, 0.0))

    def _while(self) -> float:
        """How long a fault lasts: tenths of a second to some seconds, around the times that elections take."""
        return self.choice.log_uniform(0.1, 6.0)

    def _later(self, seconds: float, undo: Callable[[], None]) -> None:
        def end() -> None:
            if not self.healed:
                undo()

        self.timeline.after(seconds, end)

    def _machine(self) -> Machine:
        """Any node; every other time one that leads."""
        machines = list(self.world.machines.values())
        leaders = [machine for machine in machines if self._leads(machine)]
        if leaders and self.choice.random() < 0.5:
            return self.choice.choice(leaders)
        return self.choice.choice(machines)

    def _leads(self, machine: Machine) -> bool:
        return machine.host is not None and machine.host.core.role is Role.LEADER

    # ----------------------------------------------------------------------------------------------------- network

    def cut(self, what: str, pairs: list[Pair], seconds: float = 0.0) -> None:
        """Block these directions for so many seconds; 0: for a while."""
        if not pairs:
            return
        seconds = seconds or self._while()
        self._note(f"{what} for {seconds:.2f} s: cut {' '.join(f'{a}->{b}' for a, b in pairs)}")
        network = self.world.network
        network.cut(pairs)
        self._later(seconds, lambda: network.mend(pairs))

    def _shuffled(self) -> list[int]:
        nodes = list(self.world.network.nodes)
        self.choice.shuffle(nodes)
        return nodes

    def _partition(self) -> None:
        nodes = self._shuffled()
        size = self.choice.randrange(1, len(nodes))
        self.world.probes.hit("partition")
        self.cut("partition", halves(nodes[:size], nodes[size:]))

    def _one_way(self) -> None:
        nodes = self._shuffled()
        size = self.choice.randrange(1, len(nodes))
        self.world.probes.hit("one-way partition")
        self.cut("one-way partition", [(a, b) for a in nodes[:size] for b in nodes[size:]])

    def _partial(self) -> None:
        nodes = self._shuffled()
        self.world.probes.hit("partial connectivity")
        if self.choice.random() < 0.5:
            self.cut("bridge", bridge(nodes))
        else:
            self.cut("ring", ring(nodes))

    def _isolate_leader(self) -> None:
        leaders = [machine.id for machine in self.world.machines.values() if self._leads(machine)]
        if not leaders:
            return
        leader = self.choice.choice(leaders)
        others = [node for node in self.world.network.nodes if node != leader]
        way = self.choice.randrange(3)
        pairs = [pair for pair in halves([leader], others) if way == 0 or (pair[0] == leader) == (way == 1)]
        self.cut("leader isolated", pairs)

    def _hand_over(self) -> None:
        """Leadership goes to somebody else; often the old leader hears nothing any more from the moment it has said so."""
        seconds = self._while()
        self.world.churn.hand_over(self.choice)
        if self.choice.chance(0.5):
            self._deafen_leader_that_goes(seconds, LONGEST_GOODBYE)

    def _deafen_leader_that_goes(self, seconds: float, patience: int) -> None:
        if self.healed:
            return
        going = [machine.id for machine in self.world.machines.values() if self._leads(machine) and self._goes(machine)]
        if going:
            inbound = [pair for pair in self.world.network.links if pair[1] == going[0]]
            self.cut("a leader hands over and hears nothing", inbound, seconds)
        elif patience:
            self.timeline.after(0.001, self._deafen_leader_that_goes, seconds, patience - 1)

    def _goes(self, machine: Machine) -> bool:
        """Whether that leader is handing over."""
        return machine.host is not None and not machine.host.core.leads

    def _reset(self) -> None:
        pair = self.choice.choice(sorted(self.world.network.links))
        self._note(f"connection {pair[0]}->{pair[1]} breaks")
        self.world.network.reset(pair)

    def _slow_link(self) -> None:
        link = self.world.network.links[self.choice.choice(sorted(self.world.network.links))]
        link.slow = self.choice.log_uniform(2.0, 300.0)
        self._later(self._while(), lambda: setattr(link, "slow", 1.0))

    # ------------------------------------------------------------------------------------------------------- nodes

    def _kill(self) -> None:
        machine = self._machine()
        if machine.host is not None:
            machine.crash("killed", power=False)
            self.world.restart_later(machine)

    def _power_cut(self) -> None:
        machine = self._machine()
        self._cut_power(machine, PATIENCE)

    def _cut_power(self, machine: Machine, patience: int) -> None:
        """Cut the power of a machine, preferably while its disk is at work."""
        if machine.host is None or self.healed:
            return
        if patience and not machine.work.busy:
            self.timeline.after(0.001, self._cut_power, machine, patience - 1)
            return
        machine.crash("no power", power=True)
        self.world.restart_later(machine)

    def _kill_then_cut(self) -> None:
        """A node is killed, preferably while its disk is at work, starts again, and loses power soon after.

        What it then found in the page cache may be gone for all that it knows, unless it has synced it.
        """
        restart, cut = self.choice.log_uniform(0.05, 2.0), self.choice.log_uniform(0.001, 1.0)
        self._kill_at_work(self._machine(), restart, cut, PATIENCE)

    def _kill_at_work(self, machine: Machine, restart: float, cut: float, patience: int) -> None:
        if machine.host is None or self.healed:
            return
        if patience and not machine.work.busy:
            self.timeline.after(0.001, self._kill_at_work, machine, restart, cut, patience - 1)
            return
        machine.crash("killed, to lose power soon after its next start", power=False)
        self._later(restart, machine.start)
        self._later(restart + cut, lambda: self._cut_again(machine))

    def _cut_again(self, machine: Machine) -> None:
        if machine.host is not None:
            self.world.probes.hit("power cut right after a restart")
        self._cut_power(machine, 0)

    def _power_cut_all(self) -> None:
        self._cut_all_power(PATIENCE)

    def _cut_all_power(self, patience: int) -> None:
        if self.healed:
            return
        if patience and sum(machine.work.busy for machine in self.world.machines.values()) < 2:
            self.timeline.after(0.001, self._cut_all_power, patience - 1)
            return
        self.world.probes.hit("all nodes down at once")
        for machine in self.world.machines.values():
            if machine.host is not None:
                machine.crash("no power anywhere", power=True)
            else:
                machine.disk.power_cut()
            self.world.restart_later(machine)

    def _crash_point(self) -> None:
        machine = self._machine()
        machine.crash_point = self.choice.choice(CRASH_POINTS)
        if machine.crash_point == "recovery" and machine.host is not None:
            machine.crash("killed, and to be killed again in recovery", power=self.choice.chance(0.5))
            self.world.restart_later(machine)

    def _pause(self) -> None:
        self.world.probes.hit("pause")
        machine, seconds = self._machine(), self._while()
        self._note(f"n{machine.id} stands still for {seconds:.2f} s")
        machine.pause(seconds, freeze=False)

    def _freeze(self) -> None:
        self.world.probes.hit("clock frozen")
        machine, seconds = self._machine(), self._while()
        self._note(f"n{machine.id} and its clock stand still for {seconds:.2f} s")
        machine.pause(seconds, freeze=True)

    def _slow_disk(self) -> None:
        machine = self._machine()
        slow = self.choice.log_uniform(5.0, 500.0)
        machine.work.slow = min(slow, SLOWEST_SYNC / self.world.options.disk.sync)
        self._later(self._while(), lambda: setattr(machine.work, "slow", 1.0))

    def _disk_full(self) -> None:
        """Others fill the disk up, but for what may be enough for a vote, or for a few entries."""
        machine, spare = self._machine(), int(self.choice.log_uniform(1.0, 30_000.0))
        machine.disk.fill_up(spare)
        self._note(f"the disk of n{machine.id} has room for {spare} bytes")
        self._later(self._while(), lambda: machine.disk.make_room())

    def _sync_error(self) -> None:
        machine = self._machine()
        machine.disk.fail_sync = True
        self._note(f"the next sync of n{machine.id} will fail")

    def _clock_rate(self) -> None:
        machine = self._machine()
        rate = self.choice.log_uniform(0.5, FASTEST)
        self._note(f"the clock of n{machine.id} runs at {rate:.2f}")
        machine.clock.set_rate(self.timeline.now, rate)
        self._later(self._while(), lambda: machine.clock.set_rate(self.timeline.now, 1.0))

    def _clock_jump(self) -> None:
        machine, seconds = self._machine(), self.choice.log_uniform(0.05, 10.0)
        self._note(f"the clock of n{machine.id} jumps ahead by {seconds:.2f} s")
        machine.clock.jump(self.timeline.now, seconds)
        self.world.truth.chronicle.jumps.append((self.timeline.now, seconds))

    def _absence(self) -> None:
        """A node is gone until the others have thrown away the log that it would need."""
        machine, options = self._machine(), self.world.options
        if machine.host is None or machine.absent:
            return
        machine.absent = True
        machine.crash("away for long", power=self.choice.chance(0.5))
        needed = self.world.oracle.ledger.last + options.snapshot_every + options.keep_entries + 20
        self._return(machine, needed, self.timeline.now + LONGEST_ABSENCE)

    def _return(self, machine: Machine, needed: int, latest: float) -> None:
        if self.healed:
            return
        if self.world.oracle.ledger.last < needed and self.timeline.now < latest:
            self.timeline.after(0.25, self._return, machine, needed, latest)
            return
        machine.absent = False
        self.world.restart_later(machine)

    def _disk_rot(self) -> None:
        """A node goes down and its disk is damaged; every other time while it fetches a snapshot, if any does soon."""
        chosen = None if self.choice.chance(0.5) else self._machine()
        self._damage(chosen, stream(self.world.options.seed, f"rot {self.struck[-1]}"), LONGEST_WAIT_FOR_PART)

    def _damage(self, chosen: Machine | None, choice: Choice, patience: int) -> None:
        if self.healed:
            return
        fetching = [one for one in self.world.machines.values() if one.host is not None and parts(one.disk)]
        machine = chosen or next(iter(fetching), None)
        if machine is None and patience:
            self.timeline.after(0.01, self._damage, None, choice, patience - 1)
        if machine is None or machine.host is None or machine.damage is not None:
            return
        machine.crash("down", power=choice.chance(0.5))
        machine.damage = damage(machine.disk, choice, part=chosen is None)
        self._note(f"on the disk of n{machine.id}: {machine.damage or 'no damage'}")
        self.world.restart_later(machine)

    # ----------------------------------------------------------------------------------------------------- clients

    def _client_crash(self) -> None:
        self.world.crash_client(self.choice.choice(self.world.client_places()))

    def _client_disconnect(self) -> None:
        self.world.disconnect_client(self.choice.choice(self.world.client_places()))

    def _client_pause(self) -> None:
        place, seconds = self.choice.choice(self.world.client_places()), self._while()
        self._note(f"client {place + 1} stands still for {seconds:.2f} s")
        self.world.probes.hit("client paused")
        self.world.callers[place].pause(seconds)
