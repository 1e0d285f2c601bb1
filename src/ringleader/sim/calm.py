"""When nothing goes wrong any more, nothing may stir: a leader that a quorum hears stays, and clients get on.

That everything comes right at some moment is asked of every seed (`World.settled`). Some seeds are made to wait longer, and
are held to more: from a while after the faults on nobody may depose the leader, neither a node that was removed, nor one that
does not see the leader because some links stay broken (`Options.lasting`: everybody still reaches a quorum, but not all reach
all, the case in which elections can go on for ever).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringleader.sim.network import Pair, bridge, ring
from ringleader.sim.terms import term_word
from ringleader.sim.violation import Violation

if TYPE_CHECKING:
    from ringleader.sim.world import World

__all__ = ["LASTING", "Calm"]

SETTLING = 10.0
"""Seconds after the faults from which on nothing may stir; members asked for by then have come or gone."""

LASTING = {"bridge": bridge, "ring": ring}
"""Networks in which there is always a node that has all that is committed and reaches a quorum, whoever led before."""


class Calm:
    """The judge of `world`'s last seconds, where they are long enough."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.terms: set[int] = set()
        self.entries = 0
        self.judged = world.options.duration > world.options.faults_until + SETTLING
        self.pairs: list[Pair] = []

    def begin(self) -> None:
        """The faults have ended, but for the links that stay broken."""
        world, options = self.world, self.world.options
        if options.lasting:
            world.probes.hit("links broken for good")
            self.pairs = LASTING[options.lasting](world.network.nodes)
            world.network.cut(self.pairs)
        if self.judged:
            world.timeline.after(SETTLING, self._look)

    def _look(self) -> None:
        self.terms = set(self.world.oracle.leaders)
        self.entries = self.world.oracle.ledger.last

    def end(self) -> None:
        """The load is about to end; the links work again. Raises `Violation` unless all was quiet."""
        world = self.world
        world.network.mend(self.pairs)
        if not self.judged:
            return
        for term in sorted(set(world.oracle.leaders) - self.terms):
            text = (
                f"node {world.oracle.leaders[term]} came to lead term {term_word(term)} long after all faults had ended"
            )
            raise Violation("calm", text)
        if world.options.calls is None and world.oracle.ledger.last == self.entries:
            raise Violation(
                "calm", f"nothing was committed after entry {self.entries}, long after all faults had ended"
            )
