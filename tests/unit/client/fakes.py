"""A scripted cluster for clients: the real store behind nodes that only pass frames, with every fault at hand."""

from __future__ import annotations

import random
from collections import deque

import msgspec

from ringleader.client.core import ClientCore, ClientOutput
from ringleader.client.options import ClientOptions
from ringleader.errors import Reason, RingleaderError
from ringleader.store.commands import Batch, Command, Envelope, Failure, Result
from ringleader.store.limits import Limits
from ringleader.store.store import Store
from ringleader.store.watch import Watcher
from ringleader.wire.frames import (
    PROTOCOL_VERSION,
    ClientFrame,
    Hello,
    NodeInfo,
    Ping,
    Pong,
    Query,
    Refused,
    Results,
    ServerFrame,
    StatusQuery,
    StatusReply,
    Submit,
    Topology,
    WatchCancel,
    WatchCreate,
    WatchEnd,
    WatchEvents,
    Welcome,
)

_COMMANDS = msgspec.msgpack.Decoder(list[tuple[int, Command]])


class FakeCluster:
    """All nodes answer from one store, at once: what matters here is what the client makes of it."""

    def __init__(self, count: int = 3, limits: Limits | None = None) -> None:
        self.store = Store(limits or Limits())
        self.time_ms = 0
        self.leader = 1
        self.infos = [NodeInfo(number, f"n{number}", f"n{number}:1") for number in range(1, count + 1)]
        self.submits: list[tuple[int, Submit]] = []
        self.queries: list[tuple[int, Query]] = []

    def node(self, address: str) -> int:
        """The id behind an address."""
        return next(info.id for info in self.infos if info.client == address)

    def serve(self, node: int, frame: ClientFrame, watches: dict[int, Watcher]) -> list[ServerFrame]:
        """What `node` answers on a connection with these watches."""
        if isinstance(frame, Hello):
            return [Welcome(PROTOCOL_VERSION, "c1", node, f"n{node}", self.leader, self.infos)]
        if isinstance(frame, Submit):
            self.submits.append((node, frame))
            return [Results(frame.frame, self.apply(frame))]
        if isinstance(frame, Query):
            self.queries.append((node, frame))
            return [Results(frame.frame, [self.store.read(read) for read in frame.reads])]
        if isinstance(frame, Ping):
            return [Pong(frame.frame)]
        if isinstance(frame, StatusQuery):
            return [
                StatusReply(frame.frame, node, f"n{node}", "0", "leader", 1, self.leader, 0, 0, 0, 0, 0, [1], [], 1.0)
            ]
        if isinstance(frame, WatchCreate):
            return self._watch(frame, watches)
        assert isinstance(frame, WatchCancel)
        watcher = watches.pop(frame.watch, None)
        if watcher is not None:
            self.store.watches.cancel(watcher)
        return [WatchEnd(frame.watch, Reason.CLOSED, "cancelled")]

    def apply(self, frame: Submit) -> list[Result]:
        """Put the commands through the log."""
        envelope = Envelope(0, frame.session, frame.ack, _COMMANDS.decode(frame.commands))
        return self.store.apply(self.store.applied + 1, Batch(1, self.time_ms, [envelope]))[0]

    def expire_sessions(self) -> None:
        """Let the log time pass the life of every session."""
        self.time_ms += 100_000
        self.store.apply(self.store.applied + 1, Batch(1, self.time_ms, []))

    def _watch(self, frame: WatchCreate, watches: dict[int, Watcher]) -> list[ServerFrame]:
        made = self.store.watches.create(
            frame.key, frame.range_end, frame.start_revision, frame.prev_kv, frame.no_put, frame.no_delete
        )
        if isinstance(made, Failure):
            return [WatchEnd(frame.watch, made.reason, made.message, made.compact_revision)]
        watches[frame.watch] = made
        before = frame.start_revision - 1 if frame.start_revision else self.store.revision
        return [WatchEvents(frame.watch, before, []), *self.poll(watches)]

    def poll(self, watches: dict[int, Watcher]) -> list[ServerFrame]:
        """Events for these watches, a few at a time."""
        frames: list[ServerFrame] = []
        for number, watcher in list(watches.items()):
            while True:
                got = self.store.watches.poll(watcher, 64)
                if isinstance(got, Failure):
                    del watches[number]
                    frames.append(WatchEnd(number, got.reason, got.message, got.compact_revision))
                    break
                if not got[1]:
                    break
                frames.append(WatchEvents(number, *got))
        return frames


class Pipe:
    """One connection: frames on their way there and back, and what the node keeps for it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.there: deque[ClientFrame] = deque()
        self.back: deque[ServerFrame] = deque()
        self.watches: dict[int, Watcher] = {}
        self.made = False


class Bench:
    """A client core, its cluster, and the connections between them, moved by hand."""

    def __init__(self, cluster: FakeCluster | None = None, seed: int = 0, options: ClientOptions | None = None) -> None:
        self.cluster = cluster or FakeCluster()
        self.now = 100.0
        self.core = ClientCore([info.client for info in self.cluster.infos], random.Random(seed), self.now, options)
        self.pipes: dict[int, Pipe] = {}
        self.down: set[int] = set()
        self.deaf: set[int] = set()  # nodes that take calls and pings and never answer them
        self.late: list[tuple[int, ClientFrame]] = []
        self.done: dict[int, list[Result] | StatusReply | RingleaderError] = {}
        self.events: dict[int, list[WatchEvents | RingleaderError]] = {}
        self.sent: list[tuple[int, ClientFrame]] = []
        self.dials: list[str] = []

    def flush(self) -> ClientOutput:
        """Take the core's output and carry it out."""
        out = self.core.take_output()
        for link, address in out.dial:
            self.dials.append(address)
            self.pipes[link] = Pipe(address)
        for link, frame in out.send:
            self.sent.append((link, frame))
            self.pipes[link].there.append(frame)
        for link in out.close:
            self.pipes.pop(link)
        for call, answer in out.done:
            assert call not in self.done, "a call ends once"
            self.done[call] = answer
        for watch, news in out.events:
            self.events.setdefault(watch, []).append(news)
        return out

    def connect(self, link: int) -> None:
        """The node accepts, or is down."""
        pipe = self.pipes[link]
        if self.cluster.node(pipe.address) in self.down:
            self.break_link(link, "connection refused")
        else:
            pipe.made = True
            self.core.connected(link)

    def deliver(self, link: int) -> None:
        """One frame reaches the node, which answers."""
        pipe = self.pipes[link]
        node = self.cluster.node(pipe.address)
        frame: ClientFrame = pipe.there.popleft()
        answer = self.cluster.serve(node, frame, pipe.watches)
        if node not in self.deaf or not isinstance(frame, Submit | Query | Ping):
            pipe.back.extend(answer)  # what is sent on a connection arrives, else the connection is broken

    def hand(self, link: int) -> None:
        """One frame reaches the client."""
        self.core.received(link, self.pipes[link].back.popleft())

    def break_link(self, link: int, why: str = "reset", *, arrives: bool = False) -> None:
        """The connection breaks; `arrives`: what was on its way to the node gets there all the same, but late."""
        pipe = self.pipes.pop(link)
        if arrives:
            node = self.cluster.node(pipe.address)
            self.late += [(node, frame) for frame in pipe.there if isinstance(frame, Submit)]
        self.core.closed(link, why)

    def refuse(self, link: int, reason: Reason, *, unknown: bool, leader: int = 0, apply: bool = False) -> bool:
        """Have the node refuse the next submit or query on its way. False when there is none."""
        pipe = self.pipes[link]
        frame = pipe.there[0] if pipe.there else None
        if not isinstance(frame, Submit | Query):
            return False
        pipe.there.popleft()
        if apply and isinstance(frame, Submit):
            self.cluster.apply(frame)
        pipe.back.append(Refused(frame.frame, reason, "said the script", unknown, leader))
        return True

    def topology(self, leader: int) -> None:
        """Another node leads; everyone connected is told."""
        self.cluster.leader = leader
        for pipe in self.pipes.values():
            if pipe.made:
                pipe.back.append(Topology(leader, self.cluster.infos))

    def settle(self, seconds: float = 0.0) -> None:
        """Let everything arrive, and `seconds` pass."""
        end = self.now + seconds
        while True:
            self.flush()
            moved = False
            for link in list(self.pipes):
                pipe = self.pipes.get(link)
                if pipe is None:
                    continue
                if not pipe.made:
                    self.connect(link)
                    moved = True
                    continue
                if pipe.there and self.cluster.node(pipe.address) not in self.down:
                    self.deliver(link)
                    moved = True
                elif not pipe.there:
                    pipe.back.extend(self.cluster.poll(pipe.watches))
                if link in self.pipes and pipe.back:
                    self.hand(link)
                    moved = True
            if moved:
                continue
            wakeup = self.core.next_wakeup()
            if wakeup > end:
                break
            self.now = max(wakeup, self.now + 1e-4)
            self.core.tick(self.now)
        if end > self.now:
            self.now = end
            self.core.tick(self.now)
            self.flush()

    def active(self) -> int:
        """The link in use, as far as one can see from outside: the newest."""
        return max(self.pipes)
