"""The door for other nodes: a stranger until its proof holds, then a link on which a peer, or a node that joins, speaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from ringleader.errors import Reason
from ringleader.ports import Entropy
from ringleader.runtime.complaints import Complaints
from ringleader.runtime.framing import UNREADABLE, FrameProtocol, framed
from ringleader.runtime.peers import PeerOptions, PeerSelf
from ringleader.runtime.tls import TlsDoor, not_for
from ringleader.wire.frames import NodeInfo
from ringleader.wire.peer import (
    MAX_HANDSHAKE_FRAME,
    MAX_PEER_FRAME,
    NONCE_BYTES,
    Handshake,
    PeerChallenge,
    PeerHello,
    PeerJoined,
    PeerProof,
    PeerRefused,
    PeerWelcome,
    check_hello,
    decode_handshake,
    decode_messages,
    encode,
    proof_holds,
    prove,
)

__all__ = ["PeerDoor", "PeerHandler"]

logger = logging.getLogger("ringleader.peers")


class PeerHandler(Protocol):
    """What the node is told."""

    def admit(self, hello: PeerHello) -> PeerRefused | None:
        """Why this caller, which knows the secret, may not link; None when it may."""
        ...

    def join(self, hello: PeerHello, answer: Callable[[PeerJoined | PeerRefused], None]) -> None:
        """A node that knows the secret wants to become a member; `answer` it once, now or later."""
        ...

    def peer_known(self, info: NodeInfo, address: str) -> None:
        """A member has linked; it says where clients and peers reach it."""
        ...

    def peer_messages(self, sender: int, messages: list[tuple[int, Any]]) -> None: ...


class PeerDoor:
    """All incoming links. A new link of a peer replaces its old one."""

    def __init__(
        self, me: PeerSelf, handler: PeerHandler, entropy: Entropy, complaints: Complaints, options: PeerOptions
    ) -> None:
        self.me = me
        self.handler = handler
        self.entropy = entropy
        self.complaints = complaints
        self.options = options
        self.links: dict[tuple[int, str], _Incoming] = {}  # by node and role
        self.strangers: dict[_Incoming, None] = {}  # oldest first
        self.refused = 0
        self._tls: TlsDoor | None = None
        if options.tls is not None:
            plain = framed(encode(PeerRefused(Reason.PROTOCOL, "this port speaks TLS only")))
            self._tls = TlsDoor(options.tls, lambda: _Incoming(self), complaints, plain, options.handshakes)

    def factory(self) -> asyncio.Protocol:
        """For `loop.create_server`."""
        return self._tls.factory() if self._tls is not None else _Incoming(self)

    def sweep(self, now: float) -> None:
        """Close those who do not finish their handshake; call about once a second. `now`: loop time."""
        for link in list(self.strangers):
            if now - link.opened_at > link.patience:
                link.abort()

    def expel(self, peer: int, refusal: PeerRefused) -> None:
        """End the links of a node that is no member any more, and say why."""
        for place in [place for place in self.links if place[0] == peer]:
            self.links.pop(place).refuse(refusal)

    def abort_all(self) -> None:
        """Close all at once."""
        if self._tls is not None:
            self._tls.abort_all()
        for link in [*self.links.values(), *self.strangers]:
            link.abort()


class _Incoming(FrameProtocol):
    """A link from a peer: a stranger until its proof holds."""

    def __init__(self, door: PeerDoor) -> None:
        super().__init__(MAX_HANDSHAKE_FRAME)
        self.door = door
        self.opened_at = self._loop.time()
        self.patience = door.options.connect
        self.hello: PeerHello | None = None
        self.nonce = b""
        self.sender = 0
        self.proven = False  # the dialler knows the secret
        self.place = (0, "")

    def on_open(self) -> None:
        strangers = self.door.strangers
        if len(strangers) >= self.door.options.max_strangers:
            oldest = next((one for one in strangers if not one.proven), None)
            if oldest is None:
                self.abort()
                return
            del strangers[oldest]
            oldest.abort()
        strangers[self] = None

    def on_frames(self, frames: list[memoryview]) -> None:
        for data in frames:
            if self.closing:
                return
            try:
                frame = decode_messages(data) if self.sender else decode_handshake(data)
            except UNREADABLE as error:
                self.refuse(PeerRefused(Reason.PROTOCOL, f"a frame of {len(data)} bytes is not understood: {error}"))
                return
            if isinstance(frame, list):
                self.door.handler.peer_messages(self.sender, frame)
            else:
                self._greet(frame)

    def _greet(self, frame: Handshake) -> None:
        me = self.door.me
        if isinstance(frame, PeerHello) and self.hello is None:
            refusal = check_hello(frame, me.cluster, me.node.id, me.consensus)
            if refusal is not None:
                self.refuse(refusal)
                return
            if self.door.options.tls is not None:
                problem = not_for(self.transport, frame.from_name)
                if problem:
                    self.refuse(PeerRefused(Reason.UNTRUSTED, problem))
                    return
            self.hello = frame
            self.nonce = self.door.entropy.getrandbits(8 * NONCE_BYTES).to_bytes(NONCE_BYTES, "big")
            self.send(encode(PeerChallenge(self.nonce, prove(me.secret, "acceptor", frame, self.nonce))))
            self.flush()
        elif isinstance(frame, PeerProof) and self.hello is not None:
            if not proof_holds(frame.proof, me.secret, "dialler", self.hello, self.nonce):
                self.refuse(PeerRefused(Reason.WRONG_CLUSTER, "the caller does not know this cluster's token"))
                return
            self.proven = True
            if self.hello.role == "join":
                self.patience = self.door.options.join
                self.door.handler.join(self.hello, self._joined)
                return
            refusal = self.door.handler.admit(self.hello)
            if refusal is not None:
                self.refuse(refusal)
                return
            self._welcome(self.hello)
        else:
            self.refuse(PeerRefused(Reason.PROTOCOL, f"{type(frame).__name__} does not come here in the handshake"))

    def _joined(self, answer: PeerJoined | PeerRefused) -> None:
        if isinstance(answer, PeerRefused):
            self.refuse(answer)
        else:
            self.send(encode(answer))
            self.close()

    def _welcome(self, hello: PeerHello) -> None:
        self.send(encode(PeerWelcome()))
        self.flush()
        self.sender = hello.from_node
        self.reader.limit = MAX_PEER_FRAME
        self.door.strangers.pop(self, None)
        self.place = (self.sender, hello.role)
        old, self.door.links[self.place] = self.door.links.get(self.place), self
        if old is not None:
            old.abort()
        if hello.role != "peer":
            return
        logger.info("node %d (%s) is connected from %s", hello.from_node, hello.from_name, self.address)
        self.door.handler.peer_known(NodeInfo(hello.from_node, hello.from_name, hello.client, hello.http), hello.peer)

    def on_bad_stream(self, message: str) -> None:
        self.refuse(PeerRefused(Reason.PROTOCOL, message))

    def refuse(self, refusal: PeerRefused) -> None:
        """Say why, and close."""
        self.sender = 0
        self.door.refused += 1
        self.door.complaints.say(self.address, refusal.reason, f"refused as a peer: {refusal.message}")
        self.send(encode(refusal))
        self.close()
        self.proven = False
        if self.transport is None:  # it has gone before the answer was there
            return
        self.door.strangers[self] = None  # `sweep` ends it when the other end does not
        self.opened_at = self._loop.time()

    def on_close(self, error: Exception | None) -> None:
        self.door.strangers.pop(self, None)
        if self.sender and self.door.links.get(self.place) is self:
            del self.door.links[self.place]
            logger.info("node %d has closed its link%s", self.sender, f": {error}" if error else "")
