"""The node's side of the client protocol: one connection's frames in, answers and watch events out.

Sans-IO: connections are numbers, frames are structs. Watches are pulled: a connection that cannot be written to costs
nothing but its place; it goes on from its own revision, or is told that history was compacted away meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from ringleader.errors import Reason
from ringleader.group.contact import CUT_OFF, Contact
from ringleader.group.logins import Login
from ringleader.group.member import Member
from ringleader.group.options import GroupOptions
from ringleader.group.parts import Parts
from ringleader.group.progress import Progress
from ringleader.group.shared import CATCHING_UP
from ringleader.ports import Entropy
from ringleader.store.auth import ANYONE, Caller
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
from ringleader.wire.login import Challenge, Proof

__all__ = ["Service"]


class Connection:
    """One client: whether it was welcomed and for whom it speaks, whether it takes data at the moment, and its watches.

    `identity`: see `Login`. `asking`: watches not decided yet. `over`: it has been told to go.
    """

    __slots__ = ("asking", "caller", "greeted", "identity", "login", "over", "own", "watches", "writable")

    def __init__(self, identity: str, own: bool) -> None:
        self.identity = identity
        self.own = own
        self.greeted = False
        self.over = False
        self.caller: Caller = ANYONE
        self.login: Login | None = None
        self.asking: set[int] = set()
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
        entropy: Entropy,
        send: Callable[[int, ServerFrame], None],
        close: Callable[[int], None],
        status: Callable[[int], ServerFrame],
        contact: Contact,
    ) -> None:
        self.cluster = cluster
        self.node = node
        self.nodes = list(nodes)
        self.member = member
        self.options = options
        self.entropy = entropy
        self.rules: tuple[bool, int] = (False, 0)  # auth on, and its revision, when connections were last looked at
        self.send = send
        self.close = close
        self.status = status
        self.contact = contact
        self.connections: dict[int, Connection] = {}
        self.owners: dict[Watcher, tuple[int, int]] = {}  # watcher -> (connection, watch number)
        self.progress = Progress(options.progress_period)
        self.parts = Parts(options.watch_part_bytes)
        self.leader = 0
        self.nodes_changed = False

    def opened(self, conn: int, identity: str = "", *, own: bool = False) -> None:
        """A connection was accepted; `identity`: the name in its certificate; `own`: from this very process."""
        self.connections[conn] = Connection(identity, own)

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
        if connection is None or connection.over:
            return
        if not connection.greeted:
            if connection.login is not None:
                self._log_in(conn, connection.login, frame)
            else:
                self._greet(conn, connection, frame)
            return
        match frame:
            case Submit():
                self.member.submit(conn, frame, connection.caller)
            case Query():
                self.member.query(conn, frame, connection.caller)
            case WatchCreate():
                self._watch(conn, connection, frame)
            case WatchCancel(watch):
                connection.asking.discard(watch)
                watcher = connection.watches.pop(watch, None)
                if watcher is not None:
                    self._forget(watcher)
                self.send(conn, WatchEnd(watch, Reason.CLOSED, "cancelled by the client"))
            case Ping(number):
                self.send(conn, Pong(number))
            case StatusQuery(number):
                self.send(conn, self.status(number))
            case Hello() | Proof():
                self._expel(conn, Reason.PROTOCOL, "a second hello on one connection")

    def learn_node(self, info: NodeInfo) -> None:
        """Where clients reach a node has become known or has changed."""
        if info not in self.nodes:
            self.nodes = sorted([*(n for n in self.nodes if n.id != info.id), info], key=lambda n: n.id)
            self.nodes_changed = True

    def set_nodes(self, nodes: Sequence[NodeInfo]) -> None:
        """These are the nodes now; where clients reach one is kept as learnt when the new list does not say it."""
        known = {info.id: info for info in self.nodes}
        merged = [_merge(info, known.get(info.id)) for info in nodes]
        if merged != self.nodes:
            self.nodes, self.nodes_changed = merged, True

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

            def tell(login: Login, answer: Refused | Challenge | None) -> None:
                if self.connections.get(conn) is connection and not connection.over:
                    self._logged_in(conn, connection, login, answer)

            login = Login(self.member, self.entropy, frame.login, connection.identity, connection.own, tell)
            connection.login = login

    def _log_in(self, conn: int, login: Login, frame: ClientFrame) -> None:
        if isinstance(frame, Proof):
            login.prove(frame)
        else:
            self._expel(conn, Reason.PROTOCOL, f"{type(frame).__name__} before the login is done")

    def _logged_in(self, conn: int, connection: Connection, login: Login, answer: Refused | Challenge | None) -> None:
        if answer is not None:
            self.send(conn, answer)
            if isinstance(answer, Refused):
                connection.over = True
                self.close(conn)
            return
        connection.greeted, connection.caller, connection.login = True, login.caller, None
        leader, revision = self.member.core.leader, self.member.store.auth.revision
        self.send(
            conn,
            Welcome(
                PROTOCOL_VERSION, self.cluster, self.node.id, self.node.name, leader, self.nodes,
                login.proof, login.caller.user, revision, self.member.store.applied,
            ),
        )  # fmt: skip

    def _expel(self, conn: int, reason: Reason, message: str, hint: str = "") -> None:
        self.connections[conn].over = True
        self.send(conn, Refused(0, reason, message, hint=hint))
        self.close(conn)

    # ----------------------------------------------------------------------------------------------------- watches

    def _watch(self, conn: int, connection: Connection, frame: WatchCreate) -> None:
        if frame.watch in connection.watches or frame.watch in connection.asking:
            self._expel(conn, Reason.PROTOCOL, f"watch number {frame.watch} is in use on this connection")
            return
        if len(connection.watches) + len(connection.asking) >= self.options.watches_per_connection:
            text = f"a connection may have {self.options.watches_per_connection} watches"
            self.send(conn, WatchEnd(frame.watch, Reason.OVERLOADED, text))
            return
        if self.member.installing:
            self.send(conn, WatchEnd(frame.watch, Reason.UNREACHABLE, CATCHING_UP))
            return
        if self._may_watch(connection, frame) is None:
            self._watch_on(conn, connection, frame)
            return
        # Perhaps only the rules known here are old: refused is who may not watch by those of the whole cluster.
        connection.asking.add(frame.watch)
        self.member.catch_up(lambda sure: self._watch_again(conn, connection, frame, sure))

    def _may_watch(self, connection: Connection, frame: WatchCreate) -> Failure | None:
        store, caller = self.member.store, connection.caller
        out = store.auth.admit(caller, store.time_ms)
        return out or store.permit.watch_refusal(caller, frame.key, frame.range_end)

    def _watch_again(self, conn: int, connection: Connection, frame: WatchCreate, sure: bool) -> None:
        if connection.over or self.connections.get(conn) is not connection or frame.watch not in connection.asking:
            return
        connection.asking.discard(frame.watch)
        if self.member.installing:  # meanwhile: the store is not to be touched
            self.send(conn, WatchEnd(frame.watch, Reason.UNREACHABLE, CATCHING_UP))
            return
        refused = self._may_watch(connection, frame)
        if refused is None:
            self._watch_on(conn, connection, frame)
        elif sure:
            self.send(conn, WatchEnd(frame.watch, refused.reason, refused.message))
        else:
            text = f"{refused.message}; but no leader can be asked for the present rules"
            self.send(conn, WatchEnd(frame.watch, Reason.NO_LEADER, text))

    def _watch_on(self, conn: int, connection: Connection, frame: WatchCreate) -> None:
        if self.contact.lost:
            self.send(conn, WatchEnd(frame.watch, Reason.NO_LEADER, CUT_OFF))
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
        if self.member.installing:
            return  # watches go on from where they are once the state is there
        behind = list(self.member.store.watches.ready())
        if rest := self.parts.rest:
            behind = [*rest, *[watcher for watcher in behind if watcher not in rest]]
        if behind:
            sent: Counter[int] = Counter()
            while behind:
                behind = [watcher for watcher in behind if self._deliver_frame(watcher, sent)]
        for watcher, revision in self.progress.due(self.member.store.watches, self.member.now):
            conn, watch = self.owners[watcher]
            if self.connections[conn].writable and watcher not in self.parts.rest:
                self.send(conn, WatchEvents(watch, revision, []))

    def _deliver_frame(self, watcher: Watcher, sent: Counter[int]) -> bool:
        """Send one frame of a watch, if there is one and it can be taken; whether another may follow in this turn."""
        conn, watch = self.owners[watcher]
        connection = self.connections[conn]
        if connection.over or not connection.writable or sent[conn] >= self.options.watch_frames_per_turn:
            return False
        if watcher in self.parts.rest:
            self._send_part(conn, watch, watcher, sent)
            return False
        got = self.member.store.watches.poll(watcher, self.options.watch_bytes)
        if isinstance(got, Failure):
            del connection.watches[watch]
            self._forget(watcher)
            self.send(conn, WatchEnd(watch, got.reason, got.message, got.compact_revision))
            return False
        revision, events = got
        if events and self.parts.begin(watcher, revision, events):
            self._send_part(conn, watch, watcher, sent)
            return False
        if events:
            self.send(conn, WatchEvents(watch, revision, events))
            sent[conn] += 1
        return bool(events)

    def _send_part(self, conn: int, watch: int, watcher: Watcher, sent: Counter[int]) -> None:
        """One part of a large revision, and nothing more for this connection in this turn."""
        revision, events, more = self.parts.take(watcher)
        self.send(conn, WatchEvents(watch, revision, events, more))
        sent[conn] += self.options.watch_frames_per_turn

    def _end_watches(self) -> None:
        """This node is cut off: whoever watches here goes on elsewhere, from where he stands."""
        for conn, connection in self.connections.items():
            for watch, watcher in connection.watches.items():
                self._forget(watcher)
                self.send(conn, WatchEnd(watch, Reason.NO_LEADER, CUT_OFF))
            connection.watches.clear()

    def _forget(self, watcher: Watcher) -> None:
        self.owners.pop(watcher, None)
        self.parts.forget(watcher)
        self.member.store.watches.cancel(watcher)

    # -------------------------------------------------------------------------------------------------- end of turn

    def _obey_new_rules(self) -> None:
        """The rules have changed: who is not logged in any more goes, and so do watches that are not permitted any more."""
        store = self.member.store
        for conn, connection in list(self.connections.items()):
            if connection.over or not connection.greeted:
                continue
            out = store.auth.admit(connection.caller, store.time_ms)
            if out is not None:
                self._expel(conn, out.reason, out.message, "Log in again")
                continue
            for watch, watcher in list(connection.watches.items()):
                refused = store.permit.watch_refusal(connection.caller, watcher.key, watcher.range_end)
                if refused is not None:
                    del connection.watches[watch]
                    self._forget(watcher)
                    self.send(conn, WatchEnd(watch, refused.reason, f"permission was withdrawn: {refused.message}"))

    def end_turn(self) -> None:
        """Obey new rules, deliver new events, end watches if this node is cut off; tell of a new leader or new nodes."""
        auth = self.member.store.auth
        if self.rules != (auth.enabled, auth.revision):
            self.rules = (auth.enabled, auth.revision)
            self._obey_new_rules()
        if self.owners:
            self._deliver()
        if self.contact.turn(self.member.now, self.member.core.contact):
            self._end_watches()
        leader = self.member.core.leader
        if leader != self.leader or self.nodes_changed:
            self.leader, self.nodes_changed = leader, False
            topology = Topology(leader, self.nodes, self.member.store.applied)
            for conn, connection in self.connections.items():
                if connection.greeted and not connection.over:
                    self.send(conn, topology)


def _merge(info: NodeInfo, known: NodeInfo | None) -> NodeInfo:
    if known is None or known.name != info.name:
        return info
    return NodeInfo(info.id, info.name, info.client or known.client, info.http or known.http)
