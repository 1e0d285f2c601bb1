"""What one client may expect of its own calls, even of stale reads: read your writes, monotonic reads, monotonic writes.

Terry et al., "Session guarantees for weakly consistent replicated data" (1994), told by revisions: within a client, no call
may show a revision below one that an earlier call, which had ended before, has shown; a write must lie above.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from heapq import heappop, heappush

from ringleader.sim.history.operations import Operation
from ringleader.sim.history.revisions import revision_of, wrote
from ringleader.sim.history.verdict import Decision, Verdict

__all__ = ["check_sessions"]


def check_sessions(history: Iterable[Operation]) -> Verdict:
    """Whether every client read its own writes and never went back. O(n log n); results as for `StoreModel`."""
    clients: dict[Hashable, list[Operation]] = {}
    steps = 0
    for op in history:
        if op.known:
            clients.setdefault(op.client, []).append(op)
            steps += 1
    for operations in clients.values():
        underway: list[tuple[float, int, Operation]] = []
        newest: Operation | None = None
        for op in sorted(operations, key=lambda op: (op.start, op.number)):
            while underway and underway[0][0] < op.start:
                ended = heappop(underway)[2]
                if newest is None or revision_of(ended) > revision_of(newest):
                    newest = ended
            heappush(underway, (op.end, op.number, op))
            if newest is None or revision_of(op) > revision_of(newest):
                continue
            if revision_of(op) == revision_of(newest) and not wrote(op):
                continue
            guarantee = "monotonic writes" if wrote(op) else "read your writes" if wrote(newest) else "monotonic reads"
            reason = f"{guarantee}: client {op.client} was at revision {revision_of(newest)}, then at {revision_of(op)}"
            return Verdict(Decision.VIOLATION, reason, (newest, op), steps)
    return Verdict(Decision.OK, "", (), steps)
