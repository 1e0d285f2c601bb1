"""`ringleader status`: how every node stands, in its own words."""

from __future__ import annotations

import json
import sys
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import typer

from ringleader.cli.common import Endpoints, Json, Timeout, as_json, connecting, run

if TYPE_CHECKING:
    from ringleader.client import Client, NodeStatus

__all__ = ["status"]

WIDE = 200
"""Columns when nobody but a program looks: nothing is cut."""
_NEEDED = {"role", "term", "commit", "applied", "revision", "uptime"}
"""What a node says of itself, whatever its release."""


def status(endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False) -> None:
    """Show every node; exit code 1 when one cannot be reached or no leader is known."""

    async def act(client: Client) -> list[NodeStatus]:
        return (await client.status()).nodes

    rows = [_ask(node, timeout) for node in run(endpoints, json_, timeout, act)]
    if json_:
        as_json({"nodes": rows})
    else:
        _print(rows)
    if any("error" in row for row in rows) or not any(row.get("role") == "leader" for row in rows):
        raise typer.Exit(1)


def _ask(node: NodeStatus, timeout: float) -> dict[str, Any]:
    """The node's own words, or why there are none."""
    row: dict[str, Any] = {"name": node.name, "client": node.client, "http": node.http}
    if not node.http:
        return row | {"error": "its address is not known"}
    try:
        with _open(node.http, timeout) as answer:
            body = json.loads(answer.read(1 << 20))
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return row | {"error": f"cannot be reached: {reason}"}
    if not isinstance(body, dict) or not body.keys() >= _NEEDED:
        return row | {"error": f"what answers at {node.http} is no node"}
    return row | {key: value for key, value in body.items() if key != "frame"}


def _version(row: dict[str, Any]) -> str:
    version, supports = row.get("cluster_version", 0), row.get("supports", 0)
    return f"{version}" if supports <= version else f"{version} (knows {supports})"


def _used(row: dict[str, Any]) -> str:
    from ringleader.cli.settings import show_size

    if row.get("disk_full"):
        return "[red]DISK FULL[/]"
    if row.get("full"):
        return "[red]FULL[/]"
    quota = row.get("quota_bytes", 0)
    return show_size(row.get("used_bytes", 0)) + (f" of {show_size(quota)}" if quota else "")


def _open(address: str, timeout: float) -> Any:
    """The node's answer; over TLS when there is an authority, as for the connection to it. Never by a proxy."""
    ca, cert, key = connecting.files()
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if ca:
        from ringleader.client.tls import client_context

        handlers.append(urllib.request.HTTPSHandler(context=client_context(ca, cert, key)))
    opener = urllib.request.build_opener(*handlers)
    return opener.open(f"{'https' if ca else 'http'}://{address}/status", timeout=timeout)


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("node", "client", "role", "term", "commit", "applied", "revision", "used", "version", "up")
    for row in rows:
        if "error" in row:
            table.add_row(row["name"], escape(row["client"]), f"[red]{escape(row['error'])}[/]")
        else:
            numbers = (str(row[field]) for field in ("term", "commit", "applied", "revision"))
            table.add_row(
                row["name"], escape(row["client"]), row["role"], *numbers, _used(row), _version(row),
                f"{row['uptime']:.0f} s",
            )  # fmt: skip
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(table)
    engines = sorted({row["consensus"] for row in rows if row.get("consensus")})
    if engines:
        console.print(f"Consensus: {', '.join(engines)}", highlight=False)
