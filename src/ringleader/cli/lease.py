"""`ringleader lease`: grant, keep alive, revoke and look at leases."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from ringleader.cli.common import Endpoints, Json, Timeout, as_json, parse_number, run, say, text_of

if TYPE_CHECKING:
    from ringleader.client import Client

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False)

LeaseArgument = Annotated[str, typer.Argument(metavar="LEASE", help="The lease id, in decimal or with 0x.")]


@app.command()
def grant(
    ttl: Annotated[float, typer.Argument(metavar="SECONDS", help="Seconds it lives without a keep-alive.")],
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Grant a lease and print its id."""

    async def act(client: Client) -> None:
        info = await client.leases.grant(ttl)
        as_json({"lease": info.id, "ttl": info.ttl}) if json_ else say(f"lease {info.id} ttl {info.ttl:g}")

    run(endpoints, json_, timeout, act)


@app.command()
def revoke(lease: LeaseArgument, endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False) -> None:
    """End a lease now; its keys are deleted."""

    async def act(client: Client) -> None:
        await client.leases.revoke(parse_number(lease, "a lease id"))
        as_json({"revoked": parse_number(lease, "a lease id")}) if json_ else say("revoked")

    run(endpoints, json_, timeout, act)


@app.command("keep-alive")
def keep_alive(
    lease: LeaseArgument,
    once: Annotated[bool, typer.Option("--once", help="One keep-alive, then end.")] = False,
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Keep a lease alive until Ctrl-C."""

    async def act(client: Client) -> None:
        while True:
            info = await client.leases.keep_alive(parse_number(lease, "a lease id"))
            as_json({"lease": info.id, "ttl": info.ttl}) if json_ else say(f"lease {info.id} alive for {info.ttl:g} s")
            if once:
                return
            await asyncio.sleep(info.ttl / 3)

    run(endpoints, json_, timeout, act)


@app.command()
def info(
    lease: LeaseArgument,
    keys: Annotated[bool, typer.Option("--keys", help="Also its keys.")] = False,
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """How long a lease has left; exit code 1 when there is none."""

    async def act(client: Client) -> bool:
        number = parse_number(lease, "a lease id")
        found = await client.leases.info(number, keys=keys)
        if found is None:
            as_json({"lease": None}) if json_ else say(f"there is no lease {number}")
            return False
        names = [text_of(key) for key in found.keys]
        if json_:
            as_json({"lease": found.id, "ttl": found.ttl, "remaining": found.remaining, "keys": names})
        else:
            say(f"lease {found.id} ttl {found.ttl:g} remaining {found.remaining:g}")
            for name in names:
                say(name)
        return True

    if not run(endpoints, json_, timeout, act):
        raise typer.Exit(1)


@app.command("list")
def list_(endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False) -> None:
    """The ids of all leases."""

    async def act(client: Client) -> None:
        ids = await client.leases.list()
        if json_:
            as_json({"leases": ids})
        else:
            for number in ids:
                say(str(number))

    run(endpoints, json_, timeout, act)
