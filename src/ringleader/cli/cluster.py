"""`ringleader cluster`: who belongs to the cluster, and changes of that."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from ringleader.cli.common import TIMEOUT_FROM, Endpoints, Json, as_json, run, say, text_of

if TYPE_CHECKING:
    from ringleader.client import Client, Member, Membership

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False)

WIDE = 200
"""Columns when nobody but a program looks: nothing is cut."""

Name = Annotated[str, typer.Argument(metavar="MEMBER", help="Its name, or its id.")]
Timeout = Annotated[
    float,
    typer.Option("--timeout", min=0.001, max=1e6, envvar=TIMEOUT_FROM, help="Seconds to wait until it is done."),
]


@app.command()
def members(endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False) -> None:
    """Show all members as the leader sees them; exit code 1 when one of them is not healthy."""

    async def act(client: Client) -> Membership:
        return await client.cluster.members()

    seen = run(endpoints, json_, timeout, act)
    if json_:
        as_json(msgspec.to_builtins(seen))
    else:
        _print(seen)
    if not all(member.healthy for member in seen.members):
        raise typer.Exit(1)


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How the new member is to be called.")],
    peer: Annotated[str, typer.Option("--peer", metavar="HOST:PORT", help="Where its peer port will be.")] = "",
    no_promote: Annotated[bool, typer.Option("--no-promote", help="It stays a learner until it is promoted.")] = False,
    endpoints: Endpoints = None,
    timeout: Timeout = 10.0,
    json_: Json = False,
) -> None:
    """Make room for a node, as a learner; the first one that starts with --join under this name becomes it.

    A node started with --join adds itself: this is only needed to say --no-promote, or to reserve a name.
    """
    _done(endpoints, json_, timeout, "added", lambda c: c.cluster.add(name, peer=peer, auto_promote=not no_promote))


@app.command()
def promote(member: Name, endpoints: Endpoints = None, timeout: Timeout = 10.0, json_: Json = False) -> None:
    """Make a learner that has caught up a voter."""
    _done(endpoints, json_, timeout, "promoted", lambda client: client.cluster.promote(_member(member)))


@app.command()
def remove(member: Name, endpoints: Endpoints = None, timeout: Timeout = 10.0, json_: Json = False) -> None:
    """Remove a member for good, also the leader; its node stops and may not come back under its data folder."""
    _done(endpoints, json_, timeout, "removed", lambda client: client.cluster.remove(_member(member)))


@app.command()
def transfer(
    member: Annotated[str | None, typer.Argument(metavar="MEMBER", help="Who is to lead; else the best.")] = None,
    endpoints: Endpoints = None,
    timeout: Timeout = 10.0,
    json_: Json = False,
) -> None:
    """Hand leadership to another voter, without an election timeout."""
    to = None if member is None else _member(member)
    _done(endpoints, json_, timeout, "leads now", lambda client: client.cluster.transfer(to))


def _member(text: str) -> str | int:
    """All digits are an id; nothing stops a name from being digits, but then the id wins."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else text


def _done(
    endpoints: str | None,
    json_: bool,
    timeout: float,
    word: str,
    act: Callable[[Client], Coroutine[Any, Any, Member]],
) -> None:
    member = run(endpoints, json_, timeout, act)
    if json_:
        as_json(msgspec.to_builtins(member))
    else:
        role = "" if member.role == word else f", {member.role}"
        say(f"{word}: {text_of(member.name.encode())} (node {member.id}{role})")


def _print(seen: Membership) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("id", "name", "role", "health", "lag", "heard", "peer", "client")
    for each in seen.members:
        health = "healthy" if each.healthy else "[red]silent[/]"
        lag = "?" if each.lag is None else str(each.lag)
        heard = "never" if each.heard is None else f"{each.heard:.1f} s ago"
        table.add_row(
            str(each.id), escape(each.name), each.role, health, lag, heard, escape(each.peer), escape(each.client)
        )
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)
    if seen.change:
        say(f"a change is under way: {seen.change}")
