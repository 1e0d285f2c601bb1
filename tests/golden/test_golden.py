"""What an earlier release wrote or sent can still be read, and means the same; see `tools.golden`.

New fields at the end are allowed (older readers pass over them), a field that is gone, moved or of another type is not.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tools import golden

from ringleader.group import roster
from ringleader.node.identity import FolderIdentity
from ringleader.ports import Create, Write
from ringleader.store.commands import KeyValue, Range, RangeResult
from ringleader.store.store import Store
from ringleader.wire.frames import Welcome
from unit.group.harness import MemoryDisk


def begins_with(now: Any, then: Any) -> bool:
    """Whether `now` is `then`, but for what was added at the ends of arrays that stand for structs."""
    if isinstance(then, list) and isinstance(now, list):
        return len(now) >= len(then) and all(map(begins_with, now, then))
    if isinstance(then, dict) and isinstance(now, dict):
        return now.keys() == then.keys() and all(begins_with(now[key], then[key]) for key in then)
    return type(now) is type(then) and now == then


def holds(kind: Any, data: bytes) -> bool:
    """Whether old bytes are still read as what they were."""
    value = msgspec.msgpack.decode(data, type=kind)
    return begins_with(msgspec.msgpack.decode(msgspec.msgpack.encode(value)), msgspec.msgpack.decode(data))


@pytest.mark.parametrize("kind", golden.KINDS)
def test_old_bytes_mean_what_they_meant(kind: str) -> None:
    version, types = golden.KINDS[kind]
    path = golden.FOLDER / f"{kind}-v{version}.txt"
    assert path.exists(), f"{path.name} is missing: run python -m tools.golden"
    kept = golden.read(path)
    known = {one.__name__: one for one in types}
    gone = kept.keys() - known.keys() - {"whole state"}
    assert not gone, f"{', '.join(sorted(gone))} can no longer be read: raise the version of the format"
    for name in kept.keys() & known.keys():
        assert holds(known[name], kept[name]), f"{name} has changed: raise the version of the format"


def test_an_old_snapshot_is_restored() -> None:
    data = golden.read(golden.FOLDER / "state-v1.txt")["whole state"]
    store = Store()
    store.restore(data)
    rows = store.read(Range(b"\0", b"\0"))
    assert isinstance(rows, RangeResult)
    assert rows.kvs == [KeyValue(b"a", b"3", 2, 4, 2), KeyValue(b"b", b"2", 3, 3, 1, 5)]
    assert (store.revision, store.applied, store.time_ms, store.version) == (4, 5, 5, 1)


def test_old_files_of_a_folder_are_read() -> None:
    kept = golden.read(golden.FOLDER / "folder-v1.txt")
    identity = msgspec.json.decode(kept["identity.json"], type=FolderIdentity)
    assert (identity.cluster, identity.node, identity.incarnation, identity.started) == ("c", 1, "i", True)
    disk = MemoryDisk()
    disk.execute([Create(roster.ROSTER_FILE), Write(roster.ROSTER_FILE, 0, kept["members.json"])])
    found = roster.read_roster(disk)
    assert found is not None
    assert (found.index, found.rows[0].id, found.rows[0].name) == (7, 7, "text")


def test_the_check_can_fail() -> None:
    class Before(msgspec.Struct, array_like=True, tag=1):
        a: int
        b: str

    class Added(msgspec.Struct, array_like=True, tag=1):
        a: int
        b: str
        c: int = 0

    class Moved(msgspec.Struct, array_like=True, tag=1):
        b: str
        a: int

    class Gone(msgspec.Struct, array_like=True, tag=1):
        a: int

    data = msgspec.msgpack.encode(Before(1, "x"))
    assert holds(Added, data)
    assert not holds(Gone, data)
    with pytest.raises(msgspec.ValidationError):
        holds(Moved, data)
    assert golden.sample(Welcome).nodes[0].client == "text"
