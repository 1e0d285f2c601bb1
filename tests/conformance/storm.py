"""Everything at once: a long random run of a `World`, then calm, in which all must come right."""

from __future__ import annotations

from conformance.kinds import Kind
from conformance.member import Member
from conformance.world import World
from ringleader.consensus.shape import Config

__all__ = ["Storm"]

EVENTS = {
    "deliver": 60.0, "tick": 14.0, "sync": 20.0, "propose": 8.0, "read": 3.0, "crash": 0.25, "restart": 1.2, "cut": 0.2,
    "heal": 0.5, "snapshot": 0.7, "compact": 0.7, "roll": 0.7, "fetch": 3.0, "change": 1.0, "transfer": 0.3, "abstain": 0.1,
    "repeat": 2.0, "lose": 1.0, "flow": 2.0, "bounce": 0.5,
}  # fmt: skip


class Storm:
    """`events` random events, each as likely as `EVENTS` says; then `calm`."""

    def __init__(self, kind: Kind, seed: int) -> None:
        self.kind = kind
        self.world = World(kind, seed, spares=2, append_bytes=200, window_messages=8, window_bytes=2000)
        self.random = self.world.random
        self.number = 0
        self.counts: dict[str, int] = {}
        # Storms differ: a fault at every turn hides the bugs that need it to be absent.
        strengths = (0.0, 0.3, 1.0, 1.0, 3.0, 6.0)
        self.events = {
            name: weight * (1.0 if weight > 5 else self.random.choice(strengths)) for name, weight in EVENTS.items()
        }
        self.long = self.random.choice((0.1, 0.3, 1.0))

    def run(self, events: int) -> None:
        """The storm itself."""
        names, weights = list(self.events), list(self.events.values())
        for name in self.random.choices(names, weights, k=events):
            getattr(self, f"_{name}")()

    def calm(self) -> None:
        """Everybody is back and hears everybody: one leads, takes a command, and all have the same state."""
        world = self.world
        world.heal()
        for member in world.members.values():
            if not member.up:
                world.restart(member)
            member.core.abstain(False)
        world.run(1.0)
        for _ in range(60):
            world.run(1.0)
            leader = world.lead()
            self._retire(leader)
            if world.propose(leader, b"last"):
                break

        else:
            raise AssertionError("no leader takes a command")
        for _ in range(20):
            world.run(1.0)
            if self._agreed():
                return
        text = "; ".join(str(member.core.status()) for member in world.members.values())
        raise AssertionError(f"not all have the same state: {text}")

    def _retire(self, leader: Member) -> None:
        """Who is no member any more is turned off, as its node would be."""
        config = leader.core.config
        for member in self.world.running():
            if leader.core.config_settled and member.id not in config.members() and member is not leader:
                member.up = False

    def _agreed(self) -> bool:
        world = self.world
        members = world.running()
        leaders = [member for member in members if member.core.leads]
        if len(leaders) != 1 or leaders[0].core.commit != leaders[0].core.last_index:
            return False
        self._retire(leaders[0])
        taking = [member for member in members if member.id in leaders[0].core.config.members()]
        return all(member.state == leaders[0].state and member.state[-1:] == [b"last"] for member in taking)

    # ------------------------------------------------------------------------------------------------------- events

    def _any(self) -> Member | None:
        running = self.world.running()
        return self.random.choice(running) if running else None

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def _deliver(self) -> None:
        wire = self.world.wire
        if wire:
            late = self.random.random() < 0.1
            self.world.deliver(self.random.randrange(len(wire)) if late else 0)

    def _flow(self) -> None:
        """For a moment all goes well: what is under way arrives, what is written is synced."""
        for member in self.world.running():
            self.world.sync(member)
        for _ in range(len(self.world.wire)):
            self.world.deliver(0)

    def _repeat(self) -> None:
        wire = self.world.wire
        if wire:
            wire.append(self.random.choice(wire))

    def _lose(self) -> None:
        if self.world.wire:
            del self.world.wire[self.random.randrange(len(self.world.wire))]

    def _tick(self) -> None:
        self.world.tick(self.random.choice((0.005, 0.02, 0.02, 0.1, self.long)))

    def _sync(self) -> None:
        member = self._any()
        if member is not None:
            self.world.sync(member, self.random.choice((1, 2, None, None)))

    def _propose(self) -> None:
        leaders = [member for member in self.world.running() if member.core.leads]
        if leaders:
            self.number += 1
            data = f"{self.number} ".encode() * self.random.choice((1, 1, 20))
            if self.world.propose(self.random.choice(leaders), data):
                self._count("proposed")

    def _read(self) -> None:
        leaders = [member for member in self.world.running() if member.core.leads]
        if leaders and self.world.read(self.random.choice(leaders)):
            self._count("read")

    def _crash(self) -> None:
        member = self._any()
        if member is not None:
            self._count("crash")
            self.world.crash(member)

    def _bounce(self) -> None:
        member = self._any()
        if member is not None:
            self.world.crash(member)
            self.world.restart(member)

    def _restart(self) -> None:
        down = [member for member in self.world.members.values() if not member.up]
        if down:
            self.world.restart(self.random.choice(down))

    def _cut(self) -> None:
        world, choice = self.world, self.random
        ids = list(world.members)
        way = choice.randrange(3)
        if way == 0:
            world.cut(*choice.sample(ids, choice.randint(1, len(ids) - 1)))
        elif way == 1:  # one way only
            deaf = set(choice.sample(ids, choice.randint(1, len(ids) - 1)))
            world.drop = lambda sender, to, message: to in deaf and sender not in deaf
        else:  # any links
            gone = {(a, b) for a in ids for b in ids if choice.random() < 0.35}
            world.drop = lambda sender, to, message: (sender, to) in gone
        self._count("cut")

    def _heal(self) -> None:
        self.world.heal()

    def _snapshot(self) -> None:
        member = self._any()
        if member is not None:
            member.take_snapshot()

    def _compact(self) -> None:
        member = self._any()
        if member is not None:
            member.compact(self.random.choice((0, 0, 3)))
            self._count("compacted")

    def _roll(self) -> None:
        member = self._any()
        if member is not None:
            member.roll()

    def _fetch(self) -> None:
        waiting = [member for member in self.world.running() if member.fetching is not None]
        if waiting:
            self.world.fetch(self.random.choice(waiting))
            self._count("snapshot installed")

    def _change(self) -> None:
        world, choice = self.world, self.random
        leaders = [member for member in world.running() if member.core.leads]
        if not leaders:
            return
        ids = list(world.members)
        voters = choice.sample(ids, choice.randint(max(1, self.kind.voters - 1), len(ids)))
        learners = [id for id in ids if id not in voters and choice.random() < 0.5]
        leader = choice.choice(leaders)
        if leader.core.change_members(Config(tuple(sorted(voters)), (), tuple(sorted(learners)))):
            self._count("change")
        world.collect(leader)

    def _transfer(self) -> None:
        leaders = [member for member in self.world.running() if member.core.leads]
        if leaders:
            leader = self.random.choice(leaders)
            if leader.core.transfer(self.random.choice(list(self.world.members))):
                self._count("transfer")
            self.world.collect(leader)

    def _abstain(self) -> None:
        member = self._any()
        if member is not None:
            member.core.abstain(self.random.random() < 0.5)
            self.world.collect(member)
