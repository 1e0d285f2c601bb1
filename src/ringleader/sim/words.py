"""How a protocol is told: what must be said in words of its own, and the words that all of them share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ringleader.consensus.shape import Config, Entry, EntryKind, Record, Role, decode_config
from ringleader.sim.picture import Sign

__all__ = ["Stance", "Words", "config_word", "entry_word", "span_words"]


class Stance(NamedTuple):
    """What a member is and whom it follows, as far as somebody watching cares: told whenever it changes."""

    role: Role
    stage: int
    term: int
    leader: int


class Words(NamedTuple):
    """The words of one protocol. Cores and messages are those of the protocol.

    `slot`, `slots`: what it calls a place in its log; `takes`: that a proposal gets such a place. `message`: what a message
    says; `routine`: whether it says nothing new. `record`: what a record says, after "writes". `stance` and `role`: what a
    core is, and that as a sentence, a label for a picture and its sign. `led`: of one that leads when the curtain rises.
    `restarted`: what a core remembers. `term`, `log`: what it has promised and holds, for a table. `entry`: an entry.
    `decided`: that the slots of a `{span}` are decided, as a sentence and as a label.
    """

    slot: str
    slots: str
    takes: str
    message: Callable[[Any], str]
    routine: Callable[[Any], bool]
    record: Callable[[Record], str]
    stance: Callable[[Any], Stance]
    role: Callable[[Any], tuple[str, str, Sign]]
    led: Callable[[Any], str]
    restarted: Callable[[Any], str]
    term: Callable[[Any], str]
    log: Callable[[Any], str]
    entry: Callable[[Entry], str]
    decided: tuple[str, str]


def entry_word(entry: Entry, term: str) -> str:
    """`term.command`, as `2.x`; a no-op is `2.-`, a configuration `2.{1 2 3}`."""
    if entry.kind == EntryKind.NOOP:
        what = "-"
    elif entry.kind == EntryKind.CONFIG:
        what = config_word(decode_config(entry.data))
    else:
        what = entry.data.decode(errors="replace")
    return f"{term}.{what}"


def config_word(config: Config) -> str:
    """`{1 2 3}`; `{1 2 3 & 1 4 5}` while majorities of both decide; `{1 2 3 +4}` with a learner."""

    def ids(members: tuple[int, ...]) -> str:
        return " ".join(map(str, members))

    voters = f"{ids(config.outgoing)} & {ids(config.voters)}" if config.outgoing else ids(config.voters)
    return "{" + voters + "".join(f" +{id}" for id in config.learners) + "}"


def span_words(first: int, last: int) -> str:
    """`3`, or `3 to 5`."""
    return f"{first}" + (f" to {last}" if last > first else "")
