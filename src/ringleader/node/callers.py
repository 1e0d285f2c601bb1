"""The clients of a node, over sockets and in this process: their frames go into the host, its answers back to them."""

from __future__ import annotations

from collections.abc import Sequence

from ringleader.client.steady import steady
from ringleader.node.driver import Driver
from ringleader.node.local import LocalLink
from ringleader.runtime.clients import ClientDoor
from ringleader.runtime.complaints import Complaints
from ringleader.wire.frames import ClientFrame, Refused, ServerFrame

__all__ = ["Callers"]


class Callers:
    """`door`: those over sockets; `locals`: those in this process, numbered alike."""

    def __init__(self, driver: Driver, complaints: Complaints, max_connections: int) -> None:
        self.driver = driver
        self.stats = driver.stats
        self.door = ClientDoor(self, complaints, max_connections=max_connections)
        self.locals: dict[int, LocalLink] = {}

    def __len__(self) -> int:
        return len(self.door.connections) + len(self.locals)

    # ------------------------------------------------------------------------------------------------ what arrives

    def client_opened(self, conn: int, identity: str = "") -> None:
        """A client connected; `identity`: the name in its certificate."""
        host = self.driver.host
        if host is not None:
            host.client_opened(conn, identity)

    def client_frame(self, conn: int, frame: ClientFrame) -> None:
        """A client's frame came."""
        host = self.driver.running
        if host is None:
            return
        self.stats.client_frames += 1
        try:
            host.observe(steady())
            host.client_frame(conn, frame)
        except Exception as error:
            self.driver.fail_unexpectedly(error)
        self.driver.plan()

    def client_closed(self, conn: int) -> None:
        """A client is gone."""
        host = self.driver.running
        if host is not None:
            host.client_closed(conn)
            self.driver.plan()

    def client_writable(self, conn: int, flag: bool) -> None:
        """A client reads too slowly, or has caught up."""
        host = self.driver.running
        if host is not None:
            host.client_writable(conn, flag)
            self.driver.plan()

    def open_local(self, local: LocalLink) -> str:
        """A link of the same process is there; returns why not, or ""."""
        driver = self.driver
        if driver.host is None or driver.stopped:
            return "the node does not run"
        if self.stats.failure:
            return self.stats.failure
        local.number = self.door.new_number()
        self.locals[local.number] = local
        driver.host.client_opened(local.number, own=True)  # who runs the process needs no login
        return ""

    def close_local(self, local: LocalLink) -> None:
        """A link of the same process goes."""
        number, local.number = local.number, 0
        if self.locals.pop(number, None) is not None:
            self.client_closed(number)

    # ------------------------------------------------------------------------------------------------ what leaves

    def answer(self, frames: Sequence[tuple[int, ServerFrame]]) -> None:
        """Frames for clients, one write for each of them."""
        self.stats.client_answers += len(frames)
        touched: dict[int, LocalLink] = {}
        for conn, frame in frames:
            local = self.locals.get(conn)
            if local is not None:
                local.deliver(frame)
                touched[conn] = local
            else:
                self.door.send(conn, frame)
                if isinstance(frame, Refused) and not frame.frame:
                    self.door.complain(conn, frame.reason, frame.message)
        self.door.flush()
        for local in touched.values():
            local.flush()

    def close(self, conn: int) -> None:
        """The host has done with this one."""
        local = self.locals.pop(conn, None)
        if local is None:
            self.door.close(conn)
            return
        local.number = 0
        local.end("the node closed the link")
        self.client_closed(conn)

    def end_locals(self, why: str) -> None:
        """The node serves no longer."""
        for local in list(self.locals.values()):
            local.end(why)
