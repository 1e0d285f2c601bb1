"""The two ways in which a log refuses to open: it is damaged, or it belongs to someone else."""

from __future__ import annotations

from ringleader.errors import Reason, RingleaderError

__all__ = ["LogCorruptError", "WrongIdentityError"]

REMEDY = (
    "Nothing was changed. Restore the data folder from a copy of this node, or, when a majority of the cluster is "
    "healthy, remove this member, empty its data folder and add it again"
)


class LogCorruptError(RingleaderError):
    """Bytes that were known to be durable cannot be read back: the node must not start.

    `file` and `offset` say where (offset in bytes from the start of the file); `hint` is the remedy.
    """

    file: str
    offset: int

    def __init__(self, message: str, *, file: str, offset: int, hint: str = REMEDY) -> None:
        super().__init__(f"{message} (file {file}, offset {offset})", reason=Reason.DATA_CORRUPT, node=None, hint=hint)
        self.file = file
        self.offset = offset

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.message, self.file, self.offset, self.hint))


class WrongIdentityError(RingleaderError):
    """The files belong to another cluster (`WRONG_CLUSTER`) or to another node or incarnation (`WRONG_NODE`)."""


def _rebuild(message: str, file: str, offset: int, hint: str) -> LogCorruptError:
    error = LogCorruptError("", file=file, offset=offset, hint=hint)
    error.message = message
    error.args = (message,)
    return error
