"""From the table of members to the configuration of consensus: what the leader has to do next so that they agree.

The table (`store.members`) says what is wanted; the configuration in the log says who takes part. The leader compares the
two again and again and takes one step at a time, each by a change as the protocol does it (joint consensus with Raft, sealing
with Paxos). As it keeps nothing that is not in one of the two, a new leader goes on where the old one stopped.

A learner has caught up when it copied, within one election time, all that the log held at the start of that time (rounds,
Raft thesis section 4.2.1): then it will not hold commits up once it votes.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ringleader.consensus.shape import Config, Status
from ringleader.store.member_ops import LeaderView, MemberRow, Standing
from ringleader.store.members import Members

__all__ = ["Reconciler", "wanted"]

PERIOD = 0.05
"""Seconds between two looks."""
ASK_AGAIN = 5.0
"""Seconds after which a promotion that was proposed, but not seen in the table, is proposed again."""


def wanted(rows: Iterable[MemberRow]) -> Config:
    """The configuration that the table asks for."""
    ordered = sorted(rows, key=lambda row: row.id)
    return Config(
        tuple(row.id for row in ordered if row.standing is Standing.VOTER),
        (),
        tuple(row.id for row in ordered if row.standing is Standing.LEARNER),
    )


class Round(msgspec.Struct):
    """A learner has to reach `target`, which was the end of the log at time `since`."""

    target: int
    since: float


class Reconciler:
    """The leader's own knowledge of its learners, begun anew in each term. `election`: seconds."""

    def __init__(self, node: int, election: float) -> None:
        self.node = node
        self.election = election
        self.due = 0.0
        self._term = 0
        self._since = 0.0
        self._rounds: dict[int, Round] = {}
        self._caught_up: set[int] = set()
        self._asked: dict[int, float] = {}

    def next_step(self, now: float, table: Members, status: Status) -> Config | list[int] | None:
        """A configuration to change to, or learners to promote, or nothing to do. Call while leading, every `PERIOD`."""
        self.due = now + PERIOD
        self._follow(now, status)
        target = wanted(table.rows.values())
        config = status.config
        if config.outgoing or not target.voters:
            return None
        if target != _plain(config):
            return target
        fit = [
            row.id
            for row in table.rows.values()
            if row.standing is Standing.LEARNER
            and row.auto_promote
            and self._fit(row.id, now, status)
            and now >= self._asked.get(row.id, now)
        ]
        for member in fit:
            self._asked[member] = now + ASK_AGAIN
        return fit or None

    def view(self, now: float, table: Members, status: Status) -> LeaderView:
        """What the leader knows at `now`, for the commands it proposes and the reads it answers."""
        self._begin(now, status)
        config = status.config
        heard = {member: int((now - time) * 1000.0) for member, time in status.heard.items()}
        healthy = [member for member in status.match if self._healthy(member, now, status)]
        return LeaderView(
            leader=self.node,
            term=status.term,
            last_index=status.last_index,
            commit=status.commit,
            voters=list(config.voters),
            outgoing=list(config.outgoing),
            learners=list(config.learners),
            match={**status.match, self.node: status.last_index},
            heard_ms=heard,
            healthy=sorted([self.node, *healthy]),
            caught_up=sorted(member for member in self._caught_up if self._fit(member, now, status)),
            busy=_busy(table, config),
            unheard=sorted(status.match.keys() - heard.keys()) if now - self._since < self.election else [],
        )

    def _begin(self, now: float, status: Status) -> None:
        """Forget what was known in an earlier term."""
        if status.term != self._term:
            self._term, self._since = status.term, now
            self._rounds, self._caught_up, self._asked = {}, set(), {}

    def _follow(self, now: float, status: Status) -> None:
        """Begin, end and judge the learners' rounds."""
        self._begin(now, status)
        learners = set(status.config.learners)
        self._rounds = {member: found for member, found in self._rounds.items() if member in learners}
        self._caught_up &= learners
        for member in learners:
            found = self._rounds.get(member)
            if found is None:
                self._rounds[member] = Round(max(status.last_index, 1), now)
            elif status.match.get(member, 0) >= found.target:
                if now - found.since <= self.election:
                    self._caught_up.add(member)
                else:
                    self._caught_up.discard(member)
                self._rounds[member] = Round(status.last_index, now)
            elif now - found.since > 2 * self.election:
                self._caught_up.discard(member)

    def _healthy(self, member: int, now: float, status: Status) -> bool:
        heard = status.heard.get(member)
        return heard is not None and now - heard <= self.election

    def _fit(self, member: int, now: float, status: Status) -> bool:
        return member in self._caught_up and self._healthy(member, now, status)


def _plain(config: Config) -> Config:
    return Config(tuple(sorted(config.voters)), (), tuple(sorted(config.learners)))


def _busy(table: Members, config: Config) -> str:
    """The change of members that is not finished, in words."""
    target = wanted(table.rows.values())
    if not config.outgoing and target == _plain(config):
        return ""

    def names(members: Iterable[int]) -> str:
        return (
            ", ".join(table.rows[member].name if member in table.rows else str(member) for member in members) or "none"
        )

    return f"towards voters {names(target.voters)} and learners {names(target.learners)}"
