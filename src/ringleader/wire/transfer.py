"""What nodes say to each other about the content of snapshots, on connections of their own: the receiver asks, piece by piece.

A snapshot is named by the group (with the message), index and term; `size` and `check` say which bytes they are. Their tags
do not overlap with those of the other messages between nodes.
"""

from __future__ import annotations

import msgspec

__all__ = ["SnapshotChunk", "SnapshotGone", "SnapshotRequest", "TransferMessage"]


class SnapshotRequest(msgspec.Struct, array_like=True, gc=False, tag=31):
    """Send me up to `length` bytes from `offset` of that snapshot's file."""

    index: int
    term: int
    offset: int
    length: int


class SnapshotChunk(msgspec.Struct, array_like=True, gc=False, tag=32):
    """The bytes from `offset` on. `size`: of the whole file. `check`: what its last checksum is."""

    index: int
    term: int
    size: int
    check: int
    offset: int
    data: bytes


class SnapshotGone(msgspec.Struct, array_like=True, gc=False, tag=33):
    """That snapshot is not here (any more)."""

    index: int
    term: int


TransferMessage = SnapshotRequest | SnapshotChunk | SnapshotGone
