"""The byte quota: a put that does not fit is refused, and, near the limit, from then on every put until there is room.

What is used is counted by `Mvcc.used_bytes`, the limit stands in the replicated settings, and whether the store is
`full` is part of its state: so every member refuses the very same puts. A full store still answers reads and takes
deletes, compactions, lease calls and settings. It takes puts again once at most 95 % of the quota is used, so that it
does not waver at the edge; only a compaction (after deletes, mostly) or a larger quota brings it there.
"""

from __future__ import annotations

from ringleader.errors import Reason
from ringleader.store.commands import Failure
from ringleader.store.limits import Limits
from ringleader.store.mvcc import VERSION_BYTES, Mvcc
from ringleader.store.refusal import Refusal

__all__ = ["Quota"]

_NO_LIMIT = 1 << 62
ROOM_SHARE = 20
"""A full store takes puts again when one part in so many of the quota is free."""
PRESSED_SHARE = 5
"""A store is pressed (and compacts sooner) when less than one part in so many of the quota is free."""


class Quota:
    """`limit` in bytes, 0 for none. `full`: whether puts are refused at the moment.

    `ceiling`: while the store's `total_bytes` are at most that, any one put fits; above it `demand` has to be asked.
    """

    __slots__ = ("_largest", "_mvcc", "ceiling", "full", "limit")

    def __init__(self, mvcc: Mvcc, limits: Limits, limit: int, full: bool = False) -> None:
        self._mvcc = mvcc
        self._largest = VERSION_BYTES + limits.key_bytes + limits.value_bytes
        self.limit = limit
        self.full = full
        self.ceiling = 0
        self.settle()

    def settle(self) -> None:
        """History went, or the limit changed: there may be room again, or no more."""
        mvcc = self._mvcc
        if not self.limit or mvcc.used_bytes <= self._room_below:
            self.full = False
        if self.full:
            self.ceiling = -1
        elif not self.limit:
            self.ceiling = _NO_LIMIT
        else:
            self.ceiling = self.limit + mvcc.passed_bytes - self._largest

    @property
    def pressed(self) -> bool:
        """Whether history should go sooner than it otherwise would."""
        used = self._mvcc.used_bytes
        return bool(self.limit) and (self.full or used > self.limit - self.limit // PRESSED_SHARE)

    def demand(self, size: int) -> None:
        """`size` bytes of new versions are to be written. Raises `Refusal` when they do not fit."""
        mvcc = self._mvcc
        if self.full or (self.limit and mvcc.used_bytes + size > self.limit):
            if mvcc.used_bytes > self._room_below:  # else it is only this one that is too large
                self.full = True
                self.ceiling = -1
            raise Refusal(Failure(Reason.NO_SPACE, self._message(size)))

    def _message(self, size: int) -> str:
        mvcc = self._mvcc
        text = (
            f"{mvcc.used_bytes} of {self.limit} bytes are used, {mvcc.history_bytes} of them by history, "
            f"and {size} more were asked for"
        )
        if not self.full:
            return f"there is no room for that: {text}"
        return f"the store is full: {text}; it takes puts again at {self._room_below} bytes"

    @property
    def _room_below(self) -> int:
        return self.limit - self.limit // ROOM_SHARE
