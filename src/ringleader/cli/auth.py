"""`ringleader auth`: switch logins on and off, see who you are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ringleader.cli.common import Endpoints, Json, Timeout, as_json, change, run, say

if TYPE_CHECKING:
    from ringleader.client import Client
    from ringleader.client.auth import AuthStatus

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command()
def enable(endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False) -> None:
    """Require a login for every call. There must be a user root with a password and the role root."""
    change(endpoints, json_, timeout, lambda client: client.auth.enable(), "auth is on")


@app.command()
def disable(endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False) -> None:
    """Let everyone do everything again; users, roles and tokens are kept."""
    change(endpoints, json_, timeout, lambda client: client.auth.disable(), "auth is off")


@app.command()
def status(endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False) -> None:
    """Say whether logins are required, and who you are."""

    async def act(client: Client) -> AuthStatus:
        return await client.auth.status()

    found = run(endpoints, json_, timeout, act)
    if json_:
        as_json({"enabled": found.enabled, "user": found.user, "roles": found.roles, "revision": found.revision})
    else:
        who = f"you are {found.user}, with {', '.join(found.roles) or 'no role'}" if found.user else "you are nobody"
        say(f"auth is {'on' if found.enabled else 'off'}; {who}")
