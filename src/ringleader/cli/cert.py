"""`ringleader cert`: a certificate authority for development, and certificates for nodes and users."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringleader.cli.common import Json, as_json, fail, say
from ringleader.errors import RingleaderError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False)

Folder = Annotated[Path, typer.Option("--dir", "-d", help="Where the authority and its certificates are.")]
Days = Annotated[float, typer.Option(help="For how many days it is valid.", min=0.0, max=36500)]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
CERTS = Path("certs")


@app.command()
def ca(
    folder: Folder = CERTS, name: str = "ringleader development CA", days: Days = 3650, force: Force = False,
    json_: Json = False,
) -> None:  # fmt: skip
    """Make an authority: ca.pem for everyone, ca-key.pem for you alone."""
    from ringleader.node.certificates import make_authority

    try:
        _told(make_authority(folder, name, days, force=force), json_)
    except RingleaderError as error:
        fail(error, json_)


@app.command()
def node(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The member's name.")],
    hosts: Annotated[
        list[str] | None, typer.Argument(metavar="HOST", help="Names and addresses at which it is reached.")
    ] = None,
    folder: Folder = CERTS,
    days: Days = 365,
    force: Force = False,
    json_: Json = False,
) -> None:
    """Make a certificate for a node: for clients, for other nodes and for HTTP."""
    from ringleader.node.certificates import make_node

    try:
        _told(make_node(folder, name, hosts or ["localhost", "127.0.0.1", "::1"], days, force=force), json_)
    except RingleaderError as error:
        fail(error, json_)


@app.command()
def client(
    user: Annotated[str, typer.Argument(metavar="USER", help="The user who logs in with it.")],
    folder: Folder = CERTS,
    days: Days = 365,
    force: Force = False,
    json_: Json = False,
) -> None:
    """Make a certificate with which a user logs in."""
    from ringleader.node.certificates import make_user

    try:
        _told(make_user(folder, user, days, force=force), json_)
    except RingleaderError as error:
        fail(error, json_)


def _told(path: Path, json_: bool) -> None:
    key = path.with_name(f"{path.stem}-key.pem")
    if json_:
        as_json({"cert": str(path), "key": str(key)})
    else:
        say(f"{path} and its key {key}")
