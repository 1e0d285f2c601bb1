"""A flipped bit anywhere is either a harmless cut above the watermark or a clear refusal that names file and offset."""

from __future__ import annotations

import pickle

import pytest

from ringleader.errors import Reason
from ringleader.log import (
    Identity,
    LogCorruptError,
    LogOptions,
    LogRecord,
    WrongIdentityError,
    create,
    recover,
)
from ringleader.log.format import (
    BATCH_HEADER,
    Payload,
    decode_batch,
    encode_batch,
    encode_payload,
    segment_name,
    segment_seed,
)
from ringleader.ports import Create, Sync, SyncFolder, Unlink, Write
from unit.log.crashdisk import CrashDisk

ME = Identity("c", 1, "i")
OPTIONS = LogOptions(segment_bytes=10_000, runway_bytes=64)


def small_log(mark: bool = False) -> tuple[CrashDisk, list[LogRecord], list[int]]:
    """Two segments, some batches, all durable: the disk, its records, and how many records each batch ends with."""
    disk = CrashDisk()
    writer = create(ME, OPTIONS, disk)
    records: list[LogRecord] = []
    ends = [0]
    for number in range(6):
        record = LogRecord(7, number, b"value %d" % number)
        records.append(record)
        if number == 3:
            writer.roll([record])
        else:
            writer.append([record], {7: number})
        ends.append(len(records))
        disk.execute(writer.take_ops())
        writer.synced(writer.position)
    if mark:
        assert writer.wants_mark
        writer.append([])
        disk.execute(writer.take_ops())
        writer.synced(writer.position)
        assert not writer.wants_mark
    return disk, records, ends


def outcome(disk: CrashDisk) -> list[LogRecord] | LogCorruptError:
    """The records recovered, or the refusal."""
    try:
        return recover(disk, ME, OPTIONS).records
    except LogCorruptError as error:
        return error


def flip(disk: CrashDisk, name: str, offset: int, bits: int) -> CrashDisk:
    damaged = disk.killed()
    damaged.folder[name].data[offset] ^= bits
    damaged.execute([Sync(name), SyncFolder()])
    return damaged


@pytest.mark.parametrize("bits", [0x01, 0x80, 0xFF])
@pytest.mark.parametrize("mark", [False, True])
def test_a_flip_of_any_byte_is_cut_above_the_watermark_or_refused(bits: int, mark: bool) -> None:
    disk, records, _ = small_log(mark)
    outcomes: dict[str, int] = {}
    for name in disk.names():
        for offset in range(disk.size(name)):
            found = outcome(flip(disk, name, offset, bits))
            if isinstance(found, LogCorruptError):
                assert found.reason is Reason.DATA_CORRUPT
                assert found.file == name
                assert 0 <= found.offset <= disk.size(name)
                assert found.hint
                assert str(found.offset) in str(found)
                kind = "refused"
            else:
                # Only the newest batch, which nothing on disk proves durable, may be cut; with a mark, not even that.
                assert found in ([records] if mark else [records, records[:-1]])
                kind = "whole" if found == records else "cut"
            outcomes[kind] = outcomes.get(kind, 0) + 1
    assert outcomes["refused"] > 300
    assert outcomes["whole"] > 50
    assert ("cut" in outcomes) is not mark


def test_a_lost_sector_below_the_watermark_is_refused_wherever_it_is() -> None:
    disk, records, _ = small_log(mark=True)
    refused = 0
    newest = disk.names()[-1]
    mark_start = disk.read(newest).index(b"value 5") + len(b"value 5") + 1
    for name in disk.names():
        for start in range(0, disk.size(name), disk.sector):
            damaged = disk.killed()
            size = min(disk.sector, disk.size(name) - start)
            damaged.execute([Write(name, start, bytes(size))])
            found = outcome(damaged)
            if isinstance(found, LogCorruptError):
                assert found.file == name
                refused += 1
            elif name == newest and start + size > mark_start:
                assert found in (records, records[:-1])  # the proof itself was in the sector
            else:
                assert found == records
    assert refused > 10


def test_a_torn_tail_is_cut_and_said_so() -> None:
    disk, records, _ = small_log()
    name = disk.names()[-1]
    end = len(disk.read(name).rstrip(b"\0"))
    damaged = flip(disk, name, end - 1, 1)
    recovery = recover(damaged, ME, OPTIONS)
    assert recovery.records == records[:-1]
    assert recovery.cut_file == name
    assert recovery.cut_bytes == end - recovery.cut_offset
    assert f"cut {recovery.cut_bytes} bytes" in recovery.report
    assert set(damaged.read(name, recovery.cut_offset)) == {0}
    again = recover(damaged, ME, OPTIONS)
    assert (again.records, again.cut_bytes) == (records[:-1], 0)


def test_later_batches_go_with_a_bad_one_unless_they_prove_it_was_durable() -> None:
    for told in (False, True):
        disk = CrashDisk()
        writer = create(ME, OPTIONS, disk)
        sizes = [len(disk.read(segment_name(1)).rstrip(b"\0"))]
        for number in range(3):
            writer.append([LogRecord(0, number, b"xxxx")])
            disk.execute(writer.take_ops())
            if told:
                writer.synced(writer.position)
            sizes.append(len(disk.read(segment_name(1)).rstrip(b"\0")))
        damaged = flip(disk, segment_name(1), sizes[0] + BATCH_HEADER, 1)
        if told:
            with pytest.raises(LogCorruptError, match="batch 2 cannot be read back, but batch 3") as caught:
                recover(damaged, ME, OPTIONS)
            assert caught.value.offset == sizes[0]
        else:
            assert recover(damaged, ME, OPTIONS).records == []


def test_garbage_behind_the_end_that_would_continue_the_chain_is_gone() -> None:
    """A discarded batch must not become the valid successor of a new one that equals the batch that was torn."""
    disk = CrashDisk()
    writer = create(ME, OPTIONS, disk)
    start = len(disk.read(segment_name(1)).rstrip(b"\0"))
    writer.append([LogRecord(0, 1, b"first")])
    writer.append([LogRecord(0, 2, b"second")])
    disk.execute(writer.take_ops())
    recovery = recover(flipped := flip(disk, segment_name(1), start + 8, 1), ME, OPTIONS)
    assert recovery.records == []
    recovery.writer.append([LogRecord(0, 1, b"first")])
    flipped.execute(recovery.writer.take_ops())
    assert recover(flipped, ME, OPTIONS).records == [LogRecord(0, 1, b"first")]


def test_a_batch_of_another_history_at_the_right_position_is_not_taken() -> None:
    disk, records, _ = small_log()
    recovery = recover(disk, ME, OPTIONS)
    name = disk.names()[-1]
    position, payload = recovery.writer.position + 1, encode_payload(Payload([LogRecord(7, 66, b"not ours")]))
    stray, _ = encode_batch(segment_seed(ME, 2), position, position - 2, 12345, payload)
    offset = recovery.writer._offset
    disk.execute([Write(name, offset, stray)])
    found = recover(disk, ME, OPTIONS)
    assert (found.records, found.cut_offset) == (records, offset)


def test_a_value_that_holds_a_piece_of_log_is_no_evidence() -> None:
    """A user may store a copy of a log in the store: neither a stranger's batches nor our own older ones count."""
    disk, _, _ = small_log()
    stranger = b"".join(
        encode_batch(segment_seed(Identity("c", 1, "other"), 2), position, position - 1, 0, b"\x92\x90\x80")[0]
        for position in range(1, 40)
    )
    own = disk.read(segment_name(2)) + disk.read(segment_name(1))
    recovery = recover(disk, ME, OPTIONS)
    before = recovery.records
    recovery.writer.append([LogRecord(7, 9, stranger + own)])
    disk.execute(recovery.writer.take_ops())
    name = disk.names()[-1]
    damaged = flip(disk, name, disk.read(name).rindex(b"value 5") + len(b"value 5") + 4, 1)
    assert recover(damaged, ME, OPTIONS).records == before


def test_missing_segments() -> None:
    disk, _, _ = small_log()
    recovery = recover(disk, ME, OPTIONS)
    recovery.writer.roll([])
    disk.execute(recovery.writer.take_ops())
    hole = disk.killed()
    hole.execute([Unlink(segment_name(2))])
    with pytest.raises(LogCorruptError, match="missing") as caught:
        recover(hole, ME, OPTIONS)
    assert caught.value.file == segment_name(2)
    with pytest.raises(LogCorruptError, match="holds no log"):
        recover(CrashDisk(), ME, OPTIONS)


def test_a_segment_of_someone_else() -> None:
    disk, records, _ = small_log()
    for identity, reason in [
        (Identity("other", 1, "i"), Reason.WRONG_CLUSTER),
        (Identity("c", 2, "i"), Reason.WRONG_NODE),
        (Identity("c", 1, "later"), Reason.WRONG_NODE),
    ]:
        with pytest.raises(WrongIdentityError) as caught:
            recover(disk, identity, OPTIONS)
        assert caught.value.reason is reason
        assert caught.value.hint
    recovery = recover(disk, None, OPTIONS)
    assert (recovery.records, recovery.identity) == (records, ME)


def test_segments_of_two_logs_mixed_up() -> None:
    disk, _, _ = small_log()
    other = CrashDisk()
    writer = create(ME, OPTIONS, other)
    writer.append([LogRecord(7, 0, b"another life")])
    other.execute(writer.take_ops())
    first = other.read(segment_name(1))
    disk.execute([Unlink(segment_name(1)), Create(segment_name(1)), Write(segment_name(1), 0, first)])
    with pytest.raises(LogCorruptError):
        recover(disk, ME, OPTIONS)


def test_a_truncated_file_is_a_torn_tail_or_damage() -> None:
    disk, records, ends = small_log()
    name = segment_name(2)
    data = disk.read(name)
    for size in range(len(data)):
        damaged = CrashDisk()
        for other in disk.names():
            content = data[:size] if other == name else disk.read(other)
            damaged.execute([Create(other), Write(other, 0, content)])
        found = outcome(damaged)
        if isinstance(found, LogCorruptError):
            assert found.file == name
        else:
            assert found in [records[:end] for end in ends]


def test_errors_survive_pickling_and_batches_decode_only_whole() -> None:
    error = LogCorruptError("bad", file="f", offset=9)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.file, copy.offset) == (str(error), "f", 9)
    data, _ = encode_batch(5, 1, 0, 0, b"abc")
    assert decode_batch(data, 0, 5) is not None
    assert decode_batch(data, 0, 6) is None
    for size in range(len(data)):
        assert decode_batch(data[:size], 0, 5) is None
