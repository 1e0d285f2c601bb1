"""A causal delivery buffer: operations may arrive in any order, twice or late; each waits for what it builds on.

The operation-based style: every change is one small message to everybody (`Crdt.ops()`), and the network may reorder
and repeat, but what is lost must be asked for: `missing()` says what.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from ringleader.clock.dots import DotContext
from ringleader.clock.version import ReplicaId
from ringleader.crdt.base import Crdt
from ringleader.crdt.delta import Delta
from ringleader.errors import NotAppliedError, Reason

__all__ = ["CausalBuffer"]

T = TypeVar("T", bound=Crdt)


class CausalBuffer(Generic[T]):
    """Delivers operations to `target` in causal order. At most `limit` wait; more is refused (OVERLOADED)."""

    __slots__ = ("_waiting", "limit", "target")

    def __init__(self, target: T, limit: int = 10_000) -> None:
        self.target = target
        self.limit = limit
        self._waiting: dict[tuple[tuple[ReplicaId, int], ...], Delta] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def receive(self, op: Delta | bytes, origin: object = None) -> int:
        """Take one operation (or any delta); returns how many could be applied now, itself and others included.

        Raises what `apply` raises, except `GapError`; and `NotAppliedError` when the buffer is full.
        """
        delta = op if isinstance(op, Delta) else Delta.decode(op)
        doc = self.target._doc
        if doc.version.covers(delta.upto):
            return 0
        if delta.since is not None and not doc.version.covers(delta.since):
            if len(self._waiting) >= self.limit:
                raise NotAppliedError(
                    f"{self.limit} operations already wait for earlier ones",
                    reason=Reason.OVERLOADED,
                    hint="Ask a peer for delta_since(our version): it replaces them all",
                )
            self._waiting[tuple(sorted(delta.upto.items()))] = delta
            return 0
        applied = int(doc.apply(delta, origin))
        return applied + self._drain(origin)

    def _drain(self, origin: object) -> int:
        """Apply what has become possible, until nothing is."""
        doc = self.target._doc
        applied = 0
        progress = True
        while progress:
            progress = False
            for key, delta in list(self._waiting.items()):
                if delta.since is None or doc.version.covers(delta.since):
                    del self._waiting[key]
                    if doc.apply(delta, origin):
                        applied += 1
                        progress = True
        return applied

    def missing(self) -> dict[ReplicaId, list[tuple[int, int]]]:
        """The events that those waiting wait for: replica -> [(first, last)]; empty when nothing waits."""
        known = DotContext(self.target._doc.version, limit=1 << 62)
        needed: dict[ReplicaId, int] = {}
        for delta in self._waiting.values():
            since: Mapping[ReplicaId, int] = delta.since or {}
            for replica, n in delta.upto.items():
                start = since.get(replica, 0)
                needed[replica] = max(needed.get(replica, 0), start)
                for event in range(start + 1, n + 1):
                    known.add((replica, event))
        found = known.gaps()
        have = known.version
        beyond = {dot.replica: dot.n for dot in known.cloud}
        for replica, n in sorted(needed.items()):
            first = max(have.get(replica, 0), beyond.get(replica, 0)) + 1
            if n >= first:
                found.setdefault(replica, []).append((first, n))
        return found
