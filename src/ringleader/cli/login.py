"""Who a command line logs in as, and whom it trusts: the options before the command, else the environment.

Secrets come from files, the environment or the terminal, never from argv, which others on the machine can read.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ringleader.cli.common import LoginArguments, connecting, usage

__all__ = ["Ca", "Cert", "Key", "PasswordFile", "TokenFile", "User", "remember"]

User = Annotated[
    str | None,
    typer.Option("--user", metavar="NAME", help="Log in as; the password is asked for unless one is given elsewhere."),
]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", metavar="FILE", help="Its first line; else RINGLEADER_PASSWORD.")
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help="Log in by its first line; else RINGLEADER_TOKEN.")
]
Ca = Annotated[
    str | None,
    typer.Option("--ca", metavar="FILE", help='Speak TLS and trust this authority ("system"); RINGLEADER_CA.'),
]
Cert = Annotated[str | None, typer.Option("--cert", metavar="FILE", help="Our certificate; else RINGLEADER_CERT.")]
Key = Annotated[str | None, typer.Option("--key", metavar="FILE", help="Its key; else RINGLEADER_KEY.")]

MOST = 4096
"""Bytes of a file with a secret that are read."""


def remember(
    user: str | None, password_file: Path | None, token_file: Path | None, ca: str | None, cert: str | None, key: str | None
) -> None:  # fmt: skip
    """Let `common.run` connect so. Nothing is read or asked for before it does."""

    def arguments() -> LoginArguments:
        given = LoginArguments()
        if token_file is not None:
            if user or password_file:
                raise usage("give --token-file, or --user with its password, not both")
            given["token"] = _first_line("--token-file", token_file)
        elif user or password_file:
            given["username"] = user or os.environ.get("RINGLEADER_USERNAME", "")
            given["password"] = _password(given["username"], password_file)
        if ca or cert or key:
            given["ca"], given["cert"], given["key"] = files()
        return given

    def files() -> tuple[str, str, str]:
        others = os.environ.get("RINGLEADER_KEY", "") if not cert else ""
        return (
            ca or os.environ.get("RINGLEADER_CA", ""), cert or os.environ.get("RINGLEADER_CERT", ""), key or others
        )  # fmt: skip

    connecting.arguments, connecting.files = arguments, files


def _password(user: str, file: Path | None) -> str:
    if file is not None:
        return _first_line("--password-file", file)
    if found := os.environ.get("RINGLEADER_PASSWORD"):
        return found
    if not sys.stdin.isatty():
        raise usage(f"there is no password of {user!r}", "Give --password-file or RINGLEADER_PASSWORD.")
    return getpass.getpass(f"Password of {user}: ")


def _first_line(option: str, file: Path) -> str:
    try:
        with file.open("rb") as opened:
            line = opened.read(MOST).partition(b"\n")[0].rstrip(b"\r").decode()
    except OSError as error:
        raise usage(f"{option}: cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise usage(f"{option}: {file} is not UTF-8") from None
    if not line:
        raise usage(f"{option}: the first line of {file} is empty")
    return line
