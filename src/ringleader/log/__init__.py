"""The log: record layout, batches, segments, recovery and snapshot files; it decides the bytes, the disk writes them.

One log on one disk serves all groups of a node:

* `create` or `recover` gives a `LogWriter`; `append` adds a batch, `take_ops` says what the disk has to do, `synced`
  closes the circle.
* When `wants_roll`, call `roll` with the checkpoint records of all groups; after a durable snapshot, `drop_segments`.
* `log.snapshots` are the snapshot files beside it: `SnapshotEncoder` and `SnapshotDecoder` for their bytes, and what to do
  in the folder.
"""

from ringleader.log.errors import LogCorruptError, WrongIdentityError
from ringleader.log.format import FORMAT_VERSION, Identity, LogRecord
from ringleader.log.recovery import Recovery, create, exists, recover
from ringleader.log.snapshots import (
    SnapshotDecoder,
    SnapshotEncoder,
    SnapshotHeader,
    cleanup_ops,
    newest_snapshot,
    part_name,
    publish_ops,
    read_frames,
    snapshot_name,
    snapshot_ops,
    unfinished_parts,
)
from ringleader.log.writer import LogOptions, LogWriter

__all__ = [
    "FORMAT_VERSION",
    "Identity",
    "LogCorruptError",
    "LogOptions",
    "LogRecord",
    "LogWriter",
    "Recovery",
    "SnapshotDecoder",
    "SnapshotEncoder",
    "SnapshotHeader",
    "WrongIdentityError",
    "cleanup_ops",
    "create",
    "exists",
    "newest_snapshot",
    "part_name",
    "publish_ops",
    "read_frames",
    "recover",
    "snapshot_name",
    "snapshot_ops",
    "unfinished_parts",
]
