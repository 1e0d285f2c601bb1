"""The node's side of the client protocol: one connection's frames in, answers and watch events out.

Sans-IO: connections are numbers, frames are structs. Watches are pulled: a connection that cannot be written to costs
nothing but its place; it goes on from its own revision, or is told that history was compacted away meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from ringleader.errors import Reason
from ringleader.group.member import Member
from ringleader.group.options import GroupOptions
from ringleader.group.progress import Progress
from ringleader.store.commands import Failure
from ringleader.store.watch import Watcher
from ringleader.wire.frames import (
    MAGIC,
    PROTOCOL_VERSION,
    ClientFrame,
    Hello,
    NodeInfo,
    Ping,
    Pong,
    Query,
    Refused,
    ServerFrame,
    StatusQuery,
    Submit,
    Topology,
    WatchCancel,
    WatchCreate,
    WatchEnd,
    WatchEvents,
    Welcome,
)

__all__ = ["Service"]


class Connection:
    """One client: whether it has said hello, whether it takes data at the moment, and its watches."""

    __slots__ = ("greeted", "watches", "writable")

    def __init__(self) -> None:
        self.greeted = False
        self.writable = True
        self.watches: dict[int, Watcher] = {}


class Service:
    """All client connections of a node. `send(conn, frame)` and `close(conn)` carry its answers out."""

    def __init__(
        self,
        cluster: str,
        node: NodeInfo,
        nodes: Sequence[NodeInfo],
        member: Member,
        options: GroupOptions,
        send: Callable[[int, ServerFrame], None],
        close: Callable[[int], None],
        status: Callable[[int], ServerFrame],
    ) -> None:
        self.cluster = cluster
        self.node = node
        self.nodes = list(nodes)
        self.member = member
        self.options = options
        self.send = send
        self.close = close
        self.status = status
        self.connections: dict[int, Connection] = {}
        self.owners: dict[Watcher, tuple[int, int]] = {}  # watcher -> (connection, watch number)
        self.progress = Progress(options.progress_period)
        self.leader = 0
        self.nodes_changed = False

    def opened(self, conn: int) -> None:
        """A connection was accepted."""
        self.connections[conn] = Connection()

    def closed(self, conn: int) -> None:
        """A connection is gone; its watches with it. Writes it sent go on and are answered to nobody."""
        connection = self.connections.pop(conn, None)
        if connection is not None:
            for watcher in connection.watches.values():
                self._forget(watcher)

    def writable(self, conn: int, flag: bool) -> None:
        """Whether the connection takes more data at the moment."""
        connection = self.connections.get(conn)
        if connection is not None:
            connection.writable = flag

    def frame(self, conn: int, frame: ClientFrame) -> None:
        """A frame arrived."""
        connection = self.connections.get(conn)
        if connection is None:
            return
        if not connection.greeted:
            self._greet(conn, connection, frame)
            return
        match frame:
            case Submit():
                self.member.submit(conn, frame)
            case Query():
                self.member.query(conn, frame)
            case WatchCreate():
                self._watch(conn, connection, frame)
            case WatchCancel(watch):
                watcher = connection.watches.pop(watch, None)
                if watcher is not None:
                    self._forget(watcher)
                self.send(conn, WatchEnd(watch, Reason.CLOSED, "cancelled by the client"))
            case Ping(number):
                self.send(conn, Pong(number))
            case StatusQuery(number):
                self.send(conn, self.status(number))
            case Hello():
                self._expel(conn, Reason.PROTOCOL, "a second hello on one connection")

    def learn_node(self, info: NodeInfo) -> None:
        """Where clients reach a node has become known or has changed."""
        if info not in self.nodes:
            self.nodes = sorted([*(n for n in self.nodes if n.id != info.id), info], key=lambda n: n.id)
            self.nodes_changed = True

    # ------------------------------------------------------------------------------------------------------- hello

    def _greet(self, conn: int, connection: Connection, frame: ClientFrame) -> None:
        if not isinstance(frame, Hello) or frame.magic != MAGIC:
            self._expel(conn, Reason.PROTOCOL, "the first frame must be a Ringleader hello")
        elif frame.version != PROTOCOL_VERSION:
            text = f"the client speaks protocol version {frame.version}, this node version {PROTOCOL_VERSION}"
            self._expel(conn, Reason.VERSION, text)
        elif frame.cluster and frame.cluster != self.cluster:
            text = f"the client looks for cluster {frame.cluster[:64]!r}, this node belongs to {self.cluster!r}"
            self._expel(conn, Reason.WRONG_CLUSTER, text)
        else:
            connection.greeted = True
            leader = self.member.core.leader
            welcome = Welcome(PROTOCOL_VERSION, self.cluster, self.node.id, self.node.name, leader, self.nodes)
            self.send(conn, welcome)

    def _expel(self, conn: int, reason: Reason, message: str) -> None:
        self.send(conn, Refused(0, reason, message))
        self.close(conn)

    # ----------------------------------------------------------------------------------------------------- watches

    def _watch(self, conn: int, connection: Connection, frame: WatchCreate) -> None:
        if frame.watch in connection.watches:
            self._expel(conn, Reason.PROTOCOL, f"watch number {frame.watch} is in use on this connection")
            return
        if len(connection.watches) >= self.options.watches_per_connection:
            text = f"a connection may have {self.options.watches_per_connection} watches"
            self.send(conn, WatchEnd(frame.watch, Reason.OVERLOADED, text))
            return
        hub = self.member.store.watches
        made = hub.create(
            frame.key, frame.range_end, frame.start_revision, frame.prev_kv, frame.no_put, frame.no_delete
        )
        if isinstance(made, Failure):
            self.send(conn, WatchEnd(frame.watch, made.reason, made.message, made.compact_revision))
            return
        connection.watches[frame.watch] = made
        self.owners[made] = (conn, frame.watch)
        self.progress.add(made, self.member.now)
        before = frame.start_revision - 1 if frame.start_revision > 0 else self.member.store.revision
        self.send(conn, WatchEvents(frame.watch, before, []))

    def _deliver(self) -> None:
        """Send new events in frames of bounded size, the watches in turns.

        A connection gets so many frames and then has to wait for the next turn, by when the world has said whether it
        reads: otherwise one watch from long ago would put all of history into memory at once.
        """
        sent: Counter[int] = Counter()
        behind = list(self.member.store.watches.ready())
        while behind:
            behind = [watcher for watcher in behind if self._deliver_frame(watcher, sent)]
        for watcher, revision in self.progress.due(self.member.store.watches, self.member.now):
            conn, watch = self.owners[watcher]
            if self.connections[conn].writable:
                self.send(conn, WatchEvents(watch, revision, []))

    def _deliver_frame(self, watcher: Watcher, sent: Counter[int]) -> bool:
        """Send one frame of a watch, if there is one and it can be taken; whether another may follow in this turn."""
        conn, watch = self.owners[watcher]
        connection = self.connections[conn]
        if not connection.writable or sent[conn] >= self.options.watch_frames_per_turn:
            return False
        got = self.member.store.watches.poll(watcher, self.options.watch_bytes)
        if isinstance(got, Failure):
            del connection.watches[watch]
            self._forget(watcher)
            self.send(conn, WatchEnd(watch, got.reason, got.message, got.compact_revision))
            return False
        revision, events = got
        if events:
            self.send(conn, WatchEvents(watch, revision, events))
            sent[conn] += 1
        return bool(events)

    def _forget(self, watcher: Watcher) -> None:
        self.owners.pop(watcher, None)
        self.member.store.watches.cancel(watcher)

    # -------------------------------------------------------------------------------------------------- end of turn

    def end_turn(self) -> None:
        """Deliver new events, and tell everyone when the leader or the nodes have changed."""
        self._deliver()
        leader = self.member.core.leader
        if leader != self.leader or self.nodes_changed:
            self.leader, self.nodes_changed = leader, False
            topology = Topology(leader, self.nodes)
            for conn, connection in self.connections.items():
                if connection.greeted:
                    self.send(conn, topology)
