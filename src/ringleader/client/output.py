"""What a client wants done: the one thing that its pure part hands to the world."""

from __future__ import annotations

import msgspec

from ringleader.errors import RingleaderError
from ringleader.store.commands import Result
from ringleader.wire.frames import ClientFrame, StatusReply, WatchEvents
from ringleader.wire.login import Challenge

__all__ = ["Answer", "ClientOutput"]

Answer = list[Result] | StatusReply | RingleaderError
"""How a call ends: its results, one for each command or read; how a node stands; or the error."""


class ClientOutput(msgspec.Struct):
    """What the client wants done. Carry out in this order: `dial`, `send`, `close`; then hand on `done` and `events`.

    `dial`: (link, address) to connect to, answered by `connected` or `closed`. `done`: (call, its results, one for each
    command or read, or the error). A call of one command ends in an error if the store refuses it; of several, the
    results have a `Failure` in its place. `events`: (watch, events) or (watch, why it has ended).
    `stretch`: (link, challenge) for `Credentials.stretch`, which is slow, answered by `stretched(link)`.
    """

    dial: list[tuple[int, str]] = []
    send: list[tuple[int, ClientFrame]] = []
    close: list[int] = []
    done: list[tuple[int, Answer]] = []
    events: list[tuple[int, WatchEvents | RingleaderError]] = []
    stretch: list[tuple[int, Challenge]] = []
