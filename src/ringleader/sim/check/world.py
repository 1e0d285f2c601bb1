"""The global state, and everything that can happen in it.

A state is a tuple of small integers: for each member its *cell* (local state and inbox, numbered), and last the ghost of the
past (`check.invariants`). All that can happen to a member depends on its cell alone, so it is worked out once per cell: a list
of actions, each a new cell and letters for others. Global transitions are then look-ups, additions to inboxes, and, only where
an action changes a log, a leader or what is committed, a look at the invariants.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ringleader.consensus.shape import Config
from ringleader.sim.check.bounds import Bounds, Event
from ringleader.sim.check.invariants import Ghost, completeness, crown, matching, remember
from ringleader.sim.check.model import Model
from ringleader.sim.check.tables import Committed, Step, Tables

__all__ = ["Action", "State", "World"]

State = tuple[int, ...]


class Action(NamedTuple):
    """What can happen to the member of a cell. `mail`: (place of the receiver, mask). `watch`: invariants may care."""

    event: Event
    cell: int
    mail: tuple[tuple[int, int], ...]
    watch: bool
    step: Step


class World:
    """Members 1 to `members`, those of `config` in the group from the start, within bounds.

    `reduce`: take letters out of inboxes once they can make no difference any more (`Model.dead`).
    """

    def __init__(self, model: Model, bounds: Bounds, config: Config, members: int, *, reduce: bool = True) -> None:
        self.tables = Tables(model, bounds, config, members, reduce)
        self.bounds = bounds
        self.members = members
        self.cells: list[tuple[int, int]] = []  # (local state, inbox)
        self.ghosts: list[Ghost] = []
        self._cells: dict[tuple[int, int], int] = {}
        self._ghosts: dict[Ghost, int] = {}
        self._actions: list[list[Action] | None] = []
        self._given: list[dict[int, int]] = []
        self._reads: dict[tuple[int, int], Action | None] = {}
        self._remembered: dict[tuple[int, Committed, int, int], int | str] = {}
        self._complete: dict[tuple[int, int], str] = {}
        self._matching: dict[tuple[int, int], str] = {}
        self._kept: dict[tuple[int, int, int], str] = {}

    def first(self) -> State:
        """Everybody has just started, and nothing was ever sent."""
        cells = [self.cell(self.tables.first(id), 0) for id in self.tables.members]
        return (*cells, self.ghost(Ghost()))

    def cell(self, local: int, inbox: int) -> int:
        """The number of a local state with an inbox."""
        key = (local, self.tables.living(local, inbox))
        known = self._cells.get(key)
        if known is None:
            known = self._cells[key] = len(self.cells)
            self.cells.append(key)
            self._actions.append(None)
            self._given.append({})
        return known

    def ghost(self, ghost: Ghost) -> int:
        """The number of a ghost."""
        known = self._ghosts.get(ghost)
        if known is None:
            known = self._ghosts[ghost] = len(self.ghosts)
            self.ghosts.append(ghost)
        return known

    def given(self, cell: int, mask: int) -> int:
        """The cell with more letters in its inbox."""
        known = self._given[cell].get(mask)
        if known is None:
            local, inbox = self.cells[cell]
            known = self._given[cell][mask] = self.cell(local, inbox | mask)
        return known

    # ----------------------------------------------------------------------------------------------------- actions

    def actions(self, cell: int) -> list[Action]:
        """Everything that can happen to the member of a cell, but for reads. Events with the same effect are one."""
        known = self._actions[cell]
        if known is None:
            known = self._actions[cell] = list(self._work_out(cell))
        return known

    def _work_out(self, cell: int) -> Iterator[Action]:
        local, inbox = self.cells[cell]
        tables = self.tables
        letters = tables.inboxes[tables.owners[local]]
        events = self._inner_events(local)
        events += [Event("deliver", letters[bit]) for bit in range(inbox.bit_length()) if inbox >> bit & 1]
        seen: set[tuple[object, ...]] = set()
        for event in events:
            step = tables.step(local, event)
            if step is not None and step[1:] not in seen:
                seen.add(step[1:])
                yield self._action(cell, step)

    def _inner_events(self, local: int) -> list[Event]:
        """What may happen to a member without any message."""
        bounds, tables = self.bounds, self.tables
        id, view = tables.owners[local], tables.views[local]
        events = []
        if bounds.beats if view.leads else not bounds.standing or id in bounds.standing:
            events.append(Event("time"))
        if view.leads:
            if sum(item is not None and item[1] == 0 for item in view.log) < bounds.commands:
                events += [Event("propose", bytes([97 + value])) for value in range(bounds.values)]
            events += [Event("change", target) for target in range(len(bounds.changes))]
            if bounds.transfers:
                events += [Event("transfer", other) for other in tables.members if other != id]
        if bounds.slow_disk:
            events.append(Event("sync"))
        if bounds.crashes:
            kept = 0
            while tables.step(local, Event("crash", kept)) is not None and kept < 20:
                events.append(Event("crash", kept))
                kept += 1
        return events

    def _action(self, cell: int, step: Step) -> Action:
        local, inbox = self.cells[cell]
        tables = self.tables
        before, after = tables.views[local], tables.views[step.local]
        watch = bool(
            step.committed
            or step.problem
            or step.event.kind == "crash"
            or tables.log_of[local] != tables.log_of[step.local]
            or (after.leads and (not before.leads or before.term != after.term))
        )
        mail = tuple((receiver - 1, mask) for receiver, mask in step.mail)
        return Action(step.event, self.cell(step.local, inbox), mail, watch, step)

    def _read(self, cell: int, ghost: int) -> Action | None:
        """A leader is asked for a read, which must see all that was committed anywhere by now."""
        local, _ = self.cells[cell]
        if not self.tables.views[local].leads:
            return None
        wanted = len(self.ghosts[ghost].committed)
        key = (cell, wanted)
        if key not in self._reads:
            step = self.tables.step(local, Event("read", wanted))
            self._reads[key] = None if step is None else self._action(cell, step)
        return self._reads[key]

    # ------------------------------------------------------------------------------------------------------ states

    def successors(self, state: State) -> Iterator[tuple[int, Action, State | str]]:
        """All transitions out of a state: (place of the member, action, next state or the invariant that broke).

        In an order that depends on the state and what was numbered alone, so that the n-th is always the same.
        """
        ghost, members, reads = state[-1], self.members, self.bounds.reads
        known = self._actions
        for place in range(members):
            cell = state[place]
            actions = known[cell]
            if actions is None:
                actions = self.actions(cell)
            if reads and (read := self._read(cell, ghost)) is not None:
                actions = [*actions, read]
            for action in actions:
                yield place, action, self._after(state, place, action)

    def apply(self, state: State, place: int, event: Event) -> tuple[Action | None, State | str]:
        """What one event makes of a state; without an action: nothing, or it is outside the bounds."""
        if event.kind == "lose":
            return None, self._lost(state, place, int(event.argument))
        step = self.tables.step(self.cells[state[place]][0], event)
        if step is None:
            return None, state
        action = self._action(state[place], step)
        return action, self._after(state, place, action)

    def _lost(self, state: State, place: int, letter: int) -> State:
        """The state without that letter in the inbox."""
        local, inbox = self.cells[state[place]]
        rest = self.cell(local, inbox & ~(1 << self.tables.letters[letter].bit))
        return (*state[:place], rest, *state[place + 1 :])

    def sent(self, action: Action) -> list[int]:
        """The numbers of the letters that an action sends."""
        tables = self.tables
        return [
            number
            for receiver, mask in action.mail
            for bit, number in enumerate(tables.inboxes[receiver + 1])
            if mask >> bit & 1
        ]

    def letter(self, number: int) -> tuple[int, int, Any]:
        """Sender, receiver and message of a letter."""
        letter = self.tables.letters[number]
        return letter.sender, letter.receiver, self.tables.model.decode(letter.data)

    def _after(self, state: State, place: int, action: Action) -> State | str:
        """The state after an action, or the invariant that broke."""
        after = list(state)
        after[place] = action.cell
        given = self._given
        for receiver, mask in action.mail:
            old = after[receiver]
            new = given[old].get(mask)
            after[receiver] = self.given(old, mask) if new is None else new
        if action.watch and (problem := self._watch(state, place, action, after)):
            return problem
        return tuple(after)

    def _watch(self, state: State, place: int, action: Action, after: list[int]) -> str:
        """Check what `action` may have broken, and let the ghost remember. `after` gets the new ghost."""
        tables, step, id = self.tables, action.step, place + 1
        if step.problem:
            return step.problem
        view = tables.views[step.local]
        ghost = after[-1]
        if view.leads:
            crowned = self._crowned(ghost, view.term, id)
            if isinstance(crowned, str):
                return crowned
            ghost = crowned
        if step.committed:
            key = (ghost, step.committed, view.term, id)
            if key not in self._remembered:
                told = remember(self.ghosts[ghost], step.committed, view.term, id)
                self._remembered[key] = told if isinstance(told, str) else self.ghost(told)
            remembered = self._remembered[key]
            if isinstance(remembered, str):
                return remembered
            ghost = remembered
        after[-1] = ghost
        for other in range(self.members):
            problem = self._pair(ghost, step.local, self.cells[after[other]][0], other + 1)
            if problem:
                return problem
        if action.event.kind == "crash":
            return self._promises(state, place, step.local)
        return ""

    def _crowned(self, ghost: int, term: int, id: int) -> int | str:
        if (term, id) in self.ghosts[ghost].leaders:
            return ghost
        crowned = crown(self.ghosts[ghost], term, id)
        return crowned if isinstance(crowned, str) else self.ghost(crowned)

    def _pair(self, ghost: int, local: int, other: int, id: int) -> str:
        """Leader completeness of member `id` in local state `other`; its log and that of `local` match."""
        tables = self.tables
        if tables.views[other].leads:
            key = (ghost, other)
            if key not in self._complete:
                self._complete[key] = completeness(self.ghosts[ghost], tables.views[other], id)
            if self._complete[key]:
                return self._complete[key]
        logs = (tables.log_of[local], tables.log_of[other])
        if logs[0] == logs[1] or not tables.model.matching:
            return ""
        if logs not in self._matching:
            self._matching[logs] = matching(tables.views[local].log, tables.views[other].log)
        return self._matching[logs]

    def _promises(self, state: State, place: int, local: int) -> str:
        """Whether a restarted member is bound by all that it has ever sent."""
        for other in range(self.members):
            if other == place:
                continue
            inbox = self.cells[state[other]][1]
            key = (local, other, inbox)
            if key not in self._kept:
                self._kept[key] = self._broken(local, other + 1, inbox)
            if self._kept[key]:
                return self._kept[key]
        return ""

    def _broken(self, local: int, receiver: int, inbox: int) -> str:
        tables = self.tables
        member = tables.freezer.thaw(tables.locals[local])
        for bit, number in enumerate(tables.inboxes[receiver]):
            letter = tables.letters[number]
            if inbox >> bit & 1 and letter.sender == tables.owners[local]:
                said = tables.model.broken_promise(member.core, receiver, tables.model.decode(letter.data))
                if said:
                    return f"promises are durable: n{letter.sender} forgot at a crash: {said}"
        return ""
