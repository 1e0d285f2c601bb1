"""The few tiny interfaces between the pure rooms and a world, real or simulated: `Disk`, `Entropy`.

Time has no port: the current time comes in as an argument (seconds as a float, monotonic). The network has none either:
messages come in as events and go out as data.
"""

from ringleader.ports.disk import Create, Disk, DiskOp, Read, Rename, Sync, SyncFolder, Truncate, Unlink, Write
from ringleader.ports.entropy import Entropy

__all__ = ["Create", "Disk", "DiskOp", "Entropy", "Read", "Rename", "Sync", "SyncFolder", "Truncate", "Unlink", "Write"]
