"""What a folder holds, said without changing it and without ever giving up: for people who look at a node that is down.

`recover` stops at the first damage, because a node must; this goes on and reports all of it. Whatever bytes there are, the
answer is a `LogReport`. Only reading methods of the disk are used.
"""

from __future__ import annotations

import msgspec

from ringleader.errors import RingleaderError
from ringleader.log.errors import REMEDY, LogCorruptError
from ringleader.log.format import (
    FORMAT_VERSION,
    LogRecord,
    Payload,
    SegmentHeader,
    decode_batch,
    decode_header,
    segment_name,
    segment_number,
    segment_seed,
)
from ringleader.log.recovery import find_tail
from ringleader.log.snapshots import SnapshotDecoder, SnapshotHeader, read_frames
from ringleader.ports import Disk

__all__ = ["BatchReport", "Damage", "LogReport", "SegmentReport", "SnapshotReport", "inspect_log"]

OTHER_RELEASE = "Start the release that wrote it, or a newer one"

_payload_decoder = msgspec.msgpack.Decoder(Payload)


class Damage(msgspec.Struct):
    """Something durable that cannot be read back: the node would refuse to start."""

    file: str
    offset: int
    what: str
    remedy: str = REMEDY


class BatchReport(msgspec.Struct):
    """One batch: where it lies, which one it is, and which was known durable when it was written."""

    offset: int
    size: int
    position: int
    durable: int
    records: int


class SegmentReport(msgspec.Struct):
    """One segment file. `used`: bytes up to the end of its last good batch; `torn`: bytes behind it that will be cut."""

    file: str
    size: int
    version: int = 0
    header: SegmentHeader | None = None
    batches: list[BatchReport] = []
    used: int = 0
    torn: int = 0


class SnapshotReport(msgspec.Struct):
    """One snapshot file; `whole`: every byte of it was read and its checksums hold. `digest` stands for its content."""

    file: str
    size: int
    header: SnapshotHeader | None = None
    frames: int = 0
    data_bytes: int = 0
    digest: str = ""
    whole: bool = False


class LogReport(msgspec.Struct):
    """Everything found. `position`: of the last good batch; `durable`: the highest position that some batch calls durable.

    `records`: of all good batches, oldest first. `leftovers`: files that the next start removes or goes on with;
    `others`: files that are none of the log's.
    """

    segments: list[SegmentReport] = []
    snapshots: list[SnapshotReport] = []
    damage: list[Damage] = []
    records: list[LogRecord] = []
    position: int = 0
    durable: int = 0
    leftovers: list[str] = []
    others: list[str] = []


def inspect_log(disk: Disk) -> LogReport:
    """Look at every file of the folder. Raises `OSError` only when the folder itself cannot be listed."""
    report = LogReport()
    numbers: list[int] = []
    for name in disk.names():
        number = segment_number(name)
        if number is not None:
            numbers.append(number)
        elif name.startswith(("log-", "snap-")) and name.endswith((".tmp", ".part")):
            report.leftovers.append(name)
        elif name.startswith("snap-"):
            _snapshot(disk, name, report)
        else:
            report.others.append(name)
    _segments(disk, sorted(numbers), report)
    if report.snapshots and not numbers:
        report.damage.append(Damage(segment_name(1), 0, "there is a snapshot but no log"))
    return report


def _snapshot(disk: Disk, name: str, report: LogReport) -> None:
    found = SnapshotReport(name, 0)
    report.snapshots.append(found)
    decoder = SnapshotDecoder(name)
    try:
        found.size = disk.size(name)
        for frame in read_frames(disk, name, decoder):
            found.frames += 1
            found.data_bytes += len(frame)
        found.digest, found.whole = f"{decoder.check:08x}", True
    except LogCorruptError as error:
        report.damage.append(Damage(name, error.offset, _bare(error), error.hint))
    except RingleaderError as error:
        report.damage.append(Damage(name, 0, error.message, error.hint))
    except OSError as error:
        report.damage.append(Damage(name, 0, f"cannot be read: {error}"))
    found.header = decoder.header


def _bare(error: LogCorruptError) -> str:
    """What is wrong, without the place."""
    return error.message.partition(" (file ")[0]


def _segments(disk: Disk, numbers: list[int], report: LogReport) -> None:
    headers = {}
    for number in numbers:
        segment = SegmentReport(segment_name(number), 0)
        report.segments.append(segment)
        header = _header(disk, segment, number, report)
        if header is not None:
            headers[number] = header
    position, chain = 0, 0
    for place, number in enumerate(numbers):
        segment = report.segments[place]
        if place and number != numbers[place - 1] + 1:
            report.damage.append(Damage(segment_name(number - 1), 0, "a segment of the log is missing"))
            position = 0
        header = headers.get(number)
        if header is None:
            position = 0
            continue
        if position and (header.base, header.chain) != (position + 1, chain):
            report.damage.append(Damage(segment.file, 0, "the segment does not continue the one before it"))
        newer = headers.get(number + 1)
        position, chain = _batches(disk, segment, header, newer, place + 1 == len(numbers), report)
        report.position = max(report.position, position)


def _header(disk: Disk, segment: SegmentReport, number: int, report: LogReport) -> SegmentHeader | None:
    try:
        segment.size = disk.size(segment.file)
        segment.version, header, segment.used = decode_header(disk.read(segment.file, 0, 64 * 1024))
    except (ValueError, msgspec.MsgspecError, OSError) as error:
        report.damage.append(Damage(segment.file, 0, str(error)))
        return None
    if header is None:
        text = f"format version {segment.version}; this release reads version {FORMAT_VERSION}"
        report.damage.append(Damage(segment.file, 0, text, OTHER_RELEASE))
    elif header.number != number:
        report.damage.append(Damage(segment.file, 0, f"the file holds segment {segment_name(header.number)}"))
        return None
    segment.header = header
    return header


def _batches(
    disk: Disk,
    segment: SegmentReport,
    header: SegmentHeader,
    newer: SegmentHeader | None,
    last: bool,
    report: LogReport,
) -> tuple[int, int]:
    """Walk the chain of a segment; returns the position and digest of its last good batch."""
    try:
        data = disk.read(segment.file)
    except OSError as error:
        report.damage.append(Damage(segment.file, 0, f"cannot be read: {error}"))
        return 0, 0
    identity = header.identity()
    seed = segment_seed(identity, header.number)
    position, chain, offset = header.base - 1, header.chain, segment.used
    while (batch := decode_batch(data, offset, seed)) is not None:
        if (batch.position, batch.chain) != (position + 1, chain):
            break
        try:
            records = _payload_decoder.decode(batch.payload).records
        except ValueError as error:
            text = f"batch {batch.position} is whole but not understood: {error}"
            report.damage.append(Damage(segment.file, offset, text, OTHER_RELEASE))
            records = []
        report.records += records
        report.durable = max(report.durable, batch.durable)
        segment.batches.append(BatchReport(offset, batch.end - offset, batch.position, batch.durable, len(records)))
        offset, position, chain = batch.end, batch.position, batch.digest
    segment.used = offset
    if not segment.batches or (newer is not None and position + 1 != newer.base):
        text = f"batch {position + 1} was durable and cannot be read back"
        report.damage.append(Damage(segment.file, offset, text))
    elif last:
        try:
            segment.torn = find_tail(data, segment.file, identity, header.number, offset, position + 1).garbage
        except LogCorruptError as error:
            report.damage.append(Damage(segment.file, error.offset, _bare(error)))
    return position, chain
