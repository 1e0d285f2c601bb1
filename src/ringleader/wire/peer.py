"""What two nodes say to each other: a handshake in which both prove that they know the cluster's secret, then messages.

The node that dialled is the *dialler*, the other one the *acceptor*. A link carries messages one way, from the dialler to
the acceptor; the answers travel on the acceptor's own link.

    dialler                          acceptor
    PeerHello(nonce)          ->     checks magic, version, role, cluster and whom the caller wants
                              <-     PeerChallenge(nonce, proof) or PeerRefused and close
    PeerProof(proof)          ->     reads nothing else before this proof holds
                              <-     PeerWelcome, or PeerRefused and close when the caller is no member (any more)
    PeerMessages ...          ->

A node that wants to become a member says the role "join" in its hello; it proves itself alike, and is answered by
`PeerJoined` instead of a welcome, after which the connection is closed.

A proof is HMAC-SHA256 under the secret over both nonces, both nodes, the cluster and the side that speaks, so that neither
an old proof nor the other side's can be played back. Frames are length-prefixed like those of clients, but on a port of
their own. A link of role "bulk" carries the content of snapshots, so that nothing else waits behind it.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from ringleader.consensus.protocols import RAFT, Choice, CoreMessage
from ringleader.errors import Reason
from ringleader.store.member_ops import MemberRow
from ringleader.wire.relay import RelayMessage
from ringleader.wire.transfer import TransferMessage

__all__ = [
    "MAX_HANDSHAKE_FRAME",
    "MAX_JOINED_FRAME",
    "MAX_PEER_FRAME",
    "PEER_MAGIC",
    "PEER_VERSION",
    "Handshake",
    "PeerChallenge",
    "PeerHello",
    "PeerJoined",
    "PeerMessage",
    "PeerMessages",
    "PeerProof",
    "PeerRefused",
    "PeerWelcome",
    "check_hello",
    "decode_handshake",
    "decode_messages",
    "encode",
    "proof_holds",
    "prove",
]

PEER_MAGIC = "ringleader-peer"
PEER_VERSION = 1
MAX_PEER_FRAME = 128 * 1024 * 1024
"""The largest frame between nodes, in bytes: everything for one node that gathered in one turn."""
ROLES = ("peer", "bulk", "join")
"""Kinds of links."""
MAX_HANDSHAKE_FRAME = 4096
"""The largest frame before the other side has proved itself, in bytes."""
MAX_JOINED_FRAME = 1024 * 1024
"""The largest answer to a node that joins, in bytes; read once the acceptor has proved itself."""
NONCE_BYTES = 16


class PeerHello(msgspec.Struct, array_like=True, frozen=True, tag=1):
    """The dialler's first frame: who is calling whom, and where clients and monitoring reach the caller.

    `role`: "peer", "bulk", or "join" for a node that is no member yet (then `cluster`, `from_node` and `to_node` are empty).
    `peer`: where the caller's own peer port is reached. `incarnation`: of its data folder.
    `supports`: the highest cluster version that its release knows. `consensus`: what its cluster has chosen; of a node that
    joins, what it wants, None: whatever there is.
    """

    magic: str
    version: int
    role: str
    cluster: str
    from_node: int
    from_name: str
    to_node: int
    nonce: bytes
    client: str = ""
    http: str = ""
    peer: str = ""
    incarnation: str = ""
    supports: int = 0
    consensus: Choice | None = RAFT


class PeerChallenge(msgspec.Struct, array_like=True, frozen=True, tag=2):
    """The acceptor proves itself and asks for the same."""

    nonce: bytes
    proof: bytes


class PeerProof(msgspec.Struct, array_like=True, frozen=True, tag=3):
    """The dialler proves itself."""

    proof: bytes


class PeerRefused(msgspec.Struct, array_like=True, frozen=True, tag=4):
    """The link is not wanted, and why; it is closed after this."""

    reason: Reason
    message: str


class PeerWelcome(msgspec.Struct, array_like=True, frozen=True, tag=6):
    """The dialler is a member: messages may come."""


class PeerJoined(msgspec.Struct, array_like=True, frozen=True, tag=7):
    """The dialler is a member from now on: of this `cluster`, as `node`.

    `founders`: the names of the members that the cluster started with, whose ids are 1, 2 ... in the order of the names.
    `members`: the table of members as of log entry `index`, and the next id to be given. `consensus`: what it has chosen.
    """

    cluster: str
    node: int
    founders: list[str]
    members: list[MemberRow]
    index: int
    next_id: int
    consensus: Choice = RAFT


class PeerMessages(msgspec.Struct, array_like=True, tag=5):
    """Messages, oldest first, as (group, message)."""

    messages: list[tuple[int, PeerMessage]]


PeerMessage = CoreMessage | RelayMessage | TransferMessage
Handshake = PeerHello | PeerChallenge | PeerProof | PeerRefused | PeerWelcome | PeerJoined

_encoder = msgspec.msgpack.Encoder()
_handshake_decoder: msgspec.msgpack.Decoder[Handshake] = msgspec.msgpack.Decoder(Handshake)
_messages_decoder = msgspec.msgpack.Decoder(PeerMessages)


def encode(frame: Handshake | PeerMessages) -> bytes:
    """The bytes of a frame, without the length prefix."""
    return _encoder.encode(frame)


def decode_handshake(data: bytes | memoryview) -> Handshake:
    """A frame of the handshake. Raises `msgspec.MsgspecError`."""
    return _handshake_decoder.decode(data)


def decode_messages(data: bytes | memoryview) -> list[tuple[int, PeerMessage]]:
    """The messages of a frame. Raises `msgspec.MsgspecError`."""
    return _messages_decoder.decode(data).messages


def check_hello(hello: PeerHello, cluster: str, node: int, consensus: Choice = RAFT) -> PeerRefused | None:
    """Why the acceptor `node` of `cluster`, which runs `consensus`, does not even talk to this caller; `None` when it does.

    Whether the caller is a member is asked only once it has proved to know the secret.
    """
    if hello.magic != PEER_MAGIC or hello.role not in ROLES:
        return PeerRefused(
            Reason.PROTOCOL, f"expected a link of kind 'peer', 'bulk' or 'join', not {hello.role[:40]!r}"
        )
    if hello.version != PEER_VERSION:
        return PeerRefused(
            Reason.VERSION, f"the caller speaks version {hello.version} of the peer protocol, this node {PEER_VERSION}"
        )
    if len(hello.nonce) != NONCE_BYTES:
        return PeerRefused(Reason.PROTOCOL, f"the nonce must have {NONCE_BYTES} bytes")
    if hello.role == "join":
        return None
    if hello.cluster != cluster:
        return PeerRefused(
            Reason.WRONG_CLUSTER,
            f"the caller belongs to cluster {hello.cluster[:40]}, this node to {cluster}: "
            "the cluster token or the list of initial members differs",
        )
    if hello.consensus != consensus:
        text = f"the caller runs {hello.consensus or 'nothing'}, this node {consensus}: all nodes of a cluster run the same"
        return PeerRefused(Reason.WRONG_CLUSTER, text)
    if hello.to_node != node:
        return PeerRefused(Reason.WRONG_NODE, f"the caller wants node {hello.to_node}, this is node {node}")
    return None


def prove(secret: str, side: str, hello: PeerHello, nonce: bytes) -> bytes:
    """The proof of `side` ("dialler" or "acceptor") for this hello and the acceptor's nonce."""
    text = msgspec.msgpack.encode(("ringleader peer proof 1", side, hello, nonce))
    return hmac.new(secret.encode(), text, hashlib.sha256).digest()


def proof_holds(proof: bytes, secret: str, side: str, hello: PeerHello, nonce: bytes) -> bool:
    """Whether `proof` is the one; takes the same time whatever it is."""
    return hmac.compare_digest(proof, prove(secret, side, hello, nonce))
