"""A running node: the pure `Host` in the real world, driven once per turn of the event loop.

Whatever arrives, a client's frame, a peer's message, the end of disk work, goes into the host at once; a turn is planned
for the end of the loop's round, in which all that gathered is carried out together: one log write, one frame per peer,
one write per connection.

    start:  lock the folder -> bind the ports -> join, if it is to -> identity -> recover the log -> listen -> dial the peers
    stop:   hand leadership on -> no new connections -> tell the clients -> finish disk work -> free everything
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import socket
import time
from collections.abc import Callable
from typing import Any

from ringleader.consensus.raft import RaftOptions
from ringleader.errors import NotAppliedError, Reason, RingleaderError
from ringleader.group.host import Host, HostOutput
from ringleader.group.options import GroupOptions, HostConfig
from ringleader.group.roster import Peer
from ringleader.group.standing import expulsion
from ringleader.log import LogOptions
from ringleader.node.config import NodeConfig, is_loopback
from ringleader.node.http import HttpServer
from ringleader.node.identity import (
    FolderIdentity,
    claim_folder,
    has_identity,
    mark_removed,
    mark_started,
    read_identity,
)
from ringleader.node.join import answer_join, become_member
from ringleader.node.links import PeerLinks
from ringleader.node.local import LocalDialer, LocalLink
from ringleader.node.security import check_peer_port, peer_tls, port_tls, warn_of_gaps
from ringleader.node.sockets import CLIENT_BUFFER, address_of, bind
from ringleader.node.stats import Stats
from ringleader.ports import Entropy, Write
from ringleader.runtime.clients import TLS_ONLY, ClientDoor
from ringleader.runtime.complaints import Complaints
from ringleader.runtime.descriptors import shares
from ringleader.runtime.disk import BulkThread, DiskFailedError, DiskThread, FolderDisk
from ringleader.runtime.lock import FolderLock
from ringleader.runtime.peers import PeerDoor, PeerOptions, PeerSelf
from ringleader.runtime.tls import TlsDoor, TlsFiles
from ringleader.wire.frames import ClientFrame, NodeInfo, Refused, StatusReply
from ringleader.wire.peer import PeerHello, PeerJoined, PeerRefused

__all__ = ["Node"]

logger = logging.getLogger("ringleader.node")

ACCEPTED_AT_ONCE = 64
"""Client connections."""
ALONE = 0.02
"""Seconds between two turns of a cluster of one, which has nobody to hear in time."""
SWEEP = 1.0
"""Seconds between two looks at connections that are slow, silent or stuck."""
STATUS = 0.1
"""Seconds between two refreshes of what metrics and health are told."""


class Node:
    """One node. `await start()`, `await ready()`, use it, `await stop()`; or `async with`. Not thread-safe.

    `client_address`, `peer_address`, `http_address`: where it listens, known after `start` ("" for none). `failed`: a future
    that gets the error when the node can no longer go on; it has stopped serving by then.
    """

    def __init__(self, config: NodeConfig, *, entropy: Entropy | None = None) -> None:
        self.config = config
        self.stats = Stats()
        self.client_address = self.peer_address = self.http_address = ""
        self._entropy = entropy or random.SystemRandom()
        self._tls: TlsFiles | None = None
        self._peer_tls: TlsFiles | None = None
        self._client_tls: TlsDoor | None = None
        self._host: Host | None = None
        self._disk: FolderDisk | None = None
        self._disk_thread: DiskThread | None = None
        self._bulk_thread: BulkThread | None = None
        self._disk_started = 0.0
        self._lock: FolderLock | None = None
        self._sockets: dict[str, socket.socket] = {}
        self._servers: list[asyncio.Server] = []
        self._http: HttpServer | None = None
        self._identity: FolderIdentity | None = None
        self._peers = PeerLinks(config, self._entropy, self._count_links, self._turned_away)
        self._expelled: RingleaderError | None = None
        self._locals: dict[int, LocalLink] = {}
        self._planned = False
        self._tick = ALONE
        self._timer: asyncio.TimerHandle | None = None
        self._last_sweep = self._last_status = 0.0
        self._ready: asyncio.Event = asyncio.Event()
        self._disk_idle: asyncio.Event = asyncio.Event()
        self._disk_idle.set()
        self._stopped = False
        self._names: dict[int, str] = {}
        complaints = Complaints(logging.getLogger("ringleader.strangers"), time.monotonic)
        self._complaints = complaints
        clients, self._handshakes = shares(config.max_connections)
        self._door = ClientDoor(self, complaints, max_connections=clients)

    # -------------------------------------------------------------------------------------------------- life

    async def start(self) -> None:
        """Open the data folder and begin to serve. Raises `RingleaderError` saying what is wrong; then nothing is left."""
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[RingleaderError] = self._loop.create_future()
        try:
            self._tls, self._peer_tls = port_tls(self.config), peer_tls(self.config)
            self._lock = FolderLock(self.config.data_dir)
            self._bind()
            if self.config.join:
                await self._join()
            self._host = await self._open_beside_the_loop()
            if self.stats.disk_full:
                self._disk_full(True)  # found out before there was a host to tell
            await self._listen()
        except BaseException:
            await self._release()
            raise
        self._turn()
        warn_of_gaps(self.config, is_loopback, bool(self.peer_address))
        logger.info(
            "node %s (%d of cluster %s) is up: clients %s, peers %s, http %s; %s",
            self.config.name,
            self.node_id,
            self.identity.cluster,
            self.client_address or "none",
            self.peer_address or "none",
            self.http_address or "none",
            self._host.report,
        )

    async def ready(self, timeout: float | None = None) -> None:
        """Wait until a leader is known. Raises `NotAppliedError` after `timeout` seconds, or what made the node fail."""
        waiting = self._loop.create_task(self._ready.wait())
        either: set[asyncio.Future[Any]] = {waiting, self.failed}
        try:
            done, _ = await asyncio.wait(either, timeout=timeout, return_when="FIRST_COMPLETED")
        finally:
            waiting.cancel()
        if self.failed.done():
            raise self.failed.result()
        if not done:
            raise NotAppliedError(
                f"no leader was found within {timeout:g} s",
                reason=Reason.NO_LEADER,
                node=self.config.name,
                hint="A majority of the members must be up and reach one another",
            )

    async def stop(self) -> None:
        """Hand leadership on, stop serving, finish what is being written, free everything. May be called again."""
        if self._stopped or self.stats.stopping:
            return
        self.stats.stopping = True
        await self._hand_on_leadership()
        self._stopped = True
        for server in self._servers:
            server.close()
        self._door.close_all("the node is stopping")
        for local in list(self._locals.values()):
            local.end("the node is stopping")
        if not self.stats.failure and not self.stats.disk_full:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._disk_idle.wait(), 10)
        await asyncio.sleep(0)  # farewells leave
        await self._release()
        logger.info("node %s has stopped", self.config.name)

    async def _hand_on_leadership(self) -> None:
        """So that a planned stop costs the cluster no election timeout; gives up after one."""
        host = self._host
        if host is None or self.stats.failure or not host.core.leads:
            return
        status = host.core.status()
        others = [voter for voter in status.config.voters if self._peers.reaches(voter)]
        if not others:
            return
        heir = max(others, key=lambda voter: status.match.get(voter, 0))
        if not host.core.transfer(heir):
            return
        self._plan()
        patience = time.monotonic() + self.config.election_ms / 1000
        while time.monotonic() < patience and not self.stats.failure and heir in self._peers.links:
            if host.core.leader not in (0, self.node_id):
                return
            await asyncio.sleep(self._tick)

    async def __aenter__(self) -> Node:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def identity(self) -> FolderIdentity:
        """Who this node is; known after `start`."""
        assert self._identity is not None, "the node has not been started"
        return self._identity

    @property
    def node_id(self) -> int:
        """The id of this node; known after `start`."""
        return self.identity.node

    @property
    def advertised_peer(self) -> str:
        """Where the others reach the peer port."""
        config = self.config
        return config.advertise_peer or config.peers.get(config.name, "") or self.peer_address

    @property
    def dialer(self) -> LocalDialer:
        """How a client in this process connects to the node without a socket."""
        return LocalDialer(self)

    @property
    def client_info(self) -> NodeInfo:
        """What others are told of this node."""
        config = self.config
        return NodeInfo(
            self.node_id,
            config.name,
            config.advertise_client or self.client_address,
            config.advertise_http or self.http_address,
        )

    # ----------------------------------------------------------------------------------------- start, in pieces

    def _bind(self) -> None:
        config = self.config
        wanted = {"listen_client": config.listen_client, "http": config.http}
        if config.peers or config.join or self._has_joined():
            check_peer_port(config, is_loopback)
            wanted["listen_peer"] = config.listen_peer
        for field, address in wanted.items():
            if address:
                buffer = CLIENT_BUFFER if field == "listen_client" else 0
                self._sockets[field] = bind(field, address, receive_buffer=buffer)
        addresses = {field: address_of(sock) for field, sock in self._sockets.items()}
        self.client_address = addresses.get("listen_client", "")
        self.peer_address = addresses.get("listen_peer", "")
        self.http_address = addresses.get("http", "")

    def _has_joined(self) -> bool:
        """Whether the data folder belongs to a node that joined: then it needs its peer port without being told."""
        disk = FolderDisk(self.config.data_dir)
        try:
            return has_identity(disk) and read_identity(disk).joined
        finally:
            disk.close()

    async def _join(self) -> None:
        """Become a member, unless the folder shows that this has been done."""
        config = self.config
        info = NodeInfo(
            0, config.name, config.advertise_client or self.client_address, config.advertise_http or self.http_address
        )
        disk = FolderDisk(config.data_dir)
        try:
            if not has_identity(disk):
                await become_member(disk, config, info, self.advertised_peer, self._entropy, self._peer_tls)
        except OSError as error:
            raise DiskFailedError(f"cannot write to the data folder {config.data_dir}: {error}") from error
        finally:
            disk.close()

    async def _open_beside_the_loop(self) -> Host:
        """`_open` in a thread. When this is cancelled it still waits for the thread, which uses the folder until then."""
        opening = self._loop.run_in_executor(None, self._open)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait({opening})
            raise

    def _open(self) -> Host:
        """Claim the folder and recover the host from it."""
        config = self.config
        try:
            disk = self._disk = FolderDisk(config.data_dir)
            identity = self._identity = claim_folder(disk, config, secrets.token_hex(8))
            host = Host.open(self._host_config(identity), disk, self._entropy, time.monotonic())
            self._identity = mark_started(disk, identity)
        except OSError as error:
            raise DiskFailedError(f"cannot open the data folder {config.data_dir}: {error}") from error
        self._disk_thread = DiskThread(disk, self._tell_done, self._tell_failed, self._tell_full, config.reserve_bytes)
        self._bulk_thread = BulkThread(FolderDisk(config.data_dir), self._tell_bulk_done, self._tell_failed)
        return host

    def _host_config(self, identity: FolderIdentity) -> HostConfig:
        config = self.config
        founders = identity.founders
        others = [NodeInfo(number, name, "") for number, name in founders.items() if number != identity.node]
        return HostConfig(
            cluster=identity.cluster,
            node=identity.node,
            name=config.name,
            nodes=tuple(sorted([self.client_info, *others], key=lambda info: info.id)),
            voters=tuple(founders),
            incarnation=identity.incarnation,
            peer=self.advertised_peer,
            consensus=RaftOptions(heartbeat=config.heartbeat_ms / 1000, election=config.election_ms / 1000),
            log=LogOptions(segment_bytes=config.segment_bytes),
            group=GroupOptions(
                snapshot_bytes=config.snapshot_bytes,
                snapshot_entries=config.snapshot_entries,
                keep_entries=config.keep_entries,
            ),
        )

    async def _listen(self) -> None:
        sockets, config, identity = self._sockets, self.config, self.identity
        if "http" in sockets:
            self._http = HttpServer(sockets.pop("http"), self.stats, tls=self._tls)
            self._http.start()
        if "listen_peer" in sockets:
            me = PeerSelf(
                identity.cluster, config.cluster_token, self.client_info, self.advertised_peer, identity.incarnation
            )
            door = PeerDoor(
                me, self, self._entropy, self._complaints, PeerOptions(tls=self._peer_tls, handshakes=self._handshakes)
            )
            self._servers.append(await self._loop.create_server(door.factory, sock=sockets.pop("listen_peer")))
            self._peers.open(door)
        if "listen_client" in sockets:
            factory: Callable[[], asyncio.Protocol] = self._door.factory
            if self._tls is not None:
                self._client_tls = TlsDoor(self._tls, factory, self._complaints, TLS_ONLY, self._handshakes)
                factory = self._client_tls.factory
            sock = sockets.pop("listen_client")
            # asyncio accepts so many at once before any of them can be turned away: they must not take all descriptors.
            self._servers.append(await self._loop.create_server(factory, sock=sock, backlog=ACCEPTED_AT_ONCE))
            sock.listen(1024)

    async def _release(self) -> None:
        """Free everything that was taken, in the reverse order."""
        if self._timer is not None:
            self._timer.cancel()
        self._stopped = True
        for server in self._servers:
            server.close()
        await self._peers.stop()
        self._door.abort_all()
        if self._client_tls is not None:
            self._client_tls.abort_all()
        self._peers.abort()
        await asyncio.sleep(0)  # transports close in the next round of the loop
        if self._disk_thread is not None:
            await self._loop.run_in_executor(None, self._disk_thread.close)
        if self._bulk_thread is not None:
            await self._loop.run_in_executor(None, self._bulk_thread.close)
        if self._disk is not None:
            if self._expelled is not None and self._expelled.reason is Reason.MEMBER_REMOVED:
                with contextlib.suppress(OSError):  # the members refuse it all the same
                    mark_removed(self._disk, self.identity)
            self._disk.close()
        if self._http is not None:
            await self._loop.run_in_executor(None, self._http.close)
        for sock in self._sockets.values():
            sock.close()
        if self._lock is not None:
            self._lock.release()

    # -------------------------------------------------------------------------------------------------- the turn

    def _plan(self) -> None:
        """A turn at the end of this round of the loop."""
        if not self._planned:
            self._planned = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._planned = False
        if self._stopped or self._host is None or self.stats.failure:
            return
        begun = time.monotonic()
        try:
            self._host.tick(begun)
            self._carry_out(self._host.take_output())
            self._look_around(begun)
        except Exception as error:
            self._fail_unexpectedly(error)
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._tick, self._turn)
        stats = self.stats
        stats.turns += 1
        stats.last_turn = begun
        stats.turn_seconds.add(time.monotonic() - begun)

    def _carry_out(self, out: HostOutput) -> None:
        """Start the disk first: it takes longest; then the peers, who have a disk of their own to write to."""
        if out.more:
            self._plan()
        if out.disk is not None:
            assert self._disk_thread is not None
            self._disk_idle.clear()
            self._disk_started = time.monotonic()
            self.stats.disk_bytes += sum(len(op.data) for op in out.disk.ops if isinstance(op, Write))
            self._disk_thread.submit(out.disk.number, out.disk.ops)
        if out.bulk is not None:
            assert self._bulk_thread is not None
            self.stats.disk_bytes += sum(len(op.data) for op in out.bulk.ops if isinstance(op, Write))
            self._bulk_thread.submit(out.bulk)
        if out.bulk_peers:
            self._peers.send_bulk(out.bulk_peers)
        if out.peers:
            self._peers.send(out.peers)
            self.stats.peer_messages_out += len(out.peers)
        if out.clients:
            self._answer(out)
        for conn in out.close:
            self._close(conn)
        if out.links is not None:
            self._keep_links(out.links)
        if out.expelled is not None and self._expelled is None:
            # What leads away from here, a hand-over of leadership above all, is to leave first.
            self._expelled = out.expelled
            self._loop.call_later(self.config.election_ms / 2000, self._fail, out.expelled)

    def _keep_links(self, peers: list[Peer]) -> None:
        """The members have changed."""
        self._names = {peer.id: peer.name for peer in peers} | {self.node_id: self.config.name}
        if self._peers.door is not None:
            self._tick = max(self.config.heartbeat_ms / 10_000, 0.001) if peers else ALONE
        self._peers.keep(peers)

    def _turned_away(self, refusal: PeerRefused) -> None:
        """A member that proved to be one says that this node is none."""
        if refusal.reason in (Reason.MEMBER_REMOVED, Reason.DATA_REPLACED) and self._expelled is None:
            self._expelled = expulsion(refusal.reason, refusal.message, self.config.name)
            self._fail(self._expelled)

    def _answer(self, out: HostOutput) -> None:
        self.stats.client_answers += len(out.clients)
        touched: dict[int, LocalLink] = {}
        for conn, frame in out.clients:
            local = self._locals.get(conn)
            if local is not None:
                local.deliver(frame)
                touched[conn] = local
            else:
                self._door.send(conn, frame)
                if isinstance(frame, Refused) and not frame.frame:
                    self._door.complain(conn, frame.reason, frame.message)
        self._door.flush()
        for local in touched.values():
            local.flush()

    def _close(self, conn: int) -> None:
        local = self._locals.pop(conn, None)
        if local is None:
            self._door.close(conn)
            return
        local.number = 0
        local.end("the node closed the link")
        self.client_closed(conn)

    def _look_around(self, now: float) -> None:
        if now - self._last_status >= STATUS or not self._ready.is_set():
            self._last_status = now
            self._refresh_status()
        if now - self._last_sweep >= SWEEP:
            self._last_sweep = now
            for files in (self._tls, self._peer_tls):
                if files is not None:
                    files.refresh()
            loop_now = self._loop.time()
            self._door.sweep(loop_now)
            self._peers.sweep(loop_now)

    def _refresh_status(self) -> None:
        assert self._host is not None
        stats = self.stats
        before, stats.status = stats.status, self._host.status()
        member = self._host.member
        stats.events = dict(member.counts)
        stats.catching_up = member.installing
        stats.waiting_bytes, stats.waiting_limit = member.writes.bytes, member.admission.limit
        if before is None or (before.role, before.term, before.leader) != _standing(stats.status):
            now = stats.status
            logger.info("%s in term %d, leader %s", now.role, now.term, self._names.get(now.leader, "unknown"))
        stats.client_connections = len(self._door.connections) + len(self._locals)
        stats.clients_refused = self._door.refused
        stats.peer_messages_dropped = self._peers.dropped
        if stats.status.leader:
            self._ready.set()

    def _count_links(self) -> None:
        self.stats.peers_connected = self._peers.connected

    # ------------------------------------------------------------------------------------------------ what arrives

    def client_opened(self, conn: int, identity: str = "") -> None:
        """A client connected; `identity`: the name in its certificate."""
        if self._host is not None:
            self._host.client_opened(conn, identity)

    def client_frame(self, conn: int, frame: ClientFrame) -> None:
        """A client's frame came."""
        if self._host is None or self._stopped or self.stats.failure:
            return
        self.stats.client_frames += 1
        try:
            self._host.observe(time.monotonic())
            self._host.client_frame(conn, frame)
        except Exception as error:
            self._fail_unexpectedly(error)
        self._plan()

    def client_closed(self, conn: int) -> None:
        """A client is gone."""
        if self._host is not None and not self._stopped:
            self._host.client_closed(conn)
            self._plan()

    def client_writable(self, conn: int, flag: bool) -> None:
        """A client reads too slowly, or has caught up."""
        if self._host is not None and not self._stopped:
            self._host.client_writable(conn, flag)
            self._plan()

    def admit(self, hello: PeerHello) -> PeerRefused | None:
        """Why this caller, which knows the secret, may not link; None when it may."""
        if self._host is None or self._stopped or self.stats.failure:
            return PeerRefused(Reason.STOPPING, "the node does not run")
        refusal = self._host.members.admit(hello.from_node, hello.from_name, hello.incarnation)
        if hello.from_node == self.node_id:
            refusal = (Reason.WRONG_NODE, f"node {hello.from_node} is no other member, it is this very one")
        return PeerRefused(*refusal) if refusal is not None else None

    def join(self, hello: PeerHello, answer: Callable[[PeerJoined | PeerRefused], None]) -> None:
        """A node that knows the secret wants to become a member."""
        if self._host is None or self._stopped or self.stats.failure:
            answer(PeerRefused(Reason.STOPPING, "the node does not run"))
            return
        answer_join(self._host, self.identity, hello, answer)
        self._plan()

    def peer_known(self, info: NodeInfo, address: str) -> None:
        """A peer has linked; it says where clients and peers reach it."""
        if self._host is not None and not self._stopped:
            self._host.learn_node(info)
            self._peers.known(info.id, address)
            self._plan()

    def _refuse_peer(self, sender: int, absurd: str) -> None:
        """A member said what no correct node says: hang up, and let both logs say why."""
        name = f"node {sender} ({self._names.get(sender, 'unknown')})"
        self._complaints.say(f"{name}:", "absurd", f"its message is refused: {absurd}")
        self._peers.expel(sender, PeerRefused(Reason.PROTOCOL, f"a message was refused: {absurd}"))

    def peer_messages(self, sender: int, messages: list[tuple[int, Any]]) -> None:
        """Messages of a peer came."""
        if self._host is None or self._stopped or self.stats.failure:
            return
        self.stats.peer_messages_in += len(messages)
        try:
            self._host.observe(time.monotonic())
            for group, message in messages:
                absurd = self._host.peer_message(sender, group, message)
                if absurd:
                    self._refuse_peer(sender, absurd)
                    break
        except Exception as error:
            self._fail_unexpectedly(error)
        self._plan()

    def open_local(self, local: LocalLink) -> str:
        """A link of the same process is there; returns why not, or ""."""
        if self._host is None or self._stopped:
            return "the node does not run"
        if self.stats.failure:
            return self.stats.failure
        local.number = self._door.new_number()
        self._locals[local.number] = local
        self._host.client_opened(local.number, own=True)  # who runs the process needs no login
        return ""

    def close_local(self, local: LocalLink) -> None:
        """A link of the same process goes."""
        number, local.number = local.number, 0
        if self._locals.pop(number, None) is not None:
            self.client_closed(number)

    # ------------------------------------------------------------------------------------------- disk and failure

    def _tell_done(self, number: int) -> None:
        self._loop.call_soon_threadsafe(self._disk_done, number)

    def _tell_bulk_done(self, number: int, data: bytes | None) -> None:
        self._loop.call_soon_threadsafe(self._bulk_done, number, data)

    def _bulk_done(self, number: int, data: bytes | None) -> None:
        if self._host is None or self._stopped or self.stats.failure:
            return
        try:
            self._host.bulk_done(number, data)
        except Exception as error:
            self._fail_unexpectedly(error)
        self._plan()

    def _tell_full(self, flag: bool) -> None:
        self._loop.call_soon_threadsafe(self._disk_full, flag)

    def _disk_full(self, flag: bool) -> None:
        self.stats.disk_full = flag
        if self._host is None or self._stopped or self.stats.failure:
            return  # `start` tells the host, if it comes to that
        if flag:
            logger.error(
                "the disk of %s is full: this node takes no new work until there is room", self.config.data_dir
            )
        else:
            logger.warning("the disk of %s has room again", self.config.data_dir)
        self._host.disk_full(flag)
        self._plan()

    def _tell_failed(self, error: Exception) -> None:
        self._loop.call_soon_threadsafe(self._disk_failed, error)

    def _disk_done(self, number: int) -> None:
        self.stats.disk_seconds.add(time.monotonic() - self._disk_started)
        self._disk_idle.set()
        if self._host is None or self._stopped or self.stats.failure:
            return
        try:
            self._host.disk_done(number)
        except Exception as error:
            self._fail_unexpectedly(error)
        self._plan()

    def _disk_failed(self, error: Exception) -> None:
        if isinstance(error, OSError):
            self._fail(DiskFailedError(f"the disk of {self.config.data_dir} failed: {error}"))
        else:
            self._fail_unexpectedly(error)

    def _fail_unexpectedly(self, error: Exception) -> None:
        """A fault in the program: what the host believes can no longer be trusted, so it stops rather than guess."""
        if isinstance(error, RingleaderError):
            self._fail(error)
            return
        logger.critical("a fault in the program", exc_info=error)
        self._fail(
            RingleaderError(
                f"a fault in the program: {type(error).__name__}: {error}",
                reason=Reason.CLOSED,
                node=self.config.name,
                hint="Start the node again: it recovers its log. Please report the trace in its log",
            )
        )

    def _fail(self, error: RingleaderError) -> None:
        """Stop serving at once: nothing may leave that rests on what was not written."""
        if self.stats.failure:
            return
        logger.critical("node %s stops: %s", self.config.name, error)
        self.stats.failure = str(error)
        self._disk_idle.set()
        for server in self._servers:
            server.close()
        self._door.abort_all()
        if self._client_tls is not None:
            self._client_tls.abort_all()
        self._peers.abort()
        for local in list(self._locals.values()):
            local.end(str(error))
        if not self.failed.done():
            self.failed.set_result(error)


def _standing(status: StatusReply) -> tuple[str, int, int]:
    return status.role, status.term, status.leader
