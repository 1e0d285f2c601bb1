"""The command line's entry: mounts all commands; groups are imported only when one of theirs is called."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from ringleader.cli.common import fail, output_failed, usage
from ringleader.cli.dev import dev
from ringleader.cli.lock import elect, lock
from ringleader.cli.login import Ca, Cert, Key, PasswordFile, TokenFile, User, remember
from ringleader.cli.start import start
from ringleader.cli.status import status
from ringleader.errors import RingleaderError

__all__ = ["app", "main"]

GROUPS = {
    "auth": ("ringleader.cli.auth", "Logins: switch them on and off, see who you are."),
    "cert": ("ringleader.cli.cert", "Certificates: an authority for development, nodes, users."),
    "cluster": ("ringleader.cli.cluster", "Members: list, add, promote, remove; hand leadership over."),
    "role": ("ringleader.cli.role", "Roles: what users may do."),
    "token": ("ringleader.cli.token", "Tokens: log in without a password, until revoked."),
    "user": ("ringleader.cli.user", "Users: who may log in."),
    "debug": ("ringleader.cli.debug", "Look into the files of a node."),
    "kv": ("ringleader.cli.kv", "Keys and values: put, get, delete, range, watch, txn."),
    "lease": ("ringleader.cli.lease", "Leases: keys that go away when nobody keeps them alive."),
    "ring": ("ringleader.cli.ring", "Consistent hashing: who owns what, and what moves."),
    "settings": ("ringleader.cli.settings", "Settings of the whole cluster: quota, history."),
    "snapshot": ("ringleader.cli.snapshot", "Back-ups: save, check, restore."),
    "sim": (
        "ringleader.cli.sim",
        "Simulate whole clusters under faults: every run is fixed by its seed and checked at every step.",
    ),
}
"""Where each group of commands is, and what its help page says of it."""
_OUTPUT_FAILS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF, errno.EPIPE)
"""What comes of `print` to a standard output that is full, broken or gone; it names no file."""


class LazyGroup(TyperGroup):
    """Finds the groups of `GROUPS` by name, importing a module only when its group is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, for the help page."""
        groups = [name for name, (module, _) in GROUPS.items() if importlib.util.find_spec(module)]
        return sorted({*super().list_commands(ctx), *groups})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        if cmd_name in GROUPS and importlib.util.find_spec(GROUPS[cmd_name][0]):
            module = importlib.import_module(GROUPS[cmd_name][0])
            group = typer.main.get_command(module.app)
            group.name, group.help = cmd_name, GROUPS[cmd_name][1]
            return group
        return super().get_command(ctx, cmd_name)


app = typer.Typer(
    name="ringleader",
    cls=LazyGroup,
    help="Services that agree, find each other, share data and divide work.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(dev)
app.command()(start)
app.command()(status)
app.command()(lock)
app.command()(elect)


@app.callback(invoke_without_command=True)
def _root(
    user: User = None, password_file: PasswordFile = None, token_file: TokenFile = None,
    ca: Ca = None, cert: Cert = None, key: Key = None,
    version: bool = typer.Option(False, "--version", help="Show the release and end."),
) -> None:  # fmt: skip
    remember(user, password_file, token_file, ca, cert, key)
    if version:
        import ringleader

        print(f"ringleader {ringleader.__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; an error is told in one line, never as a traceback (but see RINGLEADER_TRACEBACK=1)."""
    arguments = sys.argv[1:]
    json_ = "--json" in (arguments[: arguments.index("--")] if "--" in arguments else arguments)
    try:
        sys.exit(_run(json_))
    except typer.Exit as end:
        sys.exit(end.exit_code)


def _run(json_: bool) -> int:
    """The exit code."""
    try:
        code = typer.main.get_command(app).main(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except RingleaderError as error:
        fail(error, json_)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except OSError as error:
        if error.filename is not None or error.errno not in _OUTPUT_FAILS:
            return _bug(error)
        return output_failed(error)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "show"):  # what typer says of a wrong call
            if not error.format_message() or type(error).__name__ == "NoArgsIsHelpError":
                error.show()
                return 2
            fail(usage(_sentence(error.format_message()), _see_help(error)), json_)
        return _bug(error)


def _bug(error: Exception) -> int:
    """What nobody has thought of."""
    if os.environ.get("RINGLEADER_TRACEBACK"):
        raise error
    print(
        f"ringleader: this is a bug, please report it: {type(error).__name__}: {' '.join(str(error).split())}"
        " (RINGLEADER_TRACEBACK=1 shows where)",
        file=sys.stderr,
    )
    return 70  # EX_SOFTWARE of sysexits.h


def _sentence(message: str) -> str:
    return " ".join(message.split()).rstrip(".")


def _see_help(error: Any) -> str:
    context = getattr(error, "ctx", None)
    return f"See {context.command_path} --help." if context is not None else ""
