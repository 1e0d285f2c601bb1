"""`ringleader lock` and `ringleader elect`: run a command under a lock, take part in an election."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ringleader.cli.common import Endpoints, Json, Timeout, as_json, bytes_of, checked_name, run, say, text_of, usage
from ringleader.cli.descendants import alive, descendants

if TYPE_CHECKING:
    from ringleader.client import Client

__all__ = ["elect", "lock"]

LOST_EXIT = 75
"""The exit code when the lock was lost while the command ran (EX_TEMPFAIL of sysexits.h)."""
GRACE = 10.0
"""Seconds from SIGTERM to SIGKILL."""
LOOK = 0.1
"""Seconds between two looks at what the command has left behind."""


def lock(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The lock.")],
    command: Annotated[list[str] | None, typer.Argument(metavar="-- CMD", help="Run it under the lock.")] = None,
    ttl: Annotated[float, typer.Option(help="Seconds after which the lock of a dead holder is free.")] = 10.0,
    wait: Annotated[float, typer.Option(min=0, max=1e9, help="Most seconds to wait for the lock; 0: for ever.")] = 0.0,
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Hold a lock while a command runs (its exit code is passed on), or until Ctrl-C.

    The command finds the fencing token in RINGLEADER_FENCING_TOKEN. When the lock is lost the command is sent SIGTERM, and
    what it leaves behind after it; the exit code is 75.
    """

    async def act(client: Client) -> int:
        async with client.lock(checked_name(name, "the name of a lock"), ttl=ttl, timeout=wait or None) as held:
            token = held.fencing_token
            if command:
                return await _run_while(command, {"RINGLEADER_FENCING_TOKEN": str(token)}, held.lost)
            as_json({"lock": name, "fencing_token": token}) if json_ else say(f"locked {name} fencing token {token}")
            await held.lost.wait()
            return LOST_EXIT

    raise typer.Exit(run(endpoints, json_, timeout, act))


class _Signals:
    """Passes the signals that ask this process to end on to the command; the lock is released when that has ended."""

    def __init__(self) -> None:
        self._early: list[int] = []
        self._process: asyncio.subprocess.Process | None = None
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):  # Windows
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                loop.add_signal_handler(number, self._received, number)

    def pass_to(self, process: asyncio.subprocess.Process) -> None:
        """From now on to this one; what came before it was started, too."""
        self._process = process
        for number in self._early:
            self._send(number)

    def _received(self, number: int) -> None:
        if number == signal.SIGINT and sys.stdin.isatty():
            return  # Ctrl-C at a terminal reaches the command by itself: twice would cut its clean-up short
        if self._process is None:
            self._early.append(number)
        else:
            self._send(number)

    def _send(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


async def _run_while(command: list[str], extra: dict[str, str], lost: asyncio.Event) -> int:
    """The command's exit code; 128 and the signal's number when a signal ended it, as shells say it."""
    signals = _Signals()
    try:
        process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **extra})
    except OSError as error:
        raise usage(f"{command[0]!r} cannot be run: {error.strerror}") from None
    signals.pass_to(process)
    ended = asyncio.ensure_future(process.wait())
    losing = asyncio.ensure_future(lost.wait())
    await asyncio.wait({ended, losing}, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        print("ringleader: the lock is lost; the command is ended", file=sys.stderr)
        below = descendants(process.pid)
        process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended), GRACE)
        below |= descendants(process.pid)
        if process.returncode is None:
            process.kill()
        await ended
        await _end_left(below)
        return LOST_EXIT
    losing.cancel()
    code = ended.result()
    return 128 - code if code < 0 else code


async def _end_left(below: dict[int, str]) -> None:
    """What the command had started and has left behind, as a shell does that is ended, works without the lock: end it too."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = alive(below)
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        patience = GRACE
        while left and patience > 0:
            await asyncio.sleep(LOOK)
            patience -= LOOK
            left = alive(below)


def elect(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The election.")],
    value: Annotated[
        str | None, typer.Argument(metavar="VALUE", help="Stand with this value; without it, watch who leads.")
    ] = None,
    ttl: Annotated[float, typer.Option(help="Seconds after which a dead leader is replaced.")] = 10.0,
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Stand for election and lead until Ctrl-C; or, without VALUE, print every new leader."""

    async def stand(client: Client) -> int:
        election = client.election(checked_name(name, "the name of an election"))
        async with election.campaign(bytes_of(value or ""), ttl=ttl) as term:
            if json_:
                as_json({"election": name, "value": value, "fencing_token": term.fencing_token})
            else:
                say(f"elected {value} fencing token {term.fencing_token}")
            await term.lost.wait()
            return LOST_EXIT

    async def observe(client: Client) -> int:
        election = client.election(checked_name(name, "the name of an election"))
        async for leader in election.observe():
            value = text_of(leader.value) if leader else None
            if json_:
                as_json({"election": name, "value": value, "fencing_token": leader.fencing_token if leader else None})
            else:
                say("(nobody leads)" if value is None else value)
        return 0

    raise typer.Exit(run(endpoints, json_, timeout, observe if value is None else stand))
