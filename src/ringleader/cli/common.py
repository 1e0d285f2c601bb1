"""What all commands share: the options, the output (a person's or JSON), and errors told in one line.

Exit codes: 0 done; 1 failed, certainly not applied; 2 the call itself is wrong; 3 it may or may not have been applied;
74 standard output cannot be written; 75 a lock was lost; 130 and 143 ended by Ctrl-C and SIGTERM; 141 nobody reads standard
output any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypedDict, TypeVar

import typer

from ringleader.errors import NotAppliedError, OutcomeUnknownError, Reason, RingleaderError, UsageError

if TYPE_CHECKING:
    from ringleader.client import Client

__all__ = [
    "BIGGEST",
    "TIMEOUT_FROM",
    "Endpoints",
    "Json",
    "LoginArguments",
    "Timeout",
    "as_json",
    "bytes_of",
    "change",
    "checked_name",
    "connecting",
    "fail",
    "output_failed",
    "parse_number",
    "read_input",
    "run",
    "say",
    "text_of",
    "usage",
    "write",
]

T = TypeVar("T")

ATTEMPTS = 5
"""At least so many attempts to connect fit into the time of a call, if that is longer than usual."""
FAR = 5.0
"""Seconds that one attempt gets at most: a node that is gone must not cost more."""
BIGGEST = 2**63 - 1
"""Of the numbers that the store knows: revisions, lease ids."""

Endpoints = Annotated[
    str | None,
    typer.Option(
        "--endpoints",
        "-e",
        metavar="HOST:PORT,...",
        help="Nodes to talk to; else RINGLEADER_ENDPOINTS, else the local `ringleader dev` cluster.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, nothing else.")]
TIMEOUT_FROM = "RINGLEADER_TIMEOUT"
Timeout = Annotated[
    float,
    typer.Option("--timeout", min=0.001, max=1e6, envvar=TIMEOUT_FROM, help="Seconds before a call is given up."),
]


class LoginArguments(TypedDict, total=False):
    """Of `connect`."""

    username: str
    password: str
    token: str
    ca: str
    cert: str
    key: str


class _Connecting:
    """How `run` connects; `arguments` gives what of `connect` the options before the command have set.

    `files`: authority, certificate and key by these options or the environment, "" for none.
    """

    def __init__(self) -> None:
        self.arguments: Callable[[], LoginArguments] = lambda: LoginArguments()
        self.files: Callable[[], tuple[str, str, str]] = lambda: ("", "", "")


connecting = _Connecting()


def run(
    endpoints: str | None,
    as_json_: bool,
    timeout: float,
    act: Callable[[Client], Coroutine[Any, Any, T]],
    *,
    prefer_leader: bool = True,
) -> T:
    """Connect, do `act(client)`, disconnect; errors end the program with their exit code.

    Whoever gives a call more time than usual is far away, and needs more for each attempt to connect as well.

    SIGTERM ends it as Ctrl-C does: what is held, a lock for instance, is given back first.
    """
    import ringleader
    from ringleader.client.options import ClientOptions

    signals: list[int] = []
    options = ClientOptions(
        prefer_leader=prefer_leader,
        connect_timeout=max(ClientOptions().connect_timeout, min(timeout / ATTEMPTS, FAR)),
    )

    async def main() -> T:
        _cancel_on_sigterm(signals)
        places = (endpoints,) if endpoints is not None else ()
        async with ringleader.connect(*places, timeout=timeout, options=options, **login) as client:
            return await act(client)

    try:
        login = connecting.arguments()
        return asyncio.run(main())
    except RingleaderError as error:
        fail(error, as_json_)
    except KeyboardInterrupt:
        raise typer.Exit(128 + signal.SIGINT) from None
    except asyncio.CancelledError:
        if not signals:
            raise
        raise typer.Exit(128 + signals[0]) from None


def _cancel_on_sigterm(signals: list[int]) -> None:
    task = asyncio.current_task()
    assert task is not None

    def cancel() -> None:
        signals.append(signal.SIGTERM)
        task.cancel()

    with contextlib.suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, cancel)


def fail(error: RingleaderError, as_json_: bool) -> NoReturn:
    """Tell an error, and end with the exit code of its class."""
    code = 3 if isinstance(error, OutcomeUnknownError) else 2 if isinstance(error, UsageError) else 1
    applied = {3: "unknown"}.get(code, "no")
    if not isinstance(error, OutcomeUnknownError | UsageError | NotAppliedError):
        applied = "none"
    if as_json_:
        body: dict[str, object] = {"reason": str(error.reason), "message": error.message, "applied": applied}
        body |= {"node": error.node, "hint": error.hint}
        as_json({"error": body})
    else:
        note = {"unknown": " [the write may or may not have been applied]"}.get(applied, "")
        line = " ".join(f"{error}{note}".split("\n"))
        print(f"ringleader: {line}", file=sys.stderr, flush=True)
    raise typer.Exit(code)


def usage(message: str, hint: str = "") -> UsageError:
    """An argument that makes no sense."""
    return UsageError(message, reason=Reason.INVALID_ARGUMENT, hint=hint)


def say(text: str) -> None:
    """A line for a person."""
    write(text.encode("utf-8", "backslashreplace"))


def change(
    endpoints: str | None,
    as_json_: bool,
    timeout: float,
    act: Callable[[Client], Coroutine[Any, Any, None]],
    done: str,
) -> None:
    """As `run`, for what has no other result: then say what is `done`."""
    run(endpoints, as_json_, timeout, act)
    as_json({"done": done}) if as_json_ else say(done)


def as_json(value: object) -> None:
    """One line of JSON."""
    write(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace"))


def write(line: bytes) -> None:
    """A line to standard output, at once. Ends the program when nobody reads it any more (`| head`), or it is full."""
    if sys.stdout is None:  # it is closed: then nobody wants to know, as with `print`
        return
    try:
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
    except OSError as error:
        raise typer.Exit(output_failed(error)) from None


def output_failed(error: OSError) -> int:
    """Standard output takes nothing any more: the exit code."""
    # The interpreter flushes it once more at its end: let that go nowhere.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return 128 + 13
    print(f"ringleader: cannot write to standard output: {error.strerror or error}", file=sys.stderr)
    return 74  # EX_IOERR of sysexits.h


MOST_INPUT = 16 << 20
"""Bytes of standard input that are read: more than any call may have."""


def read_input() -> bytes:
    """All of standard input. Raises `UsageError` when it is closed, or more than any call may have."""
    if sys.stdin is None:
        raise usage("standard input is closed")
    data = sys.stdin.buffer.read(MOST_INPUT + 1)
    if len(data) > MOST_INPUT:
        raise usage(f"standard input has more than {MOST_INPUT} bytes")
    return data


def text_of(data: bytes) -> str:
    """Bytes as text; what is not UTF-8 is shown as \\xNN."""
    return data.decode("utf-8", "backslashreplace")


def bytes_of(argument: str) -> bytes:
    """An argument of the command line as the bytes it was given as, also when they are not UTF-8."""
    return argument.encode("utf-8", "surrogateescape")


def checked_name(name: str, what: str) -> str:
    """A name, which must be UTF-8. Raises `UsageError`."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise usage(f"{what} must be UTF-8, not {bytes_of(name)!r}") from None
    return name


def parse_number(text: str, what: str) -> int:
    """A whole number of 63 bits, in decimal or with 0x. Raises `UsageError`."""
    try:
        number = int(text, 0)
    except ValueError:
        raise usage(f"{what} must be a whole number, not {text!r}") from None
    if not 0 <= number <= BIGGEST:
        raise usage(f"{what} is a number from 0 to {BIGGEST}, not {text}")
    return number
