"""The lock on a data folder: two processes may not open one, or they would both vote as the same node."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from ringleader.errors import Reason, UsageError

if sys.platform != "win32":
    import fcntl

__all__ = ["LOCK_FILE", "FolderLock", "holder_of"]

LOCK_FILE = "LOCK"

LOOK = 0.05
"""Seconds that looking at the lock takes at most."""


class FolderLock:
    """Held from construction to `release` or the end of the process, however that comes about (flock on a file).

    Raises `UsageError` with reason `DATA_IN_USE`, naming the process that holds it.
    """

    def __init__(self, folder: str | Path) -> None:
        if sys.platform == "win32":
            raise UsageError("a node needs Linux or macOS; on Windows only the client works", reason=Reason.UNSUPPORTED)
        path = Path(folder) / LOCK_FILE
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise UsageError(
                f"cannot use the data folder {folder}: {error.strerror}",
                reason=Reason.INVALID_ARGUMENT,
                hint="Give a folder that this user may write to",
            ) from None
        try:
            self._take()
        except OSError:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            self._descriptor = -1
            raise UsageError(
                f"the data folder {folder} is in use by process {holder or 'unknown'}",
                reason=Reason.DATA_IN_USE,
                hint="Stop that process, or give this node a data folder of its own",
            ) from None
        with contextlib.suppress(OSError):  # on a full disk: the lock holds, it only does not say whose it is
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _take(self) -> None:
        """Take the lock; a second try in case somebody was only looking whether it is held (`holder_of`)."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(LOOK)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """Let others open the folder. May be called again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def holder_of(folder: str | Path) -> str:
    """The process that has the folder open, as text ("unknown" when it does not say); "" when none has. Changes nothing."""
    if sys.platform == "win32":
        return ""
    try:
        descriptor = os.open(Path(folder) / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
    finally:
        os.close(descriptor)
    return ""
