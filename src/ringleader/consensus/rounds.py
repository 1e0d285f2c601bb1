"""The books of a leader about reads: which wait for a round, which rounds are on the way, and which one was confirmed last.

Protocols differ in when a round may start and who confirms it (`raft.reads`, `paxos.reads`), not in what is noted.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Reads"]


class Reads:
    """Reads waiting for a round to start, and rounds on the way.

    `rounds`: (number, start time, commit index then, tokens), oldest first. `confirmed_at`: the start time of the
    newest round that a quorum answered.
    """

    __slots__ = ("confirmed_at", "number", "rounds", "waiting")

    def __init__(self) -> None:
        self.number = 0
        self.waiting: list[int] = []
        self.rounds: deque[tuple[int, float, int, list[int]]] = deque()
        self.confirmed_at = float("-inf")

    def ask(self, token: int) -> None:
        """A read wants to be confirmed."""
        self.waiting.append(token)

    def begin(self, now: float, commit: int, tokens: list[int]) -> None:
        """A round starts for these reads (none: only to renew the lease)."""
        self.number += 1
        self.rounds.append((self.number, now, commit, tokens))

    def confirmed(self, upto: int) -> list[tuple[int, int]]:
        """A quorum has answered all rounds up to `upto`: their reads, as (token, index at which each may be served)."""
        served = []
        rounds = self.rounds
        while rounds and rounds[0][0] <= upto:
            _, self.confirmed_at, index, tokens = rounds.popleft()
            served += [(token, index) for token in tokens]
        return served

    def reset(self) -> None:
        """A new leadership. Numbers go on rising, so that an old round's late answer cannot confirm a new one."""
        self.waiting, self.rounds = [], deque()
        self.confirmed_at = float("-inf")

    def give_up(self) -> list[int]:
        """Leadership is lost: all tokens that will never be confirmed."""
        tokens = [token for *_, tokens in self.rounds for token in tokens] + self.waiting
        self.reset()
        return tokens
