"""A running node: how it starts, serves and stops; its parts are the driver of the host, its callers and its neighbours.

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
from pathlib import Path
from typing import Any

from ringleader.client.steady import steady
from ringleader.errors import NotAppliedError, Reason, RingleaderError
from ringleader.group.host import Host, HostOutput
from ringleader.node.callers import Callers
from ringleader.node.config import NodeConfig, is_loopback
from ringleader.node.driver import Driver
from ringleader.node.http import HttpServer
from ringleader.node.identity import FolderIdentity, check_restored, claim_folder, mark_removed, mark_started
from ringleader.node.local import LocalDialer
from ringleader.node.neighbours import Neighbours
from ringleader.node.opening import advertised_peer, bind_ports, client_info, host_config, join_cluster
from ringleader.node.security import peer_tls, port_tls, warn_of_gaps
from ringleader.node.sockets import address_of
from ringleader.node.stats import Stats
from ringleader.ports import Entropy
from ringleader.runtime.clients import TLS_ONLY
from ringleader.runtime.complaints import Complaints
from ringleader.runtime.descriptors import shares
from ringleader.runtime.disk import DiskFailedError, FolderDisk
from ringleader.runtime.lock import FolderLock
from ringleader.runtime.peerdoor import PeerDoor
from ringleader.runtime.peers import PeerOptions, PeerSelf
from ringleader.runtime.tls import TlsDoor, TlsFiles
from ringleader.wire.frames import NodeInfo, StatusReply

__all__ = ["Node"]

logger = logging.getLogger("ringleader.node")

ACCEPTED_AT_ONCE = 64
"""Client connections."""
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
        self._disk: FolderDisk | None = None
        self._lock: FolderLock | None = None
        self._sockets: dict[str, socket.socket] = {}
        self._servers: list[asyncio.Server] = []
        self._http: HttpServer | None = None
        self._identity: FolderIdentity | None = None
        self._last_sweep = self._last_status = 0.0
        self._ready: asyncio.Event = asyncio.Event()
        complaints = Complaints(logging.getLogger("ringleader.strangers"), time.monotonic)
        self._complaints = complaints
        clients, self._handshakes = shares(config.max_connections)
        self._driver = Driver(config, self.stats, self._deliver, self._look_around, self._hang_up)
        self._callers = Callers(self._driver, complaints, clients)
        self._neighbours = Neighbours(config, self._driver, complaints, self._entropy)

    # -------------------------------------------------------------------------------------------------- life

    async def start(self) -> None:
        """Open the data folder and begin to serve. Raises `RingleaderError` saying what is wrong; then nothing is left."""
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[RingleaderError] = self._loop.create_future()
        try:
            self._tls, self._peer_tls = port_tls(self.config), peer_tls(self.config)
            self._lock = FolderLock(self.config.data_dir)
            check_restored(Path(self.config.data_dir))
            self._bind()
            if self.config.join:
                info = client_info(self.config, 0, self.client_address, self.http_address)
                await join_cluster(self.config, info, self.advertised_peer, self._entropy, self._peer_tls)
            host = await self._open_beside_the_loop()
            self._driver.begin(host)
            await self._listen()
        except BaseException:
            await self._release()
            raise
        self._driver.turn()
        warn_of_gaps(self.config, is_loopback, bool(self.peer_address))
        logger.info(
            "node %s (%d of cluster %s) is up: clients %s, peers %s, http %s; %s",
            self.config.name,
            self.node_id,
            self.identity.cluster,
            self.client_address or "none",
            self.peer_address or "none",
            self.http_address or "none",
            host.report,
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
        if self._driver.stopped or self.stats.stopping:
            return
        self.stats.stopping = True
        await self._hand_on_leadership()
        self._driver.stopped = True
        for server in self._servers:
            server.close()
        self._callers.door.close_all("the node is stopping")
        self._callers.end_locals("the node is stopping")
        if not self.stats.failure and not self.stats.disk_full:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._driver.disk_idle.wait(), 10)
        await asyncio.sleep(0)  # farewells leave
        await self._release()
        logger.info("node %s has stopped", self.config.name)

    async def _hand_on_leadership(self) -> None:
        """So that a planned stop costs the cluster no election timeout; gives up after one, or when the heir is gone."""
        host, links = self._driver.running, self._neighbours.links
        if host is None or not host.core.leads:
            return
        status = host.core.status()
        others = [voter for voter in status.config.voters if links.reaches(voter)]
        if not others:
            return
        heir = max(others, key=lambda voter: status.match.get(voter, 0))
        if not host.core.transfer(heir):
            return
        self._driver.plan()
        patience = time.monotonic() + self.config.election_ms / 1000
        while time.monotonic() < patience and not self.stats.failure and links.reaches(heir):
            if host.core.leader not in (0, self.node_id):
                return
            await asyncio.sleep(self._driver.period)

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
        return advertised_peer(self.config, self.peer_address)

    @property
    def dialer(self) -> LocalDialer:
        """How a client in this process connects to the node without a socket."""
        return LocalDialer(self._callers)

    @property
    def client_info(self) -> NodeInfo:
        """What others are told of this node."""
        return client_info(self.config, self.node_id, self.client_address, self.http_address)

    # ----------------------------------------------------------------------------------------- start, in pieces

    def _bind(self) -> None:
        self._sockets = bind_ports(self.config)
        addresses = {field: address_of(sock) for field, sock in self._sockets.items()}
        self.client_address = addresses.get("listen_client", "")
        self.peer_address = addresses.get("listen_peer", "")
        self.http_address = addresses.get("http", "")

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
            told = host_config(config, identity, self.client_info, self.advertised_peer)
            host = Host.open(told, disk, self._entropy, steady())
            self._identity = self._neighbours.identity = mark_started(disk, identity)
        except OSError as error:
            raise DiskFailedError(f"cannot open the data folder {config.data_dir}: {error}") from error
        self._driver.attach(disk, self._loop)
        return host

    async def _listen(self) -> None:
        sockets, config, identity = self._sockets, self.config, self.identity
        if "http" in sockets:
            self._http = HttpServer(sockets.pop("http"), self.stats, tls=self._tls)
            self._http.start()
        if "listen_peer" in sockets:
            me = PeerSelf(
                identity.cluster,
                config.cluster_token,
                self.client_info,
                self.advertised_peer,
                identity.incarnation,
                identity.consensus,
            )
            options = PeerOptions(tls=self._peer_tls, handshakes=self._handshakes)
            door = PeerDoor(me, self._neighbours, self._entropy, self._complaints, options)
            self._servers.append(await self._loop.create_server(door.factory, sock=sockets.pop("listen_peer")))
            self._neighbours.links.open(door)
        if "listen_client" in sockets:
            factory: Callable[[], asyncio.Protocol] = self._callers.door.factory
            if self._tls is not None:
                self._client_tls = TlsDoor(self._tls, factory, self._complaints, TLS_ONLY, self._handshakes)
                factory = self._client_tls.factory
            sock = sockets.pop("listen_client")
            # asyncio accepts so many at once before any of them can be turned away: they must not take all descriptors.
            self._servers.append(await self._loop.create_server(factory, sock=sock, backlog=ACCEPTED_AT_ONCE))
            sock.listen(1024)

    async def _release(self) -> None:
        """Free everything that was taken, in the reverse order."""
        self._driver.cancel()
        for server in self._servers:
            server.close()
        await self._neighbours.links.stop()
        self._close_connections()
        await asyncio.sleep(0)  # transports close in the next round of the loop
        await self._driver.close()
        if self._disk is not None:
            expelled = self._neighbours.expelled
            if expelled is not None and expelled.reason is Reason.MEMBER_REMOVED:
                with contextlib.suppress(OSError):  # the members refuse it all the same
                    mark_removed(self._disk, self.identity)
            self._disk.close()
        if self._http is not None:
            await self._loop.run_in_executor(None, self._http.close)
        for sock in self._sockets.values():
            sock.close()
        if self._lock is not None:
            self._lock.release()

    def _close_connections(self) -> None:
        for server in self._servers:
            server.close()
        self._callers.door.abort_all()
        if self._client_tls is not None:
            self._client_tls.abort_all()
        self._neighbours.links.abort()

    # ------------------------------------------------------------------------------------- called by the driver

    def _deliver(self, out: HostOutput) -> None:
        """To the peers first when something is written, for they have a disk of their own to write to.

        Otherwise to the callers first: what the peers hear then, above all how far the log is committed, can wait a moment.
        """
        neighbours = self._neighbours
        if out.clients and out.disk is None:
            self._callers.answer(out.clients)
        if out.bulk_peers:
            neighbours.links.send_bulk(out.bulk_peers)
        if out.peers:
            neighbours.links.send(out.peers)
            self.stats.peer_messages_out += len(out.peers)
        if out.clients and out.disk is not None:
            self._callers.answer(out.clients)
        for conn in out.close:
            self._callers.close(conn)
        if out.links is not None:
            neighbours.keep(out.links)
        if out.expelled is not None and neighbours.expelled is None:
            # What leads away from here, a hand-over of leadership above all, is to leave first.
            neighbours.expelled = out.expelled
            self._loop.call_later(self.config.election_ms / 2000, self._driver.fail, out.expelled)

    def _hang_up(self, error: RingleaderError) -> None:
        """The node can no longer go on."""
        self._close_connections()
        self._callers.end_locals(str(error))
        if not self.failed.done():
            self.failed.set_result(error)

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
            self._callers.door.sweep(loop_now)
            self._neighbours.links.sweep(loop_now)

    def _refresh_status(self) -> None:
        host, stats = self._driver.host, self.stats
        assert host is not None
        before, stats.status = stats.status, host.status()
        member = host.member
        stats.events = dict(member.counts)
        stats.catching_up = member.installing
        for notice in member.take_notices():
            logger.warning("%s", notice)
        writing = member.writing
        stats.waiting_bytes, stats.waiting_limit = writing.waiting.bytes, writing.admission.limit
        if before is None or (before.role, before.term, before.leader) != _standing(stats.status):
            now = stats.status
            leader = self._neighbours.names.get(now.leader, "unknown")
            logger.info("%s in term %d, leader %s", now.role, now.term, leader)
        stats.client_connections = len(self._callers)
        stats.clients_refused = self._callers.door.refused
        stats.peer_messages_dropped = self._neighbours.links.dropped
        if stats.status.leader:
            self._ready.set()


def _standing(status: StatusReply) -> tuple[str, int, int]:
    return status.role, status.term, status.leader
