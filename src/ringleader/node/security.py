"""Loopback only until secured: what each port of a node needs before it may be reached from other machines."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from ringleader.errors import Reason, UsageError

if TYPE_CHECKING:
    from ringleader.node.config import NodeConfig
    from ringleader.runtime.tls import TlsFiles

__all__ = ["check_peer_port", "check_secured", "peer_tls", "port_tls", "warn_of_gaps"]

logger = logging.getLogger("ringleader.node")

GUESSABLE = 20
"""Letters of a cluster token below which it may be one that can be guessed."""


def check_secured(config: NodeConfig, is_loopback: Callable[[str], bool]) -> None:
    """Raise `UsageError` for a port that others can reach and nothing protects, or for half of a protection."""
    for cert, key, ca in (("cert", "key", "ca"), ("peer_cert", "peer_key", "peer_ca")):
        if getattr(config, key) and not getattr(config, cert):
            raise _wrong(key, f"is given without {cert}")
        if getattr(config, ca) and not config.cert and not getattr(config, cert):
            raise _wrong(ca, f"is given without {cert}")
    if config.client_cert_required and not config.ca:
        raise _wrong("client_cert_required", "needs ca: the authority of the certificates that are let in")
    if config.peers or config.join:
        check_peer_port(config, is_loopback)
    if config.insecure:
        return
    for field, what in (("listen_client", "anyone could read and write"), ("http", "anyone could read metrics")):
        address = getattr(config, field)
        if address and not config.cert and not is_loopback(address.rpartition(":")[0].strip("[]")):
            raise _wrong(
                field,
                f"{address} can be reached from other machines, and without TLS {what}",
                "Give cert and key (see `ringleader cert`), or say insecure if that is what you want",
            )


def check_peer_port(config: NodeConfig, is_loopback: Callable[[str], bool]) -> None:
    """Raise `UsageError` when others can reach the peer port, and read along, or even speak as a member."""
    address = config.listen_peer
    if not address or is_loopback(address.rpartition(":")[0].strip("[]")):
        return
    if not config.cluster_token:
        raise _wrong(
            "cluster_token",
            f"is empty, but listen_peer {address} can be reached from other machines",
            "Give all members the same secret",
        )
    if not config.insecure and _peer_files(config) is None:
        raise _wrong(
            "listen_peer",
            f"{address} can be reached from other machines, and without TLS anyone could read what members say and "
            "take their links over",
            "Give cert, key and ca, or peer_cert, peer_key and peer_ca (see `ringleader cert`), or say insecure if that is "
            "what you want",
        )


def warn_of_gaps(config: NodeConfig, is_loopback: Callable[[str], bool], peer_port: bool) -> None:
    """Tell the log, loudly, what is open in this configuration. `peer_port`: whether there is one."""

    def open_to_others(address: str) -> bool:
        return bool(address) and not is_loopback(address.rpartition(":")[0].strip("[]"))

    if config.insecure and not config.cert:
        for address in (config.listen_client, config.http):
            if open_to_others(address):
                logger.warning("INSECURE: %s is open to everyone who can reach it, without TLS", address)
    if peer_port and open_to_others(config.listen_peer) and not _peer_files(config):
        logger.warning(
            "INSECURE: %s: members prove that they know the token, but what they say is not encrypted",
            config.listen_peer,
        )
    if peer_port and open_to_others(config.listen_peer) and len(config.cluster_token) < GUESSABLE:
        logger.warning(
            "%s: the cluster token is short, and whoever reaches this port can try at home which it is: "
            "take a random one of at least %d letters",
            config.listen_peer, GUESSABLE,
        )  # fmt: skip
    if config.cert and open_to_others(config.listen_client) and not config.client_cert_required:
        logger.warning(
            "%s: TLS protects the way, but who may do what? See `ringleader auth enable`", config.listen_client
        )


def port_tls(config: NodeConfig) -> TlsFiles | None:
    """What the client and HTTP ports speak TLS with. Raises `UsageError`."""
    if not config.cert:
        return None
    from ringleader.runtime.tls import TlsFiles

    return TlsFiles(config.cert, config.key, config.ca, required=config.client_cert_required)


def peer_tls(config: NodeConfig) -> TlsFiles | None:
    """What the peer port speaks mutual TLS with: only where certificate and authority are both known."""
    files = _peer_files(config)
    if files is None:
        return None
    from ringleader.runtime.tls import TlsFiles

    return TlsFiles(*files, required=True, prefix="peer_" if config.peer_cert else "")


def _peer_files(config: NodeConfig) -> tuple[str, str, str] | None:
    cert, key = (config.peer_cert, config.peer_key) if config.peer_cert else (config.cert, config.key)
    ca = config.peer_ca or config.ca
    return (cert, key, ca) if cert and ca else None


def _wrong(field: str, problem: str, hint: str = "") -> UsageError:
    return UsageError(f"{field}: {problem}", reason=Reason.INVALID_ARGUMENT, hint=hint)
