"""What locks, permits and leaderships have in common: a place in a queue that can be lost, and says so."""

from __future__ import annotations

import asyncio

from ringleader.client.ops import Condition
from ringleader.client.recipes.place import Place

__all__ = ["Held"]


class Held:
    """What a lock and a leadership have in common: a place in a queue that can be lost."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @property
    def fencing_token(self) -> int:
        """A number that grows with every holder. Pass it on to what you write to, so that it can refuse an older one."""
        self._place.check()
        return self._place.token

    @property
    def held(self) -> bool:
        """Whether it is certainly held at this moment, also right after a pause of the process."""
        return self._place.held

    @property
    def lost(self) -> asyncio.Event:
        """Set as soon as it may have been lost: its lease ended, or its key was deleted."""
        return self._place.lost

    @property
    def key(self) -> bytes:
        """The key in the store that stands for it."""
        return self._place.key

    @property
    def condition(self) -> Condition:
        """True in a transaction as long as it is held: `db.kv.txn(compare=[lock.condition], success=[...])`."""
        self._place.check()
        return self._place.condition

    def check(self) -> None:
        """Raise `NotAppliedError` (lock-lost) unless it is certainly held at this moment."""
        self._place.check()
