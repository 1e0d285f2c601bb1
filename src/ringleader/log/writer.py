"""The writing side: batches in, disk operations out, in an order that leaves every crash recoverable.

What makes a log recoverable here, in order of the operations handed out:

* One list of operations is carried out in order and ends in a sync; only then does the caller report `synced`.
* A new segment is written under a temporary name, synced, renamed, the folder synced; the segment before is synced
  first. So a segment that has its name is whole, and so is everything before it: only the newest can have a torn tail.
* Old segments go one at a time, oldest first, with the folder synced in between: no crash leaves a hole.
* A short runway of zeros is kept ahead of the end. A batch that overwrites allocated bytes syncs in about half the
  time of one that makes the file longer; the zeros are written after a sync, so they ride on the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ringleader.log.format import (
    BATCH_HEADER,
    Identity,
    LogRecord,
    Payload,
    SegmentHeader,
    encode_batch,
    encode_header,
    encode_payload,
    segment_name,
    segment_seed,
)
from ringleader.ports import Create, DiskOp, Rename, Sync, SyncFolder, Unlink, Write

__all__ = ["LogOptions", "LogWriter", "Segment"]


@dataclass(frozen=True)
class LogOptions:
    """Sizes in bytes. `segment_bytes`: a new segment is wanted once one is this long. `runway_bytes`: zeros ahead."""

    segment_bytes: int = 16 * 1024 * 1024
    runway_bytes: int = 256 * 1024

    def __post_init__(self) -> None:
        if self.segment_bytes < 1 or self.runway_bytes < 0:
            raise ValueError("segment_bytes must be at least 1 and runway_bytes at least 0")


@dataclass
class Segment:
    """What the writer knows of a segment: its number and the highest entry index per group that it may hold."""

    number: int
    last_index: dict[int, int] = field(default_factory=dict)

    def note(self, last_index: Mapping[int, int]) -> None:
        """Entries up to these indices are in this segment."""
        for group, index in last_index.items():
            if index > self.last_index.get(group, 0):
                self.last_index[group] = index

    def below(self, floors: Mapping[int, int]) -> bool:
        """Whether every group has a snapshot that covers all its entries here."""
        return all(index <= floors.get(group, -1) for group, index in self.last_index.items())


def new_segment_ops(header: SegmentHeader, checkpoint: bytes, runway: int) -> list[DiskOp]:
    """What makes a whole segment appear under its name, durably, or not at all."""
    name = segment_name(header.number)
    start = encode_header(header) + checkpoint
    return [
        Create(name + ".tmp"),
        Write(name + ".tmp", 0, start + bytes(runway)),
        Sync(name + ".tmp"),
        Rename(name + ".tmp", name),
        SyncFolder(),
    ]


class LogWriter:
    """Appends batches to the newest segment. Made by `create` or `recover`.

    `position`: of the last batch appended. `durable`: the highest position known on disk. `segments`: oldest first.
    `full`: the disk is; then no room is prepared ahead and no segment started, so that small batches still fit in.
    """

    def __init__(
        self,
        identity: Identity,
        options: LogOptions,
        *,
        segments: list[Segment],
        position: int,
        chain: int,
        offset: int,
        allocated: int,
    ) -> None:
        self.identity = identity
        self.options = options
        self.segments = segments
        self.position = position
        self.durable = position
        self._chain = chain
        self._name = segment_name(segments[-1].number)
        self._seed = segment_seed(identity, segments[-1].number)
        self._offset = offset
        self._allocated = max(allocated, offset)
        self._certain = self._allocated  # so far at least, even if the last spare write was left out
        self._pending: list[tuple[int, bytes]] = []
        self._pending_bytes = 0
        self._ops: list[DiskOp] = []
        self._last_is_mark = False
        self.full = False

    # ---------------------------------------------------------------------------------------------------- appending

    def append(self, records: Sequence[LogRecord], last_index: Mapping[int, int] | None = None) -> int:
        """Add one batch; returns its position. Nothing is durable before `take_ops` is carried out and `synced` told.

        `last_index`: per group an upper bound of the entry indices in these records; segments remember it, so that
        `drop_segments` can tell when they are no longer needed. A batch without records is legal: it carries the
        durable watermark, which makes damage to the batch before it detectable. Raises `ValueError` when too large.
        """
        known = dict(last_index) if last_index else {}
        payload = encode_payload(Payload(list(records), known))
        self.segments[-1].note(known)
        self.position += 1
        self._pending.append((self.position, payload))
        self._pending_bytes += BATCH_HEADER + len(payload)
        self._last_is_mark = not records
        return self.position

    @property
    def wants_mark(self) -> bool:
        """Whether the last batch is durable and nothing on disk says so: when idle, append an empty batch."""
        return self.durable == self.position and not self._last_is_mark

    @property
    def wants_work(self) -> bool:
        """Whether there is something to be written: `take_ops`, or a new segment."""
        return bool(self._pending or self._ops) or self.wants_roll

    def take_ops(self) -> list[DiskOp]:
        """The operations that make everything appended so far durable, in order; empty when there is nothing to do.

        Report `synced(position)` with the position as of this call once they are carried out.
        """
        if self._pending:
            self._write_pending()
            self._ops.append(Sync(self._name))
            self._extend_runway()
        ops, self._ops = self._ops, []
        return ops

    def synced(self, position: int) -> None:
        """All batches up to `position` are on disk."""
        if position > self.position:
            raise ValueError(f"position {position} was never appended (the last is {self.position})")
        self.durable = max(self.durable, position)

    def _write_pending(self) -> None:
        """One write for all waiting batches; they are stamped with the watermark only now, when it is freshest."""
        parts: list[bytes] = []
        for position, payload in self._pending:
            data, self._chain = encode_batch(self._seed, position, self.durable, self._chain, payload)
            parts.append(data)
        data = b"".join(parts)
        self._ops.append(Write(self._name, self._offset, data))
        self._offset += len(data)
        self._allocated = max(self._allocated, self._offset)
        self._pending = []
        self._pending_bytes = 0

    def _extend_runway(self) -> None:
        runway = self.options.runway_bytes
        if self.full or self._allocated - self._offset >= runway // 2 or self._offset >= self.options.segment_bytes:
            return
        self._ops.append(Write(self._name, self._allocated, bytes(runway), spare=True))
        self._certain = self._allocated
        self._allocated += runway

    def disk_full(self, flag: bool) -> None:
        """The disk has become full, and may have left out the last spare write; or it has room again."""
        self.full = flag
        if flag:
            self._allocated = max(self._certain, self._offset)

    @property
    def room(self) -> int:
        """Bytes that can still be appended without asking the disk for more."""
        return self._allocated - self._offset - self._pending_bytes

    # ----------------------------------------------------------------------------------------------------- segments

    @property
    def wants_roll(self) -> bool:
        """Whether the newest segment has reached its size: call `roll` when convenient."""
        return not self.full and self._offset + self._pending_bytes >= self.options.segment_bytes

    def roll(self, checkpoint: Sequence[LogRecord], last_index: Mapping[int, int] | None = None) -> int:
        """Start a new segment with the checkpoint records of all groups as its first batch; returns its position.

        The checkpoint must hold whatever the groups need besides their entries, so that older segments can go.
        """
        known = dict(last_index) if last_index else {}
        payload = encode_payload(Payload(list(checkpoint), known))
        if self._pending:
            self._write_pending()
            self._ops.append(Sync(self._name))
        number = self.segments[-1].number + 1
        before = self.position
        header = SegmentHeader(
            self.identity.cluster, self.identity.node, self.identity.incarnation, number, before + 1, self._chain
        )
        self._seed = segment_seed(self.identity, number)
        batch, self._chain = encode_batch(self._seed, before + 1, before, self._chain, payload)
        self._ops += new_segment_ops(header, batch, self.options.runway_bytes)
        self.segments.append(Segment(number))
        self.segments[-1].note(known)
        self._name = segment_name(number)
        self._offset = len(encode_header(header)) + len(batch)
        self._allocated = self._certain = self._offset + self.options.runway_bytes
        self.position = before + 1
        self._last_is_mark = False
        return self.position

    def drop_segments(self, floors: Mapping[int, int]) -> list[str]:
        """Let go of the oldest segments whose entries all lie at or below `floors` (group: index of its snapshot).

        Returns the names; the next `take_ops` removes them. The newest segment always stays.
        """
        dropped: list[str] = []
        while len(self.segments) > 1 and self.segments[0].below(floors):
            name = segment_name(self.segments.pop(0).number)
            self._ops += [Unlink(name), SyncFolder()]
            dropped.append(name)
        return dropped
