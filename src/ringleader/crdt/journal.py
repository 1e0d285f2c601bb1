"""The journal: which places of a document the latest events touched, so that a delta costs what changed, not the whole.

It holds no values and no tombstones. A delta is made by looking at the places touched since the receiver's version and
sending *what stands there now*; that a place is now empty is how a removal travels. So the journal may forget its
past at any time: whoever is older than the `floor` gets the whole state instead.

Local events are in runs (one entry per event, consecutive events at one place share one); what a merge touched is one
batch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Any

from ringleader.clock.version import ReplicaId, VersionVector

if TYPE_CHECKING:
    from ringleader.crdt.base import Crdt

__all__ = ["Journal", "Touched"]

Touched = dict["Crdt", dict[Any, None]]  # node -> keys touched in it, in order

RUN = 4096


class Run:
    """Consecutive local events: event number, node, key."""

    __slots__ = ("after", "before", "keys", "nodes", "numbers")

    def __init__(self, before: VersionVector) -> None:
        self.before = before
        self.after: VersionVector | None = None  # None: the run that is being written
        self.numbers: list[int] = []
        self.nodes: list[Crdt] = []
        self.keys: list[Any] = []


class Journal:
    """`limit`: how many entries to remember, roughly. `version` is the document's live version vector."""

    __slots__ = ("_length", "_runs", "floor", "limit", "run")

    def __init__(self, version: VersionVector, limit: int = 262_144) -> None:
        self.limit = limit
        self.floor = version.copy()
        self.run = Run(version.copy())
        self._runs: deque[tuple[Run, ReplicaId | None]] = deque()
        self._length = 0

    def close_run(self, replica: ReplicaId | None, version: VersionVector) -> None:
        """End the run of local events of `replica` at `version` and begin a new one."""
        if self.run.numbers:
            self._keep(self.run, replica, version)
        self.run = Run(version.copy())

    def batch(self, nodes: list[Crdt], keys: list[Any], version: VersionVector) -> None:
        """What a merge touched; `version` is the document's after it. The current run must have been closed before."""
        run = self.run
        run.nodes, run.keys = nodes, keys
        self._keep(run, None, version)
        self.run = Run(version.copy())

    def _keep(self, run: Run, replica: ReplicaId | None, version: VersionVector) -> None:
        run.after = version.copy()
        self._runs.append((run, replica))
        self._length += len(run.nodes)
        while self._length > self.limit and len(self._runs) > 1:
            old, _ = self._runs.popleft()
            self._length -= len(old.nodes)
            assert old.after is not None
            self.floor = old.after

    def restart(self, version: VersionVector) -> None:
        """Forget everything before `version`."""
        self._runs.clear()
        self._length = 0
        self.floor = version.copy()
        self.run = Run(version.copy())

    def forget(self, version: VersionVector) -> None:
        """Drop what only replicas older than `version` would need."""
        while self._runs and (after := self._runs[0][0].after) is not None and version.covers(after):
            self._length -= len(self._runs.popleft()[0].nodes)
            self.floor = after

    def since(self, replica: ReplicaId | None, version: VersionVector) -> Touched | None:
        """The places touched by events that `version` does not include; None when the journal does not reach back."""
        if not version.covers(self.floor):
            return None
        touched: Touched = {}
        _collect(touched, self.run, bisect_right(self.run.numbers, version.get(replica or b"", 0)))
        for run, writer in reversed(self._runs):
            assert run.after is not None
            if version.covers(run.after):
                break
            start = 0 if writer is None else bisect_right(run.numbers, version.get(writer, 0))
            _collect(touched, run, start)
        return touched


def _collect(touched: Touched, run: Run, start: int) -> None:
    get = touched.get
    last, single = None, {None: None}  # nodes touched at one and the same key share the dictionary that says so
    for node, key in zip(run.nodes[start:], run.keys[start:], strict=True):
        keys = get(node)
        if keys is None:
            if key is not last:
                last, single = key, {key: None}
            touched[node] = single
        elif key not in keys:
            if len(keys) == 1:
                touched[node] = {**keys, key: None}
            else:
                keys[key] = None
