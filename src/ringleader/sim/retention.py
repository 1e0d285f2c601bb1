"""How long history stays: an operator sets it, the leader compacts by itself, and here is judged that it does so rightly.

Not too early: what the leader compacts away was old enough, by log time or by number of revisions, whatever leaders came and
went. And not too late: once all is well, history does not pile up. What clients compact by hand is none of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ringleader.consensus.shape import Entry, EntryKind
from ringleader.errors import RingleaderError
from ringleader.sim.violation import Violation
from ringleader.store.auth import NODE
from ringleader.store.commands import Batch, Compact, Configure
from ringleader.store.settings import Settings

if TYPE_CHECKING:
    from ringleader.sim.world import World

__all__ = ["Retention"]

FROM = 0.5
"""Seconds after which the operator makes the setting, and between two attempts."""
PATIENCE = 5.0
"""Seconds that an attempt may take."""
LAG = 5.0
"""Seconds that history may stay longer than asked for after all has become well: a leader is found, looks, and commits."""

_batch = msgspec.msgpack.Decoder(Batch)


class Retention:
    """The operator who makes the setting of `world.options`, and the judge of what comes of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.wanted = world.options.settings
        world.oracle.on_commit.append(self._committed)  # behind the truth, which then knows the revisions

    def start(self) -> None:
        """Have the setting made, unless it is what holds anyway."""
        if self.wanted != Settings():
            self.world.timeline.after(FROM, self._ask)

    def _ask(self) -> None:
        wanted = self.wanted
        command = Configure(None, wanted.compaction, wanted.retention_ms, wanted.retention_revisions)
        callers = [caller for caller in self.world.callers if caller.running and caller.calling and not caller.paused]
        if callers:
            callers[0].act(lambda: callers[0].submit(command, PATIENCE, once=True, then=self._answered))
        if not callers or self.world.nemesis.healed:
            return  # it comes too late to matter
        self.world.timeline.after(FROM + PATIENCE, self._again)

    def _again(self) -> None:
        """Nobody will say what became of an attempt whose client has died."""
        if self.world.truth.store.settings != self.wanted:
            self._ask()

    def _answered(self, answer: Any) -> None:
        if isinstance(answer, RingleaderError):
            self.world.timeline.after(FROM, self._again)

    # -------------------------------------------------------------------------------------------------------- judging

    def _committed(self, index: int, entry: Entry, born: float) -> None:
        if entry.kind != EntryKind.COMMAND:
            return
        batch = _batch.decode(entry.data)
        for envelope in batch.envelopes:
            if envelope.principal == NODE.principal:
                for _, command in envelope.commands:
                    if isinstance(command, Compact):
                        self._judge(command.revision, batch.time_ms)

    def _judge(self, revision: int, time_ms: int) -> None:
        """A leader has compacted up to `revision` at log time `time_ms`."""
        truth = self.world.truth
        self.world.probes.hit("history compacted by itself")
        settings = truth.store.settings
        age_ms = time_ms - truth.moments[revision].time_ms
        behind = truth.store.revision - revision
        early = {
            "periodic": age_ms < settings.retention_ms,
            "revisions": behind < settings.retention_revisions,
            "off": self.wanted.compaction
            == "off",  # one that was under way when the setting was made may come after it
        }
        if early[settings.compaction]:
            text = f"history up to revision {revision}, {behind} revisions and {age_ms} ms old, was compacted under {settings}"
            raise Violation("retention", text)

    def settled(self) -> None:
        """All has been well for a while: what is too old has to be gone."""
        truth, now = self.world.truth, self.world.timeline.now
        settings = truth.store.settings
        oldest = truth.store.compact_revision
        if settings.compaction == "periodic":
            kept = settings.retention_ms / 1000.0 / (1.0 - self.world.options.clock.drift)
            due = now - kept - LAG
            # Who restarts has forgotten what stood when: then history stays longer.
            late = due > self.world.options.faults_until and self._stood(due) > oldest
        else:
            kept = 2 * settings.retention_revisions
            late = settings.compaction == "revisions" and self._stood(now - LAG) - kept > oldest
        if late:
            raise Violation("retention", f"revision {oldest} of {truth.store.revision} is still there under {settings}")

    def _stood(self, moment: float) -> int:
        """The newest revision that was known to be committed at `moment`, the world's time."""
        moments = self.world.truth.moments
        return max((revision for revision in range(2, len(moments)) if moments[revision].done <= moment), default=0)
