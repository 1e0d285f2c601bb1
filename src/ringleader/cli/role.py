"""`ringleader role`: what users may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ringleader.cli.common import Endpoints, Json, Timeout, as_json, bytes_of, change, run, say, text_of, usage

if TYPE_CHECKING:
    from ringleader.client import Client
    from ringleader.client.auth import AuthRole, Permission

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(metavar="ROLE", help="The role.")]
Right = Annotated[
    str, typer.Argument(metavar="RIGHT", help="read, write or readwrite with a KEY; or lease, cluster, auth without.")
]
Key = Annotated[str | None, typer.Argument(metavar="KEY", help="A key, or with --prefix all that begin so.")]
RangeEnd = Annotated[
    str | None, typer.Option("--range-end", metavar="KEY", help="All keys from KEY up to before this one.")
]
Prefix = Annotated[bool, typer.Option("--prefix", help='All keys that begin with KEY ("": every key).')]
RIGHTS = ("read", "write", "readwrite", "lease", "cluster", "auth")


@app.command()
def add(name: Name, endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False) -> None:
    """Add a role, which allows nothing yet."""
    change(endpoints, json_, timeout, lambda client: client.auth.add_role(name), f"added role {name}")


@app.command()
def delete(name: Name, endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False) -> None:
    """Delete a role; all who had it lose it."""
    change(endpoints, json_, timeout, lambda client: client.auth.delete_role(name), f"deleted role {name}")


@app.command()
def grant(
    name: Name, right: Right, key: Key = None, range_end: RangeEnd = None, prefix: Prefix = False,
    endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False,
) -> None:  # fmt: skip
    """Allow something."""
    _change(True, name, right, key, range_end, prefix, endpoints, timeout, json_)


@app.command()
def revoke(
    name: Name, right: Right, key: Key = None, range_end: RangeEnd = None, prefix: Prefix = False,
    endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False,
) -> None:  # fmt: skip
    """Take back exactly what was allowed so."""
    _change(False, name, right, key, range_end, prefix, endpoints, timeout, json_)


def _change(
    give: bool, name: str, right: str, key: str | None, range_end: str | None, prefix: bool,
    endpoints: str | None, timeout: float, json_: bool,
) -> None:  # fmt: skip
    if right not in RIGHTS:
        raise usage(f"a right is one of {', '.join(RIGHTS)}, not {right!r}")
    if right in RIGHTS[:3] and not key and not prefix:
        raise usage(f"the right {right!r} needs a KEY; with --prefix it holds for all that begin so")
    first = None if key is None else bytes_of(key)
    end = None if range_end is None else bytes_of(range_end)

    async def act(client: Client) -> None:
        call = client.auth.grant if give else client.auth.revoke
        await call(name, right, first, range_end=end, prefix=prefix)  # type: ignore[arg-type]  # checked above

    change(endpoints, json_, timeout, act, f"{name}: {'granted' if give else 'revoked'} {right}")


@app.command("list")
def list_(endpoints: Endpoints = None, timeout: Timeout = 5.0, json_: Json = False) -> None:
    """Show all roles but root, which may do everything."""

    async def act(client: Client) -> list[AuthRole]:
        return await client.auth.roles()

    for role in run(endpoints, json_, timeout, act):
        if json_:
            rights = [
                {"right": each.right, "key": text_of(each.key), "range_end": text_of(each.range_end)}
                for each in role.permissions
            ]
            as_json({"name": role.name, "permissions": rights})
        else:
            say(f"{role.name}: {', '.join(map(_words, role.permissions)) or 'nothing'}")


def _words(permission: Permission) -> str:
    if not permission.key:
        return permission.right
    key, end = permission.key, permission.range_end
    if not end:
        return f"{permission.right} {text_of(key)}"
    if end == b"\0":
        return f"{permission.right} {'every key' if key == end else f'from {text_of(key)} on'}"
    if end == key[:-1] + bytes([min(key[-1] + 1, 255)]):
        return f"{permission.right} {text_of(key)}*"
    return f"{permission.right} [{text_of(key)}, {text_of(end)})"
