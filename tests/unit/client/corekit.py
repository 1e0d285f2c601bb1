"""What tests of the client's core say and look for."""

from __future__ import annotations

import msgspec

from ringleader.errors import (
    RingleaderError,
)
from ringleader.store.commands import (
    Command,
    Put,
    Result,
)
from ringleader.wire.frames import (
    Submit,
)
from unit.client.fakes import Bench

COMMANDS = msgspec.msgpack.Decoder(list[tuple[int, Command]])


def put(number: int) -> Put:
    return Put(b"k%d" % number, b"v%d" % number)


def error_of(bench: Bench, call: int) -> RingleaderError:
    answer = bench.done[call]
    assert isinstance(answer, RingleaderError), answer
    return answer


def results_of(bench: Bench, call: int) -> list[Result]:
    answer = bench.done[call]
    assert isinstance(answer, list), answer
    return answer


def submits(bench: Bench) -> list[tuple[int, int, list[tuple[int, Command]]]]:
    """(session, ack, commands) of all submits sent so far."""
    return [(f.session, f.ack, COMMANDS.decode(f.commands)) for _, f in bench.sent if isinstance(f, Submit)]
