"""What the records of a log folder add up to for the consensus group: term, promises, entries, snapshots; changes nothing."""

from __future__ import annotations

from collections import Counter

import msgspec

from ringleader.consensus.protocols import DEFAULT, read_records
from ringleader.consensus.shape import EntryKind, Record, SnapshotMeta
from ringleader.log.inspect import Damage, LogReport

__all__ = ["GroupReport", "inspect_groups"]

_meta = msgspec.msgpack.Decoder(SnapshotMeta)


class GroupReport(msgspec.Struct):
    """One group. Entries `first_index` to `last_index` are in the log, on top of the snapshot at `snapshot_index`.

    `protocol`: by whose rules the records are read. `term`: or ballot; `promise`: what was promised for it, in words.
    """

    group: int
    protocol: str
    records: dict[str, int] = {}
    term: int = 0
    promise: str = ""
    snapshot_index: int = 0
    snapshot_term: int = 0
    first_index: int = 0
    last_index: int = 0
    entries: dict[str, int] = {}
    voters: list[int] = []


def inspect_groups(report: LogReport, fallback: str = DEFAULT) -> list[GroupReport]:
    """Replay the records of every group over its newest whole snapshot; what does not fit is added to `report.damage`.

    `fallback`: the protocol of a group without records, as one that was just restored from a back-up.
    """
    metas: dict[int, SnapshotMeta] = {}
    for snapshot in report.snapshots:
        if snapshot.header is not None:
            try:
                meta = _meta.decode(snapshot.header.meta)
            except ValueError as error:
                report.damage.append(Damage(snapshot.file, 0, f"the snapshot's description is not understood: {error}"))
                continue
            before = metas.get(snapshot.header.group)
            if before is None or before.index < meta.index:
                metas[snapshot.header.group] = meta
    groups = sorted({record.group for record in report.records} | set(metas))
    return [_group(report, number, metas.get(number), fallback) for number in groups]


def _group(report: LogReport, number: int, meta: SnapshotMeta | None, fallback: str) -> GroupReport:
    mine = [record for record in report.records if record.group == number]
    records = [Record(record.kind, record.payload) for record in mine]
    protocol, kinds, replay = read_records(meta, records, fallback)
    found = GroupReport(number, protocol, kinds)
    if meta is not None:
        found.snapshot_index, found.snapshot_term = meta.index, meta.term
        found.voters = list(meta.config.voters)
    try:
        held = replay()
    except (ValueError, msgspec.MsgspecError, IndexError, OverflowError) as error:
        file = report.segments[0].file if report.segments else "log-*"
        report.damage.append(Damage(file, 0, f"the records of group {number} do not add up: {error}"))
        return found
    found.term, found.promise = held.term, held.promise
    found.first_index, found.last_index = held.first_index, held.last_index
    found.entries = dict(sorted(Counter(_kind_of(entry.kind) for entry in held.entries).items()))
    return found


def _kind_of(kind: int) -> str:
    return EntryKind(kind).name.lower() if kind in list(EntryKind) else f"unknown kind {kind}"
