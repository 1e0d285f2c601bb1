"""One core with all that a node gives it: a log of segments on a disk that loses what is not synced, a state, a snapshot.

It does what `group.host` does, in the same order and nothing more, with a state that can be compared at a glance: the list of
the commands applied.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec

from ringleader.consensus.protocols import Choice, make_core, options_for
from ringleader.consensus.shape import Config, ConsensusOptions, Entry, EntryKind, Output, Record, Send, SnapshotMeta

__all__ = ["Member", "Segment", "Snapshot"]


class Segment(msgspec.Struct):
    """A part of the log; `last`: the highest index that any of it may be about."""

    records: list[Record] = []
    last: int = 0


class Snapshot(msgspec.Struct, frozen=True):
    """A state and what it stands for."""

    meta: SnapshotMeta
    state: tuple[bytes, ...]


class Member:
    """`start` makes the core from what is durable; between `crash` and `start` there is none to talk to."""

    def __init__(self, id: int, founders: Config, choice: Choice, seed: int, common: ConsensusOptions) -> None:
        self.id = id
        self.founders = founders
        self.options = options_for(choice, common)
        self.entropy = random.Random(seed)
        self.segments = [Segment()]
        self.snapshot: Snapshot | None = None
        self.lives = 0
        self.up = False
        self.start(0.0)

    def start(self, now: float) -> None:
        """Open on what is durable."""
        self.core = make_core(self.id, self.founders, self.entropy, self.options)
        records = [record for segment in self.segments for record in segment.records]
        self.core.recover(self.snapshot.meta if self.snapshot else None, records)
        self.up = True
        self.lives += 1
        self.emitted = self.synced = 0
        self.unsynced: list[Record] = []
        self.held: list[Send] = []
        self.state: list[bytes] = list(self.snapshot.state) if self.snapshot else []
        self.applied = self.snapshot.meta.index if self.snapshot else 0
        self.committed: list[tuple[int, Entry]] = []  # in this life
        self.barriers: list[tuple[int, int]] = []
        self.failed: list[int] = []
        self.fetching: tuple[int, SnapshotMeta] | None = None
        self.core.tick(now)

    def crash(self, kept: int) -> None:
        """Power is lost: of the records not synced yet the first `kept` happen to be on disk."""
        self.segments[-1].records += self.unsynced[:kept]
        self.up = False

    def collect(self) -> list[Send]:
        """Carry out what the core wants done; returns the messages that may leave now."""
        idle = self.core.idle
        out = self.core.take_output()
        assert not idle or out == Output(), "a core that calls itself idle has something to say"
        if out.install is not None:
            assert self.snapshot is not None
            assert self.snapshot.meta == out.install, (
                "the state is replaced by a snapshot that is not the one durable here"
            )
            self.state, self.applied = list(self.snapshot.state), out.install.index
        for index, entry in out.committed:
            assert index == self.applied + 1, (self.id, index, self.applied)
            self.applied = index
            if entry.kind == EntryKind.COMMAND:
                self.state.append(entry.data)
        self.committed += out.committed
        self.barriers += out.barriers
        self.failed += out.failed_barriers
        self.unsynced += out.records
        self.emitted += len(out.records)
        if out.records:
            segment = self.segments[-1]
            segment.last = max(segment.last, self.core.last_index)
        for to in out.wants_snapshot:
            if self.snapshot is None or self.snapshot.meta.index + 1 < self.core.first_index:
                self.take_snapshot()
            assert self.snapshot is not None
            self.core.offer_snapshot(to, self.snapshot.meta)
        if out.fetch is not None:
            self.fetching = out.fetch
        self.held += out.messages
        return self._ready()

    def sync(self, count: int | None = None) -> list[Send]:
        """The next `count` records are durable (None: all); returns the messages that waited for that."""
        done = self.unsynced[:count]
        del self.unsynced[:count]
        self.segments[-1].records += done
        self.synced += len(done)
        if done:
            self.core.synced(self.synced)
        return self._ready()

    def _ready(self) -> list[Send]:
        for send in self.held:
            assert send.after <= self.emitted, "a message waits for a record that does not exist"
        ready = [send for send in self.held if send.after <= self.synced]
        self.held = [send for send in self.held if send.after > self.synced]
        return ready

    def take_snapshot(self) -> None:
        """Of the state as applied; durable at once."""
        if self.applied:
            self.snapshot = Snapshot(self.core.snapshot_meta(self.applied), tuple(self.state))

    def compact(self, keep: int) -> None:
        """Forget what the snapshot covers: the core its entries, the disk its old segments."""
        if self.snapshot is not None and self.snapshot.meta.index <= self.applied:
            index = self.snapshot.meta.index
            self.core.compact(index, keep, 1 << 20)
            while len(self.segments) > 1 and self.segments[0].last <= index:
                del self.segments[0]

    def roll(self) -> None:
        """Begin a new segment, once all is durable."""
        if not self.unsynced:
            self.segments.append(Segment(list(self.core.checkpoint()), 0))

    def install(self, snapshot: Snapshot) -> None:
        """A snapshot from elsewhere has arrived and is durable."""
        if self.snapshot is None or self.snapshot.meta.index < snapshot.meta.index:
            self.snapshot = snapshot
        self.core.install(self.snapshot.meta)

    def propose(self, *data: bytes, kind: EntryKind = EntryKind.COMMAND) -> int:
        """See `ReplicatedLog.propose`."""
        return self.core.propose(list(data), kind)

    def send_to(self, message: Any, sender: int, now: float) -> None:
        """A message arrives; it may have waited."""
        self.core.observe(now)
        self.core.step(sender, message)
