"""Linearizable reads on their way: all queries of one turn wait for one read barrier, here or at the leader.

A query goes through three states: gathered in this turn; waiting for the barrier's index; waiting until that index is
applied. A lost question is noticed by patience and refused, which is always safe for a read.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from itertools import count

from ringleader.store.auth import ANYONE, Caller
from ringleader.store.commands import Read

__all__ = ["Reader", "Readers"]


class Reader:
    """`conn`, `frame`: whom to answer; `reads`: what was asked; `deadline`: local seconds; `caller`: who asks.

    With `then` nobody is answered: it is told whether this node has caught up with all that was committed when it asked.
    """

    __slots__ = ("caller", "conn", "deadline", "frame", "reads", "then")

    def __init__(
        self,
        conn: int,
        frame: int,
        reads: Sequence[Read],
        deadline: float,
        caller: Caller = ANYONE,
        then: Callable[[bool], None] | None = None,
    ) -> None:
        self.conn = conn
        self.frame = frame
        self.reads = reads
        self.deadline = deadline
        self.caller = caller
        self.then = then


class Readers:
    """All reads that wait; `tokens` are this node's numbers for barriers."""

    def __init__(self, first_token: int) -> None:
        self._token = first_token
        self._gathered: list[Reader] = []
        self._asked: dict[int, tuple[float, list[Reader]]] = {}
        self._by_index: list[tuple[int, int, list[Reader]]] = []
        self._order = count()
        self.waiting = 0

    def add(self, reader: Reader) -> None:
        """A query came in."""
        self._gathered.append(reader)
        self.waiting += 1

    def wait_for(self, index: int, reader: Reader) -> None:
        """A query that needs no barrier, only that `index` is applied."""
        heapq.heappush(self._by_index, (index, next(self._order), [reader]))
        self.waiting += 1

    def gathered(self) -> bool:
        """Whether queries of this turn need a barrier."""
        return bool(self._gathered)

    def ask(self, now: float) -> int:
        """All gathered queries wait for one barrier from now on; returns its token."""
        self._token += 1
        self._asked[self._token] = (now, self._gathered)
        self._gathered = []
        return self._token

    def take_gathered(self) -> list[Reader]:
        """The gathered queries, given up."""
        readers, self._gathered = self._gathered, []
        self.waiting -= len(readers)
        return readers

    def confirmed(self, token: int, index: int) -> None:
        """The barrier of `token` stands at `index`."""
        _, readers = self._asked.pop(token, (0.0, None))
        if readers:
            heapq.heappush(self._by_index, (index, next(self._order), readers))

    def failed(self, token: int) -> list[Reader]:
        """The barrier of `token` will never come; its readers, given up."""
        _, readers = self._asked.pop(token, (0.0, []))
        self.waiting -= len(readers)
        return readers

    def asked_before(self, time: float) -> list[int]:
        """Tokens of barriers asked for before `time`."""
        return [token for token, (since, _) in self._asked.items() if since < time]

    def can_serve(self, applied: int) -> bool:
        """Whether `servable` would give some out."""
        return bool(self._by_index) and self._by_index[0][0] <= applied

    def servable(self, applied: int) -> list[Reader]:
        """Readers whose index is applied, given out."""
        ready: list[Reader] = []
        while self._by_index and self._by_index[0][0] <= applied:
            ready += heapq.heappop(self._by_index)[2]
        self.waiting -= len(ready)
        return ready

    def take_confirmed(self) -> list[Reader]:
        """All readers that wait for an index to be applied, given up."""
        readers = [reader for _, _, readers in self._by_index for reader in readers]
        self._by_index = []
        self.waiting -= len(readers)
        return readers

    def overdue(self, now: float) -> list[Reader]:
        """Confirmed readers whose deadline has passed before their index was applied, given up."""
        late = [reader for _, _, readers in self._by_index for reader in readers if reader.deadline <= now]
        if late:
            self._by_index = [
                (index, order, [reader for reader in readers if reader.deadline > now])
                for index, order, readers in self._by_index
            ]
            self.waiting -= len(late)
        return late
