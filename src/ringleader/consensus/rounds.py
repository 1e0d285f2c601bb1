"""The books of a leader about reads: which wait for a round, which rounds are on the way, and which one was confirmed last.

Protocols differ in when a round may start and who confirms it (`raft.reads`, `paxos.reads`), not in what is noted, nor in who
is asked. A round of reads goes to as few members as can confirm it, to those who were the first to answer the round before;
only when they take too long to all. Heartbeats go to all in any case, so every one of them finds out anew who is quick.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from ringleader.consensus.peer import Peer

__all__ = ["Reads"]


class Reads:
    """Reads waiting for a round to start, and rounds on the way.

    `rounds`: (number, start time, commit index then, tokens), oldest first. `confirmed_at`: the start time of the
    newest round that a quorum answered. `quick`: who had answered when the newest one was confirmed. `asked_all`: the
    newest that all were asked in.
    """

    __slots__ = ("asked_all", "confirmed_at", "number", "quick", "rounds", "waiting")

    def __init__(self) -> None:
        self.number = self.asked_all = 0
        self.quick: list[int] = []
        self.waiting: list[int] = []
        self.rounds: deque[tuple[int, float, int, list[int]]] = deque()
        self.confirmed_at = float("-inf")

    def ask(self, token: int) -> None:
        """A read wants to be confirmed."""
        self.waiting.append(token)

    def start(self, now: float, commit: int) -> None:
        """A round for all reads that wait begins; whom it asks is to be said next."""
        tokens, self.waiting = self.waiting, []
        self._start(now, commit, tokens)

    def start_empty(self, now: float, commit: int) -> None:
        """A round of heartbeats begins; reads that wait go on waiting."""
        self._start(now, commit, [])

    def _start(self, now: float, commit: int, tokens: list[int]) -> None:
        self.number += 1
        self.rounds.append((self.number, now, commit, tokens))

    def ask_all(self, members: Mapping[int, Peer]) -> None:
        """Have all answer the rounds on the way."""
        self.asked_all = self.number
        for member in members.values():
            member.ping = True

    def ask_some(self, members: Mapping[int, Peer], enough: Callable[[list[int]], bool]) -> None:
        """Have as few as `enough` says answer, if they are known to be quick."""
        asked: list[int] = []
        for member in self.quick:
            if member in members and not enough(asked):
                asked.append(member)
        if not enough(asked):
            self.ask_all(members)
        for member in asked:
            members[member].ping = True

    def ask_more(self, members: Mapping[int, Peer], now: float, commit: int, patience: float) -> None:
        """Have all answer, unless they were asked already, if a round that began `patience` ago is not confirmed yet.

        They are asked in a new round: an answer to what had been sent to them in the old one says nothing of what followed.
        """
        if self.rounds and self.rounds[0][0] > self.asked_all and self.rounds[0][1] <= now - patience:
            self.start_empty(now, commit)
            self.ask_all(members)

    def confirmed(self, members: Mapping[int, Peer], reached: int) -> list[tuple[int, int]]:
        """A quorum has answered round `reached`: the (token, index) of all that this confirms."""
        rounds, served = self.rounds, []
        while rounds and rounds[0][0] <= reached:
            number, self.confirmed_at, index, tokens = rounds.popleft()
            self.quick = [id for id, member in members.items() if member.round >= number]
            served += [(token, index) for token in tokens]
        return served

    def reset(self) -> None:
        """A new leadership. Numbers go on rising, so that an old round's late answer cannot confirm a new one."""
        self.waiting, self.rounds, self.quick = [], deque(), []
        self.confirmed_at = float("-inf")

    def give_up(self) -> list[int]:
        """Leadership is lost: all tokens that will never be confirmed."""
        tokens = [token for *_, tokens in self.rounds for token in tokens] + self.waiting
        self.reset()
        return tokens
