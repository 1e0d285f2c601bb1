"""What all commands share: the options, the output (a person's or JSON), and errors told in one line.

Exit codes: 0 done; 1 failed, certainly not applied; 2 the call itself is wrong; 3 it may or may not have been applied.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from ringleader.errors import NotAppliedError, OutcomeUnknownError, Reason, RingleaderError, UsageError

if TYPE_CHECKING:
    from ringleader.client import Client

__all__ = ["Endpoints", "Json", "Timeout", "as_json", "fail", "parse_number", "run", "say", "text_of"]

T = TypeVar("T")

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
Timeout = Annotated[float, typer.Option("--timeout", min=0.001, help="Seconds before a call is given up.")]


def run(endpoints: str | None, as_json_: bool, timeout: float, act: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
    """Connect, do `act(client)`, disconnect; errors end the program with their exit code."""
    import ringleader

    async def main() -> T:
        arguments = (endpoints,) if endpoints else ()
        async with ringleader.connect(*arguments, timeout=timeout) as client:
            return await act(client)

    try:
        return asyncio.run(main())
    except RingleaderError as error:
        fail(error, as_json_)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def fail(error: RingleaderError, as_json_: bool) -> NoReturn:
    """Tell an error, and end with the exit code of its class."""
    code = 3 if isinstance(error, OutcomeUnknownError) else 2 if isinstance(error, UsageError) else 1
    applied = {3: "unknown"}.get(code, "no")
    if not isinstance(error, OutcomeUnknownError | UsageError | NotAppliedError):
        applied = "none"
    if as_json_:
        body: dict[str, object] = {"reason": str(error.reason), "message": error.message, "applied": applied}
        body |= {"node": error.node, "hint": error.hint}
        print(json.dumps({"error": body}), flush=True)
    else:
        note = {"unknown": " [the write may or may not have been applied]"}.get(applied, "")
        print(f"ringleader: {error}{note}", file=sys.stderr, flush=True)
    raise typer.Exit(code)


def usage(message: str, hint: str = "") -> UsageError:
    """An argument that makes no sense."""
    return UsageError(message, reason=Reason.INVALID_ARGUMENT, hint=hint)


def say(text: str) -> None:
    """A line for a person."""
    print(text, flush=True)


def as_json(value: object) -> None:
    """One line of JSON."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def text_of(data: bytes) -> str:
    """Bytes as text; what is not UTF-8 is shown as \\xNN."""
    return data.decode("utf-8", "backslashreplace")


def parse_number(text: str, what: str) -> int:
    """A whole number, in decimal or with 0x. Raises `UsageError`."""
    try:
        return int(text, 0)
    except ValueError:
        raise usage(f"{what} must be a whole number, not {text!r}") from None
