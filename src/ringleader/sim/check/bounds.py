"""How far the checker goes: the bounds that make a world finite, and which events there are in it.

Bounds are conditions on states, as TLC's state constraints are, never counters of events: an event that would lead a member
beyond one does not happen, all others may happen again and again. So within the bounds there is no limit to time-outs, to
losses and duplicates, or to crashes (where `crashes` is on).
"""

from __future__ import annotations

import msgspec

from ringleader.consensus.shape import Config
from ringleader.errors import Reason, UsageError

__all__ = ["Bounds", "Event", "parse_bounds"]


class Event(msgspec.Struct, frozen=True, array_like=True):
    """Something that happens to one member. `argument` by kind: the message's number (deliver, lose), the data (propose),
    the token (read), how many unsynced batches survive (crash), which target (change), to whom (transfer).

    A message is lost only in an opening (`check.scope`): in a search it may be late for ever anyway.
    """

    kind: str
    argument: int | bytes = 0


class Bounds(msgspec.Struct, frozen=True):
    """`term`: the highest that a member may take up (of Paxos: the highest round of a ballot). `commands`: most in one
    member's log, each one of `values` kinds. `rounds`: most rounds of heartbeats or reads that one member starts.

    `beats`: whether time passes for leaders. `reads`, `crashes`, `transfers`: whether such events happen. Without `slow_disk`
    what a turn writes is durable before the next event of that member. `standing`: only these members' election timers run
    out (empty: all). `changes`: configurations that a leader may be asked to bring about.
    """

    term: int = 2
    commands: int = 0
    values: int = 1
    rounds: int = 0
    beats: bool = False
    reads: bool = False
    crashes: bool = False
    slow_disk: bool = False
    transfers: bool = False
    standing: tuple[int, ...] = ()
    changes: tuple[Config, ...] = ()

    def words(self) -> str:
        """The bounds in one line."""
        told = [f"terms to {self.term}"]
        if self.commands:
            told.append(f"commands to {self.commands}" + (f" of {self.values} kinds" if self.values > 1 else ""))
        if self.rounds:
            told.append(f"rounds to {self.rounds}")
        told += [
            word
            for word, on in (
                ("heartbeats", self.beats),
                ("reads", self.reads),
                ("crashes", self.crashes),
                ("slow disks", self.slow_disk),
                ("transfers", self.transfers),
            )
            if on
        ]
        told += [f"change to {'+'.join(map(str, config.voters))}" for config in self.changes]
        if self.standing:
            told.append(f"only {'+'.join(f'n{id}' for id in self.standing)} may stand")
        return ", ".join(told)


NUMBERS = {"term": (1, 99), "commands": (0, 99), "values": (1, 26), "rounds": (0, 99)}
"""The least and the most that each may be: with no term nothing ever happens, and kinds of commands are letters."""
SWITCHES = ("beats", "reads", "crashes", "slow_disk", "transfers")


def parse_bounds(text: str, bounds: Bounds) -> Bounds:
    """`bounds` changed by `term=3,crashes=yes`. Raises `UsageError` naming the part that makes no sense."""
    changes: dict[str, int | bool] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (piece.strip() for piece in part.partition("="))
        name = name.replace("-", "_")
        least, most = NUMBERS.get(name, (0, 0))
        if name in NUMBERS and value.isascii() and value.isdigit() and len(value) < 3 and least <= int(value) <= most:
            changes[name] = int(value)
        elif name in SWITCHES and value in ("yes", "no"):
            changes[name] = value == "yes"
        else:
            numbers = ", ".join(f"{name} ({low} to {high})" for name, (low, high) in NUMBERS.items())
            hint = f"Numbers: {numbers}; yes or no: {', '.join(SWITCHES)}"
            raise UsageError(f"the bound {part!r} makes no sense", reason=Reason.INVALID_ARGUMENT, hint=hint)
    return msgspec.structs.replace(bounds, **changes)
