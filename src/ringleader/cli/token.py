"""`ringleader token`: log in without a password, until the token ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ringleader.cli.common import Endpoints, Json, Timeout, as_json, run, say

if TYPE_CHECKING:
    from ringleader.client import Client
    from ringleader.client.auth import AuthToken

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command()
def create(
    user: Annotated[str, typer.Argument(metavar="USER", help="Whom it logs in.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it; one of each name for a user.")],
    ttl: Annotated[float | None, typer.Option(help="Seconds until it ends by itself.", min=0.001)] = None,
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Make a token and show it, this once only. Give it to a client as RINGLEADER_TOKEN."""

    async def act(client: Client) -> str:
        return await client.auth.create_token(user, name, ttl=ttl)

    token = run(endpoints, json_, timeout, act)
    if json_:
        as_json({"token": token})
    else:
        say(token)


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="As `ringleader token list` shows it.")],
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """End a token and what is logged in with it."""

    async def act(client: Client) -> None:
        await client.auth.revoke_token(id)

    run(endpoints, json_, timeout, act)
    if json_:
        as_json({"done": f"revoked {id}"})
    else:
        say(f"revoked {id}")


@app.command("list")
def list_(
    user: Annotated[str, typer.Argument(metavar="USER", help="Whose; default: everybody's.")] = "",
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Show the tokens, not what they are."""

    async def act(client: Client) -> list[AuthToken]:
        return await client.auth.tokens(user)

    for token in run(endpoints, json_, timeout, act):
        if json_:
            as_json({"id": token.id, "user": token.user, "name": token.name, "remaining": token.remaining})
        else:
            left = "for ever" if token.remaining is None else f"{token.remaining:.0f} s left"
            say(f"{token.id} {token.user}/{token.name}: {left}")
