"""A museum of bugs that real systems have had, brought back by patches: the simulator has to find each of them.

Every bug is a function that patches the production code (which has no switches for this) for the time of a `with`. The
numbers are those of the hazards that the project keeps. `python -m tools.bughunt` looks for all of them with seeds as they
are drawn; the test suite helps a few rare ones along with a `focus`, so that it finds each within few seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from msgspec.structs import replace

from ringleader.client.calls import Kind
from ringleader.client.traffic import Traffic
from ringleader.consensus.raft import core as raft_core
from ringleader.consensus.raft import election, membership, reads, records, replication
from ringleader.consensus.raft.core import Raft
from ringleader.consensus.raft.entries import EntryLog
from ringleader.consensus.raft.messages import Append, AppendReply, SnapshotReply, Vote, VoteReply
from ringleader.consensus.raft.quorum import quorum_value
from ringleader.consensus.shape import Entry, Record, Role, Send, SnapshotMeta
from ringleader.group import transfer
from ringleader.group.host import Host, HostOutput
from ringleader.group.member import Member
from ringleader.group.shared import Shared
from ringleader.group.taking import Taking
from ringleader.log import recovery, snapshots, writer
from ringleader.log.format import Batch, LogRecord, decode_batch, decode_header, segment_seed
from ringleader.ports import DiskOp, Sync, SyncFolder
from ringleader.sim.disk import DiskHabits
from ringleader.sim.options import ClockOptions, NetOptions, Options
from ringleader.store import session as store_session
from ringleader.store.auth import Caller
from ringleader.store.store import Store
from ringleader.wire.frames import Query
from sim.bugkit import Bug, set_
from sim.bugs_members import MEMBER_BUGS
from sim.bugs_paxos import PAXOS_BUGS
from sim.bugs_promises import PROMISE_BUGS

__all__ = ["BUGS", "Bug"]


def _send_at_once(stack: ExitStack, kinds: tuple[type, ...]) -> None:
    """Messages of these kinds no longer wait for the disk."""
    original = Raft.send

    def send(self: Raft, to: int, message: Any, after: int) -> None:
        if isinstance(message, kinds):
            self.out.messages.append(Send(to, message, 0))
        else:
            original(self, to, message, after)

    set_(stack, Raft, "send", send)


# ---------------------------------------------------------------------------------------------------- durability


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


# -------------------------------------------------------------------------------------------------------- the log


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


# ---------------------------------------------------------------------------------------------------- replication


def truncates_on_any_append(stack: ExitStack) -> None:
    def append_new(raft: Raft, first: int, entries: list[Entry]) -> None:
        if raft.log.last >= first:
            raft.truncate(first)
        raft.append_entries(entries)

    set_(stack, replication, "_append_new", append_new)


def compacted_prev_is_a_conflict(stack: ExitStack) -> None:
    original = replication.on_append

    def on_append(raft: Raft, sender: int, message: Append) -> None:
        if message.term >= raft.term and message.prev_index < raft.log.offset and raft.log.last > raft.commit:
            raft.truncate(raft.commit + 1)
        original(raft, sender, message)

    set_(stack, replication, "on_append", on_append)


def old_term_committed_by_counting(stack: ExitStack) -> None:
    def advance_commit(raft: Raft) -> None:
        if raft.role is not Role.LEADER:
            return
        held = {member: peer.match for member, peer in raft.progress.items()}
        held[raft.id] = min(raft.durable_index, raft.log.last)
        index = quorum_value(raft.config, held, 0)
        if index > raft.commit:
            raft.commit = index
            membership.committed(raft)

    set_(stack, replication, "advance_commit", advance_commit)


def commit_beyond_match(stack: ExitStack) -> None:
    """A follower believes the leader's commit index for entries that it has not compared yet."""
    original = replication.on_append

    def on_append(raft: Raft, sender: int, message: Append) -> None:
        original(raft, sender, message)
        if raft.leader == sender and message.term == raft.term and message.commit > raft.commit:
            raft.commit = max(raft.commit, min(message.commit, raft.log.last))

    set_(stack, replication, "on_append", on_append)


def vote_for_any_log(stack: ExitStack) -> None:
    """Votes are granted whatever the candidate's log holds."""
    original = election.on_vote

    def on_vote(raft: Raft, sender: int, message: Vote) -> None:
        original(raft, sender, Vote(message.term, 1 << 60, 1 << 60, message.pre, message.force))

    set_(stack, election, "on_vote", on_vote)


def second_request_refused(stack: ExitStack) -> None:
    """A member that has said yes to a candidate once in a term says no when that candidate asks again.

    Here the first request of a term is the pre-vote, and a vote is never asked for twice: the second one is the real one.
    """
    original = election.on_vote

    def on_vote(raft: Raft, sender: int, message: Vote) -> None:
        pledged = promised.setdefault(raft, {})
        if not message.pre and pledged.get(message.term) == sender and message.term > raft.term:
            raft.become_follower(message.term, 0)
            raft.send(sender, VoteReply(raft.term, False), raft.next_record())
            return
        before = len(raft.out.messages)
        original(raft, sender, message)
        if message.pre and any(send.message.granted for send in raft.out.messages[before:]):
            pledged[message.term] = sender

    promised: WeakKeyDictionary[Raft, dict[int, int]] = WeakKeyDictionary()
    set_(stack, election, "on_vote", on_vote)


def lease_after_handing_over(stack: ExitStack) -> None:
    """A leader trusts its lease although it has told another to take over, whose votes break the promises behind it."""

    def lease_valid(raft: Raft) -> bool:
        leads = raft.role is Role.LEADER and raft.commit >= raft.term_start
        return leads and raft.now < raft.reads.confirmed_at + raft.options.election * 0.9

    set_(stack, Raft, "lease_valid", lease_valid)


def window_never_reopens(stack: ExitStack) -> None:
    """When everything on the way is lost, a member's refusal is ignored: nothing is ever sent again."""
    original = replication.on_append_reply

    def on_append_reply(raft: Raft, sender: int, message: AppendReply) -> None:
        peer = raft.progress.get(sender)
        if peer is not None and not message.ok and peer.flight and message.term == raft.term:
            return
        original(raft, sender, message)

    set_(stack, replication, "on_append_reply", on_append_reply)


def entry_log_off_by_one(stack: ExitStack) -> None:
    """After compaction the term of the last compacted entry is answered as unknown-but-matching."""
    original = EntryLog.term

    def term(self: EntryLog, index: int) -> int:
        found = original(self, index)
        return self.last_term if found < 0 and index > self.last else found

    set_(stack, EntryLog, "term", term)


# ----------------------------------------------------------------------------------------------- reads and sessions


def read_without_barrier(stack: ExitStack) -> None:
    original = Member.query

    def query(self: Member, conn: int, request: Query, caller: Caller) -> None:
        if self.core.leads:
            request = Query(request.frame, request.timeout_ms, "stale", request.reads)
        original(self, conn, request, caller)

    set_(stack, Member, "query", query)


def barrier_before_own_term(stack: ExitStack) -> None:
    """A new leader confirms reads before it has committed anything in its term."""

    def start_round(raft: Raft) -> None:
        if raft.reads.waiting:
            raft.reads.start(raft.now, raft.commit)
            raft.reads.ask_all(raft.progress)

    set_(stack, reads, "start_round", start_round)


def read_before_applied(stack: ExitStack) -> None:
    """A confirmed read is served without waiting until its index is applied."""
    from ringleader.group.readers import Readers

    original = Readers.confirmed

    def confirmed(self: Readers, token: int, index: int) -> None:
        original(self, token, 0)

    set_(stack, Readers, "confirmed", confirmed)


def sessions_forget_results(stack: ExitStack) -> None:
    original = store_session.Sessions.touch

    def touch(self: store_session.Sessions, session_id: int, ack: int, now_ms: int) -> Any:
        session = original(self, session_id, ack, now_ms)
        if session is not None:
            session.results.clear()
        return session

    set_(stack, store_session.Sessions, "touch", touch)


def client_repeats_without_session(stack: ExitStack) -> None:
    """A client sends a command again that has no session when the answer got lost."""
    original = Traffic.requeue

    def requeue(self: Traffic, flight: Any, *, doubt: bool) -> None:
        original(self, flight, doubt=doubt and flight.kind is not Kind.PLAIN)

    set_(stack, Traffic, "requeue", requeue)


def not_applied_too_soon(stack: ExitStack) -> None:
    """A node says "not applied" of its waiting writes as soon as it hears of a new term."""
    original = Member.tick

    def tick(self: Member, now: float) -> None:
        original(self, now)
        if self.core.term > self.applied_term:
            self._term_passed(self.core.term)

    set_(stack, Member, "tick", tick)


def deadline_means_not_applied(stack: ExitStack) -> None:
    """A node that gives up waiting says that the write was not applied."""
    original = Shared.refuse

    def refuse(self: Shared, conn: int, frame: int, reason: Any, message: str, *, unknown: bool = False) -> None:
        original(self, conn, frame, reason, message, unknown=False)

    set_(stack, Shared, "refuse", refuse)


# ---------------------------------------------------------------------------------------------------------- focus


def _crashes(options: Options) -> Options:
    """Crashes at effect boundaries and power cuts, twice a second."""
    return replace(options, faults={"crash-point": 0.5, "power-cut": 4.0, "partition": 6.0})


def _torn_writes(options: Options) -> Options:
    disk = replace(options.disk, sync=0.06, segment_bytes=1 << 20, habits=DiskHabits(keep=0.7, tear=1.0))
    load = replace(options.load, padding=300, rate=120.0, reads=0.2)
    faults = {"crash-point": 1.0, "power-cut-all": 6.0}
    return replace(options, disk=disk, load=load, faults=faults, append_bytes=1 << 20, window_messages=256)


def _rot(options: Options) -> Options:
    disk = replace(options.disk, sync=0.003, habits=DiskHabits(keep=0.9, tear=1.0, corrupt=0.5))
    return replace(options, disk=disk, faults={"disk-rot": 1.5, "power-cut": 2.0})


def _kill_then_cut(options: Options) -> Options:
    disk = replace(options.disk, sync=0.03, segment_bytes=1 << 20, habits=DiskHabits(keep=0.0))
    return replace(options, disk=disk, faults={"kill-then-cut": 1.0}, load=replace(options.load, rate=120.0, reads=0.2))


def _hand_over_and_read(options: Options) -> Options:
    """Leadership is handed over all the time, and leaders trust their leases."""
    load = replace(options.load, reads=0.6, lease_reads=0.9, keys=2)
    return replace(options, nodes=3, faults={"hand-over": 0.5}, load=load, clock=ClockOptions(), net=NetOptions())


def _many_snapshots(options: Options) -> Options:
    disk = replace(options.disk, sync=0.003, segment_bytes=4096, habits=DiskHabits(keep=0.5))
    return replace(_crashes(options), disk=disk, snapshot_every=30, keep_entries=0)


def _many_snapshots_looked_at(options: Options) -> Options:
    """What is durable is read back at a hundred moments."""
    return replace(_many_snapshots(options), image_checks=100)


def _loose_ends(options: Options) -> Options:
    """Leaders are cut off with entries that nobody else has, and what replaces those comes one by one."""
    net, load = NetOptions(delay=0.002, jitter=0.004), replace(options.load, rate=100.0, reads=0.1)
    faults = {"isolate-leader": 0.8, "partition": 1.5}
    return replace(options, nodes=5, net=net, load=load, faults=faults, append_bytes=1, window_messages=2)


def _late_messages(options: Options) -> Options:
    net = NetOptions(stream=False, delay=0.001, jitter=0.01, duplicate=0.1, reorder=0.3)
    faults = {"kill": 5.0, "isolate-leader": 5.0, "slow-disk": 3.0}
    return replace(options, net=net, snapshot_every=30, keep_entries=0, faults=faults)


def _leaders_come_and_go(options: Options) -> Options:
    load = replace(options.load, reads=0.6, lease_reads=0.0)
    faults = {"kill": 2.0, "isolate-leader": 2.0, "slow-disk": 2.0, "slow-link": 1.0}
    return replace(options, faults=faults, load=load, nodes=3)


def _late_commits(options: Options) -> Options:
    """Leaders die before the others know what they committed, while many read."""
    load = replace(options.load, reads=0.6, lease_reads=0.0, rate=150.0, keys=2)
    net = NetOptions(delay=0.005, jitter=0.05)
    return replace(options, nodes=3, faults={"kill": 1.5, "isolate-leader": 2.0}, load=load, net=net)


def _long_patience(options: Options) -> Options:
    return replace(_leaders_come_and_go(options), load=replace(options.load, timeout=6.0))


def _short_patience(options: Options) -> Options:
    load = replace(options.load, timeout=0.6)
    return replace(options, faults={"kill": 3.0, "isolate-leader": 2.0, "slow-disk": 2.0, "slow-link": 1.0}, load=load)


def _links_break(options: Options) -> Options:
    return replace(options, net=replace(options.net, stream=True), faults={"reset": 0.2, "partition": 5.0})


BUGS = [
    Bug("vote-before-sync", 2, "votes leave before they are on disk", vote_before_sync),
    Bug("term-forgotten", 3, "a restarted node takes the term of its last entry", term_forgotten),
    Bug("vote-forgotten", 4, "term and vote part: a restarted node knows its term but not its vote", vote_forgotten),
    Bug("checkpoint-empty", 4, "a new segment does not repeat term and vote", term_lost_with_old_segment),
    Bug("ack-before-sync", 6, "acknowledgements leave before the entries are on disk", ack_before_sync),
    Bug("no-sync", 6, "the log is never synced", no_sync),
    Bug("leader-counts-early", 6, "a leader counts its own copy before it is on disk", leader_counts_itself_early),
    Bug("truncates-on-any-append", 7, "a follower cuts its log at every append", truncates_on_any_append),
    Bug(
        "compacted-is-conflict",
        8,
        "an append from below the compacted part cuts the log",
        compacted_prev_is_a_conflict,
        _late_messages,
    ),
    Bug("old-term-by-counting", 9, "entries of older terms are committed by counting", old_term_committed_by_counting),
    Bug("votes-lag-behind", 5, "terms and votes are on disk only with the batch after", votes_by_another_path),
    Bug("second-request-refused", 23, "who was granted a pre-vote is refused the vote", second_request_refused),
    Bug(
        "lease-after-hand-over",
        25,
        "a leader that has handed over still serves reads by its lease",
        lease_after_handing_over,
        _hand_over_and_read,
    ),
    Bug("completion-early", 11, "one finished disk batch reports the next one done too", completion_counted_too_early),
    Bug("folder-not-synced", 13, "no sync of the folder after a new segment's rename", folder_not_synced),
    Bug("torn-tail-kept", 14, "recovery steps over a torn batch and goes on", torn_tail_kept, _torn_writes),
    Bug("checksum-ignored", 14, "recovery does not look at checksums", checksum_ignored, _rot),
    Bug(
        "recovery-does-not-sync",
        6,
        "what a killed process left in the page cache counts as synced",
        recovery_does_not_sync,
        _kill_then_cut,
    ),
    Bug("truncation-not-replayed", 12, "recovery does not repeat truncations", truncation_not_replayed),
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
    Bug(
        "commit-beyond-match",
        7,
        "a follower commits entries that it has not compared",
        commit_beyond_match,
        _loose_ends,
    ),
    Bug("vote-for-any-log", 9, "votes are granted whatever the candidate's log holds", vote_for_any_log),
    Bug("unknown-term-matches", 8, "an append beyond the end of the log is taken for matching", entry_log_off_by_one),
    Bug(
        "window-never-reopens",
        24,
        "a full window of lost messages is never sent again",
        window_never_reopens,
        _links_break,
    ),
    Bug(
        "read-without-barrier",
        26,
        "a leader answers reads without asking its followers",
        read_without_barrier,
        _leaders_come_and_go,
    ),
    Bug(
        "barrier-before-own-term",
        27,
        "reads are confirmed before the leader's term has committed",
        barrier_before_own_term,
        _late_commits,
    ),
    Bug(
        "read-before-applied",
        27,
        "a confirmed read does not wait until its index is applied",
        read_before_applied,
        _leaders_come_and_go,
    ),
    Bug("sessions-forget", 29, "sessions do not remember what ran", sessions_forget_results),
    Bug("client-repeats", 29, "a client repeats a write that has no session", client_repeats_without_session),
    Bug(
        "not-applied-too-soon",
        29,
        "'not applied' is said when a new term is heard of",
        not_applied_too_soon,
        _long_patience,
    ),
    Bug(
        "deadline-not-applied",
        29,
        "a write that timed out is called not applied",
        deadline_means_not_applied,
        _short_patience,
    ),
    *PROMISE_BUGS,
    *MEMBER_BUGS,
    *PAXOS_BUGS,
]
