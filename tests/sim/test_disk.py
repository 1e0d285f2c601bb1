"""The simulated disk keeps exactly what its contract promises: what was synced survives, the rest may not."""

from __future__ import annotations

import pytest

from ringleader.ports import Create, Rename, Sync, SyncFolder, Truncate, Unlink, Write
from ringleader.sim.choice import stream
from ringleader.sim.disk import PAGE, SECTOR, DiskHabits, SimDisk

LOSES_ALL = DiskHabits(keep=0.0, keep_folder=0.0)
KEEPS_ALL = DiskHabits(keep=1.0, keep_folder=1.0)


def made(habits: DiskHabits, seed: int = 1) -> SimDisk:
    return SimDisk(stream(seed, "disk"), habits)


def with_synced_file(habits: DiskHabits, seed: int = 1, data: bytes = b"synced") -> SimDisk:
    disk = made(habits, seed)
    disk.execute([Create("f"), Write("f", 0, data), Sync("f"), SyncFolder()])
    return disk


def test_what_was_synced_survives_a_power_cut() -> None:
    disk = with_synced_file(LOSES_ALL)
    disk.power_cut()
    assert disk.read("f") == b"synced"
    assert disk.names() == ["f"]


def test_unsynced_bytes_go_and_are_counted() -> None:
    disk = with_synced_file(LOSES_ALL)
    disk.execute([Write("f", 6, b" and more")])
    assert disk.read("f") == b"synced and more"
    report = disk.power_cut()
    assert disk.read("f").rstrip(b"\0") == b"synced"
    assert report.lost == 9


def test_unsynced_bytes_may_stay() -> None:
    disk = with_synced_file(KEEPS_ALL)
    disk.execute([Write("f", 6, b" and more")])
    assert disk.power_cut().kept == 9
    assert disk.read("f") == b"synced and more"


def test_a_killed_process_loses_nothing_but_the_next_power_cut_may() -> None:
    disk = with_synced_file(LOSES_ALL)
    disk.execute([Write("f", 0, b"SYNCED")])
    assert disk.read("f") == b"SYNCED"  # the process is gone, the page cache is not
    disk.power_cut()
    assert disk.read("f") == b"synced"


def test_a_created_file_needs_the_folder_synced() -> None:
    disk = made(LOSES_ALL)
    disk.execute([Create("f"), Write("f", 0, b"x"), Sync("f")])
    assert disk.power_cut().folder_lost == 1
    assert disk.names() == []


@pytest.mark.parametrize("habits", [LOSES_ALL, KEEPS_ALL])
def test_a_rename_is_all_or_nothing(habits: DiskHabits) -> None:
    disk = with_synced_file(habits)
    disk.execute([Create("g"), Write("g", 0, b"new"), Sync("g"), SyncFolder(), Rename("g", "f")])
    disk.power_cut()
    if habits is KEEPS_ALL:
        assert disk.names() == ["f"]
        assert disk.read("f") == b"new"
    else:
        assert disk.names() == ["f", "g"]
        assert disk.read("f") == b"synced"


def test_pages_survive_in_any_subset_and_tear_at_sectors() -> None:
    old, new = b"o" * (4 * PAGE), b"n" * (4 * PAGE)
    outcomes = set()
    torn = 0
    for seed in range(60):
        disk = with_synced_file(DiskHabits(keep=0.5, tear=0.3), seed, old)
        disk.execute([Write("f", 0, new)])
        torn += disk.power_cut().torn
        data = disk.read("f")
        for place in range(0, len(data), SECTOR):
            assert data[place : place + SECTOR] in (old[:SECTOR], new[:SECTOR]), "a sector is old or new, never mixed"
        outcomes.add(tuple(data[place : place + 1] for place in range(0, len(data), PAGE)))
    assert len(outcomes) > 10, "all sixteen subsets of four pages should be about as likely"
    assert torn > 10


def test_only_bytes_under_way_can_be_garbled() -> None:
    garbled = 0
    for seed in range(40):
        disk = with_synced_file(DiskHabits(keep=1.0, corrupt=0.5), seed, b"k" * 100)
        disk.execute([Write("f", 100, b"u" * 100)])
        garbled += disk.power_cut().corrupted
        assert disk.read("f")[:100] == b"k" * 100
    assert garbled > 5


def test_write_back_leaves_intermediate_versions() -> None:
    seen = set()
    for seed in range(40):
        disk = with_synced_file(DiskHabits(writeback=0.7, keep=0.0), seed, b"0")
        disk.execute([Write("f", 0, b"1"), Write("f", 0, b"2")])
        disk.power_cut()
        seen.add(disk.read("f"))
    assert seen == {b"0", b"1", b"2"}


def test_a_full_disk_refuses_what_needs_room_and_nothing_else() -> None:
    disk = with_synced_file(LOSES_ALL)
    disk.fill_up()
    disk.execute([Write("f", 0, b"SYNCED"), Sync("f")])
    with pytest.raises(OSError, match="no space"):
        disk.execute([Write("f", 6, b"!")])
    with pytest.raises(OSError, match="no space"):
        disk.execute([Create("g")])
    assert disk.names() == ["f", "g"], "the name may be there all the same"
    disk.fill_up(2)
    with pytest.raises(OSError, match="no space"):
        disk.execute([Write("f", 6, b"1234")])
    assert disk.read("f") == b"SYNCED12", "as much as there is room for"
    disk.make_room()
    disk.execute([Write("f", 6, b"1234")])
    assert disk.read("f") == b"SYNCED1234"


def test_a_failed_sync_says_so_once_and_leaves_its_writes_unsynced() -> None:
    disk = with_synced_file(LOSES_ALL)
    disk.fail_sync = True
    with pytest.raises(OSError, match="error in sync"):
        disk.execute([Write("f", 0, b"SYNCED"), Sync("f")])
    disk.power_cut()
    assert disk.read("f") == b"synced"
    disk.execute([Write("f", 0, b"again!"), Sync("f")])
    disk.power_cut()
    assert disk.read("f") == b"again!"


def test_truncate_and_unlink_count_as_unsynced_too() -> None:
    disk = with_synced_file(LOSES_ALL)
    disk.execute([Truncate("f", 2), Unlink("f"), Unlink("f")])
    assert disk.names() == []
    disk.power_cut()
    assert disk.names() == ["f"]


def test_the_durable_copy_is_the_worst_case_and_a_disk_of_its_own() -> None:
    disk = with_synced_file(KEEPS_ALL)
    disk.execute([Write("f", 0, b"SYNCED"), Create("g")])
    copy = disk.durable_copy(stream(1, "copy"))
    assert copy.names() == ["f"]
    assert copy.read("f") == b"synced"
    copy.execute([Write("f", 0, b"copied")])
    assert disk.read("f") == b"SYNCED"


def test_missing_and_existing_files_are_errors() -> None:
    disk = with_synced_file(LOSES_ALL)
    with pytest.raises(FileNotFoundError):
        disk.read("nothing")
    with pytest.raises(FileExistsError):
        disk.execute([Create("f")])
