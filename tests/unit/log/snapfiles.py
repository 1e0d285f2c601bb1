"""Reads a snapshot file back whole, for tests."""

from __future__ import annotations

from ringleader.log import SnapshotDecoder, read_frames, snapshot_name
from ringleader.ports import Disk


def read(disk: Disk, index: int, group: int = 1) -> tuple[int, bytes, list[bytes]]:
    """Its index, meta and frames."""
    name = snapshot_name(group, index)
    decoder = SnapshotDecoder(name)
    frames = list(read_frames(disk, name, decoder))
    assert decoder.header is not None
    assert (decoder.header.group, decoder.header.index) == (group, index)
    assert decoder.good == disk.size(name)
    return index, decoder.header.meta, frames
