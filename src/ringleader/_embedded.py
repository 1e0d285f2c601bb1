"""One durable node inside the process, without sockets, behind the same client as a cluster."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ringleader.client.client import Client
from ringleader.client.engine import Engine
from ringleader.client.options import ClientOptions
from ringleader.client.transport import Listener, Transport
from ringleader.errors import Reason, UsageError

if TYPE_CHECKING:
    from ringleader.node import Node

__all__ = ["embedded"]

_HEARTBEAT_MS = 10
_ELECTION_MS = 50  # nobody else can lead: no reason to wait long


def embedded(path: str | os.PathLike[str] | None = None, *, timeout: float = 5.0) -> Client:
    """A client of a node of its own: `async with ringleader.embedded("data") as db:` (or `await`, then `close()`).

    `path`: the data folder, made if it is missing; what was answered is durable there. `None`: a temporary folder, removed
    at the end. `timeout`: for each call that gives none, seconds. Entering raises `RingleaderError` when the folder is in
    use, belongs to another node or is corrupt.
    """
    return _EmbeddedClient(path, timeout)


class _Way:
    """A dialer to the node once it runs; the node belongs to the process and the event loop that opened it."""

    def __init__(self) -> None:
        self.node: Node | None = None
        self.pid = 0
        self.loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> None:
        """Raise `UsageError` when the node cannot be used from here."""
        if self.node is None:
            hint = "Use it as `async with ringleader.embedded() as db:`."
            raise UsageError("the embedded node does not run", reason=Reason.CLOSED, hint=hint)
        if self.pid != os.getpid() or self.loop is not asyncio.get_running_loop():
            hint = "Open it where it is used, or run `ringleader start` and connect()."
            message = "an embedded node is used only in the process and event loop that opened it"
            raise UsageError(message, reason=Reason.CLOSED, hint=hint)

    def dial(self, link: int, address: str, listener: Listener) -> Transport:
        """See `client.transport.Dialer`."""
        assert self.node is not None
        return self.node.dialer.dial(link, address, listener)


class _EmbeddedClient(Client):
    """A client that starts its node when it is opened and stops it when it is closed."""

    def __init__(self, path: str | os.PathLike[str] | None, timeout: float) -> None:
        self._way = _Way()
        super().__init__(Engine(["embedded"], self._way, ClientOptions(prefer_leader=False), self._way.check), timeout)
        self._path = path
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    async def open(self) -> Self:
        """Start the node and connect to it."""
        from ringleader.node import Node, NodeConfig

        if self._way.node is not None:
            return self
        if self._path is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="ringleader-")
        folder = str(Path(self._temporary.name if self._temporary is not None else self._path or ""))
        config = NodeConfig(
            data_dir=folder,
            listen_client="",
            listen_peer="",
            http="",
            heartbeat_ms=_HEARTBEAT_MS,
            election_ms=_ELECTION_MS,
        )
        node = Node(config)
        try:
            await node.start()
            self._way.node, self._way.pid, self._way.loop = node, os.getpid(), asyncio.get_running_loop()
            await node.ready(self._timeout)
            return await super().open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End everything, stop the node, remove a temporary folder."""
        await super().close()
        if self._way.node is not None and self._way.pid != os.getpid():
            return  # after a fork the node and its folder are the parent's
        node, self._way.node = self._way.node, None
        if node is not None:
            await node.stop()
        temporary, self._temporary = self._temporary, None
        if temporary is not None:
            await asyncio.get_running_loop().run_in_executor(None, temporary.cleanup)
