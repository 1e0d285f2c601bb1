"""What a node does before it has a host: bind its ports, become a member if it is to, and say all that the host is told."""

from __future__ import annotations

import logging
import socket

from ringleader.client.addresses import is_ip
from ringleader.consensus.protocols import options_for
from ringleader.consensus.shape import ConsensusOptions
from ringleader.group.options import GroupOptions, HostConfig
from ringleader.log import LogOptions
from ringleader.node.config import NodeConfig, format_address, is_loopback, parse_address
from ringleader.node.identity import FolderIdentity, has_identity, read_identity
from ringleader.node.join import become_member
from ringleader.node.security import check_peer_port
from ringleader.node.sockets import CLIENT_BUFFER, address_of, bind
from ringleader.ports import Entropy
from ringleader.runtime.disk import DiskFailedError, FolderDisk
from ringleader.runtime.tls import TlsFiles
from ringleader.wire.frames import NodeInfo

__all__ = ["advertised_peer", "bind_ports", "client_info", "host_config", "join_cluster"]

logger = logging.getLogger("ringleader.node")


def bind_ports(config: NodeConfig) -> dict[str, socket.socket]:
    """The listening sockets, by the field of the configuration that asks for each. Raises `UsageError`."""
    wanted = {"listen_client": config.listen_client, "http": config.http}
    if config.peers or config.join or _has_joined(config):
        check_peer_port(config, is_loopback)
        wanted["listen_peer"] = config.listen_peer
    sockets: dict[str, socket.socket] = {}
    try:
        for field, address in wanted.items():
            if address:
                buffer = CLIENT_BUFFER if field == "listen_client" else 0
                sockets[field] = bind(field, address, receive_buffer=buffer)
                _warn_of_a_deaf_name(field, address, sockets[field])
    except BaseException:
        for sock in sockets.values():
            sock.close()
        raise
    return sockets


def _warn_of_a_deaf_name(field: str, address: str, sock: socket.socket) -> None:
    """Many systems look the name of the machine itself up as a loopback address."""
    bound = address_of(sock)
    if is_loopback(parse_address(bound)[0]) and not is_loopback(parse_address(address)[0]):
        logger.warning("%s: %s is %s here, where no other machine reaches it; say an IP address", field, address, bound)


def _has_joined(config: NodeConfig) -> bool:
    """Whether the data folder belongs to a node that joined: then it needs its peer port without being told."""
    disk = FolderDisk(config.data_dir)
    try:
        return has_identity(disk) and read_identity(disk).joined
    finally:
        disk.close()


def advertised_peer(config: NodeConfig, bound: str) -> str:
    """Where the others reach the peer port, which is `bound`."""
    return config.advertise_peer or config.peers.get(config.name, "") or _by_name(config.listen_peer, bound)


def client_info(config: NodeConfig, node: int, client: str, http: str) -> NodeInfo:
    """What others are told of this node, whose ports for clients and HTTP are bound to these addresses."""
    return NodeInfo(
        node,
        config.name,
        config.advertise_client or _by_name(config.listen_client, client),
        config.advertise_http or _by_name(config.http, http),
    )


def _by_name(configured: str, bound: str) -> str:
    """The address `bound` by the name that was configured, if it was one: certificates are for names, and names may move."""
    if not bound:
        return ""
    host = parse_address(configured)[0]
    return bound if is_ip(host) else format_address(host, parse_address(bound)[1])


async def join_cluster(config: NodeConfig, info: NodeInfo, peer: str, entropy: Entropy, tls: TlsFiles | None) -> None:
    """Become a member, unless the folder shows that this has been done. Raises `RingleaderError`."""
    disk = FolderDisk(config.data_dir)
    try:
        if not has_identity(disk):
            await become_member(disk, config, info, peer, entropy, tls)
    except OSError as error:
        raise DiskFailedError(f"cannot write to the data folder {config.data_dir}: {error}") from error
    finally:
        disk.close()


def host_config(config: NodeConfig, identity: FolderIdentity, info: NodeInfo, peer: str) -> HostConfig:
    """What the host is told. `info`, `peer`: where clients and the others reach this node."""
    founders = identity.founders
    others = [NodeInfo(number, name, "") for number, name in founders.items() if number != identity.node]
    times = ConsensusOptions(heartbeat=config.heartbeat_ms / 1000, election=config.election_ms / 1000)
    return HostConfig(
        cluster=identity.cluster,
        node=identity.node,
        name=config.name,
        nodes=tuple(sorted([info, *others], key=lambda info: info.id)),
        voters=tuple(founders),
        incarnation=identity.incarnation,
        peer=peer,
        consensus=options_for(identity.consensus, times),
        log=LogOptions(segment_bytes=config.segment_bytes),
        group=GroupOptions(
            snapshot_bytes=config.snapshot_bytes,
            snapshot_entries=config.snapshot_entries,
            keep_entries=config.keep_entries,
        ),
    )
