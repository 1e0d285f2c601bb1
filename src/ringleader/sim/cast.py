"""Who can be put on a stage: how the members of each protocol are made from the options of a scenario, and their words."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ringleader.consensus.paxos import Paxos, PaxosOptions
from ringleader.consensus.raft import Raft, RaftOptions
from ringleader.consensus.shape import Config
from ringleader.sim.words import Words
from ringleader.sim.words_paxos import PAXOS_WORDS
from ringleader.sim.words_raft import RAFT_WORDS

__all__ = ["Cast", "Member", "cast_for", "run_out"]

Member = Raft | Paxos
"""A core as it runs in production."""


class Cast(NamedTuple):
    """The members of one protocol: `make` a core (its id, the voters at the beginning), and the `words` for what it does."""

    make: Callable[[int, tuple[int, ...]], Member]
    words: Words


class _Steady:
    """An entropy without chance: member n always waits 1 + n/10 election times, so that the lowest number stands first."""

    def __init__(self, id: int) -> None:
        self.value = id / 10

    def random(self) -> float:
        return self.value

    def getrandbits(self, k: int, /) -> int:
        return 0


def cast_for(protocol: str, options: dict[str, str]) -> Cast:
    """The cast of a protocol; takes out of `options` those that are its own.

    Raises `ValueError` for a protocol that there is not, or an option that is no number where it should be.
    """
    if protocol == "raft":
        return _raft(options)
    if protocol == "paxos":
        return _paxos(options)
    raise ValueError(f"no such protocol: {protocol}")


def _raft(options: dict[str, str]) -> Cast:
    known = RaftOptions(
        pre_vote=_yes(options, "pre_vote"),
        check_quorum=_yes(options, "check_quorum"),
        window_messages=_number(options, "window", 256),
        append_bytes=_number(options, "chunk", 1 << 20),
    )
    return Cast(lambda id, voters: Raft(id, Config(voters), _Steady(id), known), RAFT_WORDS)


def _paxos(options: dict[str, str]) -> Cast:
    known = PaxosOptions(
        canvass=_yes(options, "canvass"),
        check_quorum=_yes(options, "check_quorum"),
        window_messages=_number(options, "window", 256),
        append_bytes=_number(options, "chunk", 1 << 20),
        phase2=_number(options, "phase2", 0),
    )
    return Cast(lambda id, voters: Paxos(id, Config(voters), _Steady(id), known), PAXOS_WORDS)


def _yes(options: dict[str, str], name: str) -> bool:
    return options.pop(name, "yes") == "yes"


def _number(options: dict[str, str], name: str, usual: int) -> int:
    return int(options.pop(name, usual))


def run_out(core: Member) -> None:
    """The election timer of a core runs out now."""
    core.deadline = core.now
    core.tick(core.now)
