"""Fetching a back-up from a running node: a consistent snapshot, one part after the other, while writes go on."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ringleader.client.client import Client
from ringleader.errors import Reason, UsageError
from ringleader.store import commands as wire

__all__ = ["BackupLostError", "snapshot_parts"]


class BackupLostError(UsageError):
    """The node that was making the back-up is gone, or the client moved to another one: begin anew."""


async def snapshot_parts(client: Client, timeout: float) -> AsyncIterator[bytes]:
    """The bytes of a snapshot file, in order; never more than a part is held. `timeout`: seconds for each part.

    The state is that of one moment, with everything that was acknowledged before the call. Raises
    `BackupLostError` when the node that makes it is lost on the way, or the client moves on to another: start again then.
    """
    engine = client._engine
    ticket = offset = 0
    while True:
        consistency = "stale" if ticket else "linearizable"
        call = engine.query((wire.SnapshotRead(ticket, offset),), timeout, consistency, 0)
        try:
            (part,) = await engine.wait(*call)
        except UsageError as error:
            if ticket and error.reason is Reason.UNSUPPORTED:
                raise BackupLostError(error.message, reason=error.reason, node=error.node, hint=error.hint) from None
            raise
        assert isinstance(part, wire.SnapshotPart)
        yield part.data
        ticket, offset = part.ticket, offset + len(part.data)
        if part.done:
            return
