"""A trace told: what each event does, in words and as a space-time diagram."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ringleader.consensus.shape import Entry
from ringleader.sim.check.bounds import Event
from ringleader.sim.check.model import Item, View
from ringleader.sim.check.trace import ABOUT_A_MESSAGE, Happening
from ringleader.sim.check.world import World
from ringleader.sim.picture import Arrow, Diagram, Mark, Sign, draw
from ringleader.sim.picture.of_trace import message_words
from ringleader.sim.terms import term_word
from ringleader.sim.words import Words

__all__ = ["Scene", "Story", "tell"]


class Scene(NamedTuple):
    """One event. `sent`: numbers of the messages that it sent for the first time; `message`: what arrived or got lost."""

    member: int
    event: Event
    sender: int
    message: Any
    sent: list[int]
    letters: list[tuple[int, Any]]
    before: View
    after: View
    committed: tuple[tuple[int, Item], ...]
    problem: str
    spoken: Words

    def words(self, numbers: list[int]) -> list[str]:
        """What happens, in sentences; `numbers`: how the messages sent are called."""
        told = [_HEADS.get(self.event.kind, "")] if self.message is None else []
        if self.message is not None:
            lost = "will not hear: " if self.event.kind == "lose" else ""
            told = [f"{lost}n{self.sender} says: {self.spoken.message(self.message)}"]
        told += self.changes()
        told += [
            f"#{number} to n{to}: {self.spoken.message(message)}"
            for number, (to, message) in zip(numbers, self.letters, strict=True)
        ]
        return [*told, *(["VIOLATION " + self.problem] if self.problem else [])]

    def changes(self) -> list[str]:
        """What has become of the member."""
        before, after = self.before, self.after
        told = []
        if after.term != before.term:
            told.append(f"term {term_word(after.term)}")
        if after.leads and (not before.leads or after.term != before.term):
            told.append(f"LEADS term {term_word(after.term)}")
        if before.leads and not after.leads:
            told.append("leads no more")
        if after.log != before.log:
            told.append(f"log {' '.join(map(self._word, after.log)) or 'empty'}")
        if self.committed:
            told.append(f"commits {' '.join(f'{index}={self._word(item)}' for index, item in self.committed)}")
        return told

    def _word(self, item: Item | None) -> str:
        return "_" if item is None else self.spoken.entry(Entry(*item))


_HEADS = {
    "time": "its timer runs out",
    "propose": "is asked to append a command",
    "read": "is asked for a read",
    "sync": "its oldest unsynced batch is on disk",
    "crash": "crashes, starts again with so many unsynced batches",
    "change": "is asked to change the members",
    "transfer": "is asked to hand over",
}


class Story(NamedTuple):
    """All scenes, the last of which may be a violation."""

    members: int
    scenes: list[Scene]
    problem: str

    def picture(self, title: str) -> str:
        """As SVG."""
        diagram = Diagram(title, {id: f"n{id}" for id in range(1, self.members + 1)}, [], "")
        sent: dict[int, float] = {}
        for moment, scene in enumerate(self.scenes, 1):
            diagram.events += _marks(scene, float(moment), sent)
            for letter in scene.sent:
                sent[letter] = moment + 0.5
        return draw(diagram)


def tell(world: World, trace: Iterable[Happening]) -> Story:
    """Let the events happen in a world and note what each does. Events that mean nothing there do nothing."""
    state = world.first()
    words = world.tables.model.words
    known: set[int] = set()
    scenes: list[Scene] = []
    problem = ""
    for member, event in trace:
        place = member - 1
        before = world.tables.views[world.cells[state[place]][0]]
        action, after = world.apply(state, place, event)
        sender, message = 0, None
        if event.kind in ABOUT_A_MESSAGE:
            sender, _, message = world.letter(int(event.argument))
        problem = after if isinstance(after, str) else ""
        sent = [letter for letter in world.sent(action) if letter not in known] if action else []
        known.update(sent)
        view = world.tables.views[action.step.local] if action else before
        letters = [world.letter(letter)[1:] for letter in sent]
        committed = action.step.committed if action else ()
        scenes.append(Scene(member, event, sender, message, sent, letters, before, view, committed, problem, words))
        if isinstance(after, str):
            break
        state = after
    return Story(world.members, scenes, problem)


def _marks(scene: Scene, moment: float, sent: dict[int, float]) -> list[Mark | Arrow]:
    drawn: list[Mark | Arrow] = []
    member, kind = scene.member, scene.event.kind
    if scene.message is not None:
        since = sent.get(int(scene.event.argument), moment)
        arrives = moment if kind == "deliver" else None
        drawn.append(Arrow(since, arrives, scene.sender, member, message_words(scene.message), moment))
    elif kind == "crash":
        drawn += [Mark(moment, member, Sign.CRASH, "crash"), Mark(moment + 0.1, member, Sign.START, "starts again")]
    elif kind == "sync":
        drawn.append(Mark(moment, member, Sign.SYNC, ""))
    elif kind != "time":
        drawn.append(Mark(moment, member, Sign.CALL, _HEADS[kind]))
    elif not scene.after.leads:
        drawn.append(Mark(moment, member, Sign.STANDS, f"timer runs out, term {term_word(scene.after.term)}"))
    if scene.after.leads and not scene.before.leads:
        drawn.append(Mark(moment + 0.2, member, Sign.LEADS, f"leads term {term_word(scene.after.term)}"))
    elif scene.before.leads and not scene.after.leads and kind != "crash":
        drawn.append(Mark(moment + 0.2, member, Sign.FOLLOWS, f"follows, term {term_word(scene.after.term)}"))
    if scene.committed:
        drawn.append(Mark(moment + 0.3, member, Sign.COMMIT, scene.changes()[-1]))
    if scene.problem:
        drawn.append(Mark(moment + 0.4, member, Sign.VIOLATION, scene.problem.partition(":")[0]))
    return drawn
