"""One conversation of a node that wants to become a member: it asks a member at its peer port, and each proves the secret.

The handshake is that of a link (`wire.peer`), with the role "join"; the answer is read only once the member has proved to
know the secret, so nobody else can hand out an identity.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct

import msgspec

from ringleader.runtime.framing import UNREADABLE, explain_garbage
from ringleader.runtime.tls import TlsFiles
from ringleader.wire.frames import Refused, ServerFrame
from ringleader.wire.peer import (
    MAX_HANDSHAKE_FRAME,
    MAX_JOINED_FRAME,
    Handshake,
    PeerChallenge,
    PeerHello,
    PeerJoined,
    PeerProof,
    PeerRefused,
    decode_handshake,
    encode,
    proof_holds,
    prove,
)

__all__ = ["NoMemberError", "ask_to_join"]

_LENGTH = struct.Struct(">I")
_to_client = msgspec.msgpack.Decoder(ServerFrame)


class NoMemberError(Exception):
    """Whoever listens there does not know the secret, or does not speak the peer protocol."""


async def ask_to_join(
    address: tuple[str, int], secret: str, hello: PeerHello, timeout: float, tls: TlsFiles | None = None
) -> PeerJoined | PeerRefused:
    """Ask the member at `address`; `hello` has the role "join". `timeout` in seconds. `tls`: as for links.

    Raises `OSError` and `TimeoutError` when nobody answers, `NoMemberError` when the answer is worth nothing.
    """
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection(*address, ssl=tls.dial if tls is not None else None)
        try:
            return await _converse(reader, writer, secret, hello)
        except asyncio.IncompleteReadError:
            raise ConnectionResetError("it closed the connection") from None
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secret: str, hello: PeerHello
) -> PeerJoined | PeerRefused:
    _send(writer, hello)
    challenge = await _receive(reader, MAX_HANDSHAKE_FRAME)
    if isinstance(challenge, PeerRefused):
        raise NoMemberError(challenge.message)
    if not isinstance(challenge, PeerChallenge):
        raise NoMemberError(f"it answered with {type(challenge).__name__}")
    if not proof_holds(challenge.proof, secret, "acceptor", hello, challenge.nonce):
        raise NoMemberError("it does not know this cluster token")
    _send(writer, PeerProof(prove(secret, "dialler", hello, challenge.nonce)))
    answer = await _receive(reader, MAX_JOINED_FRAME)
    if not isinstance(answer, PeerJoined | PeerRefused):
        raise NoMemberError(f"it answered with {type(answer).__name__}")
    return answer


def _send(writer: asyncio.StreamWriter, frame: Handshake) -> None:
    body = encode(frame)
    writer.write(_LENGTH.pack(len(body)) + body)


async def _receive(reader: asyncio.StreamReader, limit: int) -> Handshake:
    start = await reader.readexactly(4)
    (length,) = _LENGTH.unpack(start)
    if length > limit:
        raise NoMemberError(explain_garbage(start) or f"it sent a frame of {length} bytes")
    body = await reader.readexactly(length)
    try:
        return decode_handshake(body)
    except UNREADABLE as error:
        if _speaks_to_clients(body):
            raise NoMemberError("that is a port for clients, not a peer port") from None
        raise NoMemberError(f"its answer is not understood: {error}") from None


def _speaks_to_clients(body: bytes) -> bool:
    """Whether the answer is what clients are told whose first frame makes no sense."""
    try:
        return isinstance(_to_client.decode(body), Refused)
    except UNREADABLE:
        return False
