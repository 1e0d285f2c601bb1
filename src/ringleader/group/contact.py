"""Whether this node is in touch with the cluster, so that it may hold watches: a node that is cut off would only be silent.

Calls on such a node are refused or run out of time, and their clients go elsewhere. A watch asks for nothing: as far as its
client can tell, no news is good news. So the node itself has to say that it knows nothing any more.
"""

from __future__ import annotations

__all__ = ["CUT_OFF", "ELECTIONS", "Contact"]

ELECTIONS = 5
"""Election times without contact that are no reason to give watches up: a cluster may need a few to find a leader."""
CUT_OFF = "this node has been out of touch with the cluster for too long to know what changes: watch on another one"


class Contact:
    """When this node last held all that was committed (`ReplicatedLog.contact`), by its own memory of it.

    It has to be told at every turn, since the word of the core has gaps: a new leader says -inf until it has committed
    something. `patience`: seconds without contact after which the node is `lost`. A node that starts, at `now`, has that
    long to find the others.
    """

    __slots__ = ("_last", "_patience", "lost")

    def __init__(self, patience: float, now: float) -> None:
        self._patience = patience
        self._last = now
        self.lost = False

    def turn(self, now: float, contact: float) -> bool:
        """The core says `contact` at `now`; whether contact has been lost just now."""
        if contact > self._last:
            self._last = contact
        before, self.lost = self.lost, now > self._last + self._patience
        return self.lost and not before
