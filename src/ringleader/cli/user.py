"""`ringleader user`: who may log in. A password comes from terminal, standard input or environment, never from argv."""

from __future__ import annotations

import getpass
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ringleader.cli.common import Endpoints, Json, Timeout, as_json, change, run, say, usage

if TYPE_CHECKING:
    from ringleader.client import Client
    from ringleader.client.auth import AuthUser

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False)
NEW_PASSWORD = "RINGLEADER_NEW_PASSWORD"

Name = Annotated[str, typer.Argument(metavar="USER", help="The user.")]
RoleName = Annotated[str, typer.Argument(metavar="ROLE", help="The role; root may do everything.")]
NoPassword = Annotated[bool, typer.Option("--no-password", help="Logs in by token or certificate only.")]


def _new_password(no_password: bool) -> str | None:
    """What a new password is: asked for twice at a terminal, else one line of standard input."""
    if no_password:
        return None
    if NEW_PASSWORD in os.environ:
        return os.environ[NEW_PASSWORD]
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("New password: ")
    if password != getpass.getpass("Once more: "):
        raise usage("the two passwords differ")
    return password


@app.command()
def add(
    name: Name,
    role: Annotated[list[str] | None, typer.Option("--role", help="A role of the user; may be repeated.")] = None,
    no_password: NoPassword = False,
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Add a user."""
    password = _new_password(no_password)
    change(
        endpoints,
        json_,
        timeout,
        lambda client: client.auth.add_user(name, password, roles=role or []),
        f"added user {name}",
    )


@app.command()
def delete(name: Name, endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False) -> None:
    """Delete a user; its logins and tokens end."""
    change(endpoints, json_, timeout, lambda client: client.auth.delete_user(name), f"deleted user {name}")


@app.command()
def password(
    name: Name,
    no_password: NoPassword = False,
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Give a user another password; what was logged in with the old one is logged out."""
    new = _new_password(no_password)
    said = f"{name} has {'another' if new is not None else 'no'} password"
    change(endpoints, json_, timeout, lambda client: client.auth.set_password(name, new), said)


@app.command()
def grant(name: Name, role: RoleName, endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False) -> None:
    """Give a user a role."""
    change(endpoints, json_, timeout, lambda client: client.auth.grant_role(name, role), f"{name} has the role {role}")


@app.command()
def revoke(
    name: Name, role: RoleName, endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False
) -> None:
    """Take a role from a user."""
    change(
        endpoints,
        json_,
        timeout,
        lambda client: client.auth.revoke_role(name, role),
        f"{name} has the role {role} no more",
    )


@app.command("list")
def list_(endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False) -> None:
    """Show all users."""

    async def act(client: Client) -> list[AuthUser]:
        return await client.auth.users()

    for user in run(endpoints, json_, timeout, act):
        if json_:
            as_json({"name": user.name, "password": user.password, "roles": user.roles})
        else:
            note = "" if user.password else " (no password)"
            say(f"{user.name}: {', '.join(user.roles) or 'no role'}{note}")
