"""Everything met while checking gets a number: messages, local states of members; and what an event makes of a local state
is worked out once, by the production core, and remembered.

A global state is then a few small integers, and most of its transitions are look-ups. The core runs only for pairs of local
state and event that nobody has seen.

*The network remembers everything.* A message that was sent may arrive at any later moment, any number of times, or never:
loss, duplication, delay and reordering need no events of their own. (Sets of messages sent instead of channels, as in
Lamport's specifications of Paxos.) A member's inbox is the set of all messages ever sent to it, a bit mask.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ringleader.consensus.shape import Config
from ringleader.sim.check.bounds import Bounds, Event
from ringleader.sim.check.freeze import Freezer
from ringleader.sim.check.member import Member, Setting
from ringleader.sim.check.model import Item, Model, View

__all__ = ["Committed", "Letter", "Step", "Tables"]

Committed = tuple[tuple[int, Item], ...]
"""Entries that a member was told are committed: (index, entry), in order."""


class Letter(NamedTuple):
    """A message with its sender and receiver; `bit`: its place in the receiver's inbox."""

    sender: int
    receiver: int
    data: bytes
    bit: int


class Step(NamedTuple):
    """What an event makes of a local state: the next one, letters sent as ((receiver, mask), ...), and what was learnt."""

    event: Event
    local: int
    mail: tuple[tuple[int, int], ...]
    committed: Committed
    problem: str


class Tables:
    """All numbers given so far. `locals`: frozen members, `views` and `owners` beside them; `logs`: those of the views."""

    def __init__(self, model: Model, bounds: Bounds, config: Config, members: int, reduce: bool) -> None:
        self.model = model
        self.reduce = reduce
        self.bounds = bounds
        self.members = range(1, members + 1)
        self.settings = {id: Setting(id, model, bounds, config) for id in self.members}
        self.freezer = Freezer(model.shared())
        self.letters: list[Letter] = []
        self.inboxes: dict[int, list[int]] = {id: [] for id in self.members}  # numbers of letters, by bit
        self.locals: list[Any] = []
        self.owners: list[int] = []
        self.views: list[View] = []
        self.log_of: list[int] = []  # the number of a local state's log
        self.logs: dict[tuple[Item | None, ...], int] = {}
        self.runs = 0  # how often a production core ran
        self._letters: dict[tuple[int, int, bytes], int] = {}
        self._locals: dict[Any, int] = {}
        self._steps: list[dict[Event, Step | None]] = []
        self._dead: list[tuple[int, int]] = []  # per local state: how many letters were looked at, which are dead

    def first(self, id: int) -> int:
        """The local state of a member that starts for the first time."""
        setting = self.settings[id]
        member = Member(setting.model.make(id, setting.config))
        setting.model.normalise(member.core)
        return self.number(id, member)

    def number(self, id: int, member: Member) -> int:
        """The number of a local state, a new one if it was never met."""
        frozen = self.freezer.freeze(member)
        known = self._locals.get(frozen)
        if known is None:
            known = self._locals[frozen] = len(self.locals)
            self.locals.append(frozen)
            self.owners.append(id)
            view = self.model.view(member.core)
            self.views.append(view)
            self.log_of.append(self.logs.setdefault(view.log, len(self.logs)))
            self._steps.append({})
            self._dead.append((0, 0))
        return known

    def letter(self, sender: int, receiver: int, data: bytes) -> int:
        """The number of a message."""
        key = (sender, receiver, data)
        known = self._letters.get(key)
        if known is None:
            known = self._letters[key] = len(self.letters)
            inbox = self.inboxes[receiver]
            self.letters.append(Letter(sender, receiver, data, len(inbox)))
            inbox.append(known)
        return known

    def living(self, local: int, inbox: int) -> int:
        """The inbox without letters that can make no difference to this local state or any later one."""
        receiver = self.owners[local]
        letters = self.inboxes[receiver]
        if not self.reduce:
            return inbox
        looked, dead = self._dead[local]
        if looked < len(letters):
            core = self.freezer.thaw(self.locals[local]).core
            for bit in range(looked, len(letters)):
                letter = self.letters[letters[bit]]
                if self.model.dead(core, letter.sender, self.model.decode(letter.data)):
                    dead |= 1 << bit
            self._dead[local] = (len(letters), dead)
        return inbox & ~dead

    def step(self, local: int, event: Event) -> Step | None:
        """What `event` makes of a local state; None: nothing at all, or it leads beyond the bounds."""
        steps = self._steps[local]
        if event not in steps:
            steps[event] = self._run(local, event)
        return steps[event]

    def _run(self, local: int, event: Event) -> Step | None:
        """Let the production core do it. Whatever it raises is a violation, never an end of the search."""
        self.runs += 1
        id = self.owners[local]
        member: Member = self.freezer.thaw(self.locals[local])
        sender, message = 0, None
        if event.kind == "deliver":
            assert isinstance(event.argument, int)
            letter = self.letters[event.argument]
            sender, message = letter.sender, self.model.decode(letter.data)
        try:
            outcome = member.happen(event, sender, message, self.settings[id])
        except Exception as error:
            return Step(event, local, (), (), f"exception: {type(error).__name__}: {error}")
        if outcome is None or self._beyond(self.model.view(member.core)):
            return None
        after = self.number(id, member)
        mail: dict[int, int] = {}
        for receiver, data in outcome.sent:
            letter = self.letters[self.letter(id, receiver, data)]
            mail[receiver] = mail.get(receiver, 0) | 1 << letter.bit
        step = Step(event, after, tuple(sorted(mail.items())), tuple(outcome.committed), outcome.problem)
        return None if after == local and not (mail or step.committed or step.problem) else step

    def _beyond(self, view: View) -> bool:
        return view.reach > self.bounds.term or view.rounds > self.bounds.rounds
