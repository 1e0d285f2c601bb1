"""The log: record layout, batches, segments, recovery and snapshot files; it decides the bytes, the disk writes them.

One log on one disk serves all groups of a node:

* `create` or `recover` gives a `LogWriter`; `append` adds a batch, `take_ops` says what the disk has to do, `synced`
  closes the circle.
* When `wants_roll`, call `roll` with the checkpoint records of all groups; after a durable snapshot, `drop_segments`.
* `snapshot_ops`, `read_snapshot` and `cleanup_ops` are the snapshot files beside it.
"""

from ringleader.log.errors import LogCorruptError, WrongIdentityError
from ringleader.log.format import FORMAT_VERSION, Identity, LogRecord
from ringleader.log.recovery import Recovery, create, exists, recover
from ringleader.log.snapshots import Snapshot, cleanup_ops, read_snapshot, snapshot_name, snapshot_ops
from ringleader.log.writer import LogOptions, LogWriter

__all__ = [
    "FORMAT_VERSION",
    "Identity",
    "LogCorruptError",
    "LogOptions",
    "LogRecord",
    "LogWriter",
    "Recovery",
    "Snapshot",
    "WrongIdentityError",
    "cleanup_ops",
    "create",
    "exists",
    "read_snapshot",
    "recover",
    "snapshot_name",
    "snapshot_ops",
]
