"""What a leader knows and does beyond taking commands: log time, its view of the members, and whom it hands over to.

A member learns at the end of each turn whether it leads. It proposes nothing before it has applied all that it found in the
log when it began to: only then is it known at which log time to go on.
"""

from __future__ import annotations

from ringleader.consensus.shape import Config
from ringleader.group.logtime import LogTime
from ringleader.group.membership import Reconciler
from ringleader.group.shared import Shared
from ringleader.store.member_ops import LeaderView

__all__ = ["Leading"]

HAND_ON = 10.0
"""Seconds between two attempts of a leader with a full disk to hand leadership to somebody else."""


class Leading:
    """`term`: the one in which this member noticed that it leads, 0: it does not. `runs`: it may propose, `clock` goes.

    `told`: the leader's view of the members as last known here. `election`: seconds.
    """

    def __init__(self, shared: Shared, election: float) -> None:
        self.shared = shared
        self.term = 0
        self.runs = False
        self.clock = LogTime()
        self.reconciler = Reconciler(shared.node, election)
        self.told: LeaderView | None = None
        self._from = 0  # it proposes once this index is applied
        self._hand_on_due = 0.0

    def notice(self) -> None:
        """Compare with the core; call once a turn."""
        shared = self.shared
        core = shared.core
        if not core.leads:
            self.term, self.runs = 0, False
            return
        if self.term != core.term:
            self.term, self._from = core.term, core.last_index
            self.runs = False
            shared.counts["leaderships"] += 1
        if not self.runs and shared.store.applied >= self._from:
            self.clock.start(shared.store.time_ms, shared.now)
            self.runs = True

    def view(self) -> LeaderView | None:
        """How the leader sees the members: now if this member leads, else as it was last told."""
        shared = self.shared
        if shared.core.leads:
            self.told = self.reconciler.view(shared.now, shared.store.members, shared.core.status())
        return self.told

    def next_members(self) -> list[int]:
        """Take the next step from the configuration in force to the one that the table wants; returns whom to promote."""
        shared = self.shared
        step = self.reconciler.next_step(shared.now, shared.store.members, shared.core.status())
        if isinstance(step, Config):
            shared.core.change_members(step)
            return []
        return step or []

    def hand_on(self) -> None:
        """The disk is full: somebody else may have room."""
        shared = self.shared
        if shared.now < self._hand_on_due:
            return
        self._hand_on_due = shared.now + HAND_ON
        status = shared.core.status()
        others = [voter for voter in status.config.voters if voter != shared.node]
        if others:
            shared.core.transfer(max(others, key=lambda voter: status.match.get(voter, 0)))

    def hand_over(self, term: int) -> None:
        """The command just applied, of `term`, wants leadership handed on: by who led then, not by who leads now."""
        shared = self.shared
        heir, shared.store.members.heir = shared.store.members.heir, 0
        if shared.core.leads and shared.core.term == term and heir != shared.node:
            shared.core.transfer(heir)
