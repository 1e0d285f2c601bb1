"""Whole hosts without a world: a memory disk each, messages delivered at once, time moved by hand."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from ringleader.errors import RingleaderError
from ringleader.group.host import Host
from ringleader.group.options import GroupOptions, HostConfig
from ringleader.group.roster import Peer
from ringleader.log import LogOptions
from ringleader.ports import Create, DiskOp, Rename, Sync, SyncFolder, Truncate, Unlink, Write
from ringleader.store.commands import Command, Read, Result, SessionOpen, SessionResult
from ringleader.wire.frames import (
    MAGIC,
    PROTOCOL_VERSION,
    ClientFrame,
    Hello,
    NodeInfo,
    Query,
    Refused,
    Results,
    ServerFrame,
    Submit,
    Welcome,
)
from ringleader.wire.login import NONCE_BYTES, Challenge, LoginStart, Proof, client_proof, stretch, transcript


class MemoryDisk:
    """A folder in memory that never fails."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}

    def names(self) -> list[str]:
        return sorted(self.files)

    def size(self, name: str) -> int:
        return len(self.files[name])

    def read(self, name: str, offset: int = 0, length: int = -1) -> bytes:
        data = bytes(self.files[name])
        return data[offset:] if length < 0 else data[offset : offset + length]

    def execute(self, ops: Sequence[DiskOp]) -> None:
        for op in ops:
            match op:
                case Create(name, size):
                    self.files[name] = bytearray(size)
                case Write(name, offset, data):
                    file = self.files[name]
                    if len(file) < offset:
                        file.extend(bytes(offset - len(file)))
                    file[offset : offset + len(data)] = data
                case Rename(name, to):
                    self.files[to] = self.files.pop(name)
                case Truncate(name, size):
                    del self.files[name][size:]
                case Unlink(name):
                    self.files.pop(name, None)
                case Sync() | SyncFolder():
                    pass


OWN = "@own"
"""As identity: the connection comes from the node's own process."""


class Login:
    """One attempt: what became of it."""

    def __init__(self, conn: int, start: LoginStart, secret: str) -> None:
        self.conn, self.start, self.secret = conn, start, secret
        self.welcome: Welcome | None = None
        self.refused: Refused | None = None
        self.challenge: Challenge | None = None
        self.salted = self.text = b""

    def prove(self, frame: Challenge) -> Proof:
        self.challenge = frame
        self.salted = stretch(self.secret, frame.kdf, frame.salt, frame.n, frame.r, frame.p)
        self.text = transcript(self.start, frame)
        return Proof(client_proof(self.salted, self.text))


class World:
    """Hosts 1 to `size`; `conn` numbers are made by `connect(node)`."""

    def __init__(self, size: int = 3, group: GroupOptions | None = None, log: LogOptions | None = None) -> None:
        self.nodes = tuple(NodeInfo(id, f"n{id}", f"n{id}:1") for id in range(1, size + 1))
        self.group = group or GroupOptions()
        self.log = log or LogOptions()
        self.disks = {info.id: MemoryDisk() for info in self.nodes}
        self.now = 0.0
        self.boot = 0
        self.hosts: dict[int, Host] = {}
        self.inbox: dict[int, list[ServerFrame]] = {}
        self.where: dict[int, int] = {}
        self.cut: set[int] = set()
        self.frames = 0
        self.expelled: dict[int, RingleaderError] = {}
        self.links: dict[int, list[Peer]] = {}
        for info in self.nodes:
            self.start(info.id)

    def start(self, id: int, incarnation: str = "") -> Host:
        self.boot += 1
        founders = tuple(info.id for info in self.nodes)
        me = NodeInfo(id, f"n{id}", f"n{id}:1")
        config = HostConfig(
            "c",
            id,
            f"n{id}",
            self.nodes if id in founders else (*self.nodes, me),
            founders,
            incarnation,
            group=self.group,
            log=self.log,
        )
        self.disks.setdefault(id, MemoryDisk())
        self.hosts[id] = Host.open(
            self.configured(config), self.disks[id], random.Random(1000 * id + self.boot), self.now
        )
        return self.hosts[id]

    def configured(self, config: HostConfig) -> HostConfig:
        """For worlds that set their hosts up otherwise."""
        return config

    def passes(self, sender: int, to: int, message: object) -> bool:
        """For worlds whose network loses something."""
        return True

    def stop(self, id: int) -> None:
        del self.hosts[id]

    def settle(self) -> None:
        for _ in range(500):
            busy = False
            for id in list(self.hosts):
                busy = self._turn(id) or busy
            if not busy:
                return
        raise AssertionError("the hosts do not settle")

    def _turn(self, id: int) -> bool:
        host = self.hosts[id]
        idle = host.idle
        out = host.take_output()
        answers = [
            frame for _, frame in out.clients if isinstance(frame, Results | Refused)
        ]  # watches are also told by time
        assert not (idle and (out.peers or out.disk or answers or out.close)), out
        if out.expelled is not None:
            self.expelled[id] = out.expelled
        if out.links is not None:
            self.links[id] = out.links
        for to, group, message in [*out.peers, *out.bulk_peers]:
            if to in self.hosts and id not in self.cut and to not in self.cut and self.passes(id, to, message):
                self.hosts[to].peer_message(id, group, message)
        for conn, frame in out.clients:
            self.inbox[conn].append(msgspec.msgpack.decode(msgspec.msgpack.encode(frame), type=ServerFrame))
        if out.disk is not None:
            self.disks[id].execute(out.disk.ops)
            host.disk_done(out.disk.number)
        if out.bulk is not None:
            self.disks[id].execute(out.bulk.ops)
            read = out.bulk.read
            host.bulk_done(out.bulk.number, self.disks[id].read(read.name, read.offset, read.length) if read else b"")
        return bool(out.peers or out.clients or out.disk or out.bulk or out.bulk_peers or out.more)

    def run(self, seconds: float, step: float = 0.02) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += step
            for host in self.hosts.values():
                host.tick(self.now)
            self.settle()

    def leader(self) -> int:
        leading = [id for id, host in self.hosts.items() if host.core.leads and id not in self.cut]
        assert leading, "nobody leads"
        return max(leading, key=lambda id: self.hosts[id].core.term)

    def follower(self) -> int:
        return next(id for id in self.hosts if id != self.leader() and id not in self.cut)

    def open(self, node: int, identity: str = "") -> int:
        conn = len(self.inbox) + 1
        self.inbox[conn] = []
        self.where[conn] = node
        self.hosts[node].client_opened(conn, identity, own=identity == OWN)
        return conn

    def connect(self, node: int, identity: str = "") -> int:
        conn = self.open(node, identity)
        self.tell(conn, Hello(MAGIC, PROTOCOL_VERSION))
        self.inbox[conn].clear()
        return conn

    def login(self, node: int, name: str, secret: str, kind: str = "password", seen: int = 0) -> Login:
        """A new connection that tries to log in."""
        login = Login(self.open(node), LoginStart(kind, name, b"n" * NONCE_BYTES, seen), secret)
        self.tell(login.conn, Hello(MAGIC, PROTOCOL_VERSION, login=login.start))
        for frame in list(self.inbox[login.conn]):
            if isinstance(frame, Challenge):
                self.tell(login.conn, login.prove(frame))
        for frame in self.inbox[login.conn]:
            if isinstance(frame, Welcome):
                login.welcome = frame
            elif isinstance(frame, Refused):
                login.refused = frame
        return login

    def tell(self, conn: int, frame: ClientFrame) -> None:
        self.hosts[self.where[conn]].client_frame(conn, frame)
        self.settle()

    def answer(self, conn: int, frame: int) -> Results | Refused | None:
        for found in self.inbox[conn]:
            if isinstance(found, Results | Refused) and found.frame == frame:
                return found
        return None

    def submit(
        self, conn: int, *commands: Command, session: int = 0, seq: int = 0, ack: int = 0
    ) -> Results | Refused | None:
        self.frames += 1
        numbered = [(seq + place, command) for place, command in enumerate(commands)]
        raw = msgspec.Raw(msgspec.msgpack.encode(numbered))
        self.tell(conn, Submit(self.frames, 5000, session, ack, raw))
        return self.answer(conn, self.frames)

    def results(self, conn: int, *commands: Command, session: int = 0, seq: int = 0, ack: int = 0) -> list[Result]:
        answer = self.submit(conn, *commands, session=session, seq=seq, ack=ack)
        assert isinstance(answer, Results), answer
        return answer.results

    def read(self, conn: int, *reads: Read, consistency: str = "linearizable") -> Results | Refused | None:
        self.frames += 1
        self.tell(conn, Query(self.frames, 5000, consistency, list(reads)))
        return self.answer(conn, self.frames)

    def session(self, conn: int) -> int:
        (opened,) = self.results(conn, SessionOpen())
        assert isinstance(opened, SessionResult)
        return opened.session
