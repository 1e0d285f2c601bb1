"""Bugs in what recovery makes of the log's files, and in the order of log and snapshots on the disk (hazards 12 to 17)."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import msgspec
from msgspec.structs import replace

from ringleader.consensus.raft import core as raft_core
from ringleader.consensus.raft import records
from ringleader.consensus.shape import Entry, Record, SnapshotMeta
from ringleader.group import transfer
from ringleader.group.host import Host, HostOutput
from ringleader.group.member import Member
from ringleader.group.taking import Taking
from ringleader.log import recovery, snapshots, writer
from ringleader.log.format import Batch, decode_batch, decode_header, segment_seed
from ringleader.ports import DiskOp, Sync, SyncFolder
from ringleader.sim.disk import DiskHabits
from ringleader.sim.options import Options
from ringleader.store.store import Store
from sim.bugkit import Bug, set_

__all__ = ["LOG_BUGS"]


def torn_tail_kept(stack: ExitStack) -> None:
    """A batch that does not hold is stepped over instead of ending the log."""

    def scan(data: bytes, name: str, identity: Any, header: Any) -> tuple[int, list[Batch]]:
        seed = segment_seed(identity, header.number)
        _, _, offset = decode_header(data)
        found: list[Batch] = []
        while offset < len(data):
            batch = decode_batch(data, offset, seed)
            if batch is None:
                offset = data.find(b"RLB\x01", offset + 1)
                if offset < 0:
                    break
                continue
            found.append(batch)
            offset = batch.end
        end = found[-1].end if found else len(data)
        return end, found

    set_(stack, recovery, "_scan", scan)


def checksum_ignored(stack: ExitStack) -> None:
    original = decode_batch

    def decode(data: bytes, offset: int, seed: int) -> Batch | None:
        import struct

        import google_crc32c

        if len(data) - offset < 36 or data[offset : offset + 4] != b"RLB\x01":
            return original(data, offset, seed)
        (length,) = struct.unpack_from("<I", data, offset + 8)
        end = offset + 36 + length
        if length > 1 << 24 or end > len(data):
            return original(data, offset, seed)
        crc = google_crc32c.extend(seed, data[offset + 8 : end])
        return original(data[: offset + 4] + struct.pack("<I", crc) + data[offset + 8 :], offset, seed)

    set_(stack, recovery, "decode_batch", decode)


def folder_not_synced(stack: ExitStack) -> None:
    original = writer.new_segment_ops

    def ops(header: Any, checkpoint: bytes, runway: int) -> list[DiskOp]:
        return [op for op in original(header, checkpoint, runway) if type(op) is not SyncFolder]

    set_(stack, writer, "new_segment_ops", ops)


def truncation_not_replayed(stack: ExitStack) -> None:
    def replay(snapshot: SnapshotMeta | None, found: Any) -> Any:
        kept: list[Record] = []
        last = 0
        for record in found:
            if record.kind == records.ENTRIES:
                first, entries = msgspec.msgpack.decode(record.payload, type=tuple[int, list[Entry]])
                fresh = entries[max(0, last + 1 - first) :]
                if fresh:
                    kept.append(records.entries_record(first + len(entries) - len(fresh), fresh))
                last = max(last, first + len(entries) - 1)
            else:
                kept.append(record)
        return original(snapshot, kept)

    original = records.replay
    set_(stack, raft_core, "replay", replay)


def segments_dropped_too_early(stack: ExitStack) -> None:
    """The log that a snapshot replaces goes when the snapshot is started, not when it is durable."""
    original = Member.snapshot_started

    def started(self: Member, index: int) -> None:
        original(self, index)
        started_at[id(self)] = index

    started_at: dict[int, int] = {}
    output = Host.take_output

    def take_output(self: Host) -> HostOutput:
        index = started_at.pop(id(self.member), 0)
        if index:
            self.writer.drop_segments({0: index})
        return output(self)

    set_(stack, Member, "snapshot_started", started)
    set_(stack, Host, "take_output", take_output)
    set_(stack, Host, "idle", False)  # or the host would have to say rightly whether it has segments to drop


def snapshot_after_log(stack: ExitStack) -> None:
    """The records that follow a fetched snapshot may be durable before the bytes of its file are."""

    def publish(unfinished: str, group: int, index: int) -> list[DiskOp]:
        return [op for op in snapshots.publish_ops(unfinished, group, index) if type(op) is not Sync]

    set_(stack, transfer, "publish_ops", publish)


def stale_snapshot(stack: ExitStack) -> None:
    """A snapshot claims a later index than its data has."""
    original = Taking.__init__
    taken: dict[int, list[bytes]] = {}

    def init(self: Taking, group: int, meta: SnapshotMeta, store: Store, *rest: Any) -> None:
        original(self, group, meta, store, *rest)
        found = [piece for piece in self._pieces if piece]
        self._pieces = (piece for piece in taken.get(id(store), found))
        taken[id(store)] = found

    set_(stack, Taking, "__init__", init)


def _crashes(options: Options) -> Options:
    """Crashes at effect boundaries and power cuts, twice a second."""
    return replace(options, faults={"crash-point": 0.5, "power-cut": 4.0, "partition": 6.0})


def _tails_replaced(options: Options) -> Options:
    """Leaders are cut off with entries that nobody else has, and nodes restart soon after these are replaced."""
    faults = {"isolate-leader": 1.0, "kill": 0.7}
    return replace(options, faults=faults, snapshot_every=1000, load=replace(options.load, rate=100.0, reads=0.1))


def _folders_lost(options: Options) -> Options:
    """Segments are small, and power is cut when their names are no more than in the page cache."""
    disk = replace(options.disk, sync=0.002, segment_bytes=4096, habits=DiskHabits(keep=0.5, keep_folder=0.0))
    return replace(options, disk=disk, faults={"power-cut": 0.7})


def _torn_writes(options: Options) -> Options:
    disk = replace(options.disk, sync=0.06, segment_bytes=1 << 20, habits=DiskHabits(keep=0.7, tear=1.0))
    load = replace(options.load, padding=300, rate=120.0, reads=0.2)
    faults = {"crash-point": 1.0, "power-cut-all": 6.0}
    return replace(options, disk=disk, load=load, faults=faults, append_bytes=1 << 20, window_messages=256)


def _rot(options: Options) -> Options:
    disk = replace(options.disk, sync=0.003, habits=DiskHabits(keep=0.9, tear=1.0, corrupt=0.5))
    return replace(options, disk=disk, faults={"disk-rot": 1.5, "power-cut": 2.0})


def _many_snapshots(options: Options) -> Options:
    disk = replace(options.disk, sync=0.003, segment_bytes=4096, habits=DiskHabits(keep=0.5))
    return replace(_crashes(options), disk=disk, snapshot_every=30, keep_entries=0)


def _many_snapshots_looked_at(options: Options) -> Options:
    """What is durable is read back at a hundred moments."""
    return replace(_many_snapshots(options), image_checks=100)


LOG_BUGS = [
    Bug(
        "truncation-not-replayed", 12, "recovery does not repeat truncations", truncation_not_replayed, _tails_replaced
    ),
    Bug(
        "folder-not-synced", 13, "no sync of the folder after a new segment's rename", folder_not_synced, _folders_lost
    ),
    Bug("torn-tail-kept", 14, "recovery steps over a torn batch and goes on", torn_tail_kept, _torn_writes),
    Bug("checksum-ignored", 14, "recovery does not look at checksums", checksum_ignored, _rot),
    Bug("stale-snapshot", 15, "a snapshot claims a later index than its data has", stale_snapshot),
    Bug(
        "segments-dropped-early",
        16,
        "the log goes before its snapshot is durable",
        segments_dropped_too_early,
        _many_snapshots_looked_at,
    ),
    Bug(
        "snapshot-after-log",
        17,
        "records after an installed snapshot are durable before it",
        snapshot_after_log,
        _many_snapshots,
    ),
]
