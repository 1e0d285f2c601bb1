"""How long a command takes with some of five members slow, for each protocol and quorum: a table, made by running the cores.

Production cores, a network and disks of which every delay is drawn from a generator with a fixed seed, and one command after
the other. Nothing is measured with a clock, so the table is the same wherever it is made.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from heapq import heappop, heappush
from typing import NamedTuple

from ringleader.consensus.protocols import Choice, make_core, options_for
from ringleader.consensus.shape import Config, ConsensusOptions, Send

__all__ = ["filled", "table"]

MEMBERS = (1, 2, 3, 4, 5)
COMMANDS = 200
ENGINES = {"Raft": Choice("raft"), "Paxos, 3 of 5": Choice("paxos"), "Paxos, 2 of 5": Choice("paxos", 2)}
_BLOCK = re.compile(r"(<!-- quorum-table -->\n).*?(<!-- end -->)", re.DOTALL)


class Case(NamedTuple):
    """`far`: members to whom a message takes 40 ms longer. `stuck`: members whose disk takes 40 ms longer."""

    name: str
    far: tuple[int, ...] = ()
    stuck: tuple[int, ...] = ()


CASES = (
    Case("none"),
    Case("one follower is far away", far=(5,)),
    Case("two followers are far away", far=(4, 5)),
    Case("three followers are far away", far=(3, 4, 5)),
    Case("the disk of the leader is slow", stuck=(1,)),
    Case("the disks of the leader and of one follower are slow", stuck=(1, 5)),
    Case("the disks of the leader and of two followers are slow", stuck=(1, 4, 5)),
)


class _Group:
    """Five members; member 1 leads. Times in milliseconds."""

    def __init__(self, choice: Choice, case: Case) -> None:
        self.case = case
        self.chance = random.Random(1)
        options = options_for(choice, ConsensusOptions(election=10.0))
        self.cores = {id: make_core(id, Config(MEMBERS), random.Random(id), options) for id in MEMBERS}
        self.now = 0.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.count = 0
        self.emitted = dict.fromkeys(MEMBERS, 0)
        self.durable = dict.fromkeys(MEMBERS, 0)
        self.disk_free = dict.fromkeys(MEMBERS, 0.0)
        self.held: dict[int, list[Send]] = {id: [] for id in MEMBERS}
        for id in MEMBERS:
            self._tick(id)

    def elect(self) -> None:
        """Member 1 leads, and all know what is committed."""
        while not self.cores[1].leads or min(core.commit for core in self.cores.values()) < 1:
            self._next()

    def command(self) -> float:
        """The time from proposing a command to its commitment at the leader."""
        began = self.now
        index = self.cores[1].propose([b"x" * 100])
        assert index, "member 1 leads, and nobody disturbs it"
        self._carry_out(1)
        while self.cores[1].commit < index:
            self._next()
        took = self.now - began
        while min(core.commit for core in self.cores.values()) < index:
            self._next()  # each command finds everything at rest
        return took

    def _next(self) -> None:
        self.now, _, act = heappop(self.events)
        act()

    def _later(self, delay: float, act: Callable[[], None]) -> None:
        self.count += 1
        heappush(self.events, (self.now + delay, self.count, act))

    def _tick(self, id: int) -> None:
        # The others notice time a little less, so that member 1 stands first.
        self.cores[id].tick(self.now / 1000 * (1 if id == 1 else 0.4))
        self._carry_out(id)
        self._later(50, lambda: self._tick(id))

    def _carry_out(self, id: int) -> None:
        out = self.cores[id].take_output()
        if out.records:
            self.emitted[id] += len(out.records)
            number = self.emitted[id]
            takes = 1 + self.chance.random() + (40 if id in self.case.stuck else 0)
            self.disk_free[id] = max(self.disk_free[id], self.now) + takes
            self._later(self.disk_free[id] - self.now, lambda: self._synced(id, number))
        self.held[id] += out.messages
        self._send(id)

    def _synced(self, id: int, number: int) -> None:
        self.durable[id] = number
        self.cores[id].synced(number)
        self._carry_out(id)

    def _send(self, id: int) -> None:
        ready = [send for send in self.held[id] if send.after <= self.durable[id]]
        self.held[id] = [send for send in self.held[id] if send.after > self.durable[id]]
        for send in ready:
            delay = 0.5 + self.chance.random() + (40 if {id, send.to} & set(self.case.far) else 0)
            self._later(delay, lambda send=send: self._arrive(id, send))  # type: ignore[misc]  # bound now, not later

    def _arrive(self, sender: int, send: Send) -> None:
        self.cores[send.to].step(sender, send.message)
        self._carry_out(send.to)


def _took(choice: Choice, case: Case) -> str:
    group = _Group(choice, case)
    group.elect()
    times = sorted(group.command() for _ in range(COMMANDS))
    return f"{times[COMMANDS // 2]:.1f} / {times[COMMANDS * 99 // 100]:.1f}"


def table() -> str:
    """The table in Markdown: milliseconds, median and 99th percentile."""
    head = f"| who is slow | {' | '.join(ENGINES)} |\n|---|{'---|' * len(ENGINES)}\n"
    rows = [f"| {case.name} | {' | '.join(_took(choice, case) for choice in ENGINES.values())} |" for case in CASES]
    return head + "\n".join(rows) + "\n"


def filled(page: str) -> str:
    """The page with the table in its place, if it has one."""
    return _BLOCK.sub(lambda match: match[1] + table() + match[2], page) if _BLOCK.search(page) else page
