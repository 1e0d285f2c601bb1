"""`ringleader settings`: what the whole cluster has agreed on, the quota and how long history stays."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from ringleader.cli.common import Endpoints, Json, Timeout, as_json, run, say, usage

if TYPE_CHECKING:
    from ringleader.client import Client, ClusterSettings

__all__ = ["app", "parse_size", "show_settings", "show_size"]

app = typer.Typer(no_args_is_help=True, add_completion=False)

_UNITS = {"": 1, "B": 1, "K": 1 << 10, "KIB": 1 << 10, "M": 1 << 20, "MIB": 1 << 20, "G": 1 << 30, "GIB": 1 << 30}


@app.command()
def show(endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False) -> None:
    """Show the settings in force and how much of the quota is used."""

    async def act(client: Client) -> ClusterSettings:
        return await client.settings()

    show_settings(run(endpoints, json_, timeout, act), json_)


@app.command("set")
def set_(
    quota: Annotated[
        str | None,
        typer.Option("--quota", metavar="SIZE", help="Bytes, or with K, M, G (powers of 1024); 0: no limit."),
    ] = None,
    compaction: Annotated[str | None, typer.Option("--compaction", help="periodic, revisions or off.")] = None,
    retention: Annotated[
        float | None, typer.Option("--retention", metavar="SECONDS", help="How long history stays (periodic).")
    ] = None,
    retention_revisions: Annotated[
        int | None, typer.Option("--retention-revisions", metavar="N", help="How much history stays (revisions).")
    ] = None,
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Change settings, for all nodes at once; prints them after it."""
    size = None if quota is None else parse_size(quota, "--quota")
    if size is None and compaction is None and retention is None and retention_revisions is None:
        raise usage("nothing to set", "See ringleader settings set --help.")

    async def act(client: Client) -> ClusterSettings:
        return await client.configure(
            quota_bytes=size, compaction=compaction, retention=retention, retention_revisions=retention_revisions
        )

    show_settings(run(endpoints, json_, timeout, act), json_)


def show_settings(settings: ClusterSettings, json_: bool) -> None:
    """For a person, or as JSON."""
    if json_:
        names = settings.__struct_fields__
        as_json({name: getattr(settings, name) for name in names})
        return
    limit = show_size(settings.quota_bytes) if settings.quota_bytes else "no limit"
    history = show_size(settings.history_bytes)
    # A quota below what is used makes the store full with the next put: better said before.
    full = settings.full or 0 < settings.quota_bytes <= settings.used_bytes
    state = "FULL: puts are refused" if full else "puts are taken"
    say(f"quota {limit}; used {show_size(settings.used_bytes)} ({history} of it history); {state}")
    kept = {
        "periodic": f"the last {settings.retention:g} s",
        "revisions": f"the last {settings.retention_revisions} revisions",
        "off": "all of it, until somebody compacts",
    }
    say(f"compaction {settings.compaction}; history kept: {kept[settings.compaction]}")


def parse_size(text: str, what: str) -> int:
    """Bytes from "4096", "512M", "2GiB". Raises `UsageError`."""
    match = re.fullmatch(r"(\d{1,18}) ?([A-Za-z]*)", text.strip())
    unit = _UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None:
        raise usage(f"{what} must be a size such as 4096, 512M or 2G, not {text!r}")
    return int(match[1]) * unit


def show_size(size: int) -> str:
    """A size for people."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} B"
