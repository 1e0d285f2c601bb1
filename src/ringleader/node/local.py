"""A way into a node of the same process: what a client's TCP connection is, without sockets and without bytes.

`LocalDialer` is a `client.transport.Dialer`: the embedded client uses the very logic of a remote one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ringleader.wire.frames import ClientFrame, ServerFrame

if TYPE_CHECKING:
    from ringleader.node.callers import Callers

__all__ = ["LocalDialer", "LocalLink", "LocalListener"]


class LocalListener(Protocol):
    """Who hears of a link; the same as `client.transport.Listener`."""

    def link_connected(self, link: int) -> None:
        """The link is there."""
        ...

    def link_received(self, link: int, frames: Sequence[ServerFrame]) -> None:
        """Frames came, in order."""
        ...

    def link_closed(self, link: int, why: str) -> None:
        """The link is gone, or could not be made."""
        ...


class LocalLink:
    """One link. Frames travel as objects: neither side may change one that it has sent."""

    def __init__(self, callers: Callers, link: int, listener: LocalListener) -> None:
        self._callers = callers
        self._link = link
        self._listener: LocalListener | None = listener
        self._arrived: list[ServerFrame] = []
        self.number = 0
        asyncio.get_running_loop().call_soon(self._connect)

    def _connect(self) -> None:
        if self._listener is None:
            return
        problem = self._callers.open_local(self)
        if problem:
            self.end(problem)
        else:
            self._listener.link_connected(self._link)

    def send(self, frames: Sequence[ClientFrame]) -> None:
        """Send frames in order; ignored once closed."""
        if not self.number:
            return
        for frame in frames:
            self._callers.client_frame(self.number, frame)

    def close(self) -> None:
        """Close; the listener is not told."""
        self._listener = None
        self._callers.close_local(self)

    # -------------------------------------------------------------------------------------- called by the node

    def deliver(self, frame: ServerFrame) -> None:
        """A frame for this side; it arrives at `flush`."""
        self._arrived.append(frame)

    def flush(self) -> None:
        """All frames of the turn have been delivered."""
        arrived, self._arrived = self._arrived, []
        if arrived and self._listener is not None:
            self._listener.link_received(self._link, arrived)

    def end(self, why: str) -> None:
        """The node has closed it."""
        self.flush()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.link_closed(self._link, why)


class LocalDialer:
    """Dials one node, whatever the address."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    def dial(self, link: int, address: str, listener: LocalListener) -> LocalLink:
        """Begin to connect; the outcome is told to `listener` later."""
        return LocalLink(self._callers, link, listener)
