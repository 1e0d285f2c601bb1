"""A counterexample as a text file: the scope it belongs to, the invariant that broke, and one event a line.

What stands after `;` on a line is for people. Replaying a file lets the events happen on the cores as they are now.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ringleader.sim.check.scope import Scope
from ringleader.sim.check.story import Story, tell
from ringleader.sim.check.trace import read_events

__all__ = ["Counterexample", "load", "text_of"]

HEAD = "# A counterexample of `ringleader sim check`; replay it with `ringleader sim check --replay FILE`"


class Counterexample(msgspec.Struct):
    """`violation`: as the search told it. `lines`: the events that lead there, as `check.trace` writes them."""

    scope: Scope
    violation: str
    lines: list[str]

    def replay(self) -> Story:
        """Let it happen again. Raises `ValueError` when the events do not fit the scope."""
        world = self.scope.world()
        trace, _ = read_events(world, self.lines)
        return tell(world, trace)


def text_of(found: Counterexample) -> str:
    """The file. The words after each event say what happens on the cores as they are now."""
    lines = []
    numbers: dict[int, int] = {}
    for place, (line, scene) in enumerate(zip(found.lines, found.replay().scenes, strict=False), 1):
        for letter in scene.sent:
            numbers.setdefault(letter, len(numbers) + 1)
        told = "; ".join(scene.words([numbers[letter] for letter in scene.sent]))
        lines.append(f"{place:3}  {line:20} ; {told}".rstrip(" ;"))
    head = [HEAD, f"scope: {msgspec.json.encode(found.scope).decode()}", f"violation: {found.violation}"]
    return "\n".join([*head, "", *lines, ""])


def load(path: Path) -> Counterexample:
    """Read a file that `text_of` has written. Raises `OSError`, or `ValueError` naming the line that makes no sense."""
    scope, violation = None, ""
    lines: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        head, colon, rest = line.partition(": ")
        if colon and head == "violation":
            violation = rest
        elif colon and head == "scope":
            try:
                scope = msgspec.json.decode(rest, type=Scope)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: the scope is not understood ({error})") from None
            if problem := scope.problem():
                raise ValueError(f"{path}, line {number}: the scope is not understood ({problem})")
        else:
            place, _, event = line.partition(";")[0].strip().partition(" ")
            if not (place.isascii() and place.isdigit()) or not event:
                raise ValueError(f"{path}, line {number}: not an event of a counterexample")
            lines.append(event.strip())
    if scope is None:
        raise ValueError(f"{path} is no counterexample: it names no scope")
    return Counterexample(scope, violation, lines)
