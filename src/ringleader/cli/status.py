"""`ringleader status`: how every node stands, in its own words."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import typer

from ringleader.cli.common import Endpoints, Json, Timeout, as_json, run

if TYPE_CHECKING:
    from ringleader.client import Client, NodeStatus

__all__ = ["status"]

WIDE = 200
"""Columns when nobody but a program looks: nothing is cut."""


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
            return row | {key: value for key, value in json.loads(answer.read(1 << 20)).items() if key != "frame"}
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return row | {"error": f"cannot be reached: {reason}"}


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
    """The node's answer; over TLS when the environment names an authority, as for the connection to it."""
    ca, cert, key = (os.environ.get(f"RINGLEADER_{each}", "") for each in ("CA", "CERT", "KEY"))
    if not ca:
        return urllib.request.urlopen(f"http://{address}/status", timeout=timeout)
    from ringleader.client.tls import client_context

    context = client_context(ca, cert, key)
    return urllib.request.urlopen(f"https://{address}/status", timeout=timeout, context=context)


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("node", "client", "role", "term", "commit", "applied", "revision", "used", "version", "up")
    for row in rows:
        if "error" in row:
            table.add_row(row["name"], row["client"], f"[red]{escape(row['error'])}[/]")
        else:
            numbers = (str(row[field]) for field in ("term", "commit", "applied", "revision"))
            table.add_row(
                row["name"], row["client"], row["role"], *numbers, _used(row), _version(row), f"{row['uptime']:.0f} s"
            )
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(table)
    engines = sorted({row["consensus"] for row in rows if row.get("consensus")})
    if engines:
        console.print(f"Consensus: {', '.join(engines)}", highlight=False)
