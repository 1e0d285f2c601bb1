"""Bugs in what must be on the disk before anything is said of it, or is forgotten by a restart (hazards 2 to 6 and 11)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from ringleader.consensus.raft import membership, records, replication
from ringleader.consensus.raft.core import Raft
from ringleader.consensus.raft.messages import AppendReply, SnapshotReply, Vote, VoteReply
from ringleader.consensus.raft.quorum import quorum_value
from ringleader.consensus.shape import Role, Send, SnapshotMeta
from ringleader.group.host import Host
from ringleader.log import recovery, writer
from ringleader.log.format import LogRecord
from ringleader.ports import DiskOp, Sync
from ringleader.sim.disk import DiskHabits
from ringleader.sim.options import Options
from sim.bugkit import Bug, set_

__all__ = ["DURABILITY_BUGS"]


def _send_at_once(stack: ExitStack, kinds: tuple[type, ...]) -> None:
    """Messages of these kinds no longer wait for the disk."""
    original = Raft.send

    def send(self: Raft, to: int, message: Any, after: int) -> None:
        if isinstance(message, kinds):
            self.out.messages.append(Send(to, message, 0))
        else:
            original(self, to, message, after)

    set_(stack, Raft, "send", send)


def vote_before_sync(stack: ExitStack) -> None:
    _send_at_once(stack, (Vote, VoteReply))


def ack_before_sync(stack: ExitStack) -> None:
    _send_at_once(stack, (AppendReply, SnapshotReply))


def no_sync(stack: ExitStack) -> None:
    original = writer.LogWriter.take_ops

    def take_ops(self: writer.LogWriter) -> list[DiskOp]:
        return [op for op in original(self) if type(op) is not Sync]

    set_(stack, writer.LogWriter, "take_ops", take_ops)


def votes_by_another_path(stack: ExitStack) -> None:
    """Terms and votes go to the disk by a path of their own, which lags a batch behind that of the entries."""
    original = writer.LogWriter.append
    late: WeakKeyDictionary[writer.LogWriter, list[LogRecord]] = WeakKeyDictionary()

    def append(self: writer.LogWriter, batch: Sequence[LogRecord], last_index: Any = None) -> int:
        now = late.pop(self, [])
        late[self] = [record for record in batch if record.kind == records.HARD]
        return original(self, now + [record for record in batch if record.kind != records.HARD], last_index)

    set_(stack, writer.LogWriter, "append", append)


def leader_counts_itself_early(stack: ExitStack) -> None:
    def advance_commit(raft: Raft) -> None:
        if raft.role is not Role.LEADER:
            return
        held = {member: peer.match for member, peer in raft.progress.items()}
        held[raft.id] = raft.log.last
        index = quorum_value(raft.config, held, 0)
        if index > raft.commit and raft.log.term(index) == raft.term:
            raft.commit = index
            membership.committed(raft)

    set_(stack, replication, "advance_commit", advance_commit)


def completion_counted_too_early(stack: ExitStack) -> None:
    original = Host.disk_done

    def disk_done(self: Host, number: int) -> None:
        assert self.working is not None
        self.working.record = self.records
        original(self, number)

    set_(stack, Host, "disk_done", disk_done)


def term_forgotten(stack: ExitStack) -> None:
    original = Raft.recover

    def recover(self: Raft, snapshot: SnapshotMeta | None, found: Any) -> None:
        original(self, snapshot, found)
        self.term, self.vote = self.log.last_term, 0

    set_(stack, Raft, "recover", recover)


def vote_forgotten(stack: ExitStack) -> None:
    original = Raft.recover

    def recover(self: Raft, snapshot: SnapshotMeta | None, found: Any) -> None:
        original(self, snapshot, found)
        self.vote = 0

    set_(stack, Raft, "recover", recover)


def term_lost_with_old_segment(stack: ExitStack) -> None:
    set_(stack, Raft, "checkpoint", lambda self: [])


def recovery_does_not_sync(stack: ExitStack) -> None:
    """What was read back from the page cache after a killed process counts as durable."""
    original = recovery.recover

    def recover(disk: Any, identity: Any, options: Any) -> Any:
        class NoSync:
            names, size, read = disk.names, disk.size, disk.read

            @staticmethod
            def execute(ops: Sequence[DiskOp]) -> None:
                disk.execute([op for op in ops if type(op) is not Sync])

        return original(NoSync(), identity, options)

    from ringleader.group import host

    set_(stack, host, "recover", recover)


def _votes_at_risk(options: Options) -> Options:
    """Leaders are cut off and nodes lose power all the time, on disks that are slow with a vote."""
    disk = replace(options.disk, sync=0.03, segment_bytes=1 << 18, habits=DiskHabits(keep=0.0))
    faults = {"isolate-leader": 1.5, "power-cut": 1.0, "crash-point": 1.0}
    return replace(options, disk=disk, faults=faults, append_bytes=1 << 20, window_messages=256)


def _many_segments(options: Options) -> Options:
    """Segments are small, so that the one with the vote soon goes, and nodes restart all the time."""
    disk = replace(options.disk, sync=0.002, segment_bytes=4096)
    faults = {"isolate-leader": 2.0, "kill": 0.7}
    return replace(options, disk=disk, faults=faults, snapshot_every=30, keep_entries=0)


def _kill_then_cut(options: Options) -> Options:
    disk = replace(options.disk, sync=0.03, segment_bytes=1 << 20, habits=DiskHabits(keep=0.0))
    return replace(options, disk=disk, faults={"kill-then-cut": 1.0}, load=replace(options.load, rate=120.0, reads=0.2))


DURABILITY_BUGS = [
    Bug("vote-before-sync", 2, "votes leave before they are on disk", vote_before_sync, _votes_at_risk),
    Bug("term-forgotten", 3, "a restarted node takes the term of its last entry", term_forgotten),
    Bug("vote-forgotten", 4, "term and vote part: a restarted node knows its term but not its vote", vote_forgotten),
    Bug(
        "checkpoint-empty", 4, "a new segment does not repeat term and vote", term_lost_with_old_segment, _many_segments
    ),
    Bug("votes-lag-behind", 5, "terms and votes are on disk only with the batch after", votes_by_another_path),
    Bug("ack-before-sync", 6, "acknowledgements leave before the entries are on disk", ack_before_sync),
    Bug("no-sync", 6, "the log is never synced", no_sync),
    Bug("leader-counts-early", 6, "a leader counts its own copy before it is on disk", leader_counts_itself_early),
    Bug(
        "recovery-does-not-sync",
        6,
        "what a killed process left in the page cache counts as synced",
        recovery_does_not_sync,
        _kill_then_cut,
    ),
    Bug("completion-early", 11, "one finished disk batch reports the next one done too", completion_counted_too_early),
]
