"""Events as words and back: the language of counterexamples and of openings.

`n1 time`, `n2 deliver 3`, `n1 propose a`, `n1 read 2`, `n1 sync`, `n1 crash 0`, `n1 change 0`, `n1 transfer 2`, `n2 lose 3`.
Messages are numbered from 1 in the order in which they are first sent in this trace, so that the words mean the same in every
world.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ringleader.sim.check.bounds import Event
from ringleader.sim.check.world import State, World

__all__ = ["ABOUT_A_MESSAGE", "Happening", "read_events", "words_of", "write_events"]

ALONE = ("time", "sync")
ABOUT_A_MESSAGE = ("deliver", "lose")
KINDS = (*ALONE, *ABOUT_A_MESSAGE, "propose", "read", "crash", "change", "transfer")


class Happening(NamedTuple):
    """One event of a trace: which member, and what. A message is named by its number in one world."""

    member: int
    event: Event


def words_of(happening: Happening, numbers: dict[int, int]) -> str:
    """One event; `numbers`: how the messages of its world are called."""
    member, event = happening
    argument = event.argument
    if event.kind in ALONE:
        return f"n{member} {event.kind}"
    if isinstance(argument, bytes):
        return f"n{member} {event.kind} {argument.decode()}"
    return f"n{member} {event.kind} {numbers[argument] if event.kind in ABOUT_A_MESSAGE else argument}"


def write_events(world: World, trace: Iterable[Happening]) -> list[str]:
    """The words of a trace that begins with the first state of `world`, in whose numbers it names messages."""
    state = world.first()
    numbers: dict[int, int] = {}
    lines = []
    for happening in trace:
        lines.append(words_of(happening, numbers))
        action, after = world.apply(state, happening.member - 1, happening.event)
        for letter in world.sent(action) if action is not None else []:
            numbers.setdefault(letter, len(numbers) + 1)
        if isinstance(after, str):
            break
        state = after
    return lines


def read_events(world: World, lines: Iterable[str]) -> tuple[list[Happening], State | str]:
    """What the lines say, carried out one after the other, and the state that they lead to or the invariant that broke.

    Raises `ValueError` for a line that makes no sense, or names a message that was not sent.
    """
    state = world.first()
    letters: list[int] = []
    told = []
    for line in lines:
        happening = _read(world, line, letters)
        told.append(happening)
        action, after = world.apply(state, happening.member - 1, happening.event)
        if isinstance(after, str):
            return told, after
        if action is not None:
            letters += [letter for letter in world.sent(action) if letter not in letters]
        state = after
    return told, state


def _read(world: World, line: str, letters: list[int]) -> Happening:
    member, kind, *rest = line.split()
    if member not in [f"n{id}" for id in range(1, world.members + 1)] or kind not in KINDS:
        raise ValueError(f"{line.strip()!r} is no event")
    if kind in ALONE:
        return Happening(int(member[1:]), Event(kind))
    if len(rest) != 1:
        raise ValueError(f"{line.strip()!r} lacks what {kind} is about")
    if kind == "propose":
        return Happening(int(member[1:]), Event(kind, rest[0].encode()))
    if not (rest[0].isascii() and rest[0].isdigit() and len(rest[0]) < 10):
        raise ValueError(f"{line.strip()!r}: {rest[0]!r} is no number")
    number = int(rest[0])
    if kind == "change" and number >= len(world.bounds.changes):
        raise ValueError(f"{line.strip()!r}: the scope has {len(world.bounds.changes)} changes, numbered from 0")
    if kind in ABOUT_A_MESSAGE:
        if not 0 < number <= len(letters):
            raise ValueError(f"{line.strip()!r}: only {len(letters)} messages were sent by then")
        number = letters[number - 1]
        if f"n{world.letter(number)[1]}" != member:
            raise ValueError(f"{line.strip()!r}: message {rest[0]} is for n{world.letter(number)[1]}")
    return Happening(int(member[1:]), Event(kind, number))
