"""All that a node does with snapshots of a group: taking its own, serving others, fetching one, becoming it.

The orders that matter, each held by the end of one job starting the next:

* A snapshot is durable under its name before log segments that it covers go, before the core forgets entries, and before
  the core hears of one that was fetched; only then does the core write that the log begins anew.
* An older file goes after that, and not while somebody is reading it.
* The state is replaced only by a snapshot that is durable here.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ringleader.consensus.shape import Output, SnapshotMeta
from ringleader.group.bulk import BulkLane
from ringleader.group.member import Member
from ringleader.group.rebuild import Rebuild, load
from ringleader.group.shelf import Shelf, Stored
from ringleader.group.taking import Taking
from ringleader.group.transfer import Receiver, Sender
from ringleader.log import LogCorruptError, SnapshotDecoder, cleanup_ops, newest_snapshot, snapshot_name
from ringleader.ports import Disk
from ringleader.store.store import Store
from ringleader.wire.transfer import SnapshotChunk, SnapshotGone, SnapshotRequest, TransferMessage

__all__ = ["Snapshots", "recover_snapshot"]

LOOK = 1.0
"""Seconds between two looks at how far those who are being served have got."""
NO_ROOM_PAUSE = 30.0
"""Seconds until a snapshot for which there was no room is tried again."""
HELD_SNAPSHOTS = 4
"""For so many own snapshots the core keeps the entries that follow one which is being sent."""

_meta = msgspec.msgpack.Decoder(SnapshotMeta)


class Snapshots:
    """`covered(index)`: a durable snapshot covers the log up to there. `tell(node, message)`: on the bulk connection."""

    def __init__(
        self,
        group: int,
        member: Member,
        stored: Stored | None,
        covered: Callable[[int], None],
        tell: Callable[[int, TransferMessage], None],
    ) -> None:
        self.group = group
        self.member = member
        self.lane = BulkLane()
        self.shelf = Shelf(group)
        self.sender = Sender(group, self.shelf, self.lane, member.options.transfer_rate, tell)
        self.receiver = Receiver(group, self.lane, member.options.chunk_bytes, tell, self._fetched, self._no_room)
        self.taking: Taking | None = None
        self.rebuild: Rebuild | None = None
        self._covered = covered
        self._recent: list[int] = []
        self._look_due = 0.0
        self._now = 0.0
        self._take_due = float("-inf")
        if stored is not None:
            self.shelf.add(stored)
            member.snapshot_index = stored.meta.index
            member.applied_term = stored.meta.term

    def message(self, sender: int, message: TransferMessage) -> None:
        """From the bulk connection of node `sender`."""
        match message:
            case SnapshotRequest():
                self.sender.request(sender, message)
            case SnapshotChunk():
                self.receiver.chunk(sender, message)
            case SnapshotGone():
                self.receiver.gone(sender, message)

    def replace_state(self, out: Output) -> None:
        """Before anything of this turn is applied: begin with the state anew, if the core does so with the log."""
        if out.install is not None:
            self._replace(out.install)

    def turn(self, out: Output, now: float) -> None:
        """Once a turn, with what the core wants done."""
        self._now = now
        member, core = self.member, self.member.core
        for node in out.wants_snapshot:
            if self.shelf.newest is not None:
                core.offer_snapshot(node, self.shelf.newest.meta)
        if out.fetch is not None and not member.disk_full:
            self.receiver.offer(*out.fetch, now)
        self.receiver.step(now, core.commit)
        self.sender.step(now)
        if now >= self._look_due:
            self._look_due = now + LOOK
            if self.sender.reading():
                match = core.status().match
                for node in self.sender.reading():
                    self.sender.has(node, match.get(node, 0))
        if member.wants_snapshot and self._may_take():
            meta = core.snapshot_meta(member.store.applied)
            self.taking = Taking(self.group, meta, member.store, self.lane, member.options.slice_bytes, self._taken)
            member.snapshot_started(meta.index)

    def _may_take(self) -> bool:
        idle = self.taking is None and self.rebuild is None and not self.receiver.busy
        return idle and self._now >= self._take_due and not self.member.disk_full

    # ------------------------------------------------------------------------------------------------------ results

    def _taken(self, stored: Stored | None) -> None:
        """An own snapshot is durable, or there was no room for it."""
        self.taking = None
        if stored is None:
            self.member.counts["snapshots_without_room"] += 1
            self._take_due = self._now + NO_ROOM_PAUSE
            self.member.snapshot_failed()
            return
        self.member.counts["snapshots_taken"] += 1
        self._on_shelf(stored)
        index = stored.meta.index
        self._recent = [*self._recent[-HELD_SNAPSHOTS + 1 :], index]
        floor = min([held for held in self.shelf.pinned() if held >= self._recent[0]], default=index)
        options = self.member.options
        self.member.core.compact(min(index, floor), options.keep_entries, options.keep_bytes)

    def _fetched(self, stored: Stored) -> None:
        """A snapshot from another node is durable."""
        self.member.counts["snapshots_fetched"] += 1
        self._on_shelf(stored)
        self.member.core.install(stored.meta)

    def _no_room(self, meta: SnapshotMeta, size: int, pause: float) -> None:
        """The snapshot that this member needs does not fit onto the disk."""
        self.member.counts["fetches_without_room"] += 1
        self.member.notice(
            f"no room on the disk for the snapshot at entry {meta.index} that this node needs ({size:,} bytes): it cannot "
            f"catch up; it tries again in {pause:g} s. Make room in its data folder's file system"
        )

    def _on_shelf(self, stored: Stored) -> None:
        gone = self.shelf.add(stored)
        if gone:
            self.lane.add(gone)
        self._covered(stored.meta.index)

    def _replace(self, meta: SnapshotMeta) -> None:
        """The core goes on from a snapshot: so does the state."""
        stored = self.shelf.get(meta.index)
        assert stored is not None, "the core installs what is durable here"
        if self.taking is not None:
            self.taking.give_up()
            self.taking = None
        self.shelf.pin(meta.index)
        if self.rebuild is not None:
            self.rebuild.give_up()
            self._unpin(self.rebuild.stored)
        self.member.begin_install(meta)
        slice_bytes = self.member.options.slice_bytes
        self.rebuild = Rebuild(self.group, stored, self.member.store, self.lane, slice_bytes, self._replaced)

    def _replaced(self, stored: Stored) -> None:
        self.rebuild = None
        self._unpin(stored)
        self.member.end_install()

    def _unpin(self, stored: Stored) -> None:
        gone = self.shelf.unpin(stored.meta.index)
        if gone:
            self.lane.add(gone)


def recover_snapshot(disk: Disk, group: int, store: Store) -> Stored | None:
    """At start-up: bring `store` to the newest snapshot and remove what is left over; `None` when there is none.

    Raises `LogCorruptError`, `WrongIdentityError` or `OSError`.
    """
    index = newest_snapshot(disk, group)
    stored = None
    if index:
        decoder = SnapshotDecoder(snapshot_name(group, index))
        load(disk, decoder, store)
        header = decoder.header
        assert header is not None
        meta = _meta.decode(header.meta)
        if (header.group, header.index, meta.index) != (group, index, store.applied):
            raise LogCorruptError("the snapshot does not hold what its name says", file=decoder.file, offset=0)
        stored = Stored(meta, decoder.good, decoder.check)
    disk.execute(cleanup_ops(disk))
    return stored
