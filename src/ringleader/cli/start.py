"""`ringleader start`: one node, in the foreground, until SIGTERM or Ctrl-C. Flags beat RINGLEADER_* beat a TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ringleader.cli.common import fail
from ringleader.errors import RingleaderError

__all__ = ["start"]


def start(
    config: Annotated[Path | None, typer.Option("--config", help="A TOML file; else RINGLEADER_CONFIG.")] = None,
    name: Annotated[str | None, typer.Option(help="This node's name.")] = None,
    data_dir: Annotated[str | None, typer.Option("--data-dir", help="Its data folder.")] = None,
    listen_client: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where clients connect.")] = None,
    listen_peer: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where other nodes connect; else as --peers says.")
    ] = None,
    http: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Health and metrics.")] = None,
    peers: Annotated[
        str | None, typer.Option(metavar="NAME=HOST:PORT,...", help="All nodes the cluster starts with, this included.")
    ] = None,
    join: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT,...", help="Become a member: ask these members, at their peer ports, once."),
    ] = None,
    advertise_peer: Annotated[str | None, typer.Option(help="What other nodes are told, if not --listen-peer.")] = None,
    advertise_client: Annotated[str | None, typer.Option(help="What clients are told, if not --listen-client.")] = None,
    advertise_http: Annotated[str | None, typer.Option(help="What clients are told, if not --http.")] = None,
    cluster_token: Annotated[
        str | None, typer.Option(help="The secret of all nodes; better in RINGLEADER_CLUSTER_TOKEN or the file.")
    ] = None,
    heartbeat_ms: Annotated[int | None, typer.Option(help="How often the leader is heard, in ms.")] = None,
    election_ms: Annotated[int | None, typer.Option(help="How long a silent leader is waited for, in ms.")] = None,
    max_connections: Annotated[int | None, typer.Option(help="Most client connections.")] = None,
    segment_bytes: Annotated[int | None, typer.Option(help="Size of a log segment.")] = None,
    snapshot_bytes: Annotated[int | None, typer.Option(help="Log growth after which a snapshot is taken.")] = None,
    snapshot_entries: Annotated[int | None, typer.Option(help="Entries after which a snapshot is taken.")] = None,
    reserve_bytes: Annotated[int | None, typer.Option(help="Kept free for when the disk is full.")] = None,
    keep_entries: Annotated[
        int | None, typer.Option(help="Entries kept in memory behind a snapshot for members that lag a little.")
    ] = None,
    consensus: Annotated[
        str | None, typer.Option(help="raft or paxos, for a new cluster; later it is what its folder says.")
    ] = None,
    phase2_quorum: Annotated[
        int | None, typer.Option("--phase2-quorum", help="Paxos: how many members accept a write; else a majority.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    cert: Annotated[str | None, typer.Option(help="Speak TLS to clients and over HTTP, with this certificate.")] = None,
    key: Annotated[str | None, typer.Option(help="Its key.")] = None,
    ca: Annotated[str | None, typer.Option(help="The authority of users' (and other nodes') certificates.")] = None,
    client_cert_required: Annotated[
        bool | None, typer.Option("--client-cert-required", help="Let in only clients with a certificate.")
    ] = None,
    peer_cert: Annotated[str | None, typer.Option(help="For nodes among themselves, if not --cert.")] = None,
    peer_key: Annotated[str | None, typer.Option(help="Its key.")] = None,
    peer_ca: Annotated[str | None, typer.Option(help="The authority of nodes' certificates, if not --ca.")] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Serve other machines though nothing protects it.")
    ] = None,
    end_with_parent: Annotated[
        int, typer.Option("--end-with-parent", hidden=True, help="Stop when the parent, this process id, dies (Linux).")
    ] = 0,
) -> None:
    """Run one node of a cluster."""
    flags: dict[str, Any] = {
        "name": name,
        "data_dir": data_dir,
        "listen_client": listen_client,
        "listen_peer": listen_peer,
        "http": http,
        "peers": peers,
        "join": join,
        "advertise_peer": advertise_peer,
        "advertise_client": advertise_client,
        "advertise_http": advertise_http,
        "cluster_token": cluster_token,
        "heartbeat_ms": heartbeat_ms,
        "election_ms": election_ms,
        "max_connections": max_connections,
        "segment_bytes": segment_bytes,
        "snapshot_bytes": snapshot_bytes,
        "snapshot_entries": snapshot_entries,
        "reserve_bytes": reserve_bytes,
        "keep_entries": keep_entries,
        "consensus": consensus,
        "phase2_quorum": phase2_quorum,
        "log_level": log_level,
        "cert": cert,
        "key": key,
        "ca": ca,
        "client_cert_required": client_cert_required,
        "peer_cert": peer_cert,
        "peer_key": peer_key,
        "peer_ca": peer_ca,
        "insecure": insecure,
    }
    if end_with_parent:
        from ringleader.cli.dev import end_with_parent as ask

        ask(end_with_parent)
    try:
        from ringleader.node import load_config, run, setup_logging

        settings = load_config(flags, file=config)
        setup_logging(settings.log_level)
        failure = run(settings)
    except RingleaderError as error:
        fail(error, False)
    if failure is not None:
        fail(failure, False)
